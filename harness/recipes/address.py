"""Where a recipe is found: by the name of an installed one, in a module or file, or as a command."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import json
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from harness import recipes
from harness.errors import SpecError, nearest

_LARGEST = 1 << 20  # bytes of a source
_FOLDERS: set[Path] = set()  # that recipes were loaded from
_OURS = Path(recipes.__file__).parents[1]  # what the harness itself is changes no recipe's source
_NAME = "harness_recipe_"  # how the module of a recipe's file begins


@dataclass(frozen=True)
class _Loaded:
    """A module of a recipe's, and its sources and their digest when it was loaded."""

    module: ModuleType
    sources: list[Path]
    digest: str


_LOADED: dict[Path | str, _Loaded] = {}  # by file, or by the module's name


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

            try:
                raw = json.loads(self.text)
            except (ValueError, RecursionError):
                raise SpecError(
                    f"{self.text[:80]!r} is no recipe; give a name, a place like ./train.py:name, or a command as a "
                    "mapping, not in quotes"
                ) from None
            return CommandRecipe(raw, Path(self.folder))
        if self.is_installed:
            return recipes.get(self.text)
        _, colon, name = self.text.rpartition(":")
        return _recipe(self._module(self._place), name if colon else "", self.text)

    @property
    def is_installed(self) -> bool:
        """Whether it is the name of an installed recipe."""
        return not self.is_command and ":" not in self.text and not self.text.endswith(".py")

    @property
    def _place(self) -> str:
        """The file, or the module by its dotted name, that the recipe is in."""
        return self.text.rpartition(":")[0] or self.text

    def digest(self) -> str:
        """A digest of the recipe's own source as it is now.

        "" for an installed one, whose version says what it is, and where no file of the recipe's is known.
        """
        return _digest(self.sources())

    def loaded_digest(self) -> str:
        """The digest of the source that `load` has loaded here last, which may have changed since."""
        if self.is_command or self.is_installed:
            return self.digest()
        place = self._place
        return _LOADED[self._path(place) if place.endswith(".py") else place].digest

    def sources(self) -> list[Path]:
        """The files that hold the recipe: its module, or those that its command names, with what these import."""
        if self.is_command:
            raw = json.loads(self.text)
            folder, words = Path(self.folder, raw.get("cwd", ".")), list(map(str, raw["command"]))
            named = [file for word in words if _is_source(file := folder / word)]
            sources = [neighbours([file], file.parent) if file.suffix == ".py" else [file] for file in named]
            for flag, module in pairwise(words):
                if flag == "-m":
                    sources.append(neighbours(_files(folder, f"{module}.__main__"), folder))
            return sorted({file for files in sources for file in files})
        if self.is_installed:
            return []
        place = self._place
        if place.endswith(".py"):
            file = self._path(place)
            return neighbours([file], file.parent)
        return _sources(self._module(place) if place not in sys.modules else sys.modules[place], place)

    def _module(self, place: str) -> ModuleType:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what a module prints is no part of a report
                return self._file(place) if place.endswith(".py") else self._named(place)
        except SpecError:
            raise
        except (Exception, SystemExit) as error:  # whatever a module of the user's may do
            raise SpecError(
                f"{self.text} cannot be imported: {type(error).__name__}: {error}{_where(error)}; mend that, or give "
                "module:name or ./file.py:name"
            ) from error

    def _path(self, place: str) -> Path:
        path = Path(self.folder, place).resolve()
        if not path.is_file():
            others = [f"./{file.name}" for file in sorted(path.parent.glob("*.py"))] if path.parent.is_dir() else []
            hint = f"beside it are {', '.join(others)}" if others else "give the path of a Python file"
            raise SpecError(f"{self.text}: there is no file {path}; {hint}")
        return path

    def _file(self, place: str) -> ModuleType:
        path = self._path(place)
        sources = neighbours([path], path.parent)
        digest, known = _digest(sources), _LOADED.get(path)
        if known is not None and known.digest == digest:
            return known.module
        _look_in(path.parent)  # as `python file.py` does
        _forget_changed(path, sources)
        place = hashlib.sha256(f"{path}{digest}".encode()).hexdigest()
        name = f"{_NAME}{place[:12]}_{path.stem}"
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
        _LOADED[path] = _Loaded(module, sources, digest)
        return module

    def _named(self, place: str) -> ModuleType:
        _look_in(Path(self.folder).resolve())
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.append(here)
        known, module = _LOADED.get(place), sys.modules.get(place)
        if known is not None and known.module is module:
            sources = _sources(module, place)
            if known.digest == _digest(sources):
                return module
            _forget_changed(place, sources)
        module = importlib.import_module(place)
        sources = _sources(module, place)
        _LOADED[place] = _Loaded(module, sources, _digest(sources))
        return module


def _digest(sources: list[Path]) -> str:
    if not sources:
        return ""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in sources)).hexdigest()[:16]


def _forget_changed(place: Path | str, sources: list[Path]) -> None:
    """Let the modules of a recipe be imported anew where any may have changed since it was loaded."""
    files = set(sources)
    loaded = [each for key, each in _LOADED.items() if key == place or files.intersection(each.sources)]
    if not any(_has_changed(each) for each in loaded):
        return
    files.update(*(each.sources for each in loaded))
    tops = {
        name.partition(".")[0]  # a package goes whole, or its new self would lack the old modules
        for name, module in list(sys.modules.items())
        if (file := getattr(module, "__file__", None)) and not name.startswith((_NAME, "__")) and Path(file) in files
    }
    for name in list(sys.modules):
        if name.partition(".")[0] in tops:
            del sys.modules[name]
    for file in files:  # Python takes a file of the same second and length for unchanged
        Path(importlib.util.cache_from_source(file)).unlink(missing_ok=True)
    importlib.invalidate_caches()


def _has_changed(loaded: _Loaded) -> bool:
    try:
        return _digest(loaded.sources) != loaded.digest
    except OSError:  # one is gone
        return True


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


def neighbours(files: list[Path], root: Path, top: str = "") -> list[Path]:
    """`files` and the modules below `root` that they import, and these import: what a recipe's numbers hang on.

    With `top`, only modules of that package.
    """
    found = list(files)
    for each in found:
        stat = each.stat()
        for name in _imported(each, root, stat.st_mtime_ns, stat.st_size):
            if not top or name.partition(".")[0] == top:
                found += [file for file in _files(root, name) if file not in found and _OURS not in file.parents]
    return sorted(found)


def _sources(module: ModuleType, place: str) -> list[Path]:
    """The files of a module by its name, and of those beside it or in its package that it imports."""
    if not module.__file__:
        return []
    file = Path(module.__file__)
    root = file.parents[place.count(".") + (file.name == "__init__.py")]
    installed = {"site-packages", "dist-packages"} & set(root.parts)  # where all that is installed lies beside it
    return neighbours(_files(root, place) or [file], root, place.partition(".")[0] if installed else "")


def _files(root: Path, name: str) -> list[Path]:
    """The files that are run where the module `name` is imported from `root`: its own and those of its packages."""
    parts = name.split(".")
    each = [_beside(root.joinpath(*parts[:at]), part) for at, part in enumerate(parts)]
    return [file for file in each if file is not None]


@lru_cache(maxsize=4096)
def _imported(file: Path, root: Path, changed: int, size: int) -> tuple[str, ...]:
    """The dotted names of the modules below `root` that a file's imports may mean."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()
    package = file.parent.relative_to(root).parts
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            names += [f"{module}.{alias.name}" if module else alias.name for alias in node.names]
            if node.module and not node.level:
                names.append(node.module.rpartition(".")[2])  # the root may be a package itself
    return tuple(dict.fromkeys(names))


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
