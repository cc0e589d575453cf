"""Figures as SVG inside the page: text stays text, colours are the page's own, no id is another figure's."""

from __future__ import annotations

import io
import re
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from harness.report.figures.curves import Panels
from harness.report.figures.drawn import INKS, STYLE, draw, draw_panel, drawn_panels
from harness.report.figures.narrowing import Funnels
from harness.report.figures.prepared import Prepared

WIDE, NARROW, PANEL = 1080, 360, 340  # pixels
_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}


def inline(name: str, prepared: Prepared) -> str:
    """HTML of a figure: for a wide screen and for a phone, of which the style sheet shows one; panels flow."""
    with rc_context(STYLE):
        if isinstance(prepared, Panels | Funnels):
            readings = [each.reading for each in prepared.funnels] if isinstance(prepared, Funnels) else []
            figures = "".join(
                f"<figure>{_svg(draw_panel(draw_in, PANEL), f'{name}-{n}', f'{prepared.down} of {title}')}"
                f"<figcaption>{escape(': '.join([title, *readings[n : n + 1]]))}</figcaption></figure>"
                for n, (title, draw_in) in enumerate(drawn_panels(prepared))
            )
            return f'<div class="many">{figures}</div>'
        both = (
            f'<div class="{kind}">{_svg(draw(prepared, width, titled=False), f"{name}-{kind}", prepared.title)}</div>'
            for kind, width in (("wide", WIDE), ("narrow", NARROW))
        )
        return f"<figure>{''.join(both)}</figure>"


def _svg(figure: Figure, name: str, title: str) -> str:
    """The figure as one element with a title for those who cannot see it."""
    stream = io.StringIO()
    canvas: Any = FigureCanvasSVG(figure)
    canvas.print_svg(stream, metadata=_NO_METADATA)  # savefig would draw and lay out twice
    text = re.sub(r"<!--.*?-->", "", stream.getvalue(), flags=re.DOTALL)
    opened = re.search(r'<svg[^>]*viewBox="([^"]*)"[^>]*>', text)
    assert opened is not None
    body = re.sub(r"<[^>]+>", lambda tag: _cleaned(tag[0], name), text[opened.end() :])
    body = re.sub(r">\s+<", "><", body)
    return (
        f'<svg viewBox="{opened[1]}" class="plot" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{body.strip()}"
    )


_VARIABLES = {colour: f"var(--{name})" for name, colour in INKS.items()}


def _cleaned(tag: str, name: str) -> str:
    """A tag with short numbers, the page's font and colours, and ids of its own."""
    tag = re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}", tag)
    tag = re.sub(r"font: ((?:\w+ )*)([\d.]+)px [^;\"]*", _font, tag)
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r"#[0-9a-f]{6}\b", lambda colour: _VARIABLES.get(colour[0], colour[0]), tag)
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", tag)


def _font(found: re.Match[str]) -> str:
    words = found[1].split()
    weight = "font-weight: 600; " if {"700", "bold"} & set(words) else ""
    slant = "font-style: italic; " if "italic" in words else ""
    return f"{weight}{slant}font-size: {found[2]}px"
