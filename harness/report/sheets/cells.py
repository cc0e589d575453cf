"""Cells as tables: what a search tried, prices, how often runs fail at a level, how the runs of each cell ended."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from harness.analysis.types import CellPrice
from harness.measures import TRAIN_SECONDS, RunState
from harness.report import Report
from harness.report.numbers import ABSENT, NBSP, Spread, decimals, in_percent, number, places, spreads
from harness.report.sheets.sheet import CI, MOST_ROWS, Column, Sheet, left_out, runs_column, table, tallied
from harness.spec import label


def tried(report: Report) -> Sheet | None:
    """A search's cells, the best first."""
    cells, objective = report.answer.tried[:MOST_ROWS], report.plan.objective
    if not cells:
        return None
    digits = decimals((cell.objective.value for cell in cells), 3)
    seconds = decimals((cell.seconds for cell in cells), 3)
    return table(
        "What the search tried",
        [
            ("cell", [cell.cell for cell in cells]),
            (">n", [str(cell.n) for cell in cells]),
            (f">{objective.heading} {CI}", spreads((cell.objective for cell in cells), digits, signed=False)),
            (">shrunk", [number(cell.shrunk, digits) for cell in cells]),
            (f">{TRAIN_SECONDS.heading}", [number(cell.seconds, seconds) for cell in cells]),
            ("runs", [tallied(cell.states) for cell in cells]),
        ],
        "The best mean first. The sampler came back to what looked good, of many means the best is lucky too "
        "(shrunk: the mean pulled towards that of all cells by how much of their spread is noise), and pruned runs "
        "are left out of a mean: a ranking says where to look, not what a trick is worth."
        + left_out(len(report.answer.tried)),
    )


def numbered(report: Report) -> list[tuple[int, CellPrice]]:
    """The cells with the numbers that the plot calls them by: the front from the cheapest on, then the best first."""
    sign = report.plan.objective.sign
    front = sorted((p for p in report.answer.prices if p.on_front), key=lambda p: p.seconds.value)
    others = sorted((p for p in report.answer.prices if not p.on_front), key=lambda p: -sign * p.objective.value)
    return list(enumerate([*front, *others], start=1))


def prices(report: Report) -> Sheet | None:
    """Every cell's objective and training seconds."""
    every, objective = numbered(report), report.plan.objective
    if not every:
        return None
    known = every[:MOST_ROWS]
    several = [price for _, price in known]
    digits = decimals((price.objective.value for price in several), 3)
    seconds = decimals((price.seconds.value for price in several), 3)
    gains = [number(price.gain, places(price.gain for price in several), signed=True) for price in several]
    gained: list[Column] = [(f">{objective.title} gained per extra second", gains)] if {*gains} - {ABSENT} else []
    runs, sentence = runs_column([price.endings for price in several])
    return table(
        f"{objective.title} against training time",
        [
            ("cell", [f"#{n} {price.cell}" for n, price in known]),
            (">n", [str(price.n) for price in several]),
            (f">{objective.heading} {CI}", spreads((price.objective for price in several), digits, signed=False)),
            (f">{TRAIN_SECONDS.heading} {CI}", spreads((price.seconds for price in several), seconds, signed=False)),
            *gained,
            *runs,
            ("on the front", ["yes" if price.on_front else "" for price in several]),
        ],
        "A cell is on the front where no other is both better and cheaper; pick the front’s cell that you can pay for. "
        "Each cell is held against the control over the seeds that both have, from runs that had their device alone."
        f"{sentence}{left_out(len(every))}",
        tones=["good" if price.on_front else "" for price in several],
    )


def failures(report: Report) -> Sheet | None:
    """How often runs diverged or failed at every level."""
    rates = report.answer.failures
    ends = [rate.endings for rate in rates]
    if not any(each.diverged or each.failed for each in ends):
        return None
    shares = spreads((in_percent(rate.rate) for rate in rates), 0, signed=False)
    return table(
        "Runs that ended badly",
        [
            ("level", [f"{rate.factor}: {label(rate.level)}" for rate in rates]),
            *((f">{name}", [str(getattr(each, name)) for each in ends]) for name in ("ended", "diverged", "failed")),
            (f">rate {CI}", [Spread(f"{share}{NBSP}%", around) for share, around in shares]),
        ],
        "Of all runs at a level, whatever the other tricks: a run that diverged is an outcome of its tricks, one that "
        "failed (an error, a lost machine) is not. Intervals are exact binomial ones.",
    )


def outcomes(report: Report) -> Sheet:
    """Per cell: how its runs ended and the mean outcomes of the complete ones."""
    runs, plan = report.runs, report.plan
    wanted = (plan.objective, *(m for m in plan.measures if m.part_of), *plan.costs)
    measures = [measure for measure in wanted if measure.name in runs and runs[measure.name].notna().any()]
    names, sentence = chosen(report, [cell.name for cell in plan.cells], MOST_ROWS)
    done = runs[runs["state"] == RunState.COMPLETE]
    means = done.groupby("cell")[[measure.name for measure in measures]].mean().reindex(names)
    states = pd.crosstab(runs["cell"], runs["state"]).reindex(names, fill_value=0)
    digits = {measure.name: min(4, decimals(means[measure.name], 3)) for measure in measures}
    return table(
        "Cells",
        [
            ("cell", names),
            ("runs", [tallied(dict(counts)) for _, counts in states.iterrows()]),
            *((f">{m.heading}", [number(value, digits[m.name]) for value in means[m.name]]) for m in measures),
        ],
        "Means over the complete runs of a cell. Effects come from paired runs only, so that their means can differ "
        f"from these where a run is missing.{sentence}",
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
