"""How tricks work together: the views side by side, interactions, Shapley shares, and what importances are not."""

from __future__ import annotations

import math

from harness.analysis import label
from harness.report import ReportData, searched, sheets
from harness.report.page.parts import sheet_section
from harness.report.svg.dots import Row, dots
from harness.report.svg.heat import heat, matrix
from harness.report.svg.waterfall import waterfall


def interplay(report: ReportData) -> str:
    """The sections that the report has data for."""
    return side_by_side(report) + interactions(report) + shapley(report)


def side_by_side(report: ReportData) -> str:
    """Add-one, leave-one-out and Shapley of every trick in one plot."""
    table = report.views
    if table is None or table.empty:
        return ""
    rows = [
        Row(
            f"{row['factor']}: {label(row['level'])}",
            {
                title: (row[name], row[f"{name}_low"], row[f"{name}_high"])
                for name, title in sheets.VIEWS.items()
                if name in row and math.isfinite(row[name])
            },
            sheets.disagreement(row) if row["disagree"] else "",
        )
        for row in table.to_dict("records")
    ]
    series = [title for title in sheets.VIEWS.values() if any(title in row.estimates for row in rows)]
    figure = dots(rows, series, sheets.views_title(table), "Δ MiFID")
    return sheet_section(sheets.side_by_side(report), figure)


def interactions(report: ReportData) -> str:
    """The heat map, where there are two factors to interact, and the terms as a table."""
    table = report.factorial
    if table is None or table.empty:
        return ""
    factors, entries = matrix(table)
    figure = f'<div class="scroll" tabindex="0">{heat(table)}</div>' if len(entries) > len(factors) > 1 else ""
    more = (
        '<p class="small soft">In the map, blue fields with a minus are pairs that are better together than their sum, '
        "orange ones with a plus worse; a frame and bold type mark what holds after correction; the diagonal holds the "
        "main effects.</p>"
        if figure
        else ""
    )
    return sheet_section(sheets.interactions(report), figure, more)


def shapley(report: ReportData) -> str:
    """Shares as steps that add up to the whole change."""
    table = report.shapley
    return sheet_section(sheets.shapley(report), "" if table is None or table.empty else waterfall(table))


def importances(report: ReportData) -> str:
    """Optuna's importances, with what they are not."""
    return sheet_section(searched.importances(report))
