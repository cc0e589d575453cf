"""A recipe that is a command in any language: it is given its settings as arguments and prints lines of JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from harness.errors import KilledError, OutOfMemoryError, RecipeError, SpecError, nearest
from harness.files.atomic import write_text
from harness.machine.provenance import processor
from harness.measures import PEAK_MEMORY, TRAIN_SECONDS, Measure
from harness.recipes import Recipe
from harness.recipes.models import budget_of, model_of
from harness.recipes.printed import Printed
from harness.recipes.process import Ended, run_command
from harness.recipes.run import Interrupted, Run
from harness.settings import TOLD, Budget, Settings

KEYS = ("command", "settings", "budget", "unit", "name", "version", "cwd", "env")
_OF_RUN = ("seed", "directory", "device", "settings")
"""Placeholders that every run fills: its seed, its folder, its device, and all settings as JSON."""
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SCALAR = bool | int | float | str
_EARLIER = "earlier.json"  # in a run's folder: the seconds of earlier attempts
OUTPUT = "output.txt"
"""The file in a run's folder that holds all that its command printed."""


class CommandRecipe(Recipe):
    """`{command: [...], settings: {...}}` of a spec in `folder` as a recipe. Raises SpecError where it makes no sense.

    An argument is text with placeholders in braces; one that is a mapping, `{nesterov: --nesterov}`, is given where
    that setting is neither false nor null.
    """

    objective = Measure(name="", title="")  # the spec's

    def __init__(self, raw: Mapping[str, Any], folder: Path) -> None:
        for key in raw:
            if key not in KEYS:
                raise SpecError(f"{key}: unknown key of a command; {nearest(key, KEYS)}")
        self._command = _list_of_arguments(raw.get("command"))
        values = _mapping(raw, "settings")
        amounts = _mapping(raw, "budget")
        self._env = {name: _word(value, f"env.{name}") for name, value in _mapping(raw, "env").items()}
        self.name = str(raw.get("name") or _title(self._command))
        self.version = raw.get("version", 1)
        if not isinstance(self.version, int) or isinstance(self.version, bool):
            raise SpecError(f"version: {self.version!r} is not allowed: must be a whole number")
        self.unit = str(raw.get("unit") or next(iter(amounts), "steps"))
        self._folder = Path(folder, str(raw.get("cwd", "."))).resolve()
        # The folder is none of it: a study may be moved.
        self.identity = {"command": self._command, "env": self._env, "unit": self.unit}
        self.settings = _settings(values)
        self.budget = _budget(amounts)
        self._refuse_placeholders(values, amounts)

    def _refuse_placeholders(self, values: Mapping[str, Any], amounts: Mapping[str, Any]) -> None:
        known, used = {*_OF_RUN, *values, *amounts}, set[str]()
        for name in values.keys() & amounts.keys():
            raise SpecError(f"budget: {name} is a setting too; keep it in one of them")
        texts = [item for item in self._command if isinstance(item, str)]
        texts += [text for item in self._command if isinstance(item, dict) for text in item.values()]
        for text in (*texts, *self._env.values()):
            for name in _names(text):
                if not name.isidentifier():
                    raise SpecError(
                        f"{text!r}: {{{name}}} is no placeholder; write {{{{ and }}}} for braces as they are"
                    )
                if name not in known:
                    raise SpecError(f"{text!r} names {{{name}}}, which is no setting; {nearest(name, known)}")
                used.add(name)
        for item in self._command:
            for name in item if isinstance(item, dict) else ():
                if name not in values:
                    raise SpecError(f"{json.dumps(item)}: {name} is no setting; {nearest(name, values)}")
                used.add(name)
        if "settings" in used:
            used |= values.keys()
        for name in (*values, *amounts):
            if name not in used and name != "device":  # the device of runs is taken from a setting of that name
                raise SpecError(
                    f"{name} could have no effect, since no argument names it; write {{{name}}} where the command "
                    "takes it, or hand it all settings as JSON with {settings}"
                )

    def check(self, data: Sequence[Any], evaluate: Any) -> None:
        """Refuse a command that is not there. Raises RecipeError."""
        if not self._folder.is_dir():
            raise RecipeError(f"recipe: cwd: there is no folder {self._folder}; give one relative to the spec's")
        program, *rest = _interpreted([str(item) for item in self._command])
        path = {**os.environ, **self._env}.get("PATH")
        where = str(self._folder / program) if os.sep in program else program
        if shutil.which(where, path=path) is None:
            there = "is not executable; chmod +x it" if Path(where).is_file() else "is not found; install it"
            raise RecipeError(f"recipe: command: {program} {there}, or give another command")
        script = next((word for word in rest if not word.startswith("-")), "")
        if program == sys.executable and script.endswith(".py") and not (self._folder / script).is_file():
            raise RecipeError(f"recipe: command: there is no file {self._folder / script}; give the script's path")

    def train(self, settings: Any, run: Run) -> Mapping[str, float]:
        """Run the command to its end; what it printed last of each measure is the result."""
        if not run.objective.name:
            raise RecipeError("a command has no objective of its own; name it in a spec, and use harness ablate")
        values = {**settings.model_dump(), **run.budget.model_dump()}
        given = dict.fromkeys(_OF_RUN) | values | self._of_run(settings, run)
        command, folder = _interpreted(self._arguments(given)), run.directory.resolve()
        output = folder / OUTPUT
        run.start({"command": shlex.join(command), "device.name": _device_name(run)})
        printed = Printed(run)
        earlier = folder / _EARLIER
        if (seconds := _earlier(earlier, run)) is not None:
            run.go_on(step=0, seconds=seconds)
        ended = run_command(
            command,
            folder=self._folder,
            environment=self._environment(given, run),
            output=output,
            tell=printed.line,
            stop=lambda: run.should_stop,
        )
        printed.flush()
        if printed.not_finite:
            with output.open("a", encoding="utf-8") as file:
                file.write(f"[harness left out, where they were not finite: {', '.join(sorted(printed.not_finite))}]\n")
        earlier.unlink(missing_ok=True)
        if ended.stopped:
            if ended.code == 0:  # it caught the signal and saved: its next start goes on
                seconds = run.seconds
                write_text(earlier, json.dumps({"seconds": seconds, "sha256": _checksum(seconds)}))
            raise Interrupted(f"stopped after {run.step:,} {self.unit}")
        self._refuse_end(ended, run, printed, output)
        return {PEAK_MEMORY.name: ended.peak_memory_mb, TRAIN_SECONDS.name: run.seconds, **printed.last}

    def _refuse_end(self, ended: Ended, run: Run, printed: Printed, output: Path) -> None:
        where = f"; all it printed is in {os.path.relpath(output)}"
        if ended.code != 0:
            said = f": {ended.errors[-1]}" if ended.errors else ""
            kind = KilledError if ended.killed else RecipeError
            if ended.starved or _says_so(ended.errors):
                kind = OutOfMemoryError
            failure = kind(f"the command '{self.name}' ended with {ended.how}{said}{where}")
            if ended.errors:
                failure.add_note("the last lines of its standard error:\n" + "\n".join(ended.errors))
            raise failure
        name = run.objective.name
        if name not in printed.last:
            has = f"printed {', '.join(printed.last)}" if printed.last else "printed no line of JSON with a number"
            last = f"; its last line is {ended.last[:200]!r}" if ended.last else ""
            raise RecipeError(
                f"the command '{self.name}' never said its '{name}', which is the objective: it {has}; print a line "
                f'like {{"step": 100, "{name}": 0.9}}{last}{where}'
            )

    def _of_run(self, settings: Any, run: Run) -> dict[str, Any]:
        return {
            "seed": run.seed,
            "directory": str(run.directory.resolve()),
            # Of the GPUs a command sees its own alone, which is its first.
            "device": "cuda" if (run.device or "").startswith("cuda") else run.device or "cpu",
            "settings": settings.model_dump_json(),
        }

    def _arguments(self, given: Mapping[str, Any]) -> list[str]:
        """The command's words; one whose placeholder is null is left out, and the flag just before it."""
        words: list[str] = []
        flag = False  # whether the last word is a flag, written as such
        for item in self._command:
            if isinstance(item, dict):
                absent = [name for name in item if given[name] is None or given[name] is False]  # 0 is a value
                words += [_filled(text, given) for name, text in item.items() if name not in absent]
                flag = False
                continue
            names = _names(item)
            whole = len(names) == 1 and item == f"{{{names[0]}}}"
            value = given[names[0]] if whole else None
            if any(given[name] is None or given[name] == [] for name in names):
                if whole and flag:
                    words.pop()
            elif isinstance(value, list):
                words += [_written(each) for each in value]
            else:
                words.append(_filled(item, given))
            flag = item.startswith("-") and not names
        return words

    def _environment(self, given: Mapping[str, Any], run: Run) -> dict[str, str]:
        own = {name: _filled(text, given) for name, text in self._env.items()}
        threads = {} if run.threads is None else {"OMP_NUM_THREADS": str(run.threads)}
        return {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "HARNESS_SEED": str(run.seed),
            "HARNESS_DIRECTORY": str(run.directory.resolve()),
            "CUDA_VISIBLE_DEVICES": _visible(run.device or "cpu"),
            **threads,
            **own,
        }


def _says_so(errors: Sequence[str]) -> bool:
    """Whether last lines of standard error speak of memory that was not enough, as runtimes of programs do."""
    return any(re.search(r"\bMemoryError\b|OutOfMemoryError|out of memory|std::bad_alloc", line) for line in errors)


# ---------------------------------------------------------------------- reading the spec's mapping


def _mapping(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key) or {}
    if not isinstance(value, dict):
        raise SpecError(f"{key}: {json.dumps(value)} is not allowed: must be a mapping, name: value")
    return value


def _list_of_arguments(raw: Any) -> list[str | dict[str, str]]:
    if not isinstance(raw, list) or not raw:
        shown = "is missing" if raw is None else f"{json.dumps(raw)} is not allowed"
        raise SpecError(f"command: {shown}; give a list of arguments, like [python, train.py, --lr, '{{lr}}']")
    if isinstance(raw[0], dict):
        raise SpecError("command: the first word must be the program")
    return [
        {str(name): _word(text, f"command[{place}]") for name, text in item.items()}
        if isinstance(item, dict)
        else _word(item, f"command[{place}]")
        for place, item in enumerate(raw)
    ]


def _word(value: Any, place: str) -> str:
    if isinstance(value, dict | list) or value is None:
        raise SpecError(f"{place}: {json.dumps(value)} is not allowed: must be text, in quotes where it has braces")
    text = _written(value)
    if "\0" in text:
        raise SpecError(f"{place}: {text!r} is not allowed: no argument holds a zero byte")
    _names(text)
    return text


def _title(command: Sequence[str | dict[str, str]]) -> str:
    """`python train.py`: the words before the first that is a flag, has a placeholder or depends on a setting."""
    words: list[str] = []
    for item in command:
        if isinstance(item, dict) or item.startswith("-") or _names(item):
            break
        words.append(Path(item).name if os.sep in item else item)
    return " ".join(words) or str(command[0])


def _names(text: str) -> list[str]:
    """The placeholders in `text`. Raises SpecError for a brace that stands alone."""
    found: list[str] = []
    for match in _PLACEHOLDER.finditer(text):
        if match[1] is not None:
            found.append(match[1])
        elif match[0] in "{}":
            raise SpecError(f"{text!r} has a brace that opens or closes nothing; write {{{{ or }}}} for one as it is")
    return found


def _settings(values: Mapping[str, Any]) -> type[Settings]:
    """The model of settings with these defaults, whose types are theirs; null takes any plain value."""
    fields: dict[str, Any] = {}
    for name, value in values.items():
        if not re.fullmatch(r"[A-Za-z]\w*", name) or (name in _OF_RUN and name != "device"):
            why = "every run has it" if name in _OF_RUN else "must be letters, digits and _, a letter first"
            raise SpecError(f"settings: a setting cannot be called '{name}': {why}; give it another name")
        fields[name] = (Annotated[_type(value, name), TOLD], value)
    return model_of("SettingsOfCommand", fields)


def _type(value: Any, name: str) -> Any:
    if isinstance(value, list):
        kinds = {_type(each, name) for each in value}
        return list[kinds.pop() if len(kinds) == 1 else _SCALAR]  # type: ignore[misc]
    if isinstance(value, dict):
        raise SpecError(f"settings.{name}: {json.dumps(value)} is not allowed: must be a plain value or a list")
    return _SCALAR | list[_SCALAR] | None if value is None else type(value)


def _budget(amounts: Mapping[str, Any]) -> type[Budget]:
    for unit, amount in amounts.items():
        if (
            isinstance(amount, bool)
            or not isinstance(amount, int | float | None)
            or not re.fullmatch(r"[a-z]\w*", unit)
        ):
            raise SpecError(f"budget: {unit}: {json.dumps(amount)} is not allowed: must be like epochs: 20")
    return budget_of("Command", amounts) if amounts else Budget


# ---------------------------------------------------------------------- writing arguments


def _filled(text: str, given: Mapping[str, Any]) -> str:
    doubled = {"{{": "{", "}}": "}"}
    return _PLACEHOLDER.sub(lambda match: doubled.get(match[0]) or _written(given[match[1]]), text)


def _written(value: Any) -> str:
    """`value` as an argument: true, 3, 0.1, text as it is, items of a list with commas between."""
    if isinstance(value, list):
        return ",".join(map(_written, value))
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _interpreted(command: list[str]) -> list[str]:
    """The command with the Python that runs this in place of a first word that is exactly python or python3."""
    return [sys.executable, *command[1:]] if command[0] in ("python", "python3") else command


def _visible(device: str) -> str:
    """CUDA_VISIBLE_DEVICES for a run on `device`, which counts among those that are visible here."""
    if not device.startswith("cuda"):
        return ""
    index = int(device.partition(":")[2] or 0)
    seen = [each for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each]
    return seen[index] if index < len(seen) else str(index)


def _earlier(path: Path, run: Run) -> float | None:
    """The seconds of earlier attempts; None where there are none, or what says them is damaged, which is said."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if _checksum(found["seconds"]) == found["sha256"]:
            return float(found["seconds"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        pass
    run.note(f"{path.name} is damaged: the seconds of training before this start are not counted")
    return None


def _checksum(seconds: float) -> str:
    return sha256(json.dumps(seconds).encode()).hexdigest()


def _device_name(run: Run) -> str:
    """The processor's model name; of a GPU, which only the command opens, which one it is of which machine."""
    return processor() if (run.device or "cpu") == "cpu" else f"{run.device} of {platform.node()}"
