"""The answer as tables of text, made once for the page, the terminal, Markdown and LaTeX."""

from __future__ import annotations

from harness.report import Report
from harness.report.sheets import cells, effects, interplay, looks, noise
from harness.report.sheets.sheet import Sheet

_MAKERS = (
    *(
        cells.tried,
        effects.answer,
        looks.looks,
        effects.statistics,
        effects.against_the_worth,
        effects.aliases,
        *(effects.paired, effects.parts),
    ),
    *(interplay.side_by_side, interplay.interactions, interplay.shapley, effects.costs, cells.prices, effects.equal),
    *(effects.yardsticks, cells.failures, interplay.importances, noise.shown),
)


def sheets(report: Report) -> list[Sheet]:
    """Every table that the report has numbers for, the answer first."""
    makers = (noise.shown,) if report.plan.design == "noise" else _MAKERS
    return [sheet for make in makers if (sheet := make(report)) is not None]
