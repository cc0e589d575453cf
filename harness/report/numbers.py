"""How numbers are written for a reader: significant digits that the uncertainty deserves, true minus signs, dashes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple
from typing import NamedTuple

from harness.analysis.types import Estimate

ABSENT = "–"
MINUS = "−"
NBSP = "\u00a0"  # inside numbers and intervals, which no line breaks


class Spread(NamedTuple):
    """A number and its interval as text, apart, so that a narrow column can put one below the other."""

    value: str
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.value} {self.interval}".rstrip()


def decimals(values: Iterable[float], significant: int = 3) -> int:
    """Decimals that show the typical of `values` with so many significant digits, one precision for a whole column."""
    sizes = sorted(abs(float(value)) for value in values if math.isfinite(value) and value)
    if not sizes:
        return 1
    return max(0, min(6, significant - 1 - math.floor(math.log10(sizes[len(sizes) // 2]))))


def places(values: Iterable[float | Estimate], significant: int = 2) -> int:
    """Decimals for a column of changes and the ends of their intervals, one at least where these are below 100."""
    ends = (end for each in values for end in (astuple(each) if isinstance(each, Estimate) else (each,)))
    sizes = sorted(abs(end) for end in ends if math.isfinite(end))
    small = bool(sizes) and sizes[len(sizes) // 2] < 100
    return max(decimals(sizes, significant), int(small))


def number(value: float | None, places: int, *, signed: bool = False) -> str:
    """A number with `places` decimals and thousands separators, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return ABSENT
    rounded = round(float(value), places) + 0.0  # + 0.0: a rounded -0.0 is no minus
    text = f"{abs(rounded):,.{places}f}"
    if rounded < 0:
        return MINUS + text
    return f"+{text}" if signed and rounded > 0 else text


def p_value(value: float) -> str:
    """A p value with three decimals."""
    if not math.isfinite(value):
        return ABSENT
    return f"<{NBSP}0.001" if value < 0.001 else f"{value:.3f}"


def percent(value: float, places: int = 1, *, signed: bool = True) -> str:
    """A share in per cent."""
    return f"{number(100 * value, places, signed=signed)}{NBSP}%" if math.isfinite(value) else ABSENT


def in_percent(share: Estimate, *, less: float = 0.0) -> Estimate:
    """A share, or a ratio `less` 1, in per cent."""
    return Estimate(*(100 * (value - less) for value in astuple(share)))


def spread(estimate: Estimate | None, places: int, *, signed: bool = True, times: bool = False) -> Spread:
    """`-3.1 [-4.0, -2.2]`, without its interval where there is none; `times`: a ratio, `× 1.02 [1.00, 1.04]`."""
    if estimate is None or not estimate.known:
        return Spread(ABSENT)
    text = (f"×{NBSP}" if times else "") + number(estimate.value, places, signed=signed)
    return Spread(text, interval(estimate, places, signed=signed))


def spreads(several: Iterable[Estimate | None], digits: int | None = None, *, signed: bool = True) -> list[Spread]:
    """A column of estimates at one precision, that of changes where none is given."""
    column = list(several)
    shown = places(filter(None, column)) if digits is None else digits
    return [spread(each, shown, signed=signed) for each in column]


def interval(estimate: Estimate, places: int, *, signed: bool = True) -> str:
    """`[-4.0, -2.2]`, "" where there is no interval."""
    if not estimate.bounded:
        return ""
    return f"[{number(estimate.low, places, signed=signed)},{NBSP}{number(estimate.high, places, signed=signed)}]"
