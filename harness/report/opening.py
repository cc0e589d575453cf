"""The answer in a few lines: what to keep, what to leave out, what is undecided, and what each costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.analysis.paired import ALPHA
from harness.analysis.types import CellPrice, Effect, Estimate, Verdict, View
from harness.design import Plan
from harness.measures import TRAIN_SECONDS, Measure, RunState
from harness.report import Report, noise
from harness.report.numbers import decimals, number, p_value, places, spread
from harness.report.sheets.effects import needed, seconds_of
from harness.report.sheets.sheet import design, joined
from harness.spec import label


@dataclass(frozen=True)
class Line:
    """One finding: its kind (`Keep`), what it is about (`crop (resize → square)`), how much, how surely; its factor."""

    kind: str
    about: str
    how: str
    factor: str = ""


def question(report: Report) -> str:
    """What the study asks."""
    return asked(report.plan)


def asked(plan: Plan) -> str:
    """What a study of this plan asks."""
    if plan.search:
        best = "lowest" if plan.objective.sign < 0 else "highest"
        return f"Where among the levels of {joined(list(plan.search.levels))} is {plan.objective.title} {best}?"
    if plan.design == "noise":
        return f"How much does {plan.objective.title} differ from seed to seed where nothing else does?"
    tricks = joined([*dict.fromkeys(contrast.factor for contrast in plan.contrasts)])
    return f"Which of {tricks or 'these tricks'} earns its keep, by how much, how surely, and at what cost in run time?"


def what_was_run(report: Report) -> str:
    """Cells, seeds, budget and how many runs are complete."""
    plan = report.plan
    size = f"{plan.budget} a run; " if plan.budget.unit else ""
    complete = int((report.runs["state"] == RunState.COMPLETE).sum())
    ended = f"{size}{complete:,} of {plan.size:,} runs are complete."
    if plan.search:
        space = math.prod(map(len, plan.search.levels.values()))
        tried = f"tried {len(plan.cells):,} of {space:,} combinations of levels"
        return f"The {plan.search.sampler} sampler {tried}, {ended}"
    seeds = len({run.seed for run in plan.runs})
    each = "1 seed each" if seeds == 1 else f"{seeds} seeds each"
    if plan.waves is not None:
        most = f" of at most {plan.waves.most}" if plan.waves.most else ""
        each = f"{seeds}{most} seeds one after the other, for the tricks that were still open"
    cells = f"{len(plan.cells):,} cell{'s' * (len(plan.cells) != 1)} ({plan.design})"
    first = design(report, plan.contrasts[0]) if len({each.design for each in plan.contrasts}) > 1 else ""
    which = f" The numbers here are of the {first} design where no other is named." if first else ""
    return f"The {plan.recipe} recipe was trained in {cells}, {each}, {ended}{which}"


def headline(report: Report) -> str:
    """The answer in one sentence."""
    if report.plan.search:
        return "A search says where to look, not what a trick is worth."
    if report.plan.design == "noise":
        return noise.paragraph(report) or "The noise floor needs two complete runs or more."
    found = lines(report)
    kept, dropped, left = ([line for line in found if line.kind == kind] for kind in ("Keep", "Drop", "Undecided"))
    several = len({line.factor for line in kept}) < len(kept)
    said = [f"Keep {joined([line.about for line in kept])}." if kept else "No trick is shown to help."]
    said += ["Of two levels of one trick, keep one."] * several
    said += [f"Drop {_counted(dropped)}."] if dropped else []
    said += [f"Undecided: {_counted(left)}."] if left else []
    return " ".join(said)


def _counted(found: list[Line]) -> str:
    """Tricks by name, or how many there are where they are too many for a headline."""
    if len(found) <= _MOST_NAMED:
        return joined([line.about for line in found])
    tricks = len({line.factor for line in found})
    levels = f" at {len(found)} levels" if tricks < len(found) else ""
    return f"{tricks} trick{'s' * (tricks > 1)}{levels}"


def lines(report: Report) -> list[Line]:
    """A finding a trick at its level, those of one kind together, then what depends on others, and the best cell."""
    tricks: dict[tuple[str, str], list[int]] = {}
    for position, effect in enumerate(report.answer.effects):
        tricks.setdefault((effect.contrast.factor, label(effect.contrast.level)), []).append(position)
    found = []
    for (factor, level), positions in tricks.items():
        effects = [report.answer.effects[position] for position in positions]
        kind, verdict = _kind(effects)
        # The effect that decides speaks for the trick; where designs contradict each other, each speaks.
        telling = [p for p in positions if report.answer.effects[p].verdict is verdict][:1] or positions
        how = "; ".join(_how(report, position) for position in telling)
        found.append(Line(kind, f"{factor} ({label(effects[0].contrast.baseline)} → {level})", how, factor))
    found.sort(key=lambda line: _KINDS.index(line.kind))
    return found + [_mind(report, view) for view in report.answer.views if view.disagree] + _best(report)


_MOST_NAMED = 4  # tricks in a headline
_KINDS = ["Keep", "Drop", "It depends", "Undecided"]
_DECIDED = {Verdict.HELPS: "Keep", Verdict.HURTS: "Drop", Verdict.NEGLIGIBLE: "Drop"}


def _kind(effects: list[Effect]) -> tuple[str, Verdict | None]:
    """One verdict for a trick whose designs agree; those that leave it open do not contradict."""
    decided = [effect for effect in effects if effect.verdict is not Verdict.UNDECIDED]
    verdicts = [effect.verdict for effect in decided]
    # What helps by less than is worth having is not worth keeping.
    kinds = {"Drop" if effect.p_within < ALPHA else _DECIDED[effect.verdict] for effect in decided}
    if len(kinds) > 1:
        return "It depends", None
    return (kinds.pop(), max(verdicts, key=list(Verdict)[::-1].index)) if kinds else ("Undecided", Verdict.UNDECIDED)


def _how(report: Report, position: int) -> str:
    """How much, how surely and at what price, in one line; another design than the plan's first is named.

    Of a trick to drop the price is what leaving it out saves, of an undecided one the seeds that would decide it.
    """
    effects, objective = report.answer.effects, report.plan.objective
    effect = effects[position]
    decided = effect.verdict is not Verdict.UNDECIDED
    words = [] if effect.reading in (Verdict.HELPS, Verdict.UNDECIDED) else [effect.reading]
    if effect.standing:
        words = [effect.reading.removeprefix(f"{Verdict.UNDECIDED}; ")]
    if effect.change.known:
        words.append(f"{spread(effect.change, places(each.change for each in effects))} {_named(objective)}")
        p = effect.p_within if effect.verdict is Verdict.NEGLIGIBLE else effect.p_adjusted
        after = f"after {effect.n} seeds" if report.plan.waves else f"n={effect.n}"
        words += [f"adjusted p {p_value(p)}, {after}"] * decided
    seconds = seconds_of(report)
    if decided and seconds and (cost := seconds[position]).change.known:
        ratio = f" (×{number(cost.ratio.value, 2)})" if cost.ratio.known else ""
        alone = f", n={cost.n}" if cost.n != effect.n else ""
        digits, unit = places(each.change for each in seconds), f"{TRAIN_SECONDS.unit} a run{ratio}{alone}"
        if effect.verdict is Verdict.HELPS:
            words.append(f"costs {spread(cost.change, digits)} {unit}")
        else:
            saves = Estimate(-cost.change.value, -cost.change.high, -cost.change.low)
            less, said = (saves, "costs") if saves.value > 0 else (cost.change, "saves")
            words.append(f"dropping it {said} {spread(less, digits, signed=False)} {unit}")
    if not decided and effect.seeds_needed:
        would = "as it goes, decided after" if effect.standing else "would take"
        words.append(f"{would} {needed(effect.seeds_needed, report.plan)} seeds{' to decide' * (not effect.standing)}")
    if effect.contrast.aliases and effect.lean:
        words.append(_fold_over(report, effect))
    own, first = (design(report, contrast) for contrast in (effect.contrast, report.plan.contrasts[0]))
    return ", ".join(words) + ("" if own == first else f" ({own})")


def _fold_over(report: Report, effect: Effect) -> str:
    """What tells an effect from an alias of it: the mirror image of every cell of its fraction."""
    if report.plan.waves:
        return "design.fold_over=true tells which it is, as another study with fresh seeds"
    cells = {cell for pair in effect.contrast.pairs for cell in pair}
    seeds = len({run.seed for run in report.plan.runs if run.cell in cells})
    return f"design.fold_over=true tells which it is, in {len(cells) * seeds} more runs of this study"


def _mind(report: Report, view: View) -> Line:
    """A trick that is not worth the same in company."""
    worth = [each.value if each else math.nan for each in (view.alone, view.full)]
    alone, full = (number(value, decimals(worth, 2), signed=True) for value in worth)
    on = f"it depends on {view.partner}" if view.partner else "a full factorial would tell on which other trick"
    title = _named(report.plan.objective)
    return Line("Mind", view.factor, f"{alone} {title} alone, {full} in the full recipe, beyond chance; {on}")


def _best(report: Report) -> list[Line]:
    """The best cell and its price, beside the control's."""
    prices, objective = report.answer.prices, report.plan.objective
    if not prices or report.plan.design == "noise":
        return []
    digits = decimals((price.objective.value for price in prices), 3)
    seconds = decimals((price.seconds.value for price in prices), 3)

    def where(price: CellPrice) -> str:
        cost = f"{number(price.seconds.value, seconds)} {TRAIN_SECONDS.unit} a run"
        score = f"{number(price.objective.value, digits)} {objective.unit}".rstrip()
        return f"{objective.title} {score} at {cost}"

    # A cell whose other runs diverged is no recipe to go home with.
    whole = [price for price in prices if not price.endings.diverged] or prices
    full = sorted(whole, key=lambda price: -objective.sign * price.objective.value)
    control = [price for price in prices if price.cell == report.plan.control]
    against = f", against {where(control[0])} of {report.plan.control}" if control and control[0] != full[0] else ""
    flattered = f"; the best of {len(full):,} means is a little flattered" if len(full) > 2 else ""
    return [Line("Best cell", full[0].cell, f"{where(full[0])}{against} (n={full[0].n}{flattered})")]


def _named(measure: Measure) -> str:
    """What follows a number of the measure: `ms latency`."""
    return f"{measure.unit} {measure.title}".lstrip()
