"""The answer in a few lines: what to keep, what to leave out, what is undecided, and what each costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby

from harness.analysis.types import CellPrice, Effect, Verdict, View
from harness.measures import TRAIN_SECONDS, RunState
from harness.report import Report
from harness.report.numbers import decimals, number, p_value, places, spread
from harness.report.sheets.effects import seconds_of
from harness.report.sheets.sheet import design, ended, joined, whole
from harness.spec import label


@dataclass(frozen=True)
class Line:
    """One finding: its kind (`Keep`), what it is about (`crop (resize → square)`), and how much, how surely."""

    kind: str
    about: str
    how: str


def question(report: Report) -> str:
    """What the study asks."""
    plan = report.plan
    if plan.search:
        best = "lowest" if plan.objective.sign < 0 else "highest"
        return f"Where among the levels of {joined(list(plan.search.levels))} is {plan.objective.title} {best}?"
    tricks = list(dict.fromkeys(contrast.factor for contrast in plan.contrasts))
    named = joined(tricks) or "these tricks"
    return f"Which of {named} earns its keep, by how much, how surely, and at what cost in run time?"


def what_was_run(report: Report) -> str:
    """Cells, seeds, budget and how many runs are complete."""
    plan = report.plan
    budget = plan.budget
    size = f"{budget.images:,} images" if budget.images is not None else f"{budget.seconds:g} s of training"
    complete = int((report.runs["state"] == RunState.COMPLETE).sum())
    ended = f"{size} a run; {complete:,} of {plan.size:,} runs are complete."
    if plan.search:
        space = math.prod(len(levels) for levels in plan.search.levels.values())
        tried = f"tried {len(plan.cells):,} of {space:,} combinations of levels"
        return f"The {plan.search.sampler} sampler {tried}, {ended}"
    seeds = len({run.seed for run in plan.runs})
    each = "seed" if seeds == 1 else "seeds"
    cells = f"{len(plan.cells):,} cells ({plan.design})"
    return f"The {plan.recipe} recipe was trained in {cells}, {seeds} {each} each, {ended}"


def headline(report: Report) -> str:
    """The answer in one sentence."""
    if report.plan.search:
        return "A search says where to look, not what a trick is worth."
    kept = [line.about for line in lines(report) if line.kind == "Keep"]
    if not kept:
        return "No trick is shown to help."
    several = len({about.split(" (")[0] for about in kept}) < len(kept)
    return f"Keep {joined(kept)}." + (" Of two levels of one trick, keep one." if several else "")


def lines(report: Report) -> list[Line]:
    """A finding a trick at its level, whatever number of designs it is in; those of one kind stand together."""
    effects = list(enumerate(report.answer.effects))
    effects.sort(key=lambda each: (each[1].contrast.factor, label(each[1].contrast.level)))
    order = {contrast.factor: place for place, contrast in reversed(list(enumerate(report.plan.contrasts)))}
    found = []
    for (factor, level), same in groupby(effects, key=lambda e: (e[1].contrast.factor, label(e[1].contrast.level))):
        several = list(same)
        kind = _kind([effect for _, effect in several])
        baseline = label(several[0][1].contrast.baseline)
        how = [_how(report, position, effect) for position, effect in several]
        about = f"{factor} ({baseline} → {level})"
        found.append((_KINDS.index(kind), order[factor], Line(kind, about, "; ".join(filter(None, how)))))
    found.sort(key=lambda each: each[:2])
    minds = [Line("Mind", view.factor, _differs(report, view)) for view in report.answer.views if view.disagree]
    return [line for *_, line in found] + minds + _best(report)


_KINDS = ["Keep", "Leave out", "It depends", "No difference", "Undecided"]


def _kind(effects: list[Effect]) -> str:
    """One verdict for a trick whose designs agree; those that leave it open do not contradict."""
    verdicts = {effect.verdict for effect in effects} - {Verdict.UNDECIDED}
    if len(verdicts) > 1:
        return "It depends"
    kinds = {Verdict.HELPS: "Keep", Verdict.HURTS: "Leave out", Verdict.NEGLIGIBLE: "No difference"}
    return kinds[verdicts.pop()] if verdicts else "Undecided"


def _how(report: Report, position: int, effect: Effect) -> str:
    """How much, how surely and at what price a design says, in one line."""
    effects, objective = report.answer.effects, report.plan.objective
    several = len({each.contrast.design for each in effects}) > 1
    name = f"{design(report, effect.contrast)}: " if several else ""
    words = "" if effect.reading in ("helps", "hurts") else effect.reading
    if effect.change.known:
        change = f"{spread(effect.change, places(each.change for each in effects))} {objective.title}"
        sure = f", adjusted p {p_value(effect.p_adjusted)}, n={effect.n}"
        words += (", " if words else "") + change + (sure if effect.verdict is not Verdict.UNDECIDED else "")
    if not whole([effect]) and effect.verdict is not Verdict.UNDECIDED:
        words += f" ({ended(effect.treated)} treated and {ended(effect.control)} control runs)"
    seconds = seconds_of(report)
    if seconds and seconds[position].change.known and effect.verdict is not Verdict.UNDECIDED:
        cost = seconds[position]
        words += f"; costs {spread(cost.change, places(each.change for each in seconds))} {TRAIN_SECONDS.unit} a run"
        if cost.ratio.known:
            words += f" (×{number(cost.ratio.value, 2)})"
        if cost.n != effect.n:
            words += f", n={cost.n}"
    return name + words


def _differs(report: Report, view: View) -> str:
    """A trick that is not worth the same in company."""
    worth = [each.value if each else math.nan for each in (view.alone, view.full)]
    alone, full = (number(value, decimals(worth, 2), signed=True) for value in worth)
    on = f"it depends on {view.partner}" if view.partner else "a full factorial would tell on which other trick"
    return f"{alone} {report.plan.objective.title} alone, {full} in the full recipe, which differ beyond chance; {on}"


def _best(report: Report) -> list[Line]:
    """The best cell and its price, beside the control's."""
    prices, objective = report.answer.prices, report.plan.objective
    if not prices:
        return []
    digits = decimals((price.objective.value for price in prices), 3)
    seconds = decimals((price.seconds.value for price in prices), 3)

    def where(price: CellPrice) -> str:
        cost = f"{number(price.seconds.value, seconds)} {TRAIN_SECONDS.unit} a run"
        return f"{objective.title} {number(price.objective.value, digits)} at {cost}"

    most = max(price.n for price in prices)  # a cell whose other runs diverged is no recipe to go home with
    full = sorted((p for p in prices if p.n == most), key=lambda p: -objective.sign * p.objective.value)
    control = [price for price in full if price.cell == report.plan.control]
    against = f", against {where(control[0])} of {report.plan.control}" if control and control[0] != full[0] else ""
    flattered = f"; the best of {len(full):,} means is a little flattered" if len(full) > 2 else ""
    return [Line("Best cell", full[0].cell, f"{where(full[0])}{against} (n={full[0].n}{flattered})")]
