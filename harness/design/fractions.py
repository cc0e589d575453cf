"""Two-level fractions: their rows of signs from pyDOE, and what they confound, from the signs themselves.

Box, Hunter and Hunter, Statistics for Experimenters, chapter 6; Plackett and Burman 1946, Biometrika 33.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

DEFAULT_RESOLUTION = 4
_HIGHEST = 7  # beyond this no two-factor interaction is any clearer

Signs = np.ndarray[Any, np.dtype[np.int64]]


def regular(factors: int, resolution: int) -> Signs:
    """[runs, factors] of -1 and +1: the smallest regular fraction of at least this resolution, and of no less.

    Of those equally small it is the one of highest resolution.
    """
    import pydoe

    found = np.asarray(pydoe.fracfact_by_res(factors, resolution), dtype=np.int64)
    for higher in range(resolution + 1, min(factors, _HIGHEST) + 1):
        other = np.asarray(pydoe.fracfact_by_res(factors, higher), dtype=np.int64)
        if len(other) > len(found):
            break
        found = other
    return found


def plackett_burman(factors: int) -> Signs:
    """[runs, factors] of -1 and +1, runs the next multiple of 4 above `factors`; ValueError where unknown."""
    import pydoe

    return np.asarray(pydoe.pbdesign(factors), dtype=np.int64)


def fold_over(signs: Signs) -> Signs:
    """The rows and their mirror images, each once: no main effect is then confounded with a two-factor interaction."""
    rows = dict.fromkeys(map(tuple, np.vstack([signs, -signs]).tolist()))
    return np.array(list(rows), dtype=np.int64)


def aliases(signs: Signs) -> list[dict[tuple[int, int], float]]:
    """Per main effect the interactions of two other factors that it holds, each with the share of it, -1 to 1."""
    count = signs.shape[1]
    found: list[dict[tuple[int, int], float]] = [{} for _ in range(count)]
    for main, (left, right) in itertools.product(range(count), itertools.combinations(range(count), 2)):
        overlap = int(signs[:, main] @ (signs[:, left] * signs[:, right]))
        if overlap and main not in (left, right):
            found[main][left, right] = overlap / len(signs)
    return found


def confounding(signs: Signs, names: list[str]) -> tuple[str, ...]:
    """What main effects and two-factor interactions are confounded with each other, a line per group."""
    effects = [word for size in (1, 2) for word in itertools.combinations(range(len(names)), size)]
    titles = [" x ".join(names[position] for position in word) for word in effects]
    columns = np.stack([signs[:, list(word)].prod(axis=1) for word in effects])
    lines: list[str] = []
    seen: set[int] = set()
    for first, overlaps in enumerate(columns @ columns.T):
        same = [other for other in range(first + 1, len(effects)) if abs(overlaps[other]) == len(signs)]
        if same and first not in seen:
            named = [f"{'' if overlaps[other] > 0 else '-'}{titles[other]}" for other in same]
            lines.append(" = ".join([titles[first], *named]))
        seen.update(same)
    if partly := max((abs(share) for held in aliases(signs) for share in held.values() if abs(share) < 1), default=0):
        lines.append(
            f"each main effect holds up to {partly:.2g} of every interaction of two other factors, plus or minus"
        )
    return tuple(lines)
