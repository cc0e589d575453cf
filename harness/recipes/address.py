"""Where a recipe is found: by the name of an installed one, in a module or file, or as a command."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from harness import recipes
from harness.errors import SpecError, nearest

_LOADED: dict[tuple[Path, str], ModuleType] = {}


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
            words = json.loads(self.text).get("command", [])
            found = [Path(self.folder, str(word)) for word in words]
            return [file for file in found if file.is_file()]
        place, colon, name = self.text.rpartition(":")
        if not colon and not self.text.endswith(".py"):
            return []
        module = self._module(place or name)
        return [Path(module.__file__)] if module.__file__ else []

    def _module(self, place: str) -> ModuleType:
        try:
            return self._file(place) if place.endswith(".py") else self._named(place)
        except SpecError:
            raise
        except Exception as error:  # whatever a module of the user's may do
            frames = traceback.extract_tb(error.__traceback__)
            last = frames[-1] if frames else None
            where = f" ({Path(last.filename).name}, line {last.lineno})" if last else ""
            raise SpecError(
                f"{self.text} cannot be imported: {type(error).__name__}: {error}{where}; mend that, or give "
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
            name = f"harness_recipe_{content[:12]}_{path.stem}"
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
        _look_in(Path.cwd())
        return importlib.import_module(place)


def _look_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


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
    if isinstance(value, type):
        own = value.__module__ == module.__name__
        return own and isinstance(getattr(value, "name", None), str) and callable(getattr(value, "train", None))
    return isinstance(value, recipes.Recipe)
