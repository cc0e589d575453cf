"""The whole answer as text: effects first, then the further answers, for terminal, Markdown, LaTeX and CSV."""

from __future__ import annotations

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from harness.report import ReportData, tables
from harness.report.fitted import FittedTable
from harness.report.searched import tried
from harness.report.sheet import Sheet
from harness.report.sheets import rank_sentences, sheets

_MOST_ROWS = 12  # of a table on the terminal
_STYLES = {"good": "bold green", "bad": "bold red", "": ""}


def designed(report: ReportData) -> pd.DataFrame:
    """The answer with the design that each row belongs to, so that a union of designs can tell its rows apart."""
    answer, contrasts = report.answer, report.plan.contrasts
    if "design" in answer or len(answer) != len(contrasts):
        return answer
    return answer.assign(design=[contrast.design for contrast in contrasts])


def brief(report: ReportData) -> RenderableType:
    """The answer alone for a terminal: effects, or what a search tried."""
    sheet = tried(report)
    return tables.terminal(designed(report)) if sheet is None else _titled(sheet)


def terminal(report: ReportData) -> Group:
    """The answer and the further ones for a terminal of 100 columns or so."""
    parts = [brief(report)]
    parts += [_titled(sheet) for sheet in _further(report) if not sheet.wide]
    parts += [Text(line) for line in rank_sentences(report)]
    if wide := [sheet.title for sheet in _further(report) if sheet.wide]:
        parts += [Text(), Text(f"too wide for a terminal, in Markdown, LaTeX and HTML: {', '.join(wide)}", style="dim")]
    return Group(*parts)


def _titled(sheet: Sheet) -> Group:
    parts: list[RenderableType] = [Text(), Text(sheet.title, style="bold"), sheet_table(sheet)]
    if (left := len(sheet.rows) - _MOST_ROWS) > 0:
        parts.append(Text(f"and {left} more {'row' if left == 1 else 'rows'}, which the other formats have"))
    return Group(*parts, Text(sheet.reading, style="dim"))


def _further(report: ReportData) -> list[Sheet]:
    """The answers beyond the first, which is a search's own or the effects."""
    return sheets(report)[0 if report.tried is None else 1 :]


def sheet_table(sheet: Sheet) -> FittedTable:
    """A sheet for the terminal."""
    tones = sheet.tones or [""] * len(sheet.rows)
    rows = [
        [*map(Text, row[:-1]), Text(row[-1], style=_STYLES[tone])]
        for row, tone in zip(sheet.rows[:_MOST_ROWS], tones, strict=False)
    ]
    return FittedTable(sheet.names, sheet.right, rows)


def markdown(report: ReportData) -> str:
    """The answer and the further ones, each under its heading."""
    parts = [tables.markdown(designed(report))] if report.tried is None else []
    for sheet in sheets(report):
        grid = tables.grid_markdown(sheet.names, sheet.right, sheet.rows)
        parts.append(f"## {tables.escape_markdown(sheet.title)}\n\n{grid}\n{tables.escape_markdown(sheet.reading)}\n")
    parts += [f"{tables.escape_markdown(line)}\n" for line in rank_sentences(report)]
    return "\n".join(parts)


def latex(report: ReportData) -> str:
    """The answer and the further ones as LaTeX tables; needs the package booktabs."""
    parts = [tables.latex(designed(report))] if report.tried is None else [tables.LATEX_NEEDS]
    parts += [
        tables.grid_latex(f"{sheet.title}. {sheet.reading}", sheet.names, sheet.right, sheet.rows)
        for sheet in sheets(report)
    ]
    return "\n".join(parts)


def csv(report: ReportData) -> dict[str, str]:
    """Name -> that table, every column at full precision: the answer (effects, or what was tried) first, runs last."""
    frames = {
        "tried": report.tried,
        "effects": designed(report) if report.tried is None else None,
        "statistics": pd.concat([table.assign(metric=name) for name, table in report.effects.items()])
        if report.effects
        else None,
        "views": report.views,
        "interactions": report.factorial,
        "shapley": report.shapley,
        "bought": report.bought,
        "pareto": report.pareto,
        "equal": report.equal,
        "agreement": report.agreement,
        "runs": report.runs,
    }
    return {name: tables.csv(frame) for name, frame in frames.items() if frame is not None}
