"""Which seeds a study may run: a number or a list of them, or waves of one seed until every trick is decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import nearest
from harness.spec.documents import Keys
from harness.spec.limits import MOST_SEEDS
from harness.spec.refusals import shown

MOST_WAVES = 200
"""That a maximum may say: up to there the limits are held to simulation."""
MOST_ANYTIME = 1_000
"""After which a study without a maximum ends all the same."""
LARGEST_SEED = 2**31 - 1
USUAL_FIRST = 3

_KEYS = ("first", "most", "anytime", "start")
_WAYS = (
    f"must be a count from 1 to {MOST_SEEDS}, a list of seeds like [0, 1, 2], or waves of one seed until all is "
    "decided, like {first: 3, most: 20}"
)


@dataclass(frozen=True, kw_only=True)
class Waves:
    """One seed after the other, a look at the results after each from `first` on, at most `most` of them.

    `most` is laid down before the first look; None where no maximum is declared.
    """

    first: int
    most: int | None


Refuse = Callable[[Keys, str], None]


def seeds_of(raw: Any, refuse: Refuse) -> tuple[tuple[int, ...], Waves | None]:
    """The seeds that a spec allows, and the waves that they come in; None where their number is fixed.

    Each mistake is told to `refuse`, by its place under `seeds` and in words.
    """
    if isinstance(raw, int) and not isinstance(raw, bool) and 1 <= raw <= MOST_SEEDS:
        return tuple(range(raw)), None
    if isinstance(raw, Mapping):
        return _waves(raw, refuse)
    if not isinstance(raw, list):
        refuse((), f"{shown(raw)} is not allowed: {_WAYS}")
        return (), None
    if not raw:
        refuse((), "[] is not allowed: without a seed nothing runs; name one or more, like [0, 1, 2]")
    if len(raw) > MOST_SEEDS:
        refuse((), f"{len(raw):,} seeds are too many: at most {MOST_SEEDS:,} are allowed; name fewer")
        return (), None
    seen: set[int] = set()
    for index, seed in enumerate(raw):
        if not _whole(seed, 0, LARGEST_SEED):
            text = f"{shown(seed)} is not allowed: each seed must be a whole number from 0 to {LARGEST_SEED}"
            refuse((index,), text)
        elif seed in seen:
            refuse((index,), f"{seed} is named twice; a run repeated says nothing new: name it once")
        else:
            seen.add(seed)
    return tuple(raw), None


def _waves(raw: Mapping[Any, Any], refuse: Refuse) -> tuple[tuple[int, ...], Waves | None]:
    given = {key: value for key, value in raw.items() if value is not None}
    wrong = [str(key) for key in raw if key not in _KEYS]
    for key in wrong:
        refuse((key,), f"unknown key; {nearest(key, _KEYS)}")
    anytime = given.get("anytime", False)
    if anytime not in (True, False) or not isinstance(anytime, bool):
        refuse(("anytime",), f"{shown(anytime)} is not allowed: true, or leave it out and say the most seeds")
        return (), None
    if anytime and "most" in given:
        refuse(
            ("most",), "has no meaning beside anytime: true, which is for those who can say no maximum; take one out"
        )
        return (), None
    if not anytime and "most" not in given:
        refuse((), "most is missing; say how many seeds it may take, like most: 20, or anytime: true where none can be")
        return (), None
    most = MOST_ANYTIME if anytime else given["most"]
    if not anytime and not _whole(most, 2, MOST_WAVES):
        refuse(("most",), f"{shown(most)} is not allowed: the most seeds must be a whole number from 2 to {MOST_WAVES}")
        return (), None
    first = given.get("first", min(USUAL_FIRST, most))
    if not _whole(first, 2, most):
        text = f"{shown(first)} is not allowed: the seeds before the first look must be a whole number from 2 to {most}"
        refuse(("first",), text)
        return (), None
    start = given.get("start", 0)
    if not _whole(start, 0, LARGEST_SEED - most):
        text = f"{shown(start)} is not allowed: the first seed must be a whole number from 0 to {LARGEST_SEED - most}"
        refuse(("start",), text)
        return (), None
    if wrong:
        return (), None
    return tuple(range(start, start + most)), Waves(first=first, most=None if anytime else most)


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
