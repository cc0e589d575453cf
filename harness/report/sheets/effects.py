"""The effects as tables: the answer, every statistic, parts, costs, equal time, other yardsticks, aliases."""

from __future__ import annotations

from collections.abc import Iterable

from harness.analysis.types import AtEqual, Effect, Estimate, RankAgreement, SeedsNeeded
from harness.design import Alias
from harness.measures import TRAIN_SECONDS, Measure
from harness.report import Report
from harness.report.numbers import Spread, decimals, interval, number, p_value, percent, places, spread
from harness.report.sheets.sheet import CI, Row, Sheet, change, delta, design, ended, runs_column, tone, whole


def answer(report: Report) -> Sheet | None:
    """What each trick does to the objective and to training time, and the verdict."""
    effects, objective = report.answer.effects, report.plan.objective
    if report.plan.search:
        return None
    changes = places(effect.change for effect in effects)
    level = max(decimals((effect.treated_mean for effect in effects), 3), min(changes, 3))
    seconds = seconds_of(report)
    by_time = places(effect.change for effect in seconds)
    rows = []
    for position, effect in enumerate(effects):
        cost = _cost(effect, seconds[position], by_time) if seconds else Spread("–")
        cells = (
            change(effect.contrast),
            str(effect.n),
            number(effect.treated_mean, level),
            spread(effect.change, changes),
            cost,
            effect.reading,
        )
        rows.append(Row(cells, tone(effect.verdict), design(report, effect.contrast)))
    heads = ("trick", ">n", f">{objective.heading}", delta(objective), delta(TRAIN_SECONDS), "verdict")
    return Sheet(
        title="What each trick is worth",
        heads=heads,
        rows=rows,
        reading=f"Δ: mean change over n seeds, paired, with its 95 % t interval; {objective.better} {objective.title} "
        "is better. “helps” and “hurts” hold after Holm’s correction over all tests of the report: at most a 5 % "
        "chance of any false one. The intervals are not corrected.",
    )


def seconds_of(report: Report) -> tuple[Effect, ...]:
    """The effects on training time, contrast by contrast; () where none was measured."""
    return report.answer.costs.get(TRAIN_SECONDS.name, ())


def _cost(effect: Effect, cost: Effect, digits: int) -> Spread:
    """A cost's change, with its own n where that differs from the objective's."""
    value, around = spread(cost.change, digits)
    differs = cost.change.known and cost.n != effect.n
    return Spread(value, f"{around} n={cost.n}".strip() if differs else around)


def statistics(report: Report) -> Sheet | None:
    """Every statistic of every effect on the objective."""
    effects = report.answer.effects
    if not effects:
        return None
    digits = places(Estimate(low=effect.bootstrap.low, high=effect.bootstrap.high) for effect in effects)
    deviation = places(effect.control_sd for effect in effects)
    missing = not whole(effects)
    rows = [
        Row(
            (
                change(effect.contrast),
                str(effect.n),
                percent(effect.relative),
                interval(effect.bootstrap, digits) or "–",
                p_value(effect.p),
                p_value(effect.p_adjusted),
                p_value(effect.p_signs),
                percent(effect.wins, 0, signed=False),
                number(effect.size, 2, signed=True),
                number(effect.control_sd, deviation),
                _needed(effect.seeds_needed),
                *((ended(effect.treated), ended(effect.control)) if missing else ()),
            ),
            group=design(report, effect.contrast),
        )
        for effect in effects
    ]
    return Sheet(
        title="The effects in full",
        heads=(
            *("trick", ">n", ">relative", f">bootstrap {CI}", ">p (t)", ">p (Holm)", ">p (signs)", ">wins", ">size"),
            *(">control sd", ">seeds needed", *(("treated runs", "control runs") if missing else ())),
        ),
        rows=rows,
        reading="n: paired seeds. Relative: the change as a share of the control. Bootstrap: bias-corrected and "
        "accelerated, too narrow for a handful of seeds (the t interval decides). p: of the paired t test; after "
        "Holm’s correction over all tests of the report; and exactly, over every assignment of signs, which n seeds "
        "cannot bring below 2 / 2^n. Wins: the share of paired runs that the trick makes better, a diverged run "
        "counting as the worst. Size: the mean change in standard deviations of the changes. Control sd: from seed to "
        "seed, of the control or of the mean over its cells where a design has several. Seeds needed: how many would "
        "show an effect of the size seen with 80 % power, after correction, and over the 80 % interval of that size; "
        "best fresh ones, since adding seeds until it shows would loosen the 5 %.",
        folded=True,
    )


def _needed(seeds: SeedsNeeded | None) -> str:
    if seeds is None:
        return "–"
    typical, low, high = ("> 10,000" if n is None else f"{n:,}" for n in (seeds.typical, seeds.low, seeds.high))
    return f"{typical} ({low} to {high})"


def parts(report: Report) -> Sheet | None:
    """What each trick does to what the objective is made of."""
    known = [effects for effects in report.answer.parts.values() if any(effect.change.known for effect in effects)]
    if not known:
        return None
    digits = [places(effect.change for effect in effects) for effects in known]
    rows = []
    for several in zip(*known, strict=True):
        first = several[0].contrast
        changes = [spread(effect.change, at) for effect, at in zip(several, digits, strict=True)]
        ns = dict.fromkeys(str(effect.n) for effect in several)
        rows.append(Row((change(first), ", ".join(ns), *changes), group=design(report, first)))
    measures = [effects[0].measure for effects in known]
    title = report.plan.objective.title
    return Sheet(
        title=f"What {title} is made of",
        heads=("trick", ">n", *map(delta, measures)),
        rows=rows,
        reading=f"The same runs and pairs by the parts of {title}: {better(measures)} is better. They are not tested; "
        "they show where a change comes from.",
        folded=True,
    )


def better(measures: Iterable[Measure]) -> str:
    """`lower FID, higher recall`."""
    return ", ".join(f"{measure.better} {measure.title}" for measure in measures)


def costs(report: Report) -> Sheet | None:
    """What every trick does to time, rate and memory, as ratios, and what a second buys."""
    known = [effects for effects in report.answer.costs.values() if any(effect.ratio.known for effect in effects)]
    if not known:
        return None
    bought, objective = report.answer.bought, report.plan.objective.title
    gained = any(each.gain.known for each in bought)
    digits = places(each.gain for each in bought)
    runs, counts, sentence = runs_column([each.endings for each in bought])
    rows = []
    for position, several in enumerate(zip(*known, strict=True)):
        first = several[0].contrast
        ns = dict.fromkeys(str(effect.n) for effect in several)
        ratios = [spread(effect.ratio, 2, signed=False, times=True) for effect in several]
        gain: tuple[Spread | str, ...] = ()
        if gained:
            gain = (spread(bought[position].gain, digits), *counts[position])
        rows.append(Row((change(first), ", ".join(ns), *ratios, *gain), group=design(report, first)))
    heads = ("trick", ">n", *(f">{effects[0].measure.title} {CI}" for effects in known))
    reading = (
        "Ratios of the treated run to its control, averaged on the log scale over n paired seeds, from runs that had "
        "their device alone: × 1.00 costs nothing. Train time leaves out scoring and start-up."
    )
    if gained:
        heads += (f">{objective} gained per extra second {CI}", *runs)
        reading += (
            f" {objective} gained per extra second: how much a trick improves it for each second that it adds to "
            "training, with Fieller’s interval; only of tricks that are shown to take longer." + sentence
        )
    return Sheet(title="What each trick costs", heads=heads, rows=rows, reading=reading)


def equal(report: Report) -> Sheet | None:
    """Effects after equally many images and after equally long training."""
    table, objective = report.answer.equal, report.plan.objective
    if not table:
        return None
    digits = places(estimate for row in table for estimate in (row.images, row.time))
    at = places((row.seconds for row in table), 3)
    rows = []
    for row in table:
        ns = str(row.n_images) if row.n_time == row.n_images else f"{row.n_images}, {row.n_time}"
        cells = (spread(row.images, digits), spread(row.time, digits), number(row.seconds, at), _either(row, objective))
        rows.append(Row((change(row.contrast), ns, *cells), group=design(report, row.contrast)))
    title = f">Δ {objective.heading}"
    return Sheet(
        title="At equal images and at equal time",
        heads=("trick", ">n", f"{title}, equal images [95 %]", f"{title}, equal time [95 %]", ">at s", "reading"),
        rows=rows,
        reading="Equal images asks what the trick does to the result; equal time also charges it for the training time "
        "that it costs, since a slower run has seen fewer images by then. Both are read off the learning curves; a "
        "second n is that of equal time, which needs scores of equally many samples that overlap in time. The "
        "intervals are not corrected for several tricks, and make no claim of their own.",
    )


def _either(row: AtEqual, objective: Measure) -> str:
    """Which way both intervals point."""

    def side(estimate: Estimate) -> str:
        return ("better" if objective.improves(estimate.value) else "worse") if estimate.excludes_zero else ""

    images, time = side(row.images), side(row.time)
    if images == time:
        return f"{images} either way" if images else "open either way"
    known = [f"{way} {by}" for way, by in ((images, "per image"), (time, "per second")) if way]
    return ", ".join(known)


def yardsticks(report: Report) -> Sheet | None:
    """Every effect under every yardstick, sign flips flagged."""
    agreement = report.answer.agreement
    if agreement is None or not agreement.rows:
        return None
    names = [measure.name for measure in agreement.measures]
    digits = {name: places(row.changes.get(name, Estimate()) for row in agreement.rows) for name in names}
    rows = [
        Row(
            (
                change(row.contrast),
                *(spread(row.changes.get(name), digits[name]) for name in names),
                "flips" if row.signs_differ else "same",
            ),
            "bad" if row.signs_differ else "",
            design(report, row.contrast),
        )
        for row in agreement.rows
    ]
    return Sheet(
        title="The same effects by other yardsticks",
        heads=("trick", *map(delta, agreement.measures), "sign"),
        rows=rows,
        reading="The same runs under every feature network and reference set: sizes do not compare, their signs do. An "
        "effect that changes its sign may be noise where both intervals hold 0; else it is a fact about the yardstick "
        "as much as about the trick.",
    )


def agreement_in_words(report: Report) -> list[str]:
    """How many effects change their sign, and how far the yardsticks put the cells in the same order."""
    agreement = report.answer.agreement
    if agreement is None or not agreement.rows:
        return []
    flips = sum(row.signs_differ for row in agreement.rows)
    count = f"{flips} of {len(agreement.rows)} effects {'change' if flips > 1 else 'changes'}"
    first = f"{count} sign between the yardsticks." if flips else "No effect changes its sign between them."
    return [first, *(_order(rank) for rank in agreement.ranks if rank.tau == rank.tau)]


def _order(rank: RankAgreement) -> str:
    several = ((0.8, "almost the same order"), (0.5, "much the same order"), (0.0, "only loosely the same order"))
    words = next((words for least, words in several if rank.tau >= least), "opposite orders")
    shown = f"put the {rank.cells} cells in {words}"
    if not rank.p < 0.05:
        shown = f"are not shown to put the {rank.cells} cells in the same order, nor in another"
    tau = f"Kendall’s tau-b {number(rank.tau, 2)}, p {p_value(rank.p)}"
    return f"{rank.one.title} and {rank.other.title} {shown} ({tau})."


def aliases(report: Report) -> Sheet | None:
    """The interactions that the design cannot tell from an effect."""
    known = [contrast for contrast in report.plan.contrasts if contrast.aliases]
    if not known:
        return None
    rows = [
        Row((change(contrast), ", ".join(map(_alias, contrast.aliases))), group=design(report, contrast))
        for contrast in known
    ]
    return Sheet(
        title="What an effect cannot be told from",
        heads=("trick", "holds these interactions too, and the share of each"),
        rows=rows,
        reading="The design runs only a share of all combinations, so that a trick’s effect is the sum of its own and "
        "of these shares of interactions of other tricks. A fold-over of the design takes them out.",
        folded=True,
    )


def _alias(alias: Alias) -> str:
    return f"{' × '.join(alias.factors)} ({number(alias.share, 2, signed=True)})"
