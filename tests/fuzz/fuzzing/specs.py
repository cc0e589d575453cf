"""Specs as text and as documents, `--set` options, and the names in a spec that become paths and names of stores."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from fuzzing.guard import ROOT
from fuzzing.mutation import COMPOSITES, EDITS, SCALARS, edited, edited_document
from fuzzing.target import Target
from harness.design import Plan, plan
from harness.errors import SpecError
from harness.spec import Spec, load

FILES = tuple(sorted((*ROOT.glob("ablations/*.yaml"), *ROOT.glob("examples/digits/*.yaml"))))
CONTENT = {file.name: file.read_bytes() for file in FILES}
DOCUMENTS = {name: yaml.safe_load(content) for name, content in CONTENT.items()}

_TOKENS = tuple(
    text.encode("utf-8", "surrogatepass")
    for text in (
        *(
            "- ",
            ": ",
            "? ",
            "&a ",
            "*a",
            "<<: *a\n",
            "<<: [*a, *a]\n",
            "!!python/object/apply:os.system [ls]",
            "!!binary |\n",
        ),
        *(
            "!!set {a}",
            "!!float ",
            "!!int ",
            "!!timestamp ",
            "!!omap ",
            "!!null x",
            "!x ",
            "%YAML 9.9\n",
            "%TAG ! x:\n",
        ),
        *(
            "---\n",
            "...\n",
            "|\n",
            ">-\n",
            "{",
            "}",
            "[",
            "]",
            ", ",
            "# ",
            "\t",
            "\r",
            "\u2028",
            "\x85",
            "\ufeff",
            "\0",
        ),
        *(
            '"\\x',
            '"\\ud800"',
            '"\\U0010ffff"',
            '"\\U00110000"',
            '"\\0"',
            "'",
            '"',
            "0x",
            "0o",
            "1e999",
            ".nan",
            "-.inf",
        ),
        *(
            "1:2:3",
            "1_000",
            "2001-01-01",
            "extends: case.yaml\n",
            "extends: ..\n",
            "extends: /dev/null\n",
            "\n  ",
            "\n",
        ),
        *("factors:\n", "when: {crop: [square]}\n", "requires:\n", "seeds: {first: 3, most: 20}\n", "design: union\n"),
        *(
            "kind: full-factorial",
            "kind: search",
            "kind: noise",
            "kind: plackett-burman",
            "of: [ladder, noise]",
            "9" * 5000,
        ),
        *("[" * 500, "{a: " * 500, "&a [*a]", "\udc80", "\x80", "\xff"),
    )
)


def _written(document: Any) -> str:
    """As YAML; by the slow writer where there is what the quick one cannot write."""
    try:
        return str(yaml.dump(document, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False))
    except UnicodeEncodeError:
        return str(yaml.safe_dump(document, sort_keys=False))


def _planned(spec: Spec) -> str:
    made = plan(spec)
    return f"{len(made.cells)} cells" if made.search is None else "a search"


def _beside(folder: Path) -> Path:
    """The case's file, beside what the real specs name."""
    for file in (*FILES, *ROOT.glob("examples/digits/*.py")):
        shutil.copy(file, folder)
    for file in FILES:  # what their recipes import is imported now
        load(folder / file.name)
    return folder / "case.yaml"


def _text(folder: Path) -> Callable[[tuple[str, bytes | None, list[int]]], str]:
    case = _beside(folder)

    def read(value: tuple[str, bytes | None, list[int]]) -> str:
        name, whole, edits = value
        case.write_bytes(edited(CONTENT[name], edits, _TOKENS) if whole is None else whole)
        return _planned(load(case))

    return read


_OWN: tuple[Any, ...] = (
    *("one-at-a-time", "leave-one-out", "ladder", "full-factorial", "fractional-factorial", "plackett-burman", "union"),
    *(
        "noise",
        "search",
        "tpe",
        "nsga2",
        "ranks",
        "t",
        "square",
        "resize",
        "all",
        "dcgan",
        "./digits.py:digits",
        "mifid",
    ),
    *(
        {"kind": "union", "of": ["ladder", {"kind": "leave-one-out"}]},
        {"kind": "search", "trials": 4},
        {"max_hours": 1},
    ),
    *({"kind": "fractional-factorial", "resolution": 3}, {"anytime": True}, {"metric": "fid"}, {"crop": ["square"]}),
    *({"command": ["python", "x.py", "{a}"], "settings": {"a": 1}}, {"command": ["a"], "cwd": "a\0b"}),
    *({"baseline": 0, "levels": [1, 2]}, {"baseline": False, "levels": [True]}, {"on": {"images": {"width": 3}}}),
    *({"command": ["a", {"b": "--b"}], "settings": {"b": True}, "env": {"A=B": "x\0"}}, {"images": 10, "seconds": 3}),
)


def _values(folder: Path) -> Callable[[tuple[str, list[int]]], str]:
    case = _beside(folder)

    def read(value: tuple[str, list[int]]) -> str:
        name, edits = value
        document = edited_document(DOCUMENTS[name], edits, _OWN)
        case.write_text(_written(document), encoding="utf-8", errors="surrogatepass")
        return _planned(load(case))

    return read


# ---------------------------------------------------------------------- --set

_KEYS = (
    *("study", "recipe", "seeds", "worth", "design.kind", "design.on", "design.of", "design.trials", "train.batch"),
    *("train.width", "train.device", "train.loss", "data.size", "data.root", "data.source", "data.crop", "data.count"),
    *("evaluate.extractors", "evaluate.references", "evaluate.samples", "budget.images", "budget.seconds", "objective"),
    *("factors.crop.levels", "factors.crop", "factors.crop.sets", "factors.new.baseline", "factors.margin.when", "x-a"),
    *(
        "extends",
        "",
        ".",
        "a..b",
        "train",
        "factors",
        "train.batch.x",
        "seeds.first",
        "batch",
        "margin",
        "images",
        "\udcff",
    ),
)
_VALUES = (
    *(value if isinstance(value, str) else json.dumps(value, default=str) for value in (*SCALARS, *COMPOSITES)),
    *(
        "[a, b",
        "{a: b",
        "&a [*a]",
        "*a",
        "!!python/object/apply:os.system [ls]",
        "!!binary eA==",
        "|",
        "? a",
        "- a",
        "\udcff",
    ),
    *(repr(value) for value in _OWN),
    *(str(value) for value in _OWN if isinstance(value, str)),
)
_OPTION = st.one_of(
    st.tuples(st.sampled_from(_KEYS), st.sampled_from(("=", "", "==", ": ")), st.sampled_from(_VALUES)).map("".join),
    st.text(max_size=40),
    st.tuples(st.sampled_from(_KEYS), st.just("="), st.text(max_size=40)).map("".join),
)


def _options(folder: Path) -> Callable[[tuple[bool, list[str]]], str]:
    from harness.recipes.dcgan.recipe import Dcgan
    from harness.runs.description import SECTIONS
    from harness.runs.single import sections

    case = _beside(folder).with_name("smoke.yaml")
    models = {section: getattr(Dcgan, member) for section, member in SECTIONS.items()}

    def read(value: tuple[bool, list[str]]) -> str:
        of_study, overrides = value
        if of_study:
            return _planned(load(case, overrides))
        sections(overrides, models, default="train")
        return "sections"

    return read


# ---------------------------------------------------------------------- names

_NAME = st.one_of(
    st.sampled_from([value for value in SCALARS if isinstance(value, str)]),
    st.text(max_size=120),
    st.text(st.sampled_from("aZ09_-. 名é𝔘\u0301/\\'\"<>&=,·"), min_size=1, max_size=110),
)
_LEVEL = st.one_of(_NAME, st.sampled_from([value for value in SCALARS if not isinstance(value, str)]))


def _stored_text(text: str) -> None:
    """Of what a database of any kind holds."""
    text.encode()
    assert "\0" not in text, "PostgreSQL holds no zero byte"


def _names(folder: Path) -> Callable[[tuple[str, str, list[Any]]], str]:
    """What is planned under such names fits into folders, locks, Optuna and MLflow, by their own rules."""
    from mlflow.entities import Param, Run, RunData, RunInfo, RunTag
    from mlflow.utils import validation
    from optuna.distributions import CategoricalDistribution, distribution_to_json

    from harness.study import recording, tracking
    from harness.study.answer import plan_document, study_name

    case = _beside(folder)
    runs = folder / "runs"

    class Server:
        """A tracking server that takes what MLflow's own rules and tables take."""

        def create_run(self, experiment: str, start_time: int, run_name: str, tags: Mapping[str, str]) -> Run:
            assert len(run_name) <= 250, "the name of a run in MLflow's table"
            self.log_batch("", tags=[RunTag(*each) for each in tags.items()])
            return Run(RunInfo("0" * 32, "1", "", "RUNNING", start_time, None, "active"), RunData())

        def log_batch(
            self, run: str, metrics: Any = (), params: Sequence[Param] = (), tags: Sequence[RunTag] = ()
        ) -> None:
            validation._validate_batch_log_data(metrics, params, tags)
            validation._validate_batch_log_limits(metrics, params, tags)
            for each in (*params, *tags):
                _stored_text(each.value)

    tracker = tracking.Tracker.__new__(tracking.Tracker)
    tracker.client, tracker.experiment, tracker.parent = Server(), "1", "0" * 32  # type: ignore[assignment]

    def stored(made: Plan, study: str) -> None:
        for cell, run in zip(made.cells, made.runs, strict=False):
            name = recording.title(cell, run)
            tags = recording.identity(study, cell, run, "0" * 16)
            child = tracker.make(run.key, name, at=1, tags=tags)
            tracker.send(child.identity, parameters=recording.parameters(made, cell, run), tags=tags)
            _stored_text(recording.note(cell, run, 1))

    def read(value: tuple[str, str, list[Any]]) -> str:
        study, factor, levels = value
        spec = {
            "study": study,
            "recipe": "dcgan",
            "seeds": 1,
            "budget": {"images": 640},
            "factors": {
                factor: {
                    "baseline": levels[0],
                    "levels": levels[1:],
                    "sets": {str(level): {"width": 4 + place} for place, level in enumerate(levels)},
                }
            },
        }
        case.write_text(_written(spec), encoding="utf-8", errors="surrogatepass")
        loaded = load(case)
        made = plan(loaded)
        name = study_name(loaded, made)
        for place in (runs / name / f"{made.runs[0].key}.lock", folder / ".harness" / f"{name}.lock"):
            assert os.path.normpath(place) == str(place)
            assert place.parent.parent in (runs, folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
            place.unlink()
            if place.parent.name != ".harness":
                place.parent.rmdir()
        stored(made, name)
        for each in loaded.factors.values():
            json.loads(distribution_to_json(CategoricalDistribution([each.baseline, *each.levels])))
        json.dumps(plan_document(made)).encode()
        return "named"

    return read


_SMALL = st.sampled_from(("smoke.yaml", "digits.yaml", "command.yaml"))
_REAL = st.one_of(*[_SMALL] * 4, st.sampled_from(sorted(CONTENT)))  # those that extend another take long to plan

TARGETS = (
    Target(
        name="spec-text",
        inputs=st.tuples(_REAL, st.one_of(*[st.none()] * 9, st.binary(max_size=200), st.text().map(str.encode)), EDITS),
        prepare=_text,
        documented=(SpecError,),
    ),
    Target(name="spec-values", inputs=st.tuples(_REAL, EDITS), prepare=_values, documented=(SpecError,)),
    Target(
        name="set-options",
        inputs=st.tuples(st.booleans(), st.lists(_OPTION, min_size=1, max_size=4)),
        prepare=_options,
        documented=(SpecError,),
    ),
    Target(
        name="names",
        inputs=st.tuples(_NAME, _NAME, st.lists(_LEVEL, min_size=2, max_size=4)),
        prepare=_names,
        documented=(SpecError,),
        few=100,
        megabytes=512,
    ),
)
