"""The answer as a table: on the terminal, in Markdown, in LaTeX (booktabs) and as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from rich.console import Group
from rich.text import Text

from harness.report.fitted import FittedTable
from harness.report.numbers import decimals, with_interval
from harness.report.numbers import number as written

CAPTION = (
    "Δ: mean change over seeds, paired, with its 95 % t interval; lower MiFID is better. “helps” and “hurts” hold "
    "after Holm’s correction over all tricks: at most a 5 % chance of any false one."
)


def cells(answer: pd.DataFrame) -> list[dict[str, str]]:
    """The answer's rows as text: trick, change, n, mifid, delta, seconds, verdict.

    Where the rows come from several designs, the change names its own.
    """
    rows = answer.to_dict("records")
    several = "design" in answer and answer["design"].nunique() > 1
    level = decimals(answer["mifid"], 3)
    change, seconds = _places(answer, "delta_mifid"), _places(answer, "delta_train_seconds")
    return [
        {
            "trick": str(row["trick"]),
            "change": f"{row['from']} → {row['to']}" + (f" ({row['design']})" if several else ""),
            "n": str(row["n_seeds"]),
            "mifid": written(row["mifid"], max(level, min(change, 3))),
            "delta": _interval(row, "delta_mifid", change),
            "seconds": _interval(row, "delta_train_seconds", seconds),
            "verdict": str(row["verdict"]),
        }
        for row in rows
    ]


def _places(answer: pd.DataFrame, name: str) -> int:
    sizes = pd.concat([answer[name], answer[f"{name}_low"], answer[f"{name}_high"]]).abs()
    return max(decimals(sizes, 2), 1 if sizes.median() < 100 else 0)


def _interval(row: dict[Any, Any], name: str, places: int) -> str:
    return with_interval(row[name], row[f"{name}_low"], row[f"{name}_high"], places)


def tone(verdict: str) -> str:
    """good, bad or open: how a verdict is coloured."""
    if verdict.startswith("helps") and "where it trains" not in verdict:
        return "good"
    if verdict.startswith(("hurts", "diverged")):
        return "bad"
    return "open"  # what helps only where it trains among them: it is no answer to keep or leave out


def terminal(answer: pd.DataFrame) -> Group:
    """The answer for a terminal of 100 columns or so."""
    styles = {"good": "bold green", "bad": "bold red", "open": ""}
    rows = []
    for row in cells(answer):
        trick = Text.assemble((row["trick"], "bold"), f" {row['change']}")
        verdict = Text(row["verdict"], style=styles[tone(row["verdict"])])
        rows.append([trick, *(Text(row[name]) for name in ("n", "mifid", "delta", "seconds")), verdict])
    heads = ("trick", "n", "MiFID", "Δ MiFID [95 %]", "Δ train s [95 %]", "verdict")
    return Group(FittedTable(heads, (False, True, True, False, False, False), rows), Text(CAPTION, style="dim"))


_HEADINGS = ("trick", "level", "n", "MiFID", "Δ MiFID [95 %]", "Δ train s [95 %]", "verdict")
_RIGHT = (False, False, True, True, True, True, False)


def markdown(answer: pd.DataFrame) -> str:
    """The answer as a Markdown table with its caption and notes."""
    table = grid_markdown(_HEADINGS, _RIGHT, (list(row.values()) for row in cells(answer)))
    notes = "".join(f"- {escape_markdown(note)}\n" for note in answer.attrs.get("notes", []))
    return f"{table}\n{CAPTION}\n" + (f"\n{notes}" if notes else "")


def grid_markdown(heads: Sequence[str], right: Sequence[bool], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [
        f"| {' | '.join(map(escape_markdown, heads))} |",
        f"| {' | '.join('---:' if r else '---' for r in right)} |",
    ]
    lines += [f"| {' | '.join(map(escape_markdown, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """`text` with nothing in it that Markdown reads as its own."""
    for character in "\\|*_`<[":
        text = text.replace(character, "\\" + character)
    return text.replace("\n", " ")


LATEX_NEEDS = "% needs \\usepackage{booktabs}\n"
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "−": r"$-$",
    "→": r"$\to$",
    "Δ": r"$\Delta$",
    "–": "--",
    "×": r"$\times$",
    "…": r"\ldots{}",
    "“": "``",
    "”": "''",
    "’": "'",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def latex(answer: pd.DataFrame) -> str:
    """The answer as a LaTeX table; needs the package booktabs."""
    return LATEX_NEEDS + grid_latex(CAPTION, _HEADINGS, _RIGHT, (list(row.values()) for row in cells(answer)))


def grid_latex(caption: str, heads: Sequence[str], right: Sequence[bool], rows: Iterable[Sequence[str]]) -> str:
    """A LaTeX table with the rules of booktabs."""
    lines = [
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{_latex(caption)}}}",
        f"  \\begin{{tabular}}{{{''.join('r' if r else 'l' for r in right)}}}",
        "    \\toprule",
        f"    {' & '.join(_latex(head) for head in heads)} \\\\",
        "    \\midrule",
    ]
    # A row that began with [ would be read as the optional argument of the \\ before it.
    lines += [f"    {{}}{row}" if row.startswith("[") else f"    {row}" for row in map(_latex_row, rows)]
    lines += ["    \\bottomrule", "  \\end{tabular}", "\\end{table}"]
    return "\n".join(lines) + "\n"


def _latex_row(values: Sequence[str]) -> str:
    return " & ".join(_latex(value) for value in values) + " \\\\"


def csv(answer: pd.DataFrame) -> str:
    """Every column of the answer at full precision."""
    return answer.to_csv(index=False, lineterminator="\n")
