"""Where a start is killed: names of the code, by the phase that they are in.

A name that does not exist any more is an error, and the test fails: a table that silently shrinks proves nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

PHASES = (
    "start",
    "preparing",
    "between create and attach",
    "training",
    "mid-checkpoint",
    "scoring",
    "telling",
    "forwarding",
    "publishing",
)
"""In the order in which a study comes to them."""
When = Literal["before", "after", "half"]
"""Before the call, after it, or in the middle of what it writes."""
Process = Literal["coordinator", "slot"]
Victims = Literal["coordinator", "slot", "both", "group", "nobody"]


@dataclass(frozen=True)
class Point:
    """Calls of a function or method, `module:Class.method`, in one kind of process.

    `thread` limits them to those of the thread called so: MLflow is written by a thread of its own.
    """

    phase: str
    process: Process
    place: str
    when: tuple[When, ...] = ("before", "after")
    thread: str = ""
    most: int = 1 << 30
    """The last of its calls that is of the phase."""

    @property
    def name(self) -> str:
        """How census and kills call it."""
        return f"{self.process}/{self.place}{f'@{self.thread}' if self.thread else ''}"


def _points(phase: str, process: Process, *places: str, **about: Any) -> tuple[Point, ...]:
    return tuple(Point(phase, process, place, **about) for place in places)


_STORE = "harness.study.store.store:StudyStore"
_RDB = "optuna.storages._rdb.storage:RDBStorage"
_CLIENT = "mlflow.tracking.client:MlflowClient"
_COMMIT = "sqlalchemy.engine.default:DefaultDialect.do_commit"

POINTS: tuple[Point, ...] = (
    *_points(
        "start",
        "coordinator",
        f"{_STORE}.check",
        f"{_STORE}.create",
        f"{_STORE}.ownership",
        f"{_STORE}.reconcile",
        f"{_STORE}._enqueue",
        f"{_RDB}.create_new_study",
        "optuna.study.study:Study.enqueue_trial",
        "harness.study.declared:lay_down",
        "harness.study.queue:Queue.fill",
        "harness.study.tracking:Tracker.__init__",
        "harness.study.tracking:Tracker.open_study",
        "harness.study.tracking:Tracker.children",
    ),
    *_points("start", "coordinator", _COMMIT, thread="MainThread", most=30),
    *_points("start", "coordinator", _COMMIT, thread="mirror", most=60),
    *_points(
        "preparing",
        "coordinator",
        "harness.recipes.function:FunctionRecipe.prepare",
        "harness.study.placement:place",
    ),
    *_points(
        "between create and attach",
        "coordinator",
        f"{_STORE}.claim",
        f"{_STORE}._claimed",
        f"{_STORE}.attach",
        f"{_STORE}.note",
        "harness.study.coordinator:Coordinator._place",
        "harness.runs.processes:ProcessLauncher.submit",
    ),
    *_points("between create and attach", "coordinator", "harness.study.tracking:Tracker.make"),
    *_points("training", "coordinator", "harness.study.coordinator:Coordinator._note"),
    *_points("training", "coordinator", "harness.study.journal:Journal.append"),
    *_points("training", "coordinator", "harness.files.lines:add", when=("before", "half", "after")),
    *_points("training", "slot", "harness.recipes.run:Run.emit", "harness.recipes.run:Run.restore"),
    *_points(
        "mid-checkpoint",
        "slot",
        "harness.recipes.run:Run.checkpoint",
        "harness.recipes.checkpoint:save",
        "harness.recipes.checkpoint:_keep",
        "harness.files.sealed:Sealing.write",
        "harness.files.sealed:Sealing.seal",
        "harness.files.atomic:sync",
    ),
    *_points("mid-checkpoint", "slot", "harness.files.sealed:Sealing.write", when=("half",)),
    *_points("scoring", "slot", "harness.recipes.run:Run.report", "harness.runs.boundary:checked"),
    *_points("scoring", "slot", "harness.runs.folder:describe"),
    *_points("scoring", "coordinator", f"{_STORE}.report", f"{_STORE}.is_hopeless"),
    *_points("scoring", "coordinator", f"{_RDB}.set_trial_intermediate_value"),
    *_points(
        "telling",
        "coordinator",
        "harness.study.coordinator:Coordinator._finish",
        f"{_STORE}.complete",
        f"{_RDB}.set_trial_user_attr",
        f"{_RDB}.set_trial_state_values",
    ),
    *_points("telling", "coordinator", _COMMIT, thread="MainThread"),
    *_points(
        "forwarding",
        "coordinator",
        "harness.study.tracking:Tracker.send",
        "harness.study.tracking:Tracker.finish",
        "harness.study.forwarding:Forwarding._send",
        f"{_CLIENT}.log_batch",
        f"{_CLIENT}.create_run",
        f"{_CLIENT}.set_terminated",
    ),
    *_points("forwarding", "coordinator", _COMMIT, thread="mirror"),
    *_points(
        "publishing",
        "coordinator",
        "harness.study.publishing:publish",
        "harness.report.page:render",
        "harness.report.figures.pictures:pictures",
        "harness.study.tracking:Tracker.text",
        "harness.study.tracking:Tracker.artifact",
        "harness.study.tracking:Tracker.numbers",
        "harness.study.tracking:Tracker.describe",
        "harness.study.tracking:Tracker.close_study",
        f"{_STORE}.show",
        f"{_STORE}.remember",
    ),
)
"""All of them: a study of the stub comes to every one."""


def resolve(place: str) -> tuple[Any, str, Callable[..., Any]]:
    """The owner of a name, what it calls it, and what is called. Raises LookupError where there is none."""
    module, _, path = place.partition(":")
    try:
        owner: Any = importlib.import_module(module)
        *inner, last = path.split(".")
        for each in inner:
            owner = getattr(owner, each)
        found: Callable[..., Any] = getattr(owner, last)
    except (ImportError, AttributeError) as error:
        raise LookupError(f"{place}: there is no such name any more ({error}); mend the table of points") from None
    return owner, last, found
