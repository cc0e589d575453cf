"""What every attempt at a run came to, as its trial keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from harness.measures import RunState
from harness.study.store import outcomes


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a run that has ended: its trial, and what became of it. Times are in ms since 1970.

    `kind`, `reason` and `output` say how it failed, "" where it did not, or nobody was left to say it.
    """

    trial: int
    attempt: int
    cell: str
    state: RunState
    summary: dict[str, float]
    curve: dict[int, float]
    kind: str
    reason: str
    output: str
    began: int
    ended: int
    attributes: dict[str, Any]


def attempts(trials: Sequence[FrozenTrial]) -> dict[str, list[Attempt]]:
    """Key -> the attempts at that run that have ended, the last one last."""
    found: dict[str, list[Attempt]] = {}
    for key, trial in outcomes.keyed(trials):
        if trial.state.is_finished() and (trial.datetime_start or trial.state == TrialState.COMPLETE):
            found.setdefault(key, []).append(_attempt(trial))
    return found


def _attempt(trial: FrozenTrial) -> Attempt:
    attributes = trial.user_attrs
    failure = attributes.get("failure", {})
    start = trial.datetime_start or trial.datetime_complete
    stop = trial.datetime_complete or start
    began = attributes.get("started", start.timestamp() if start else 0.0)
    ended = attributes.get("finished", stop.timestamp() if stop else began)
    return Attempt(
        trial=trial.number,
        attempt=int(attributes.get("attempt", 1)),
        cell=attributes["cell"],
        state=outcomes.state_of(trial),
        summary=attributes.get("summary", {}),
        curve=outcomes.curve_of(trial),
        kind=failure.get("kind", ""),
        reason=failure.get("reason", ""),
        output=attributes.get("output", ""),
        began=int(began * 1000),
        ended=int(ended * 1000),
        attributes=attributes,
    )
