"""The further answers as tables of text, made once for the page, the terminal, Markdown and LaTeX."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.analysis.paired import ALPHA
from harness.report import ReportData
from harness.report.evidence import costs, statistics
from harness.report.failures import failure_rates
from harness.report.numbers import decimals, number, p_value, with_interval
from harness.report.searched import importances, tried
from harness.report.sheet import (
    MOST_ROWS,
    Sheet,
    contrast,
    estimate,
    joined,
    left_out,
    places_for,
    places_of,
    plain_interval,
    sentence,
    trick,
)

VIEWS = {"add_one": "alone", "leave_one_out": "in the full recipe", "shapley": "Shapley"}
_DESIGNS = {"add_one": "Add-one", "leave_one_out": "leave-one-out", "shapley": "Shapley"}
_READINGS = {
    "add_one": "Alone: the trick added to the plain recipe; ",
    "leave_one_out": "in the full recipe: what it still adds to all the others; ",
    "shapley": "Shapley: the average over every order of adding them. ",
}


def sheets(report: ReportData) -> list[Sheet]:
    """Every further answer that the report has, in the order of the page."""
    made = (
        *(tried, statistics, side_by_side, interactions, shapley, costs, pareto, equal, agreement, failures),
        importances,
    )
    return [sheet for make in made if (sheet := make(report)) is not None]


def side_by_side(report: ReportData) -> Sheet | None:
    """What each trick is worth alone, in the full recipe, and on average over all orders."""
    table = report.views
    if table is None or table.empty:
        return None
    views = views_of(table)
    places = places_for(table, views)
    rows, tones = [], []
    for row in table.to_dict("records"):
        values = [estimate(row, name, places) for name in views]
        rows.append((trick(row), *values, disagreement(row) if row["disagree"] else "not shown to differ"))
        tones.append("bad" if row["disagree"] else "")
    heads = ("trick", *(f">Δ MiFID {title} [95 %]" for title in views.values()), "together")
    return Sheet(
        f"{joined([_DESIGNS[name] for name in views])} side by side",
        heads,
        rows,
        sentence("".join(_READINGS[name] for name in views).rstrip("; "))
        + " Below 0 is better. They disagree where the first two differ beyond chance, paired by seed: what the trick "
        "is worth depends on other tricks, and a full factorial tells on which.",
        tones,
    )


def views_of(table: pd.DataFrame) -> dict[str, str]:
    """The ways to look at a trick that the table of views has numbers of, and what they are called."""
    return {name: title for name, title in VIEWS.items() if name in table and table[name].notna().any()}


def views_title(table: pd.DataFrame) -> str:
    """What a plot of the views shows."""
    as_share = {"shapley": "as a Shapley share"}
    return f"Each trick {joined([as_share.get(name, title) for name, title in views_of(table).items()])}"


def disagreement(row: dict[Any, Any]) -> str:
    """What to say of a trick whose views disagree."""
    partner = row.get("with_whom") or ""
    return f"disagree: depends on {partner}" if partner else "disagree"


def interactions(report: ReportData) -> Sheet | None:
    """Main effects, then interactions, the largest first."""
    table = report.factorial
    if table is None or table.empty:
        return None
    ordered = table.assign(_size=-table["estimate"].abs()).sort_values(["order", "_size"]).to_dict("records")
    places = places_for(table, ["estimate"], "")
    aliased = bool(table["aliased_with"].fillna("").astype(bool).any())
    rows = []
    for row in ordered[:MOST_ROWS]:
        values = [with_interval(row["estimate"], row["low"], row["high"], places), p_value(row["p_holm"])]
        values += [str(row["n_runs"]), reading_of(row)] + ([str(row["aliased_with"] or "")] if aliased else [])
        rows.append((term(row["term"]), *values))
    heads = ("term", ">change of MiFID [95 %]", ">adjusted p", ">runs", "reading")
    note = table.attrs.get("note") or ""
    return Sheet(
        "Main effects and interactions",
        (*heads, "cannot be told from") if aliased else heads,
        rows,
        "A main effect is what a trick changes on average over the other tricks; an interaction is how much "
        "one trick’s effect changes when the other is on: "
        "below 0 the two are better together than their sum, above 0 worse."
        + left_out(len(ordered))
        + (f" {sentence(note)}" if note else ""),
        [("good" if row["estimate"] < 0 else "bad") if row["p_holm"] < ALPHA else "" for row in ordered[:MOST_ROWS]],
    )


def reading_of(row: dict[Any, Any]) -> str:
    """A term of the factorial model in words."""
    if not row["p_holm"] < ALPHA:
        return "no evidence"
    if row["order"] == 1:
        return "helps" if row["estimate"] < 0 else "hurts"
    return "better together" if row["estimate"] < 0 else "worse together"


def term(text: str) -> str:
    """`crop x margin` as `crop × margin`."""
    return str(text).replace(" x ", " × ")


def shapley(report: ReportData) -> Sheet | None:
    """Every trick’s share of the change from nothing on to everything on."""
    table = report.shapley
    if table is None or table.empty:
        return None
    places = places_for(table, ["share"], "")
    rows = [
        (trick(row), with_interval(row["share"], row["low"], row["high"], places), str(row["n"]))
        for row in table.sort_values("share").to_dict("records")
    ]
    whole = table.attrs
    rows.append(
        ("all of them", with_interval(whole["total"], whole["total_low"], whole["total_high"], places), rows[0][2])
    )
    return Sheet(
        "Shapley shares",
        ("trick", ">share of Δ MiFID [95 %]", ">seeds"),
        rows,
        "A share is the trick’s effect averaged over every order in which the tricks could have been added; the shares "
        "add up to the whole change from nothing on to everything on.",
    )


def pareto(report: ReportData) -> Sheet | None:
    """Every cell's MiFID and price."""
    table = report.pareto
    if table is None or table.empty:
        return None
    mifid, seconds = decimals(table["mifid"], 3), decimals(table["train_seconds"], 3)
    worth = places_of(table["mifid_per_second"], 2)
    table = numbered(table)
    rows = []
    for row in table.to_dict("records")[:MOST_ROWS]:
        rows.append(
            (
                f"#{row['number']} {row['cell']}",
                str(row["n"]),
                plain_interval(row["mifid"], row["mifid_low"], row["mifid_high"], mifid),
                plain_interval(row["train_seconds"], row["train_seconds_low"], row["train_seconds_high"], seconds),
                number(row["mifid_per_second"], worth, signed=True),
                "yes" if row["on_front"] else "",
            )
        )
    return Sheet(
        "MiFID against training time",
        ("cell", ">n", ">MiFID [95 %]", ">train s [95 %]", ">MiFID gained per extra second", "on the front"),
        rows,
        "A cell is on the front where no other is both better and cheaper, by their means; pick the front’s cell that "
        "you can pay for. Seconds come from runs that had their device alone." + left_out(len(table)),
        ["good" if front else "" for front in table["on_front"][:MOST_ROWS]],
    )


def numbered(table: pd.DataFrame) -> pd.DataFrame:
    """The cells with the numbers that plots call them by: the front from the cheapest on, then by MiFID."""
    front = table[table["on_front"]].sort_values("train_seconds", kind="stable")
    others = table[~table["on_front"]].sort_values("mifid", kind="stable")
    ordered = pd.concat([front, others], ignore_index=True)
    return ordered.assign(number=range(1, len(ordered) + 1))


def equal(report: ReportData) -> Sheet | None:
    """Effects after equally many images and after equally long training."""
    table = report.equal
    if table is None or table.empty:
        return None
    places = places_for(table, ["delta_equal_images", "delta_equal_time"])
    rows = []
    for row in table.to_dict("records"):
        at_images, at_time = (estimate(row, f"delta_equal_{what}", places) for what in ("images", "time"))
        seconds = number(row["seconds"], places_of(table["seconds"], 3))
        seeds = str(row["n"]) if row.get("n_time", row["n"]) == row["n"] else f"{row['n']}, {row['n_time']}"
        rows.append((contrast(row["contrast"]), seeds, at_images, at_time, seconds, _price_in_words(row)))
    return Sheet(
        "At equal images and at equal time",
        ("contrast", ">n", ">Δ MiFID, equal images [95 %]", ">Δ MiFID, equal time [95 %]", ">at s", "reading"),
        rows,
        "Equal images asks what the trick does to the result; equal time also charges it for the training time that it "
        "costs, since a slower run has seen fewer images by then. Both are read off the learning curves; a second n is "
        "that of equal time, which needs scores of equally many samples that overlap in time. The intervals are not "
        "corrected for several tricks.",
    )


def _price_in_words(row: dict[Any, Any]) -> str:
    sides = []
    for what in ("images", "time"):
        name = f"delta_equal_{what}"
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        sides.append("gain" if high < 0 else "loss" if low > 0 else "open")
    words = {
        ("gain", "gain"): "a gain either way",
        ("gain", "open"): "a gain at equal images",
        ("gain", "loss"): "better per image, worse per second",
        ("open", "gain"): "a gain at equal time",
        ("loss", "gain"): "worse per image, better per second",
        ("loss", "loss"): "a loss either way",
        ("loss", "open"): "a loss at equal images",
        ("open", "loss"): "a loss at equal time",
    }
    return words.get((sides[0], sides[1]), "no evidence")


def yardsticks(table: pd.DataFrame) -> list[str]:
    """The yardsticks of an agreement table: `effect[mifid]` is that of mifid."""
    columns = [str(name) for name in table.columns]
    return [name[7:-1] for name in columns if name.startswith("effect[") and name.endswith("]")]


def agreement(report: ReportData) -> Sheet | None:
    """Every effect under every yardstick, sign flips flagged."""
    table = report.agreement
    if table is None or table.empty:
        return None
    names = yardsticks(table)
    places = {
        name: places_of(pd.concat([table[f"{side}[{name}]"] for side in ("effect", "low", "high")]), 2)
        for name in names
    }
    rows = []
    for row in table.to_dict("records"):
        values = (
            with_interval(row[f"effect[{name}]"], row[f"low[{name}]"], row[f"high[{name}]"], places[name])
            for name in names
        )
        rows.append((contrast(row["contrast"]), *values, "flips" if row["signs_differ"] else "same"))
    return Sheet(
        "Two yardsticks",
        ("contrast", *(f">Δ {yardstick_name(name)} [95 %]" for name in names), "sign"),
        rows,
        "The same runs under every feature network and reference set: sizes do not compare, their signs do. "
        "An effect that changes its sign may be noise where both intervals hold 0; else it is a fact about the "
        "yardstick as much as about the trick.",
        ["bad" if row["signs_differ"] else "" for row in table.to_dict("records")],
    )


def yardstick_name(name: str) -> str:
    """`mifid/efficientnet-lite0/square` as a reader says it."""
    kind, *of = name.split("/")
    title = "MiFID" if kind == "mifid" else kind
    return f"{title} ({', '.join(of)})" if of else f"{title} (objective)"


def rank_sentences(report: ReportData) -> list[str]:
    """How far the yardsticks put the cells in the same order, in words and as numbers."""
    if report.agreement is None:
        return []
    ranks = report.agreement.attrs.get("rank_agreement") or {}
    statistic = report.agreement.attrs.get("rank_statistic", "rank correlation")
    lines = []
    for (one, other), value in ranks.items():
        if value is None or value != value:
            continue
        lines.append(
            f"{yardstick_name(one)} and {yardstick_name(other)} put the cells in {_order_in_words(value)} "
            f"({statistic} {number(value, 2)})."
        )
    return lines


def _order_in_words(value: float) -> str:
    for least, words in (
        (0.8, "almost the same order"),
        (0.5, "much the same order"),
        (0.2, "only loosely the same order"),
    ):
        if value >= least:
            return words
    return "opposite orders" if value <= -0.5 else "unrelated orders"


def failures(report: ReportData) -> Sheet | None:
    """How often runs diverged or failed at every level."""
    table = failure_rates(report.runs, report.plan)
    if table is None or table.empty:
        return None
    rows = [
        (
            trick(row),
            str(row["ended"]),
            str(row["diverged"]),
            str(row["failed"]),
            f"{100 * row['rate']:.0f} % [{100 * row['low']:.0f}, {100 * row['high']:.0f}]",
        )
        for row in table.to_dict("records")
    ]
    return Sheet(
        "Failures",
        ("level", ">ended", ">diverged", ">failed", ">rate [95 %]"),
        rows,
        "Of all runs at a level, whatever the other tricks: a run that diverged is an outcome of its tricks, one that "
        "failed (an error, a lost machine) is not. Intervals are exact binomial ones.",
    )
