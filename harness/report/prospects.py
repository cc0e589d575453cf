"""What designs can show, side by side before anything runs: a table, how to read it, and one recommendation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from harness.analysis.foresight import Prospect, Spread, missing, recommended
from harness.design import Plan
from harness.report.numbers import decimals, number
from harness.report.planned import empty_table

_ANSWERS = {
    "one-at-a-time": "what each trick adds to the baseline",
    "leave-one-out": "what each trick adds to all the others",
    "fractional-factorial": "what each trick adds on average over the others",
    "full-factorial": "what each trick adds on average over the others",
}


def print_prospects(
    console: Console, prospects: Sequence[Prospect], spread: Spread | None, times: Sequence[str]
) -> None:
    """Print what each design can show, the spec's own first; `times` are what their runs take, in words."""
    own = prospects[0]
    waves = own.plan.waves
    open_ended = waves is not None and waves.most is None
    table = empty_table(
        f"What designs {'in the first' if open_ended else 'of up to'} {own.most:,} runs can show",
        "design",
        right=("cells", "seeds", "runs", "time", "effect", *["negligible"] * _judged(own)),
    )
    for each, time in zip(prospects, times, strict=True):
        seeds = f"{waves.first}–{each.seeds}" if waves else str(each.seeds)
        runs = f"{each.runs:.0f}–{each.most}" if waves else str(each.most)
        row = [str(len(each.plan.cells)), seeds, runs, time, size(each.smallest, each.plan, spread)]
        table.add_row(Text(each.plan.design), *row, *[f"{100 * each.negligible:.0f} %"] * _judged(own))
    console.print()
    console.print(table)
    for line in _reading(own, spread, factorial=waves is not None and any(map(_crossed, prospects))):
        console.print(line, markup=False, highlight=False, style="dim", soft_wrap=not console.is_terminal)
    console.print(recommendation(prospects, spread), markup=False, highlight=False, soft_wrap=not console.is_terminal)


def size(effect: float, plan: Plan, spread: Spread | None) -> str:
    """An effect in standard deviations as a share of the control, in the objective's unit, or as it is: `5.9 %`."""
    if not math.isfinite(effect):
        return "none"
    if spread and math.isfinite(spread.share):
        return f"{number(100 * effect * spread.share, decimals([100 * effect * spread.share], 2))} %"
    if spread and math.isfinite(spread.amount):
        amount = effect * spread.amount
        return f"{number(amount, decimals([amount], 2))} {plan.objective.unit}".rstrip()
    return f"{number(effect, decimals([effect], 2))} sd"


def recommendation(prospects: Sequence[Prospect], spread: Spread | None) -> str:
    """One design and why, in a sentence or two; what it cannot show where that is what the spec asks for."""
    own, best = prospects[0], recommended(prospects)
    shows, showed = (size(each.smallest, each.plan, spread) for each in (best, own))
    if best is own:
        said = f"Recommended: {own.plan.design}, as the spec has it"
        partial = [each for each in prospects if each.smallest < 0.9 * own.smallest and missing(own, each)]
        if partial:
            other = min(partial, key=lambda each: each.smallest)
            said += (
                f". {other.plan.design} would show {size(other.smallest, other.plan, spread)}, but leaves out "
                f"{' and '.join(missing(own, other))}"
            )
        elif len(prospects) > 1:
            said += ": no other design of as many runs shows clearly smaller effects"
    else:
        why = _why(best)
        said = (
            f"Recommended: {best.plan.design}: {why}, so that {best.most} runs at the most show {shows} where "
            f"{own.plan.design} shows {showed}; it answers {_ANSWERS.get(best.plan.design, 'the same')}"
        )
    worth = spread.worth(best.plan) if spread else math.nan
    if worth < best.smallest:
        worthy = size(worth, best.plan, spread)
        said += (
            f". An effect as small as the worth, {worthy}, is likely to stay undecided: more seeds, runs that vary "
            "less or a larger worth would decide it"
        )
    return f"{said}."


def _why(best: Prospect) -> str:
    if _crossed(best):
        return (
            f"every effect is a mean over all {len(best.plan.cells)} cells, which is right where tricks interact little"
        )
    return f"it has {len(best.plan.cells)} cells, and more seeds for each"


def _judged(own: Prospect) -> bool:
    return math.isfinite(own.negligible)


def _crossed(each: Prospect) -> bool:
    """Whether effects are means over the settings of other tricks."""
    return any(len(contrast.pairs) > 1 for contrast in each.plan.contrasts)


def _reading(own: Prospect, spread: Spread | None, *, factorial: bool) -> list[str]:
    """How to read the table, and what it takes for granted."""
    plan = own.plan
    said = "effect: the smallest that each contrast shows with 80 % power."
    if _judged(own):
        said += " negligible: the chance that a trick which does nothing ends so."
    if plan.waves:
        most = f"to the end of {own.seeds} seeds" if plan.waves.most is None else "at the most"
        said += f" runs, time: where no trick does anything, and {most}"
        said += ", of factorials without what they save once a trick is decided." if factorial else "."
    if spread is None:
        return [
            said,
            "Effects are in standard deviations of the baseline over seeds (sd), which nobody has measured: "
            "--pilot 3 does, on 3 seeds that count as runs of the study, and --spread 8% states it.",
        ]
    together = f"correlate by {spread.correlation:+.2f}" if spread.correlation else "are taken to be uncorrelated"
    return [said, f"Spread over seeds: {size(1.0, plan, spread)} ({spread.source}); cells of one seed {together}."]
