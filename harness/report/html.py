"""The report as one self-contained HTML page: opens from disk, needs no network and no scripts."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from harness.report import ReportData
from harness.report.page import interplay, price, record, training, verdicts
from harness.report.style import CSS
from harness.report.summary import designed


def render(report: ReportData) -> str:
    """The whole page: the answer, how the tricks work together and what they cost, then what was run."""
    report = replace(report, answer=designed(report))
    title = f"Ablation: {report.plan.study}"
    sections = (
        verdicts.opening(report),
        verdicts.verdicts(report),
        verdicts.effects(report),
        verdicts.statistics(report),
        interplay.interplay(report),
        price.costs(report),
        price.price(report),
        price.yardsticks(report),
        training.curves(report),
        training.grids(report),
        training.pairs(report),
        record.failures(report),
        record.cells(report),
        interplay.importances(report),
        record.plan(report),
        record.repeat(report),
        record.provenance(report),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body><main>\n"
        f"{''.join(sections)}</main></body></html>\n"
    )
