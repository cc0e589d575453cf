"""Where a recipe is found: by the name of an installed one, in a module or file, or as a command."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import json
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from harness import recipes
from harness.errors import SpecError, nearest

_LOADED: dict[tuple[Path, str], ModuleType] = {}
_LARGEST = 1 << 20  # bytes of a source
_FOLDERS: set[Path] = set()  # that recipes were loaded from


@dataclass(frozen=True)
class Address:
    """`text` as the spec has it: `dcgan`, `package.module:name`, `./file.py:name`, or a command's mapping as JSON.

    Files and modules are looked for from `folder`, the spec's.
    """

    text: str = ""
    folder: str = "."

    @classmethod
    def of(cls, value: str | Mapping[str, Any], folder: str | Path = ".") -> Address:
        """The address that a spec gives as its `recipe`."""
        return cls(value if isinstance(value, str) else json.dumps(value), str(folder))

    @property
    def is_command(self) -> bool:
        """Whether the recipe is a command."""
        return self.text.startswith("{")

    def load(self) -> recipes.Recipe:
        """The recipe there. Raises SpecError where there is none."""
        if self.is_command:
            from harness.recipes.command import CommandRecipe

            return CommandRecipe(json.loads(self.text), Path(self.folder))
        place, colon, name = self.text.rpartition(":")
        if not colon and not self.text.endswith(".py"):
            return recipes.get(self.text)
        module = self._module(place or name)
        return _recipe(module, name if colon else "", self.text)

    def digest(self) -> str:
        """A digest of the recipe's own source; "" for an installed one, whose version says what it is."""
        files = self.sources()
        if not files:
            return ""
        return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]

    def sources(self) -> list[Path]:
        """The files that hold the recipe: its module, or those that its command names."""
        if self.is_command:
            raw = json.loads(self.text)
            named = [Path(self.folder, raw.get("cwd", "."), str(word)) for word in raw["command"]]
            sources = [neighbours(file) if file.suffix == ".py" else [file] for file in named if _is_source(file)]
            return sorted({file for files in sources for file in files})
        place, colon, name = self.text.rpartition(":")
        if not colon and not self.text.endswith(".py"):
            return []
        module = self._module(place or name)
        return neighbours(Path(module.__file__)) if module.__file__ else []

    def _module(self, place: str) -> ModuleType:
        try:
            return self._file(place) if place.endswith(".py") else self._named(place)
        except SpecError:
            raise
        except (Exception, SystemExit) as error:  # whatever a module of the user's may do
            raise SpecError(
                f"{self.text} cannot be imported: {type(error).__name__}: {error}{_where(error)}; mend that, or give "
                "module:name or ./file.py:name"
            ) from error

    def _file(self, place: str) -> ModuleType:
        path = Path(self.folder, place).resolve()
        if not path.is_file():
            others = [f"./{file.name}" for file in sorted(path.parent.glob("*.py"))] if path.parent.is_dir() else []
            hint = f"beside it are {', '.join(others)}" if others else "give the path of a Python file"
            raise SpecError(f"{self.text}: there is no file {path}; {hint}")
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        if (path, content) not in _LOADED:
            _look_in(path.parent)  # as `python file.py` does
            place = hashlib.sha256(f"{path}{content}".encode()).hexdigest()
            name = f"harness_recipe_{place[:12]}_{path.stem}"
            about = importlib.util.spec_from_file_location(name, path)
            assert about is not None
            assert about.loader is not None
            module = importlib.util.module_from_spec(about)
            sys.modules[name] = module  # dataclasses and pydantic look types up there
            try:
                about.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
            _LOADED[path, content] = module
        return _LOADED[path, content]

    def _named(self, place: str) -> ModuleType:
        _look_in(Path(self.folder).resolve())
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.append(here)
        return importlib.import_module(place)


def _look_in(folder: Path) -> None:
    """Let modules be imported from `folder` first, where another recipe's folder has some of the same name."""
    text = str(folder)
    if text in sys.path[:1]:
        return
    if text in sys.path:
        sys.path.remove(text)
    sys.path.insert(0, text)
    importlib.invalidate_caches()
    for other in _FOLDERS - {folder}:
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if "." not in name and file and Path(file).parent in (other, other / name) and _beside(folder, name):
                for each in [key for key in sys.modules if key.partition(".")[0] == name]:
                    del sys.modules[each]
    _FOLDERS.add(folder)


def _beside(folder: Path, name: str) -> Path | None:
    """The file of the module `name` in `folder`."""
    found = (folder / f"{name}.py", folder / name / "__init__.py")
    return next((file for file in found if file.is_file()), None)


def _is_source(file: Path) -> bool:
    """Whether the file is there and small enough for a source: a command may name its data as well."""
    try:
        return file.is_file() and file.stat().st_size <= _LARGEST
    except OSError:  # no word that could be a path
        return False


def neighbours(file: Path) -> list[Path]:
    """`file` and the modules of its own folder that it imports, and they import: what a recipe's numbers hang on."""
    found = [file]
    for each in found:
        for name in _imported(each):
            beside = _beside(file.parent, name)
            if beside is not None and beside not in found:
                found.append(beside)
    return sorted(found)


def _imported(file: Path) -> Iterator[str]:
    """The modules that stand beside a file or in its package, as far as its imports may mean them."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module.partition(".")[0], node.module.rpartition(".")[2])
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def _where(error: BaseException) -> str:
    """Where in the user's own files an import failed."""
    if isinstance(error, SyntaxError):
        return ""  # its message says it
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if not each.filename.startswith("<") and Path(each.filename) != Path(__file__)]
    own = [each for each in own if "importlib" not in Path(each.filename).parts]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _recipe(module: ModuleType, name: str, text: str) -> recipes.Recipe:
    found = {key: value for key, value in vars(module).items() if _is_recipe(value, module)}
    if not name and len(found) == 1:
        (name,) = found
    if name not in found:
        if name and hasattr(module, name):
            raise SpecError(
                f"{text}: {name} is no recipe; put @recipe(objective=...) above the function, or make the class a "
                "harness.recipes.Recipe"
            )
        what = f"there is no '{name}'" if name else "say which of its recipes, like ./file.py:name"
        raise SpecError(f"{text}: {what}; {nearest(name, found) if found else 'it has no recipe at all'}")
    return recipes.complete(found[name])


def _is_recipe(value: Any, module: ModuleType) -> bool:
    kind = value if isinstance(value, type) else type(value)
    own = kind.__module__ == module.__name__
    alike = own and isinstance(getattr(value, "name", None), str) and callable(getattr(value, "train", None))
    return alike or (not isinstance(value, type) and isinstance(value, recipes.Recipe))
