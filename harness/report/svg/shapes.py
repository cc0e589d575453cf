"""The strokes that all inline plots are made of: texts, lines, ticks, the frame. Colours come from the style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from harness.report.numbers import number


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values from `low` to `high`, 1, 2 or 5 times a power of ten apart."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from `low` to `high`; the two ends where none is between."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    several = [digit * 10.0**e for e in exponents for digit in (1, 2, 5)]
    inside = [mark for mark in several if low * 0.999 <= mark <= high * 1.001]
    return inside or [low, high]


def tick_label(value: float, others: Sequence[float]) -> str:
    """A tick with just the decimals its neighbours need; thousands as k."""
    step = others[1] - others[0] if len(others) > 1 else abs(value) or 1.0
    if step >= 1000:
        return number(value / 1000, max(0, min(3, -math.floor(math.log10(step / 1000) + 1e-9)))) + (
            "k" if value else ""
        )
    return number(value, max(0, -math.floor(math.log10(step) + 1e-9)))


def width_of(text: str, size: float = 12.0, *, bold: bool = False) -> float:
    """About how wide a browser sets `text`, in the plot's units; rather too wide than too narrow.

    By the wide one of the common sans serifs, DejaVu Sans.
    """
    narrow = sum(character in "iljt.,:;'|![]() " for character in text)
    wide = sum(character in "mwMW→←−+=×%Δ" for character in text)
    return (0.62 * len(text) - 0.26 * narrow + 0.22 * wide) * size * (1.11 if bold else 1.0)


def fitted(text: str, room: float, size: float = 12.0, *, bold: bool = False) -> str:
    """`text`, cut with an ellipsis where it is wider than `room`."""
    if width_of(text, size, bold=bold) <= room:
        return text
    while text and width_of(text + "…", size, bold=bold) > room:
        text = text[:-1]
    return text.rstrip() + "…"


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """A text with its base line at y."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def mark(shape: str, x: float, y: float, kind: str, radius: float = 5.0) -> str:
    """A circle, square or diamond around a point, so that series can be told apart without their colours."""
    r = radius
    if shape == "square":
        return f'<path d="M{x - r:.1f} {y - r:.1f}h{2 * r:.1f}v{2 * r:.1f}h{-2 * r:.1f}z" class="{kind}"/>'
    if shape == "diamond":
        r *= 1.3
        return f'<path d="M{x - r:.1f} {y:.1f}l{r:.1f} {-r:.1f}l{r:.1f} {r:.1f}l{-r:.1f} {r:.1f}z" class="{kind}"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}" class="{kind}"/>'


def interval(x1: float, x2: float, y: float, kind: str, ends: tuple[bool, bool] = (True, True)) -> list[str]:
    """A bar from x1 to x2 with caps; an end that is False goes on beyond the frame and gets an arrow."""
    body = [line(x1, y, x2, y, kind)]
    for at, whole, way in ((x1, ends[0], -1), (x2, ends[1], 1)):
        if whole:
            body.append(line(at, y - 4, at, y + 4, kind))
        else:
            back = at - 6 * way
            body.append(f'<path d="M{back:.1f} {y - 5:.1f}L{at:.1f} {y:.1f}L{back:.1f} {y + 5:.1f}" class="{kind}"/>')
    return body


def svg(width: float, height: float, name: str, title: str, body: Iterable[str]) -> str:
    """The plot as one element that scales with the page and has a title for those who cannot see it."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" class="plot {name}" role="img" '
        f'aria-label="{escape(title, quote=True)}"><title>{escape(title)}</title>{"".join(body)}</svg>'
    )


def window(lows: Iterable[float], values: Iterable[float], highs: Iterable[float]) -> tuple[float, float]:
    """The range of an axis of effects: zero, all values, and all intervals that are not far wider than these."""
    known = [value for value in values if math.isfinite(value)]
    below = [value for value in lows if math.isfinite(value)]
    above = [value for value in highs if math.isfinite(value)]
    reach = max((abs(value) for value in known), default=1.0)
    widest = max((abs(value) for value in (*below, *above)), default=reach)
    limit = max(reach * 1.15, min(widest, 3 * reach)) or 1.0
    low = -min(limit, max([0.0, *(-value for value in (*below, *known))])) * 1.05 - limit * 0.02
    high = min(limit, max([0.0, *above, *known])) * 1.05 + limit * 0.02
    return low, high
