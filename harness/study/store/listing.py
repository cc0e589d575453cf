"""What a storage holds: its studies, how far each is, and its best run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from harness.measures import RunState
from harness.study.store import outcomes
from harness.study.store.opening import opened


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One study of a storage. One that harness did not make has only its name and the time of its last trial."""

    name: str
    recipe: str = ""
    objective: str = ""
    design: str = ""
    complete: int = 0
    size: int = 0
    failed: int = 0
    last: datetime | None = None  # local time at which a run last ended, or began where none has
    best: float | None = None  # the objective of the best run


def stored(storage: str) -> list[Stored]:
    """The studies of a storage, the one that ran last first. Makes nothing. Raises StudyError."""
    held = opened(storage)
    found = [_stored(optuna.load_study(study_name=name, storage=held)) for name in optuna.get_all_study_names(held)]
    return sorted(found, key=lambda each: (each.last or datetime.min, each.name), reverse=True)


def names(storage: str) -> list[str]:
    """The studies of a storage by their names. Makes nothing. Raises StudyError."""
    found: list[str] = optuna.get_all_study_names(opened(storage))
    return found


def _stored(study: optuna.Study) -> Stored:
    trials = study.get_trials(deepcopy=False)
    plan = outcomes.plan_of(study.user_attrs)
    if not plan:
        return Stored(name=study.study_name, last=_last(trials))
    planned = {run["key"] for run in plan["runs"]} if not plan.get("search") else None
    states: dict[str, set[RunState]] = {}
    complete: list[FrozenTrial] = []
    for key, trial in outcomes.keyed_of_others(trials):
        if planned is None or key in planned:
            states.setdefault(key, set()).add(state := outcomes.state_of(trial))
            complete += [trial] if state is RunState.COMPLETE else []
    ended_badly = {RunState.FAILED, RunState.DIVERGED}
    highest = study.directions[0] is StudyDirection.MAXIMIZE
    return Stored(
        name=study.study_name,
        recipe=plan["recipe"],
        objective=plan["objective"],
        design=plan["design"],
        complete=sum(RunState.COMPLETE in each for each in states.values()),
        size=plan["search"]["trials"] if planned is None else len(planned),
        failed=sum(each <= ended_badly for each in states.values()),
        last=_last(trials),
        best=(max if highest else min)((trial.values[0] for trial in complete), default=None),
    )


def _last(trials: Sequence[FrozenTrial]) -> datetime | None:
    times = [trial.datetime_complete or trial.datetime_start for trial in trials]
    return max(filter(None, times), default=None)
