"""What the coordinator of a study knows of its trials, so that no run reads them all again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

from harness.study.store import outcomes


@dataclass(kw_only=True)
class Index:
    """The trials that wait, number -> key in their order, and how often each key's run was tried.

    A trial that someone adds meanwhile is found when those that wait are used up.
    """

    waiting: dict[int, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, trials: Sequence[FrozenTrial]) -> Index:
        """What the trials of a study say, in their order."""
        keyed = outcomes.keyed(trials)
        return cls(
            waiting=waiting(trials),
            attempts={key: int(trial.user_attrs.get("attempt", 1)) for key, trial in keyed},
        )

    def take(self, among: Collection[str] | None) -> int | None:
        """The first that waits of the runs `among` these keys, of any run by default; it waits no more."""
        found = next((number for number, key in self.waiting.items() if among is None or key in among), None)
        if found is not None:
            del self.waiting[found]
        return found


def waiting(trials: Iterable[FrozenTrial]) -> dict[int, str]:
    """Number -> key of those that wait, "" for someone else's, in their order."""
    return {trial.number: trial.user_attrs.get("key", "") for trial in trials if trial.state == TrialState.WAITING}
