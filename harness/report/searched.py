"""What a search found, as tables of text: the cells that it tried, and Optuna's importances."""

from __future__ import annotations

from harness.analysis.tried import ENDINGS
from harness.report import ReportData
from harness.report.numbers import decimals, number
from harness.report.sheet import MOST_ROWS, Sheet, left_out, plain_interval


def tried(report: ReportData) -> Sheet | None:
    """A search's cells, the lowest mean MiFID first."""
    table = report.tried
    if table is None or table.empty:
        return None
    mifid, seconds = decimals(table["mifid"], 3), decimals(table["train_seconds"], 3)
    rows = []
    for row in table.to_dict("records")[:MOST_ROWS]:
        ended = ", ".join(f"{row[name]} {name}" for name in ENDINGS if row[name])
        scores = plain_interval(row["mifid"], row["mifid_low"], row["mifid_high"], mifid)
        rows.append((row["cell"], str(row["n"]), scores, number(row["train_seconds"], seconds), ended or "running"))
    return Sheet(
        "What the search tried",
        ("cell", ">n", ">MiFID [95 %]", ">train s", "runs"),
        rows,
        "The lowest mean first. The sampler came back to what looked good, of many means the lowest is lucky too, and "
        "pruned runs are left out of a mean: a ranking says where to look, not what a trick is worth."
        + left_out(len(table)),
    )


def importances(report: ReportData) -> Sheet | None:
    """Optuna's parameter importances."""
    if not report.importances:
        return None
    factors = list(dict.fromkeys(name for shares in report.importances.values() for name in shares))
    first = next(iter(report.importances.values()))
    factors.sort(key=lambda name: -first.get(name, 0.0))
    rows = [(name, *(number(shares.get(name), 3) for shares in report.importances.values())) for name in factors]
    return Sheet(
        "Optuna’s importances",
        ("parameter", *(f">{name}" for name in report.importances)),
        rows,
        "PED-ANOVA: what sets the best tenth of the trials apart; fANOVA: the share of the spread of MiFID over all "
        "trials, by a random forest. They are not effects: they have no sign, no interval and no pairing by seed, they "
        "depend on where the sampler looked, and say nothing of cost; decide by the effects of a design.",
    )
