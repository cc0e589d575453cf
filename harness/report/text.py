"""The whole answer as text: for the terminal, as Markdown and as LaTeX."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from harness.report import Report, declared
from harness.report.fitted import FittedTable
from harness.report.noise import paragraph
from harness.report.numbers import Spread
from harness.report.opening import headline
from harness.report.sheets import sheets
from harness.report.sheets.effects import agreement_in_words
from harness.report.sheets.sheet import Sheet

_MOST_ROWS = 12  # of a table on the terminal
_STYLES = {"good": "bold green", "bad": "bold red", "": ""}


def brief(report: Report) -> RenderableType:
    """The answer alone for a terminal: its headline and the effects, or what a search tried."""
    first = [sheet_terminal(sheet) for sheet in sheets(report)[:1]]
    departures = [Text(f"Not as planned: {said}", style="bold") for said in report.departures]
    return Group(Text(headline(report), style="bold"), *departures, *first)


def terminal(report: Report) -> RenderableType:
    """The answer and the further ones for a terminal of 100 columns or so."""
    further = sheets(report)[1:]
    parts = [brief(report), *(sheet_terminal(sheet) for sheet in further if not sheet.folded)]
    parts += [Text(line) for line in agreement_in_words(report)]
    if folded := [sheet.title for sheet in further if sheet.folded]:
        parts += [Text(), Text(f"for statisticians, in the other formats: {', '.join(folded)}", style="dim")]
    return Group(*parts)


def sheet_terminal(sheet: Sheet) -> RenderableType:
    """A table with its title and how to read it."""
    parts: list[RenderableType] = [Text(), Text(sheet.title, style="bold")]
    left = len(sheet.rows) - _MOST_ROWS
    shown = Sheet(title="", heads=sheet.heads, rows=sheet.rows[:_MOST_ROWS], reading="")
    rows: list[list[Spread] | str] = []
    styles = []
    for name, several in shown.groups:
        rows += [name] * bool(name) + [row.spreads for row in several]
        styles += [""] * bool(name) + [_STYLES[row.tone] for row in several]
    parts.append(FittedTable(sheet.names, sheet.right, rows, styles))
    if left > 0:
        parts.append(Text(f"and {left} more {'row' if left == 1 else 'rows'}, which the other formats have"))
    return Group(*parts, Text(sheet.reading, style="dim"))


def markdown(report: Report) -> str:
    """The headline, then every table under its heading, then the notes."""
    parts = [f"**{escape_markdown(headline(report))}**\n"]
    parts += [f"Not as planned: {escape_markdown(said)}\n" for said in report.departures]
    parts += [
        f"## {escape_markdown(sheet.title)}\n\n{sheet_markdown(sheet)}\n{escape_markdown(sheet.reading)}\n"
        for sheet in sheets(report)
    ]
    parts += [f"{escape_markdown(line)}\n" for line in agreement_in_words(report)]
    if words := paragraph(report):
        parts.append(f"## The noise\n\n{escape_markdown(words)}\n")
    if title := declared.title(report):
        said = "".join(f"- {escape_markdown(f'{name}: {text}')}\n" for name, text in declared.facts(report).items())
        parts.append(f"## {escape_markdown(title)}\n\n{said}")
    if report.notes:
        parts.append("## Notes\n\n" + "".join(f"- {escape_markdown(note)}\n" for note in report.notes))
    return "\n".join(parts)


def sheet_markdown(sheet: Sheet) -> str:
    """A Markdown table; a group's name stands in a row of its own."""
    lines = [_line(sheet.names), f"| {' | '.join('---:' if right else '---' for right in sheet.right)} |"]
    for name, rows in sheet.groups:
        if name:
            lines.append(f"| **{escape_markdown(name)}** |" + " |" * (len(sheet.heads) - 1))
        lines += [_line(map(str, row.cells)) for row in rows]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(escape_markdown, cells))} |"


def escape_markdown(text: str) -> str:
    """`text` with nothing in it that Markdown reads as its own."""
    return text.translate(_MARKDOWN)


_MARKDOWN = str.maketrans({**{character: f"\\{character}" for character in "\\|*_`<["}, "\n": " "})
_LATEX: dict[str, str | int | None] = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\u00a0": "~",
    "−": r"$-$",
    "→": r"$\to$",
    "Δ": r"$\Delta$",
    "–": "--",
    "×": r"$\times$",
    "…": r"\ldots{}",
    "“": "``",
    "”": "''",
    "’": "'",
    "|": r"\textbar{}",
}


def _latex(text: str) -> str:
    return text.translate(str.maketrans(_LATEX))


def latex(report: Report) -> str:
    """Every table with the rules of booktabs."""
    return "% needs \\usepackage{booktabs}\n" + "\n".join(map(sheet_latex, sheets(report)))


def sheet_latex(sheet: Sheet) -> str:
    """A LaTeX table; a group's name spans the columns."""
    lines = [
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{_latex(f'{sheet.title}. {sheet.reading}')}}}",
        f"  \\begin{{tabular}}{{{''.join('r' if right else 'l' for right in sheet.right)}}}",
        "    \\toprule",
        f"    {_latex_line(sheet.names)}",
    ]
    for name, rows in sheet.groups:
        lines.append("    \\midrule")
        if name:
            lines.append(f"    \\multicolumn{{{len(sheet.heads)}}}{{l}}{{\\emph{{{_latex(name)}}}}} \\\\")
        # A line that began with [ would be read as the optional argument of the \\\\ before it.
        written = (_latex_line(map(str, row.cells)) for row in rows)
        lines += [f"    {'{}' if line.startswith(('[', '*')) else ''}{line}" for line in written]
    lines += ["    \\bottomrule", "  \\end{tabular}", "\\end{table}"]
    return "\n".join(lines) + "\n"


def _latex_line(cells: Iterable[str]) -> str:
    return " & ".join(map(_latex, cells)) + " \\\\"
