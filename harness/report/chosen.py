"""Which cells are drawn where there are more than a reader, or a page, can hold."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from harness.report import Curves, ReportData

MOST_CURVES = 12


def chosen(report: ReportData, names: Iterable[str], most: int) -> tuple[list[str], str]:
    """At most so many of the cells called `names`, in the plan's order, and the sentence that says what was left out.

    Where there are more, the control and the cells with the lowest mean MiFID are kept.
    """
    known = set(names)
    order = [cell.name for cell in report.plan.cells if cell.name in known]
    if len(order) <= most:
        return order, ""
    complete = report.runs[report.runs["state"] == "complete"]
    means: pd.Series[float] = complete.groupby("cell")["mifid"].mean().sort_values()
    control = report.plan.control
    ranked = list(dict.fromkeys([control, *(str(name) for name in means.index), *order]))
    kept = set([name for name in ranked if name in known][:most])
    sentence = f" Of {len(order):,} cells, the control and those with the lowest MiFID are shown, {most} in all."
    return [name for name in order if name in kept], sentence


def groups(curves: Curves) -> dict[str, list[list[tuple[int, float]]]]:
    """Cell -> the curves of its seeds, in the order of the seeds."""
    found: dict[str, list[list[tuple[int, float]]]] = {}
    for (cell, _), points in sorted(curves.items()):
        found.setdefault(cell, []).append(points)
    return found
