"""What tricks cost, and whether another yardstick would say the same."""

from __future__ import annotations

import math
from html import escape

from harness.report import ReportData, evidence, sheets
from harness.report.page.parts import sheet_section
from harness.report.sheet import contrast
from harness.report.svg.dots import Row, dots
from harness.report.svg.scatter import scatter

_AT = {"delta_equal_images": "equal images", "delta_equal_time": "equal time"}


def costs(report: ReportData) -> str:
    """What every trick does to time and memory."""
    return sheet_section(evidence.costs(report))


def price(report: ReportData) -> str:
    """The Pareto front, and effects at equal images and equal time."""
    return pareto(report) + equal(report)


def pareto(report: ReportData) -> str:
    """MiFID against training seconds, cell by cell."""
    table = report.pareto
    if table is None or table.empty:
        return ""
    more = (
        '<p class="small soft">In the plot: filled points on the line are the front, hollow ones are beaten, the '
        "square is the control; crosses are 95 % intervals; a number is the cell’s in the table below, "
        "and a point without any found no room for it.</p>"
    )
    return sheet_section(sheets.pareto(report), scatter(table, report.plan.control), more)


def equal(report: ReportData) -> str:
    """Two estimates of every contrast: per image and per second."""
    table = report.equal
    if table is None or table.empty:
        return ""
    rows = [
        Row(
            contrast(row["contrast"]),
            {
                title: (row[name], row[f"{name}_low"], row[f"{name}_high"])
                for name, title in _AT.items()
                if math.isfinite(row[name])
            },
        )
        for row in table.to_dict("records")
    ]
    figure = dots(rows, list(_AT.values()), "Effects at equal images and at equal training time", "Δ MiFID")
    return sheet_section(sheets.equal(report), figure)


def yardsticks(report: ReportData) -> str:
    """Every effect under every yardstick, and how far these rank the cells alike."""
    lines = sheets.rank_sentences(report)
    table = report.agreement
    if table is not None and not table.empty:
        flips = int(table["signs_differ"].sum())
        count = f"{flips} of {len(table)} effects {'change' if flips > 1 else 'changes'}"
        lines.insert(
            0, f"{count} sign between the yardsticks." if flips else "No effect changes its sign between them."
        )
    more = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return sheet_section(sheets.agreement(report), "", more)
