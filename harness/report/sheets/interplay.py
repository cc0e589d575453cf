"""How tricks work together, as tables: views side by side, interactions, Shapley shares, Optuna's importances."""

from __future__ import annotations

from harness.analysis.types import Estimate, View
from harness.report import Report
from harness.report.numbers import number, p_value, places, spreads
from harness.report.sheets.sheet import (
    CI,
    MOST_ROWS,
    Column,
    Sheet,
    delta,
    ended,
    joined,
    left_out,
    runs_column,
    table,
    tone,
)
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
    return {name: estimate for name in VIEWS if (estimate := getattr(view, name)) is not None and estimate.known}


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
    if not names:
        return None
    known = [estimates(view) for view in views]
    digits = places(estimate for each in known for estimate in each.values())
    runs, sentence = runs_column([view.endings for view in views])
    return table(
        views_title(report),
        [
            ("trick", [f"{view.factor}: {label(view.level)}" for view in views]),
            *((f">Δ {objective.heading} {VIEWS[n]} {CI}", spreads((e.get(n) for e in known), digits)) for n in names),
            *runs,
            ("alone and in the full recipe", [together(view) for view in views]),
        ],
        " ".join(_READINGS[name] for name in names)
        + f" {objective.better.capitalize()} {objective.title} is better. They differ where this holds beyond chance: "
        f"what the trick is worth depends on other tricks, and a full factorial tells on which.{sentence}",
        tones=["bad" if view.disagree else "" for view in views],
    )


def interactions(report: Report) -> Sheet | None:
    """Main effects, then interactions, the largest first."""
    factorial, objective = report.answer.factorial, report.plan.objective
    if factorial is None or not factorial.terms:
        return None
    ordered = sorted(factorial.terms, key=lambda term: (len(term.factors), -abs(term.estimate.value)))
    terms = ordered[:MOST_ROWS]
    others = [", ".join(" × ".join(names) for names in term.aliases) for term in terms]
    aliases: list[Column] = [("cannot be told from", others)] if any(others) else []
    more = f" {factorial.cells_left_out} cells stand at other levels." if factorial.cells_left_out else ""
    return table(
        "Main effects and interactions",
        [
            ("term", [" × ".join(term.factors) for term in terms]),
            (delta(objective), spreads(term.estimate for term in terms)),
            (">adjusted p", [p_value(term.p_adjusted) for term in terms]),
            *aliases,
            ("reading", [term.reading or "not tested" for term in terms]),
        ],
        "A main effect is what a trick changes on average over the other tricks; an interaction is half of what one "
        f"trick’s effect changes when the other is on: where it improves {objective.title}, the two are better "
        "together than their sum. By least squares, interactions of three and more tricks taken to be zero; seeds: "
        f"{factorial.seeds}; runs: {ended(factorial.endings)}.{more}{left_out(len(ordered))}",
        tones=[tone(term.verdict) for term in terms],
        groups=["main effects" if len(term.factors) == 1 else "interactions" for term in terms],
    )


def shapley(report: Report) -> Sheet | None:
    """Every trick’s share of the change from nothing on to everything on."""
    shapley, objective = report.answer.shapley, report.plan.objective
    if shapley is None or not shapley.shares:
        return None
    shares = sorted(shapley.shares, key=lambda share: -objective.sign * share.estimate.value)
    digits = places(share.estimate for share in shares)
    changes = [*(share.estimate for share in shares), shapley.total]
    return table(
        "Shapley shares",
        [
            ("trick", [*(f"{share.factor}: {label(share.level)}" for share in shares), "all of them"]),
            (f">share of Δ {objective.heading} {CI}", spreads(changes, digits)),
        ],
        "A share is the trick’s effect averaged over every order in which the tricks could have been added; the shares "
        "add up to the whole change from nothing on to everything on. Whole seeds: "
        f"{shapley.n}; runs: {ended(shapley.endings)}.",
    )


def importances(report: Report) -> Sheet | None:
    """Optuna's parameter importances."""
    if not report.importances:
        return None
    first, *_ = report.importances.values()
    factors = sorted({n for shares in report.importances.values() for n in shares}, key=lambda n: -first.get(n, 0.0))
    return table(
        "Optuna’s importances",
        [
            ("parameter", factors),
            *((f">{by}", [number(of.get(n), 3) for n in factors]) for by, of in report.importances.items()),
        ],
        "PED-ANOVA: what sets the best tenth of the trials apart; fANOVA: the share of the spread of "
        f"{report.plan.objective.title} over all trials, by a random forest. They are not effects: they have no sign, "
        "no interval and no pairing by seed, they depend on where the sampler looked, and say nothing of cost; decide "
        "by the effects of a design.",
    )
