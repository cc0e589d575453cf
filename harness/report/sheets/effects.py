"""The effects as tables: the answer, every statistic, parts, costs, equal time, other yardsticks, aliases."""

from __future__ import annotations

import math
import statistics as statistics_
from collections.abc import Iterable

from harness.analysis.standing import ordinal
from harness.analysis.types import AtEqual, Effect, Estimate, RankAgreement, SeedsNeeded
from harness.design import Alias, Plan
from harness.measures import TRAIN_SECONDS, Measure
from harness.report import Report
from harness.report.numbers import (
    ABSENT,
    Spread,
    decimals,
    interval,
    number,
    p_value,
    percent,
    places,
    spread,
    spreads,
)
from harness.report.sheets.sheet import CI, Column, Sheet, by_trick, delta, ended, runs_column, tone
from harness.spec.limits import MOST_SEEDS
from harness.spec.seeds import MOST_ANYTIME


def answer(report: Report) -> Sheet | None:
    """What each trick does to the objective and to training time, and the verdict."""
    effects, objective, seconds = report.answer.effects, report.plan.objective, seconds_of(report)
    if report.plan.search:
        return None
    level = max(decimals((e.treated_mean for e in effects), 3), min(places(e.change for e in effects), 3))
    price = spreads(cost.change for cost in seconds)
    by_time = [(delta(TRAIN_SECONDS), [_own_n(*each) for each in zip(effects, seconds, price, strict=False)])]
    return by_trick(
        report,
        [each.contrast for each in effects],
        "What each trick is worth",
        [
            (">n", [str(e.n) for e in effects]),
            (f">{objective.heading}", [number(e.treated_mean, level) for e in effects]),
            (delta(objective), spreads(e.change for e in effects)),
            *(by_time if any(cost.change.known for cost in seconds) else ()),
            ("verdict", [e.reading for e in effects]),
        ],
        f"{_rule(report)} {worth(report)}{_frozen(report)}{_departed(report)}",
        tones=[tone(e.verdict) for e in effects],
    )


def _rule(report: Report) -> str:
    """Which rule made intervals and verdicts."""
    plan, objective = report.plan, report.plan.objective
    better = f"{objective.better} {objective.title} is better."
    ranks = plan.test == "ranks"
    change = "typical change (Hodges and Lehmann’s)" if ranks else "mean change"
    if plan.waves is None:
        interval_ = "95 % interval by signed ranks" if ranks else "95 % t interval"
        tested = ", tested by signed ranks," if ranks else ""
        return (
            f"Δ: {change} over n seeds, paired, with its {interval_}; {better} “helps” and “hurts”{tested} hold after "
            "Holm’s correction over all tests of the report: at most a 5 % chance of any false one. “negligible” is "
            "shown to be less than the worth, for better or worse, by two one-sided tests: at most a 5 % chance of any "
            "that is not. The intervals are not corrected."
        )
    test = "signed ranks" if ranks else "t"
    most = (
        f"a look after each of at most {plan.waves.most} seeds from the {ordinal(plan.waves.first)} on"
        if plan.waves.most
        else f"a look after each seed from the {ordinal(plan.waves.first)} on, without a maximum"
    )
    return (
        f"Δ: {change} over the n seeds that a trick was given, paired, with a 95 % interval that holds at all looks at "
        f"once; {better} The rule is sequential, by {test}, with {most}: its limits are so much wider that “helps” and "
        "“hurts” hold however often one looked and whenever one stopped, after Holm’s correction over all tricks: at "
        "most a 5 % chance of any false one. “negligible” is shown to be less than the worth, for better or worse, in "
        "the same way. The intervals are not corrected for the number of tricks; those of all other measures, training "
        "time among them, are plain t intervals of the same runs."
    )


def _frozen(report: Report) -> str:
    """What effects are means over where a decided factor was kept at one level from some wave on."""
    if not any(effect.frozen for effect in report.answer.effects):
        return ""
    return (
        " A trick that went on after another was decided was compared beside that one’s better level alone from then "
        "on: its effect is the mean over the cells that were run, weighted to that level."
    )


def _departed(report: Report) -> str:
    """How the study departs from the plan that was made beforehand, where a reader takes the verdicts in."""
    return "".join(f" Mind: {said}." for said in report.departures)


def pairing(report: Report) -> str:
    """What pairs by seed gained, in a sentence; "" where no effect has three seeds."""
    known = [e for e in report.answer.effects if math.isfinite(e.pairing) and math.isfinite(e.pairing_gain)]
    if not known:
        return ""
    r, gain = ([getattr(e, name) for e in known] for name in ("pairing", "pairing_gain"))
    middle = statistics_.median(gain)
    ends = dict.fromkeys(number(each, 2, signed=True) for each in (min(r), max(r)))
    verdict = "saved" if middle > 1 else "cost"
    share = abs(1 - 1 / middle)
    return (
        f"Pairing by seed: the two sides of an effect correlate by {' to '.join(ends)}, and pairing {verdict} "
        f"about {percent(share, 0, signed=False)} of the seeds that an answer without pairs would take (the median)."
    )


def worth(report: Report) -> str:
    """The sentence on the smallest effect worth having."""
    said, objective = report.plan.worth, report.plan.objective
    unit = objective.unit or objective.title
    if said.share is None:
        return f"An effect is worth having from {said.amount:g} {unit} on."
    known = [effect.worth for effect in report.answer.effects if effect.worth > 0]
    here = ""
    if known:
        digits = decimals(known, 2)
        ends = dict.fromkeys(number(end, digits) for end in (min(known), max(known)))
        here = f" (the worth: {' to '.join(ends)} {unit})"
    return f"An effect is worth having from {100 * said.share:g} % of the control’s mean on{here}."


def seconds_of(report: Report) -> tuple[Effect, ...]:
    """The effects on training time, contrast by contrast; () where none was measured."""
    return report.answer.costs.get(TRAIN_SECONDS.name, ())


def _own_n(effect: Effect, cost: Effect, price: Spread) -> Spread:
    """A cost's change, with its own n where that differs from the objective's."""
    differs = cost.change.known and cost.n != effect.n
    return Spread(price.value, f"{price.interval} n={cost.n}".strip()) if differs else price


def statistics(report: Report) -> Sheet | None:
    """Every statistic of every effect on the objective."""
    effects = report.answer.effects
    if not effects:
        return None
    digits = places(Estimate(low=e.bootstrap.low, high=e.bootstrap.high) for e in effects)
    deviation = places(e.control_sd for e in effects)
    missing = any(side.complete < side.planned for e in effects for side in (e.treated, e.control))
    sides = [(f"{name} runs", [ended(getattr(e, name)) for e in effects]) for name in ("treated", "control")]
    return by_trick(
        report,
        [each.contrast for each in effects],
        "The effects in full",
        [
            (">n", [str(e.n) for e in effects]),
            (">relative", [percent(e.relative) for e in effects]),
            (f">bootstrap {CI}", [interval(e.bootstrap, digits) or ABSENT for e in effects]),
            (f">p ({report.plan.test})", [p_value(e.p) for e in effects]),
            (">p (Holm)", [p_value(e.p_adjusted) for e in effects]),
            (">p (signs)", [p_value(e.p_signs) for e in effects]),
            (">wins", [percent(e.wins, 0, signed=False) for e in effects]),
            (">size", [number(e.size, 2, signed=True) for e in effects]),
            (">control sd", [number(e.control_sd, deviation) for e in effects]),
            *(sides if missing else ()),
        ],
        "n: paired seeds. Relative: the change as a share of the control. Bootstrap: bias-corrected and accelerated, "
        "too narrow for a handful of seeds (the interval beside the verdict decides). p: "
        f"of the paired test by {'signed ranks' if report.plan.test == 'ranks' else 't'}"
        f"{', of all looks so far' if report.plan.waves else ''}; after Holm’s correction over all tests of the "
        "report; and exactly, over every assignment of signs, which n seeds cannot bring below "
        "2 / 2^n. Wins: the share of paired runs that the trick makes better, a diverged run counting as the worst. "
        "Size: the mean change in standard deviations of the changes. Control sd: from seed to seed, of the control or "
        "of the mean over its cells where a design has several.",
        folded=True,
    )


def paired(report: Report) -> Sheet | None:
    """What pairs by seed gained each effect; None where no effect has three seeds."""
    if not (sentence := pairing(report)):
        return None
    effects = report.answer.effects
    return by_trick(
        report,
        [each.contrast for each in effects],
        "What pairing by seed gained",
        [
            (">n", [str(e.n) for e in effects]),
            (">correlation", [number(e.pairing, 2, signed=True) for e in effects]),
            (">variance without pairs over with", [number(e.pairing_gain, 2) for e in effects]),
        ],
        f"{sentence} Runs of one seed share their noise and order of data where they can: where both sides are lucky "
        "together (a correlation above 0) their difference varies less, and the ratio is above 1. Of a few seeds both "
        "are rough guesses.",
        folded=True,
    )


def against_the_worth(report: Report) -> Sheet | None:
    """Whether each effect is shown to be less than the worth, or more, and the seeds that would decide it."""
    effects, objective = report.answer.effects, report.plan.objective
    if not effects:
        return None
    digits = decimals((e.worth for e in effects), 2)
    return by_trick(
        report,
        [each.contrast for each in effects],
        "Against the smallest effect worth having",
        [
            (">n", [str(e.n) for e in effects]),
            (f">worth, {objective.unit or objective.title}", [number(e.worth, digits) for e in effects]),
            (delta(objective), spreads(e.change for e in effects)),
            (">p (negligible)", [p_value(e.p_within) for e in effects]),
            (">p (beyond it)", [p_value(e.p_beyond) for e in effects]),
            (">seeds needed", [needed(e.seeds_needed, report.plan) for e in effects]),
        ],
        f"{worth(report)} p (negligible): of two one-sided tests that the change is at least that large one way or "
        "the other. p (beyond it): that it is at most that large. Either after Holm’s correction over all contrasts; "
        f"of a share the control’s own uncertainty is in both. {_how_many(report)}",
        folded=True,
    )


def _how_many(report: Report) -> str:
    """How the seeds needed are meant."""
    if report.plan.waves:
        return (
            "Seeds needed: after how many seeds in all a trick that goes on is decided if its mean goes on as it has "
            "begun; in brackets the range by what its size may be, from 10 to 90 %."
        )
    return (
        "Seeds needed: how many would with 80 % power show an effect of the size seen, or that it is negligible, after "
        "correction; in brackets the range from 10 to 90 % by what the size may be; best fresh ones, since adding "
        "seeds until it shows would loosen the 5 %."
    )


def needed(seeds: SeedsNeeded | None, plan: Plan) -> str:
    """`16 (6 to 148)`: for the size seen, and over its 80 % interval."""
    if seeds is None:
        return ABSENT
    most = (plan.waves.most or MOST_ANYTIME) if plan.waves else MOST_SEEDS
    typical, low, high = (f"> {most:,}" if n is None else f"{n:,}" for n in (seeds.typical, seeds.low, seeds.high))
    return f"{typical} ({low} to {high})"


def parts(report: Report) -> Sheet | None:
    """What each trick does to what the objective is made of."""
    known = [effects for effects in report.answer.parts.values() if any(e.change.known for e in effects)]
    if not known:
        return None
    title = report.plan.objective.title
    better = ", ".join(f"{effects[0].measure.better} {effects[0].measure.title}" for effects in known)
    return by_trick(
        report,
        [each.contrast for each in known[0]],
        f"What {title} is made of",
        [
            _counts(*([e.n for e in effects] for effects in known)),
            *((delta(effects[0].measure), spreads(e.change for e in effects)) for effects in known),
        ],
        f"The same runs and pairs by the parts of {title}: {better} is better. They are not tested; they show where a "
        "change comes from.",
        folded=True,
    )


def _counts(*columns: Iterable[int]) -> Column:
    """How many seeds are behind each row, every count where its measures have several."""
    return ">n", [", ".join(dict.fromkeys(map(str, counts))) for counts in zip(*columns, strict=True)]


def costs(report: Report) -> Sheet | None:
    """What every trick does to time, rate and memory, as ratios, and what a second buys."""
    known = [effects for effects in report.answer.costs.values() if any(e.ratio.known for e in effects)]
    if not known:
        return None
    columns = [_counts(*([e.n for e in effects] for effects in known))]
    for effects in known:
        ratios = [spread(e.ratio, 2, signed=False, times=True) for e in effects]
        columns.append((f">{effects[0].measure.title} {CI}", ratios))
    reading = (
        "Ratios of the treated run to its control, averaged on the log scale over n paired seeds, from runs that had "
        "their device alone: × 1.00 costs nothing. Train time leaves out scoring and start-up."
    )
    bought, objective = report.answer.bought, report.plan.objective.title
    if any(each.gain.known for each in bought):
        runs, sentence = runs_column([each.endings for each in bought])
        gains = spreads(each.gain for each in bought)
        columns += [(f">{objective} gained per extra second {CI}", gains), *runs]
        reading += (
            f" {objective} gained per extra second: how much a trick improves it for each second that it adds to "
            f"training, with Fieller’s interval; only of tricks that are shown to take longer.{sentence}"
        )
    return by_trick(report, [each.contrast for each in known[0]], "What each trick costs", columns, reading)


def equal(report: Report) -> Sheet | None:
    """Effects after equally many images and after equally long training."""
    rows, objective = report.answer.equal, report.plan.objective
    if not any(row.images.known for row in rows):
        return None
    digits = places(estimate for row in rows for estimate in (row.images, row.time))
    at = places((row.seconds for row in rows), 3)
    title = f">Δ {objective.heading}"
    return by_trick(
        report,
        [each.contrast for each in rows],
        "At equal images and at equal time",
        [
            _counts([row.n_images for row in rows], [row.n_time for row in rows]),
            (f"{title}, equal images {CI}", spreads((row.images for row in rows), digits)),
            (f"{title}, equal time {CI}", spreads((row.time for row in rows), digits)),
            (">at s", [number(row.seconds, at) for row in rows]),
            ("reading", [_either(row, objective) for row in rows]),
        ],
        "Equal images asks what the trick does to the result; equal time also charges it for the training time that it "
        "costs, since a slower run has seen fewer images by then. Both are read off the learning curves; a second n is "
        "that of equal time, which needs scores of equally many samples that overlap in time. The intervals are not "
        "corrected for several tricks, and make no claim of their own.",
    )


def _either(row: AtEqual, objective: Measure) -> str:
    """Which way both intervals point."""

    def side(estimate: Estimate) -> str:
        return ("better" if objective.improves(estimate.value) else "worse") if estimate.excludes_zero else ""

    if not row.images.known:
        return ABSENT
    images, time = side(row.images), side(row.time)
    if images == time:
        return f"{images or 'open'} either way"
    return ", ".join(f"{way} {by}" for way, by in ((images, "per image"), (time, "per second")) if way)


def yardsticks(report: Report) -> Sheet | None:
    """Every effect under every yardstick, sign flips flagged."""
    agreement = report.answer.agreement
    if agreement is None or not agreement.rows:
        return None
    rows = agreement.rows
    return by_trick(
        report,
        [each.contrast for each in rows],
        "The same effects by other yardsticks",
        [
            *((delta(each), spreads(row.changes.get(each.name) for row in rows)) for each in agreement.measures),
            ("sign", ["flips" if row.signs_differ else "same" for row in rows]),
        ],
        "The same runs under every feature network and reference set: sizes do not compare, their signs do. An effect "
        "that changes its sign may be noise where both intervals hold 0; else it is a fact about the yardstick as much "
        "as about the trick.",
        tones=["bad" if row.signs_differ else "" for row in rows],
    )


def agreement_in_words(report: Report) -> list[str]:
    """How many effects change their sign, and how far the yardsticks put the cells in the same order."""
    agreement = report.answer.agreement
    if agreement is None or not any(sum(each.known for each in row.changes.values()) > 1 for row in agreement.rows):
        return []
    flips = sum(row.signs_differ for row in agreement.rows)
    count = f"{flips} of {len(agreement.rows)} effects {'change' if flips > 1 else 'changes'}"
    first = f"{count} sign between the yardsticks." if flips else "No effect changes its sign between the yardsticks."
    return [first, *(_order(rank) for rank in agreement.ranks if rank.tau == rank.tau)]


def _order(rank: RankAgreement) -> str:
    shown = f"put the {rank.cells} cells in {rank.reading}"
    if not rank.reading:
        shown = f"are not shown to put the {rank.cells} cells in the same order, nor in another"
    tau = f"Kendall’s tau-b {number(rank.tau, 2)}, p {p_value(rank.p)}"
    return f"{rank.one.title} and {rank.other.title} {shown} ({tau})."


def aliases(report: Report) -> Sheet | None:
    """The interactions that the design cannot tell from an effect."""
    known = [contrast for contrast in report.plan.contrasts if contrast.aliases]
    if not known:
        return None
    return by_trick(
        report,
        known,
        "What an effect cannot be told from",
        [
            ("holds these interactions too", [", ".join(map(_alias, contrast.aliases)) for contrast in known]),
        ],
        "The design runs only a share of all combinations, so that a trick’s effect is the sum of its own and of these "
        "shares of interactions of other tricks. A fold-over of the design takes them out.",
        folded=True,
    )


def _alias(alias: Alias) -> str:
    return f"{' × '.join(alias.factors)} ({number(alias.share, 2, signed=True)})"
