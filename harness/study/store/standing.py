"""Where the runs of a plan stand when a study starts: what is done, given up, taken over, or to be trained."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

from harness.design import Plan, PlannedRun
from harness.measures import RunState
from harness.recipes.events import Cause
from harness.study.store import outcomes
from harness.study.store.reuse import Reusable

MOST_ATTEMPTS = 3
"""How often a run is tried with the same source of its recipe that fails by what may not happen again."""
RETRIED = (Cause.LOST, Cause.HUNG)
"""Causes that are tried again at once: a machine that died says nothing of the run."""
_PERHAPS = (*RETRIED, Cause.MEMORY)  # what may not happen again; memory may be free at a later start
_DIED = "the process died in which it was trained (--launch inline)"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where the runs of a plan stand.

    `settled` says by key how the runs ended that are done, `waiting` are the keys of those that were queued before,
    `queued` are to be trained now too. `held` are followers, by their training: each waits for the run that trains it.
    `spent` are the keys of runs that failed too often, with the last reason; `reused` the runs that another study of
    the storage has.
    """

    plan: Plan
    settled: Mapping[str, RunState]
    waiting: frozenset[str]
    stale: int = 0
    queued: tuple[PlannedRun, ...] = ()
    held: Mapping[str, tuple[PlannedRun, ...]] = field(default_factory=dict)
    spent: Mapping[str, str] = field(default_factory=dict)
    reused: Mapping[str, Reusable] = field(default_factory=dict)
    taken_before: int = 0
    """Runs that are done and were taken over from another study at an earlier start."""
    trained_otherwise: int = 0
    """Runs that are done and were trained from another source of the recipe than today's."""

    @property
    def done(self) -> int:
        """Runs that have settled."""
        return len(self.settled)

    @property
    def pending(self) -> int:
        """Runs that are still to be trained or scored."""
        return max(0, self.plan.size - self.done - len(self.spent) - len(self.reused))


def standing(
    plan: Plan,
    trials: Sequence[FrozenTrial],
    *,
    source: str,
    retry: bool,
    closed: Collection[str] = (),
    reusable: Callable[[set[str]], Mapping[str, Reusable]],
    kept: Callable[[PlannedRun], bool],
) -> Standing:
    """Where `plan` stands by the trials of its study.

    `source` is the digest of the recipe's source now, `closed` are the keys of runs that are given up for good,
    whatever `retry` says, `reusable` finds runs by key in other studies, `kept` says whether a complete run's
    checkpoint is still there for others to go on from.
    """
    keyed = outcomes.keyed(trials)
    planned = {run.key for run in plan.runs}
    settled = {key: trial for key, trial in keyed if outcomes.state_of(trial) in outcomes.SETTLED}
    waiting = {key for key, trial in keyed if trial.state == TrialState.WAITING}
    failed = {} if retry else spent(keyed, source)
    failed |= {key: reason for key, reason in _reasons(keyed).items() if key in closed}
    failed = {key: reason for key, reason in failed.items() if key in planned - settled.keys() - waiting}
    open_keys = planned - settled.keys() - waiting - failed.keys()
    found = reusable(open_keys) if open_keys and plan.search is None else {}
    missing = [run for run in plan.runs if run.key in open_keys - found.keys()]
    states = {key: outcomes.state_of(trial) for key, trial in settled.items()}
    states |= {key: each.state for key, each in found.items()}
    queued, held = _divided(plan, missing, waiting, states, kept)
    return Standing(
        plan=plan,
        settled={key: outcomes.state_of(trial) for key, trial in settled.items() if key in planned},
        waiting=frozenset(waiting & planned),
        queued=tuple(queued),
        held=held,
        spent=failed,
        reused=found,
        taken_before=sum("reused_from" in trial.user_attrs for key, trial in settled.items() if key in planned),
        trained_otherwise=sum(
            trial.user_attrs.get("source", source) != source for key, trial in settled.items() if key in planned
        ),
    )


def spent(keyed: Sequence[tuple[str, FrozenTrial]], source: str) -> dict[str, str]:
    """Key -> the last reason, of each run that will fail again with this source.

    An error of the recipe comes again; what may not, like a process that died, is tried to a limit.
    """
    faults: Counter[str] = Counter()
    reasons: dict[str, str] = {}
    for key, trial in keyed:
        if trial.state != TrialState.FAIL or trial.user_attrs.get("source", "") != source:
            continue
        failure = trial.user_attrs.get("failure")
        died = failure is None and trial.user_attrs.get("launch") == "inline"
        if died or (failure and failure["kind"] in (Cause.ERROR, *_PERHAPS)):
            certain = failure is not None and failure["kind"] == Cause.ERROR
            faults[key] += MOST_ATTEMPTS if certain else 1
            reasons[key] = failure["reason"] if failure else _DIED
    return {key: reasons[key] for key, count in faults.items() if count >= MOST_ATTEMPTS}


def _reasons(keyed: Sequence[tuple[str, FrozenTrial]]) -> dict[str, str]:
    """Key -> why its last attempt that failed did."""
    failures = ((key, trial.user_attrs.get("failure")) for key, trial in keyed if trial.state == TrialState.FAIL)
    return {key: failure["reason"] if failure else _DIED for key, failure in failures}


def _divided(
    plan: Plan,
    missing: Sequence[PlannedRun],
    waiting: set[str],
    states: Mapping[str, RunState],
    kept: Callable[[PlannedRun], bool],
) -> tuple[list[PlannedRun], dict[str, tuple[PlannedRun, ...]]]:
    """The missing runs as those to train now and those that wait for another's training.

    That another of its training diverged says nothing of a run: it may have been in drawing at the other's own level.
    """
    if plan.search is not None:  # a sampler names its runs one by one
        return list(missing), {}
    groups: dict[str, list[PlannedRun]] = defaultdict(list)
    for run in plan.runs:
        groups[run.training].append(run)
    queued: list[PlannedRun] = []
    held: dict[str, list[PlannedRun]] = defaultdict(list)
    leading = {training for training, group in groups.items() if any(run.key in waiting for run in group)}
    for run in missing:
        others = [other for other in groups[run.training] if other is not run]
        if any(states.get(other.key) is RunState.COMPLETE and kept(other) for other in others):
            queued.append(run)
        elif run.training in leading:
            held[run.training].append(run)
        else:
            queued.append(run)
            leading.add(run.training)
    return queued, {training: tuple(runs) for training, runs in held.items()}
