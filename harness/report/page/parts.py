"""What the sections of the page are built of: headings, tables, lists of facts, figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from harness.report.sheet import Sheet


def section(heading: str, body: str) -> str:
    """A section of the page, nothing where it has no body."""
    return f"<section><h2>{escape(heading)}</h2>\n{body}</section>\n" if body else ""


def reading(text: str) -> str:
    """The line that says how a section is to be read."""
    return f'<p class="small soft">{escape(text)}</p>'


def table(heads: Iterable[tuple[str, str]], rows: Iterable[Iterable[tuple[str, str]]]) -> str:
    """A table of (text, class) that scrolls by itself where it is wider than the screen."""
    head = "".join(f'<th class="{kind}">{escape(text)}</th>' for text, kind in heads)
    body = "".join(
        "<tr>" + "".join(f'<td class="{kind}">{escape(text)}</td>' for text, kind in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def sheet_section(sheet: Sheet | None, figure: str = "", more: str = "") -> str:
    """A sheet as a section: how to read it, its figure, its table."""
    if sheet is None:
        return ""
    picture = f"<figure>{figure}</figure>" if figure else ""
    return section(sheet.title, reading(sheet.reading) + more + picture + sheet_table(sheet))


def sheet_table(sheet: Sheet) -> str:
    """A sheet's table; a row's tone colours its last column."""
    kinds = ["n" if right else "" for right in sheet.right]
    tones = sheet.tones or [""] * len(sheet.rows)
    rows = [
        list(zip(row, [*kinds[:-1], f"{kinds[-1]} {tone}".strip()], strict=True))
        for row, tone in zip(sheet.rows, tones, strict=True)
    ]
    return table(zip(sheet.names, kinds, strict=True), rows)


def facts(values: Mapping[str, str]) -> str:
    """A list of names and values."""
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in values.items() if value)
    return f"<dl>{rows}</dl>" if rows else ""
