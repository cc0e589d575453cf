"""How tricks work together, as tables: views side by side, interactions, Shapley shares, Optuna's importances."""

from __future__ import annotations

from harness.analysis.types import Estimate, Term, View
from harness.report import Report
from harness.report.numbers import decimals, number, p_value, places, spread
from harness.report.sheets.sheet import CI, MOST_ROWS, Row, Sheet, ended, joined, left_out, runs_column, tone
from harness.spec import label

VIEWS = {"alone": "alone", "full": "in the full recipe", "share": "Shapley"}
_TITLES = {"alone": "alone", "full": "in the full recipe", "share": "as a Shapley share"}
_READINGS = {
    "alone": "Alone: the trick added to the plain recipe.",
    "full": "In the full recipe: what it still adds to all the others.",
    "share": "Shapley: the average over every order of adding them.",
}


def estimates(view: View) -> dict[str, Estimate]:
    """The ways to look at a trick that have a number, by the names in `VIEWS`."""
    several = {"alone": view.alone, "full": view.full, "share": view.share}
    return {name: estimate for name, estimate in several.items() if estimate is not None and estimate.known}


def shown_views(report: Report) -> list[str]:
    """The views that some trick has a number of."""
    known = {name for view in report.answer.views for name in estimates(view)}
    return [name for name in VIEWS if name in known]


def views_title(report: Report) -> str:
    """What the figure and the table of the views show."""
    return f"Each trick {joined([_TITLES[name] for name in shown_views(report)])}"


def together(view: View) -> str:
    """Whether a trick is worth the same alone and in company."""
    if not view.disagree:
        return "not shown to differ"
    return f"differ: depends on {view.partner}" if view.partner else "differ"


def side_by_side(report: Report) -> Sheet | None:
    """What each trick is worth alone, in the full recipe, and on average over all orders."""
    views, names, objective = report.answer.views, shown_views(report), report.plan.objective
    if not views or not names:
        return None
    digits = places(estimate for view in views for estimate in estimates(view).values())
    runs, counts, sentence = runs_column([view.endings for view in views])
    rows = []
    for view, count in zip(views, counts, strict=True):
        known = estimates(view)
        cells = [spread(known.get(name), digits) for name in names]
        trick = f"{view.factor}: {label(view.level)}"
        rows.append(Row((trick, *cells, *count, together(view)), "bad" if view.disagree else ""))
    return Sheet(
        title=views_title(report),
        heads=(
            "trick",
            *(f">Δ {objective.heading} {VIEWS[name]} {CI}" for name in names),
            *runs,
            "alone and in the full recipe",
        ),
        rows=rows,
        reading=" ".join(_READINGS[name] for name in names)
        + f" {objective.better.capitalize()} {objective.title} is better. They differ where this holds beyond chance: "
        f"what the trick is worth depends on other tricks, and a full factorial tells on which.{sentence}",
    )


def interactions(report: Report) -> Sheet | None:
    """Main effects, then interactions, the largest first."""
    factorial = report.answer.factorial
    if factorial is None or not factorial.terms:
        return None
    ordered = sorted(factorial.terms, key=lambda term: (len(term.factors), -abs(term.estimate.value)))
    digits = places(term.estimate for term in ordered)
    aliased = any(term.aliases for term in ordered)
    rows = []
    for term in ordered[:MOST_ROWS]:
        others = (", ".join(" × ".join(names) for names in term.aliases),) if aliased else ()
        cells = (
            name(term),
            spread(term.estimate, digits),
            p_value(term.p_adjusted),
            *others,
            term.reading or "not tested",
        )
        kind = "main effects" if len(term.factors) == 1 else "interactions"
        rows.append(Row(cells, tone(term.verdict), kind))
    objective = report.plan.objective
    more = f" {factorial.cells_left_out} cells stand at other levels." if factorial.cells_left_out else ""
    return Sheet(
        title="Main effects and interactions",
        heads=(
            *("term", f">Δ {objective.heading} {CI}", ">adjusted p"),
            *(*(("cannot be told from",) if aliased else ()), "reading"),
        ),
        rows=rows,
        reading="A main effect is what a trick changes on average over the other tricks; an interaction is half of "
        "what one trick’s effect changes when the other is on: where it improves "
        f"{objective.title}, the two are better together than their sum. By least squares, interactions of three and "
        f"more tricks taken to be zero; seeds: {factorial.seeds}; runs: {ended(factorial.endings)}.{more}"
        + left_out(len(ordered)),
    )


def name(term: Term) -> str:
    """`crop × margin`."""
    return " × ".join(term.factors)


def shapley(report: Report) -> Sheet | None:
    """Every trick’s share of the change from nothing on to everything on."""
    shapley, objective = report.answer.shapley, report.plan.objective
    if shapley is None or not shapley.shares:
        return None
    digits = places(share.estimate for share in shapley.shares)
    rows = [
        Row((f"{share.factor}: {label(share.level)}", spread(share.estimate, digits)))
        for share in sorted(shapley.shares, key=lambda share: -objective.sign * share.estimate.value)
    ]
    rows.append(Row(("all of them", spread(shapley.total, digits))))
    return Sheet(
        title="Shapley shares",
        heads=("trick", f">share of Δ {objective.heading} {CI}"),
        rows=rows,
        reading="A share is the trick’s effect averaged over every order in which the tricks could have been added; "
        "the shares add up to the whole change from nothing on to everything on. Whole "
        f"seeds: {shapley.n}; runs: {ended(shapley.endings)}.",
    )


def importances(report: Report) -> Sheet | None:
    """Optuna's parameter importances."""
    if not report.importances:
        return None
    several = list(report.importances.values())
    factors = sorted({name for shares in several for name in shares}, key=lambda name: -several[0].get(name, 0.0))
    digits = max(3, decimals((value for shares in several for value in shares.values()), 2))
    rows = [Row((name, *(number(shares.get(name), min(digits, 3)) for shares in several))) for name in factors]
    return Sheet(
        title="Optuna’s importances",
        heads=("parameter", *(f">{name}" for name in report.importances)),
        rows=rows,
        reading="PED-ANOVA: what sets the best tenth of the trials apart; fANOVA: the share of the spread of "
        f"{report.plan.objective.title} over all trials, by a random forest. They are not effects: they have no sign, "
        "no interval and no pairing by seed, they depend on where the sampler looked, and say nothing of cost; decide "
        "by the effects of a design.",
    )
