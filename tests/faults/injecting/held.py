"""What a folder holds of its study, read without the code under test but for its tables; and what is amiss with it."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TIMES = re.compile(r"(train_seconds|peak_memory_mb|_per_second)")
"""Measures that are of the machine, and no two times the same."""
_OF_THE_ATTEMPT = {"trial", "attempt", "mlflow_run_id"}
_ALLOWED = {"runs", ".harness", "mlruns", "optuna.db", "mlflow.db", "__pycache__", ".cache"}
"""What a study makes in its folder."""
_HALF = re.compile(r"\..+\.\d+(\..*)?|\..*\.part|\.told\.jsonl")
"""Files in the writing, and what is kept of a run that has not ended."""
_FAILED = "harness.failure"

Point = tuple[str, str, int, float]
"""Key of the run, measure, step, value."""


@dataclass
class Held:
    """A study as its stores have it. `points` without those of times, `timed` their names and steps."""

    tables: dict[str, str] = field(default_factory=dict)
    points: Counter[Point] = field(default_factory=Counter)
    timed: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    children: dict[str, list[str]] = field(default_factory=dict)
    marked: set[str] = field(default_factory=set)
    parents: list[str] = field(default_factory=list)
    parent_points: Counter[tuple[str, int, float]] = field(default_factory=Counter)
    trials: dict[str, list[str]] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    curves: dict[str, dict[int, float]] = field(default_factory=dict)


@dataclass
class Verdict:
    """How many runs were planned and are finished, and in words what is lost, there twice, or wrong."""

    planned: int
    finished: int
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)


def read(optuna: Any, mlflow: Any, tables: Mapping[str, str]) -> Held:
    """What is in the two databases (SQLite or PostgreSQL, None where there is none), and a report's tables."""
    held = Held(tables={name: without_times(table) for name, table in tables.items()})
    if optuna is not None:
        _read_optuna(optuna, held)
    if mlflow is not None:
        _read_mlflow(mlflow, held)
    return held


def of_folder(folder: Path, tables: Mapping[str, str]) -> Held:
    """The same of the SQLite files in a folder."""
    with _opened(folder / "optuna.db") as optuna, _opened(folder / "mlflow.db") as mlflow:
        return read(optuna, mlflow, tables)


class _opened:  # noqa: N801 - a context manager
    def __init__(self, path: Path) -> None:
        # Not "ro": of a database whose writer was killed in a commit SQLite must roll the journal back before it reads.
        self.connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=30) if path.exists() else None

    def __enter__(self) -> sqlite3.Connection | None:
        return self.connection

    def __exit__(self, *error: object) -> None:
        if self.connection is not None:
            self.connection.close()


def _read_optuna(database: Any, held: Held) -> None:
    keys: dict[int, str] = {}
    for trial, value in database.execute("SELECT trial_id, value_json FROM trial_user_attributes WHERE key = 'key'"):
        keys[trial] = json.loads(value)
    for trial, state in database.execute("SELECT trial_id, state FROM trials ORDER BY trial_id"):
        held.trials.setdefault(keys.get(trial, "(no key)"), []).append(state)
    states = dict(database.execute("SELECT trial_id, state FROM trials"))
    for trial, value in database.execute("SELECT trial_id, value FROM trial_values"):
        if states[trial] == "COMPLETE":
            held.values[keys[trial]] = value
    for trial, step, value in database.execute(
        "SELECT trial_id, step, intermediate_value FROM trial_intermediate_values ORDER BY trial_id"
    ):
        held.curves.setdefault(keys[trial], {})[step] = value


def _read_mlflow(database: Any, held: Held) -> None:
    tags: dict[str, dict[str, str]] = defaultdict(dict)
    for run, key, value in database.execute("SELECT run_uuid, key, value FROM tags"):
        tags[run][key] = value
    keys: dict[str, str] = {}
    parents = set()
    for run, status in database.execute("SELECT run_uuid, status FROM runs WHERE lifecycle_stage = 'active'"):
        if tags[run].get("harness.role") == "study":
            held.parents.append(status)
            parents.add(run)
            continue
        keys[run] = key = tags[run].get("harness.key", "(no key)")
        held.children.setdefault(key, []).append(status)
        if _FAILED in tags[run]:
            held.marked.add(key)
    for run, name, step, value in database.execute("SELECT run_uuid, key, step, value FROM metrics"):
        if run in keys and _TIMES.search(name):
            held.timed[keys[run], name, step] += 1
        elif run in keys:
            held.points[keys[run], name, step, value] += 1
    # Of the study's own run the latest: what was published when a start was interrupted is history, and stays.
    for run, name, step, value in database.execute("SELECT run_uuid, key, step, value FROM latest_metrics"):
        if run in parents and not _TIMES.search(name):
            held.parent_points[name, step, value] += 1


def without_times(table: str) -> str:
    """A table as CSV without the columns that no two studies have alike: times, memory, attempts, identities."""
    rows = list(csv.reader(io.StringIO(table)))
    if not rows:
        return table
    kept = [i for i, name in enumerate(rows[0]) if not _TIMES.search(name) and name not in _OF_THE_ATTEMPT]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([[row[i] for i in kept if i < len(row)] for row in rows])
    return out.getvalue()


def judge(truth: Held, held: Held) -> Verdict:
    """Hold a study against the same one undisturbed."""
    done = [
        key
        for key in truth.trials
        if held.trials.get(key, []).count("COMPLETE") == 1 and held.children.get(key) == ["FINISHED"]
    ]
    found = Verdict(planned=len(truth.trials), finished=len(done))
    for key in truth.trials:
        states, children = held.trials.get(key, []), held.children.get(key, [])
        if "COMPLETE" not in states:
            found.lost.append(f"run {key} has no complete trial ({states or 'none at all'})")
        if not children:
            found.lost.append(f"run {key} has no child run in MLflow")
        elif "FINISHED" not in children:
            found.lost.append(f"the child run of {key} is {', '.join(children)}")
        if states.count("COMPLETE") > 1:
            found.doubled.append(f"run {key} has {states.count('COMPLETE')} complete trials")
        if len(children) > 1:
            found.doubled.append(f"run {key} has {len(children)} child runs")
        if key in held.marked and "FINISHED" in children:
            found.wrong.append(f"the finished child run of {key} is marked as failed")
        if "COMPLETE" in states and held.values.get(key) != truth.values[key]:
            found.wrong.append(f"the value of {key} is {held.values.get(key)!r}, not {truth.values[key]!r}")
        for step, value in truth.curves.get(key, {}).items():
            told = held.curves.get(key, {}).get(step)
            if told is None:
                found.lost.append(f"Optuna has no value of {key} at step {step}")
            elif told != value:
                found.wrong.append(f"Optuna's value of {key} at step {step} is {told!r}, not {value!r}")
    for extra in (held.trials.keys() | held.children.keys()) - truth.trials.keys():
        found.wrong.append(f"there is a run {extra} that nobody planned")
    _of_points(truth, held, found)
    _of_states(held, found)
    for name, table in truth.tables.items():
        if held.tables.get(name) != table:
            found.wrong.append(f"the table '{name}' differs: {_difference(table, held.tables.get(name, ''))}")
    return found


def _of_points(truth: Held, held: Held, found: Verdict) -> None:
    for (key, name, step, value), times in held.points.items():
        if (key, name, step, value) not in truth.points:
            found.wrong.append(f"MLflow has {name} = {value!r} of {key} at step {step}")
        elif times > 1:
            found.doubled.append(f"MLflow has {name} of {key} at step {step} {times} times")
    for key, name, step, value in truth.points:
        if (key, name, step, value) not in held.points:
            found.lost.append(f"MLflow has no {name} = {value!r} of {key} at step {step}")
    for (key, name, step), times in held.timed.items():
        if times > 1:
            found.doubled.append(f"MLflow has {name} of {key} at step {step} {times} times")
    for (name, step, value), times in held.parent_points.items():
        if (name, step, value) not in truth.parent_points:
            found.wrong.append(f"MLflow has {name} = {value!r} at step {step} of the study")
        elif times > 1:
            found.doubled.append(f"MLflow has {name} at step {step} of the study {times} times")
    for name, step, value in truth.parent_points:
        if (name, step, value) not in held.parent_points:
            found.lost.append(f"MLflow has no {name} = {value!r} of the study")


def _of_states(held: Held, found: Verdict) -> None:
    if len(held.parents) > 1:
        found.doubled.append(f"the study has {len(held.parents)} runs in MLflow")
    if held.parents != ["FINISHED"] * len(held.parents) or not held.parents:
        found.wrong.append(f"the study's run in MLflow is {', '.join(held.parents) or 'not there'}")
    for key, states in held.trials.items():
        if left := [state for state in states if state in ("RUNNING", "WAITING")]:
            found.wrong.append(f"run {key} has a trial that is {left[0]}")
    for key, children in held.children.items():
        if "RUNNING" in children:
            found.wrong.append(f"the child run of {key} is RUNNING")


def _difference(one: str, other: str) -> str:
    for left, right in zip(one.splitlines(), other.splitlines(), strict=False):
        if left != right:
            return f"'{left}' became '{right}'"
    return f"{len(one.splitlines())} lines became {len(other.splitlines())}"


def strange_files(folder: Path, given: set[str]) -> Iterator[str]:
    """What is in the study's folder that no study makes, and half-written files that were left behind."""
    for path in folder.iterdir():
        name = path.name
        if name not in _ALLOWED | given and not name.startswith(("optuna.db-", "mlflow.db-")):
            yield f"'{name}' lies in the study's folder"
    for path in folder.glob("runs/**/.*"):
        if path.is_file() and _HALF.fullmatch(path.name):
            yield f"'{path.relative_to(folder)}' was left half-written"
