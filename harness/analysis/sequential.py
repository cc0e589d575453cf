"""The sequential rule: after every wave of seeds, which tricks are settled, which are futile, and who gets the next.

A wave is one more seed of the control and of every trick that is neither settled nor futile; after it comes a look.
Everything here is a function of the outcomes alone, seed by seed in the order of the plan: a study that was killed and
went on at any point has the same looks and the same answer.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from harness.analysis import boundaries
from harness.analysis.paired import ALPHA, Vector, known, mean
from harness.analysis.types import Estimate, Verdict

Counts = NDArray[np.int64]

FUTILE_FROM = 5
"""The fewest seeds at which a trick is dropped as futile."""
_LEAST_DECADE = 10  # a p below 1e-10 is said to be that
_ROUNDING = 1e-12


class Rule(Protocol):
    """Which |t| of the differences so far shows an effect, so that under none it ever does with a stated error."""

    @property
    def first(self) -> int:
        """The differences at the first look."""

    @property
    def most(self) -> int | None:
        """The differences at the last look; None where there is none."""

    def limits(self, level: float, counts: Counts) -> Vector:
        """What |t| of so many differences must reach; infinite where no look is taken."""

    def p(self, t: Vector, counts: Counts) -> float:
        """The sequential p of the looks so far: the smallest level at which t has reached its limit at any of them."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """At most `most` differences, a look after each from `first` on; error is spent as level (n / most)^2.

    To look less often loses power and no more. Group-sequential t test with the spending function of Kim and DeMets
    (1987), p of Liu and Anderson (2008). `most` must be laid down before the first look.
    """

    first: int
    most: int

    def limits(self, level: float, counts: Counts) -> Vector:
        reached = boundaries.limits(level, self.first, self.most)
        inside = (counts >= self.first) & (counts <= self.most)
        return np.where(inside, reached[np.clip(counts - self.first, 0, len(reached) - 1)], np.inf)

    def p(self, t: Vector, counts: Counts) -> float:
        def beyond(place: float) -> float:
            """By how much t is beyond its limit, where it is most, at the level 10^-place."""
            limit = self.limits(10.0**-place, counts)
            return float(np.clip(np.max(np.arcsinh(np.abs(t)) - np.arcsinh(limit), initial=-np.inf), -100, 100))

        if (counts < self.first).all() or beyond(0.0) < 0:
            return 1.0
        decade = bisect.bisect_left(range(_LEAST_DECADE + 1), True, key=lambda place: beyond(place) < 0)
        if decade > _LEAST_DECADE:
            return math.pow(10.0, -_LEAST_DECADE)
        return math.pow(10.0, -optimize.brentq(beyond, decade - 1, decade, xtol=1e-6))


@dataclass(frozen=True, kw_only=True)
class Anytime:
    """A look after every difference from `first` on, for ever: the t test's e-process of Wang and Ramdas (2310.03722).

    `tau` is the size of effect, in sd of the differences, that is looked for. Costs about a third more seeds than a
    maximum that is declared.
    """

    first: int = 3
    tau: float = 2.0
    most = None

    def limits(self, level: float, counts: Counts) -> Vector:
        """Where e_n = 1 / level: sqrt(v (r - 1) / (1 - r / (1 + n tau^2))), r = ((1 + n tau^2) / level^2)^(1 / n)."""
        n = np.maximum(counts, 2).astype(float)
        spread = 1 + n * self.tau**2
        r = (spread / level**2) ** (1 / n)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.sqrt((n - 1) * (r - 1) / (1 - r / spread))
        return np.where((counts >= self.first) & (r < spread), found, np.inf)

    def evidence(self, t: Vector, counts: Counts) -> Vector:
        """The e-values: how many times likelier t is under an effect drawn from N(0, tau^2) than under none."""
        n = np.maximum(counts, 2).astype(float)
        spread, v = 1 + n * self.tau**2, n - 1
        logs = np.log1p(t**2 / v) - np.log1p(t**2 / (v * spread))
        return np.asarray(np.exp(n / 2 * logs - np.log(spread) / 2))

    def p(self, t: Vector, counts: Counts) -> float:
        looked = counts >= self.first
        return min(1.0, 1 / float(np.max(self.evidence(t[looked], counts[looked]), initial=1.0)))


def path(differences: Vector) -> tuple[Vector, Counts]:
    """t of the first differences, for each number of them, and how many of those are known (not NaN).

    0 while all are equal: what does not vary, no rule that is made for normal noise can judge. Shapes [W], [W].
    """
    there = ~np.isnan(differences)
    counts = np.cumsum(there)
    values = np.where(there, differences, 0.0)
    first = known(differences)[0] if there.any() else 0.0
    around = np.where(there, differences - first, 0.0)  # so that squares lose no digits
    n = np.maximum(counts, 1)
    squares = np.cumsum(around**2) - np.cumsum(around) ** 2 / n
    varies = squares > (_ROUNDING * np.maximum.accumulate(np.abs(values))) ** 2 * n
    enough = varies & (counts >= 2)
    variance = np.where(enough, squares, 1.0) / np.maximum(counts - 1, 1)
    return np.where(enough, np.cumsum(values) / n / np.sqrt(variance / n), 0.0), counts


def p_value(differences: Vector, rule: Rule) -> float:
    """Two-sided p of the mean being 0, valid whenever one stopped. One-sided by sign: half of it."""
    return rule.p(*path(differences))


def p_negligible(gains: Vector, worth: Vector, rule: Rule) -> float:
    """p of two one-sided tests, that the mean gain is not within plus and minus the mean worth; [W] each.

    A worth that is a share of the control is that share of the control's value seed by seed, so that the uncertainty
    of the control's mean is in the test (Fieller 1954).
    """
    sides = (path(worth - gains), path(worth + gains))
    return max(rule.p(np.maximum(t, 0.0), counts) for t, counts in sides) / 2


def interval(differences: Vector, rule: Rule, level: float = ALPHA) -> Estimate:
    """The mean and an interval that holds at all looks at once with the probability 1 - level (Jennison and Turnbull).

    Unbounded before the first look, and where all differences are equal.
    """
    values = known(differences)
    n, middle = len(values), mean(values)
    if n < 2 or not np.ptp(values):
        return Estimate(middle)
    limit = float(rule.limits(level, np.array([n]))[0])
    half = limit * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Estimate(middle, middle - half, middle + half) if math.isfinite(half) else Estimate(middle)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is said of each trick after a wave. `going_on` are the places of those that get a seed of the next one."""

    wave: int
    verdicts: tuple[Verdict, ...]
    seeds: tuple[int, ...]
    """Waves that each trick took part in."""
    futile: tuple[int, ...]
    """The places of undecided tricks that were dropped."""
    going_on: tuple[int, ...]


def looks(gains: Sequence[Vector], worths: Sequence[Vector] | None, rule: Rule, alpha: float = ALPHA) -> list[Look]:
    """Every look so far, by the outcomes of each trick's seeds in the order of the plan.

    `gains` [trick][seed] are the differences from the control, positive where they are for the better, NaN where a run
    has ended without a number; `worths` alike, in the same unit, or None where nothing is to be called negligible. The
    number of tricks is the family, laid down beforehand. A look needs the wave's outcomes of all tricks that go on;
    outcomes that a dropped trick has beyond are not looked at.

    Some "helps" or "hurts" is false in at most a share `alpha` of studies, and so is some "negligible" of a trick whose
    effect is as large as the worth: Holm's correction over either kind of sequential p (Liu and Anderson 2008), valid
    whatever the tricks have in common and whyever they were dropped. A trick that is both is negligible.
    """
    family = len(gains)
    levels = [alpha / left for left in range(1, family + 1)]
    given = worths or [np.full(len(each), np.nan) for each in gains]
    tricks = [_Trick(own, worth, rule, levels) for own, worth in zip(gains, given, strict=True)]
    going_on, seeds, futile = tuple(range(family)), [0] * family, set[int]()
    found: list[Look] = []
    for wave in range(1, max(map(len, gains), default=0) + 1):
        if not going_on or any(tricks[place].waves < wave for place in going_on):
            break
        for place in going_on:
            seeds[place] = wave
        if wave < rule.first:
            continue
        shown = _holm([trick.shown for trick in tricks], seeds)
        within = _holm([trick.within for trick in tricks], seeds)
        verdicts = tuple(
            Verdict.NEGLIGIBLE if place in within else trick.side(shown[place]) if place in shown else Verdict.UNDECIDED
            for place, trick in enumerate(tricks)
        )
        left = [place for place in going_on if verdicts[place] is Verdict.UNDECIDED]
        futile |= {place for place in left if tricks[place].futile(wave)}
        futile -= {place for place, verdict in enumerate(verdicts) if verdict is not Verdict.UNDECIDED}
        going_on = () if wave == rule.most else tuple(place for place in left if place not in futile)
        found.append(
            Look(wave=wave, verdicts=verdicts, seeds=tuple(seeds), futile=tuple(sorted(futile)), going_on=going_on)
        )
    return found


class _Trick:
    """One trick's paths, and the wave at which it reached its limits at each of Holm's levels, inf where it never did.

    `shown` for an effect other than 0, `within` for one within plus and minus the worth; [family] each.
    """

    def __init__(self, gains: Vector, worth: Vector, rule: Rule, levels: Sequence[float]) -> None:
        self.waves = len(gains)
        self._t, self._counts = path(gains)
        sides = [path(side)[0] for side in (worth - gains, worth + gains)]
        self._inside = np.minimum(*sides)
        # A one-sided test at a level has the limit of the two-sided one at twice the level: of 100,000 paths under no
        # effect, one reaches both sides.
        limits = [(rule.limits(level, self._counts), rule.limits(2 * level, self._counts)) for level in levels]
        self.shown = [_first(np.abs(self._t), limit) for limit, _ in limits]
        self.within = [max(_first(side, limit) for side in sides) for _, limit in limits]
        self._last = rule.most
        self._needed, self._needed_inside = (
            float(rule.limits(level, np.array([self._last or 0]))[0]) for level in (levels[-1], 2 * levels[-1])
        )

    def side(self, wave: float) -> Verdict:
        """Helps or hurts, by the sign of t at the wave where it was shown."""
        return Verdict.HELPS if self._t[int(wave) - 1] > 0 else Verdict.HURTS

    def futile(self, wave: int) -> bool:
        """Whether it is likely to be neither shown nor negligible by the last look.

        That is where the standardised effect and the room that is left within the worth would, each a standard error
        larger than they are seen, still not reach their limit at the last look: of six tricks and at most 20 seeds,
        0.76 standard deviations. Not binding: dropping shows nothing, so that the error is no larger without it.
        Without a last look nothing is futile.
        """
        n = int(self._counts[wave - 1])
        if n < FUTILE_FROM or self._last is None:
            return False
        shown, inside = (
            (size + math.sqrt(1 / n + size**2 / (2 * n))) * math.sqrt(self._last)
            for size in (abs(self._t[wave - 1]) / math.sqrt(n), self._inside[wave - 1] / math.sqrt(n))
        )
        return bool(shown < self._needed and not inside >= self._needed_inside)


def _first(t: Vector, limit: Vector) -> float:
    """The wave, from 1, at which t first reaches its limit; inf where it never does."""
    reached = np.flatnonzero(t >= limit)
    return float(reached[0] + 1) if len(reached) else math.inf


def _holm(reached: Sequence[Sequence[float]], seeds: Sequence[int]) -> dict[int, float]:
    """The hypotheses that are rejected, and the waves at which they reached the limit that rejects them.

    `reached` [trick][left - 1] is the wave where it reaches the limit at alpha / left. With k rejected, all that have
    reached theirs at alpha / (family - k) are, and so on.
    """
    rejected: dict[int, float] = {}
    while len(rejected) < len(reached):
        left = len(reached) - len(rejected)
        more = {
            place: waves[left - 1]
            for place, waves in enumerate(reached)
            if place not in rejected and waves[left - 1] <= seeds[place]
        }
        if not more:
            break
        rejected |= more
    return rejected
