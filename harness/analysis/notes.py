"""What a reader must know beside the numbers: runs missing, diverged or failed, costs left out, budgets."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from harness.analysis.outcomes import Outcomes
from harness.analysis.standing import Frozen
from harness.measures import RunState
from harness.spec import label


def notes(quality: Outcomes, seconds: Outcomes, frozen: Iterable[Frozen] = ()) -> tuple[str, ...]:
    """Warnings that belong beside the answer, the most important first.

    `frozen` are the factors of a study in waves that were kept at one level once they were decided.
    """
    plan, title = quality.plan, quality.measure.title
    planned = {(run.cell, run.seed) for run in plan.runs}
    ended: dict[RunState, set[tuple[str, int]]] = {state: set() for state in RunState}
    for (row, column), state in np.ndenumerate(quality.states):
        ended[state].add((plan.cells[row].name, quality.seeds[column]))
    missing = planned.difference(
        *(ended[state] for state in (RunState.COMPLETE, RunState.DIVERGED, RunState.FAILED, RunState.PRUNED))
    )
    lines = []
    if plan.search is not None:
        lines.append(
            f"a search: {plan.search.sampler} picked the runs by the results of those before, so that the best {title} "
            "is flattered, and no effect, interval or verdict is given; test what it found with a design on other seeds"
        )
        if (left := plan.size - len(planned) + len(missing)) > 0:
            lines.append(f"{left} of {plan.size} runs are still to come")
    elif missing and plan.waves is not None:
        lines.append(
            f"{len(missing)} of the {len(planned)} runs that the looks so far ask for are still missing: this is the "
            "answer of the last look, which holds whenever one stops"
        )
    elif missing:
        lines.append(
            f"{len(missing)} of {len(planned)} planned runs are still missing: this is an interim look; "
            "stopping as soon as it pleases would make false verdicts likelier than 5 %"
        )
    if plan.waves is not None and any(len(contrast.pairs) > 1 for contrast in plan.contrasts):
        lines.append("looks test every trick; interactions, and tricks alone against in company, are not tested")
    for each in frozen:
        kept = f"{each.factor} at {label(each.level)}"
        lines.append(
            f"{each.design or plan.design}: {each.factor} was decided after {each.after} seeds, later ones ran with "
            f"{kept} alone; the effect of a trick that went on is the mean over the cells that were run, weighted to "
            f"{kept}: where the two interact it is not the mean over all levels"
        )
    if below := sorted({contrast.design or plan.design for contrast in plan.contrasts if contrast.aliases}):
        lines.append(
            f"{' and '.join(below)}: below resolution IV an effect may be that of an interaction of two other tricks, "
            "so that none of these is said to help or hurt; `fold_over: true` under `design` adds the mirror image of "
            f"every cell and tells them apart{', as another study with fresh seeds' if plan.waves else ''}"
        )
    for state, words in (
        (RunState.DIVERGED, "diverged"),
        (RunState.PRUNED, f"were pruned and have no final {title}"),
        (RunState.FAILED, "failed and say nothing of their tricks"),
    ):
        if ended[state]:
            lines.append(f"{len(ended[state])} of {len(planned)} runs {words}: {_some(ended[state])}")
    if quality.fixed and not plan.search:
        lines.append(f"{title} does not vary with the seed: a difference is certain, and further seeds say nothing new")
    if seconds.note:
        lines.append(seconds.note)
    if plan.budget.timed:
        lines.append(
            f"every run trains for {plan.budget.amount:g} s (equal time), so that cost shows in {title}, not in seconds"
        )
    return tuple(lines)


def _some(runs: set[tuple[str, int]], most: int = 4) -> str:
    names = [f"{cell} (seed {seed})" for cell, seed in sorted(runs)]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
