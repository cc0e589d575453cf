"""How numbers are written for a reader: significant digits that the uncertainty deserves, true minus signs, dashes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

ABSENT = "–"
MINUS = "−"


def decimals(values: Iterable[float], significant: int = 3) -> int:
    """Decimals that show the typical of `values` with so many significant digits, one precision for a whole column."""
    sizes = sorted(abs(float(value)) for value in values if math.isfinite(value) and value)
    if not sizes:
        return 1
    return max(0, min(6, significant - 1 - math.floor(math.log10(sizes[len(sizes) // 2]))))


def number(value: Any, places: int, *, signed: bool = False) -> str:
    """A number with `places` decimals and thousands separators, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return ABSENT
    rounded = round(float(value), places) + 0.0  # + 0.0: a rounded -0.0 is no minus
    text = f"{abs(rounded):,.{places}f}"
    if rounded < 0:
        return MINUS + text
    return f"+{text}" if signed and rounded > 0 else text


def p_value(value: Any) -> str:
    """A p value with three decimals."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def with_interval(value: Any, low: Any, high: Any, places: int) -> str:
    """`-3.1 [-4.0, -2.2]`; without its interval where there is none."""
    if value is None or not math.isfinite(value):
        return ABSENT
    text = number(value, places, signed=True)
    if math.isfinite(low) and math.isfinite(high):
        text += f" [{number(low, places, signed=True)}, {number(high, places, signed=True)}]"
    return text
