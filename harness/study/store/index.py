"""What the coordinator of a study knows of its trials, so that no run reads them all again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

from harness.study.store import outcomes


@dataclass(kw_only=True)
class Index:
    """The trials that wait, by number, and how often each key's run was tried.

    A trial that someone adds meanwhile is found when those that wait are used up.
    """

    waiting: deque[int] = field(default_factory=deque)
    attempts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, trials: Sequence[FrozenTrial]) -> Index:
        """What the trials of a study say, in their order."""
        keyed = outcomes.keyed(trials)
        return cls(
            waiting=deque(trial.number for trial in trials if trial.state == TrialState.WAITING),
            attempts={key: int(trial.user_attrs.get("attempt", 1)) for key, trial in keyed},
        )
