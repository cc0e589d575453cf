"""Nested factors: with `when: {other: [levels]}` a factor exists only where others have one of those levels.

Elsewhere it stays at its baseline. Levels are settled where every factor that does not exist there is at its baseline.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from harness.spec.factors import Factor, Level, among, same, spelled

Levels = dict[str, Level]
Factors = Mapping[str, Factor]


def exists(factors: Factors, name: str, levels: Mapping[str, Level]) -> bool:
    """Whether the factor's conditions hold at `levels`."""
    return all(among(levels[other], allowed) for other, allowed in factors[name].when.items())


def condition(factor: Factor) -> str:
    """Where the factor exists, in words: `averaging is ema or swa`."""
    return " and ".join(f"{other} is {' or '.join(map(spelled, allowed))}" for other, allowed in factor.when.items())


def ordered(factors: Factors) -> list[str]:
    """The factors as they stand, each nested one after those that its conditions name."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in found:
            for other in factors[name].when:
                visit(other)
            found[name] = None

    for name in factors:
        visit(name)
    return list(found)


def settled(factors: Factors, levels: Mapping[str, Level]) -> Levels:
    """`levels` with every factor that does not exist there at its baseline."""
    made = dict(levels)
    for name in ordered(factors):
        if not exists(factors, name, made):
            made[name] = factors[name].baseline
    return made


def every(factors: Factors) -> Iterator[Levels]:
    """Every combination of levels that is settled, once; without nested factors, as itertools.product has them."""
    order = ordered(factors)

    def extended(levels: Levels, rest: list[str]) -> Iterator[Levels]:
        if not rest:
            yield {name: levels[name] for name in factors}
            return
        factor = factors[rest[0]]
        for level in factor.every_level if exists(factors, rest[0], levels) else (factor.baseline,):
            yield from extended({**levels, rest[0]: level}, rest[1:])

    return extended({}, order)


def home(factors: Factors, name: str, levels: Mapping[str, Level]) -> Levels | None:
    """`levels` changed so that the factor exists, as little as can be; None where it can exist nowhere.

    A factor that a condition names keeps its level where that is allowed, and has the condition's first one otherwise.
    """
    above = [other for other in ordered(factors) if other in _above(factors, name)]
    for combination in itertools.product(*(_preferred(factors, name, other, levels) for other in above)):
        made = {**levels, **dict(zip(above, combination, strict=True))}
        if exists(factors, name, made) and all(
            same(made[other], factors[other].baseline) or exists(factors, other, made) for other in above
        ):
            return settled(factors, made)
    return None


def circle(factors: Factors, name: str) -> list[str]:
    """The factors on a way from `name` along conditions back to it; [] where there is none."""

    def back(path: list[str]) -> list[str]:
        for other in factors[path[-1]].when:
            if other == name:
                return [*path, name]
            if other not in path and (found := back([*path, other])):
                return found
        return []

    return back([name])


def _above(factors: Factors, name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = factors[waiting.pop()].when.keys() - found
        found |= new
        waiting += new
    return found


def _preferred(factors: Factors, name: str, other: str, levels: Mapping[str, Level]) -> list[Level]:
    """The levels of `other`: its own, those that the factor's condition names, the rest."""
    wanted: list[Level] = []
    for level in (levels[other], *factors[name].when.get(other, ()), *factors[other].every_level):
        if not among(level, wanted):
            wanted.append(level)
    return wanted
