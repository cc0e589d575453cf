"""What a start and a report say of runs that are not simply trained here, now: reused, shared, of another source."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

import pandas as pd

from harness.design import Plan
from harness.measures import RunState
from harness.study.store import Standing, source_of
from harness.study.store.patience import WhileWaiting
from harness.study.trainings import sampled_factors

_AGAIN = 30.0  # seconds between two words about the same wait


def of_report(runs: pd.DataFrame, plan: Plan) -> list[str]:
    """Notes on the run table of a study."""
    lines = []
    if "source" in runs and (now := source_of(plan.address)):
        settled = runs[runs["state"].isin([RunState.COMPLETE, RunState.DIVERGED, RunState.PRUNED])]
        lines += changed(plan, int((~settled["source"].isin(["", now])).sum()), len(settled))
    if "reused_from" in runs:
        lines += reused(filter(None, runs["reused_from"]), plan.size)
    if factors := sampled_factors(plan):
        shared = int((runs["trained_from"] != "").sum()) if "trained_from" in runs else 0
        lines.append(
            f"{_listed(factors)} {_plays(factors)} a part at sampling only: {shared} of {plan.size} runs went on from "
            "the training of one that differs in nothing else, and show its costs: nothing was trained for them"
        )
    return lines


def changed(plan: Plan, runs: int, of: int) -> list[str]:
    """That so many runs were trained before the recipe's source changed; nothing where none was."""
    if not runs:
        return []
    place = plan.recipe if plan.address.is_command else plan.address.text.rpartition(":")[0] or plan.address.text
    return [
        f"{place} has changed since {runs} of {of} runs were trained: their numbers may not compare with those of the "
        "others (raise its version to train them anew)"
    ]


def reused(studies: Iterable[str], of: int) -> list[str]:
    """Of which studies runs were taken over; nothing where none was."""
    counts = Counter(studies)
    if not counts:
        return []
    if len(counts) == 1:
        ((study, count),) = counts.items()
        return [f"{count} of {of} runs are those of study {study}"]
    each = ", ".join(f"{count} of {study}" for study, count in counts.most_common())
    return [f"{sum(counts.values())} of {of} runs are those of other studies: {each}"]


def given_up(standing: Standing) -> list[str]:
    """That runs failed such that they are not tried again, and the last reason; nothing where none did."""
    if not standing.spent:
        return []
    count, reason = len(standing.spent), list(standing.spent.values())[-1]
    runs = "1 run has" if count == 1 else f"{count} runs have"
    return [
        f"{runs} failed and will not be tried again: {reason}; mend that, and where it is not in the recipe's source "
        "add --retry"
    ]


def waves(plan: Plan) -> str:
    """How the seeds of a sequential study come: `a look after every seed from 3 on, at most 20 seeds (140 runs)`."""
    assert plan.waves is not None
    most = f"at most {plan.waves.most} seeds ({plan.size} runs)" if plan.waves.most else "with no maximum"
    return f"a look after every seed from {plan.waves.first} on, {most}; what is decided is run no more"


def trainings(plan: Plan) -> str:
    """How many runs there are, and how many trainings where some are shared: `14 runs, 7 trainings: ...`."""
    runs = f"{plan.size} runs"
    if not (factors := sampled_factors(plan)):
        return runs
    return f"{runs}, {plan.trainings} trainings ({_listed(factors)} {_plays(factors)} a part at sampling only)"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _plays(names: list[str]) -> str:
    return "plays" if len(names) == 1 else "play"


def waiting(note: Callable[[str], None], check: Callable[[], None], more: str = "") -> WhileWaiting:
    """Says what is waited for, every half minute; the wait is for as long as it takes, or until `check` raises."""
    said = 0.0

    def wait(reason: str, seconds: float) -> None:
        nonlocal said
        check()
        if seconds > 1 and time.monotonic() - said > _AGAIN:
            said = time.monotonic()
            note(f"{reason}: waiting, {seconds:.0f} s{more}")

    return wait
