"""Cells as tables: what a search tried, prices, how often runs fail at a level, how the runs of each cell ended."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from harness.analysis.types import CellPrice
from harness.measures import COSTS, RunState
from harness.report import Report
from harness.report.numbers import NBSP, Spread, decimals, in_percent, number, places, spread
from harness.report.sheets.sheet import CI, MOST_ROWS, Row, Sheet, left_out, runs_column
from harness.spec import label


def tried(report: Report) -> Sheet | None:
    """A search's cells, the best first."""
    cells, objective = report.answer.tried, report.plan.objective
    if not cells:
        return None
    digits = decimals((cell.objective.value for cell in cells), 3)
    seconds = decimals((cell.seconds for cell in cells), 3)
    rows = []
    for cell in cells[:MOST_ROWS]:
        states = ", ".join(f"{count} {state}" for state, count in cell.states.items() if count)
        values = (spread(cell.objective, digits, signed=False), number(cell.shrunk, digits))
        rows.append(Row((cell.cell, str(cell.n), *values, number(cell.seconds, seconds), states)))
    return Sheet(
        title="What the search tried",
        heads=("cell", ">n", f">{objective.heading} {CI}", ">shrunk", ">train time, s", "runs"),
        rows=rows,
        reading="The best mean first. The sampler came back to what looked good, of many means the best is lucky too "
        "(shrunk: the mean pulled towards that of all cells by how much of their spread is noise), and pruned runs "
        "are left out of a mean: a ranking says where to look, not what a trick is worth." + left_out(len(cells)),
    )


def numbered(report: Report) -> list[tuple[int, CellPrice]]:
    """The cells with the numbers that the plot calls them by: the front from the cheapest on, then the best first."""
    sign = report.plan.objective.sign
    front = sorted((p for p in report.answer.prices if p.on_front), key=lambda p: p.seconds.value)
    others = sorted((p for p in report.answer.prices if not p.on_front), key=lambda p: -sign * p.objective.value)
    return list(enumerate([*front, *others], start=1))


def prices(report: Report) -> Sheet | None:
    """Every cell's objective and training seconds."""
    known, objective = numbered(report), report.plan.objective
    if not known:
        return None
    digits = decimals((price.objective.value for _, price in known), 3)
    seconds = decimals((price.seconds.value for _, price in known), 3)
    gains = places(price.gain for _, price in known)
    known, count = known[:MOST_ROWS], len(known)
    runs, counts, sentence = runs_column([price.endings for _, price in known])
    gained = any(math.isfinite(price.gain) for _, price in known)
    rows = [
        Row(
            (
                f"#{n} {price.cell}",
                str(price.n),
                spread(price.objective, digits, signed=False),
                spread(price.seconds, seconds, signed=False),
                *((number(price.gain, gains, signed=True),) if gained else ()),
                *ends,
                "yes" if price.on_front else "",
            ),
            "good" if price.on_front else "",
        )
        for (n, price), ends in zip(known, counts, strict=True)
    ]
    return Sheet(
        title=f"{objective.title} against training time",
        heads=(
            *("cell", ">n", f">{objective.heading} {CI}", f">train time, s {CI}"),
            *((f">{objective.title} gained per extra second",) if gained else ()),
            *(*runs, "on the front"),
        ),
        rows=rows,
        reading="A cell is on the front where no other is both better and cheaper; pick the front’s cell that you can "
        "pay for. Each cell is held against the control over the seeds that both have, from runs that had their device "
        f"alone.{sentence}{left_out(count)}",
    )


def failures(report: Report) -> Sheet | None:
    """How often runs diverged or failed at every level."""
    rates = report.answer.failures
    if not any(rate.endings.diverged or rate.endings.failed for rate in rates):
        return None
    rows = []
    for rate in rates:
        name, ends = f"{rate.factor}: {label(rate.level)}", rate.endings
        share, around = spread(in_percent(rate.rate), 0, signed=False)
        counts = (str(ends.ended), str(ends.diverged), str(ends.failed))
        rows.append(Row((name, *counts, Spread(f"{share}{NBSP}%", around))))
    return Sheet(
        title="Runs that ended badly",
        heads=("level", ">ended", ">diverged", ">failed", f">rate {CI}"),
        rows=rows,
        reading="Of all runs at a level, whatever the other tricks: a run that diverged is an outcome of its tricks, "
        "one that failed (an error, a lost machine) is not. Intervals are exact binomial ones.",
    )


def outcomes(report: Report) -> Sheet:
    """Per cell: how its runs ended and the mean outcomes of the complete ones."""
    runs, plan = report.runs, report.plan
    wanted = (plan.objective, *(m for m in plan.measures if m.part_of), *COSTS)
    measures = [measure for measure in wanted if measure.name in runs and runs[measure.name].notna().any()]
    done = runs[runs["state"] == RunState.COMPLETE]
    means = done.groupby("cell")[[measure.name for measure in measures]].mean()
    digits = {measure.name: min(4, decimals(means[measure.name], 3)) for measure in measures}
    states = pd.crosstab(runs["cell"], runs["state"])
    names, sentence = chosen(report, [cell.name for cell in plan.cells], MOST_ROWS)
    rows = []
    for name in names:
        counts = dict(states.loc[name]) if name in states.index else {}
        known = dict(means.loc[name]) if name in means.index else {}
        words = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        rows.append(Row((name, words, *(number(known.get(m.name), digits[m.name]) for m in measures))))
    return Sheet(
        title="Cells",
        heads=("cell", "runs", *(f">{measure.heading}" for measure in measures)),
        rows=rows,
        reading="Means over the complete runs of a cell. Effects come from paired runs only, so that their means can "
        f"differ from these where a run is missing.{sentence}",
    )


def chosen(report: Report, names: Iterable[str], most: int) -> tuple[list[str], str]:
    """At most so many of the cells called `names`, in the plan's order, and the sentence that says what was left out.

    Where there are more, the control and the cells with the best mean of the objective are kept.
    """
    known, plan, objective = set(names), report.plan, report.plan.objective
    order = [cell.name for cell in plan.cells if cell.name in known]
    if len(order) <= most:
        return order, ""
    done = report.runs[report.runs["state"] == RunState.COMPLETE]
    means = done.groupby("cell")[objective.name].mean().sort_values(ascending=objective.sign < 0)
    ranked = dict.fromkeys([plan.control, *map(str, means.index), *order])
    kept = set([name for name in ranked if name in known][:most])
    sentence = f" Of {len(order):,} cells, the control and those with the best {objective.title} are shown, {most} in "
    return [name for name in order if name in kept], f"{sentence}all."
