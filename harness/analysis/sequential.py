"""The sequential rule: after every wave of seeds, which tricks are decided or unlikely to be, and who gets the next.

A wave is one more seed of the control and of every trick that is neither; after it comes a look.
Everything here is a function of the outcomes alone, seed by seed in the order of the plan: a study that was killed and
went on at any point has the same looks and the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.grain import Counts, Grain, Matrix
from harness.analysis.paired import ALPHA, Vector
from harness.analysis.ranks import Ranks
from harness.analysis.rules import Anytime, Declared, Rule
from harness.analysis.types import NAN, Estimate, Verdict

__all__ = [
    "FUTILE_FROM",
    "Anytime",
    "Declared",
    "Grain",
    "Look",
    "Ranks",
    "Rule",
    "interval",
    "looks",
    "p_negligible",
    "p_value",
]

FUTILE_FROM = 5
"""The fewest seeds at which a trick is dropped as unlikely to be decided: the rule for futility."""


def p_value(differences: Vector, rule: Rule, grain: Grain | None = None) -> float:
    """Two-sided p of the differences being 0, valid whenever one stopped. One-sided by sign: half of it."""
    return rule.p(*rule.path(differences, grain))


def p_negligible(gains: Vector, worth: Vector, rule: Rule, grain: Grain | None = None) -> float:
    """p of two one-sided tests, that the mean gain is not within plus and minus the mean worth; [W] each.

    A worth that is a share of the control is that share of the control's value seed by seed, so that the uncertainty
    of the control's mean is in the test (Fieller 1954).
    """
    sides = (rule.path(worth - gains, grain), rule.path(worth + gains, grain))
    return max(rule.p(np.maximum(statistic, 0.0), counts) for statistic, counts in sides) / 2


def interval(differences: Vector, rule: Rule, level: float = ALPHA, grain: Grain | None = None) -> Estimate:
    """The difference and an interval that holds at all looks at once with the probability 1 - level."""
    return rule.interval(differences, level, grain)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is said of each trick after a wave. `going_on` are the places of those that get a seed of the next one."""

    wave: int
    verdicts: tuple[Verdict, ...]
    seeds: tuple[int, ...]
    """Waves that each trick took part in."""
    unlikely: tuple[int, ...]
    """The places of undecided tricks that were dropped as unlikely to be decided by the last look."""
    going_on: tuple[int, ...]
    towards_effect: tuple[float, ...]
    """How far each trick is towards helps or hurts: its statistic over its limit, at the level that Holm has come to.

    From 0, where the limit is infinite; 1 and above where it is shown; NaN of fewer than two differences.
    """
    towards_negligible: tuple[float, ...]
    """The same of negligible, by the lesser of the two one-sided tests; NaN where there is no worth."""


def looks(
    gains: Sequence[Vector],
    worths: Sequence[Vector] | None,
    rule: Rule,
    alpha: float = ALPHA,
    grain: Grain | None = None,
) -> list[Look]:
    """Every look so far, by the outcomes of each trick's seeds in the order of the plan.

    `gains` [trick][seed] are the differences from the control, positive where they are for the better, NaN where a run
    has ended without a number; `worths` alike, in the same unit, or None where nothing is to be called negligible. The
    number of tricks is the family, laid down beforehand. `grain` is made of the outcomes of all cells, wave by wave: it
    says what differences that do not vary are worth; without it they count by their sign alone. A look needs the wave's
    outcomes of all tricks that go on; outcomes that a dropped trick has beyond are not looked at.

    Some "helps" or "hurts" is false in at most a share `alpha` of studies, and so is some "negligible" of a trick whose
    effect is as large as the worth: Holm's correction over either kind of sequential p (Liu and Anderson 2008), valid
    whatever the tricks have in common and whyever they were dropped. A trick that is both is negligible.
    """
    family = len(gains)
    levels = [alpha / left for left in range(1, family + 1)]
    given: Sequence[Vector | None] = worths or [None] * family
    tricks = [_Trick(own, worth, rule, levels, grain) for own, worth in zip(gains, given, strict=True)]
    going_on, seeds, unlikely = tuple(range(family)), [0] * family, set[int]()
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
        unlikely |= {place for place in left if tricks[place].futile(wave)}
        unlikely -= {place for place, verdict in enumerate(verdicts) if verdict is not Verdict.UNDECIDED}
        going_on = () if wave == rule.most else tuple(place for place in left if place not in unlikely)
        found.append(
            Look(
                wave=wave,
                verdicts=verdicts,
                seeds=tuple(seeds),
                unlikely=tuple(sorted(unlikely)),
                going_on=going_on,
                towards_effect=_towards([trick.towards_effect for trick in tricks], seeds, shown),
                towards_negligible=_towards([trick.towards_negligible for trick in tricks], seeds, within),
            )
        )
    return found


class _Trick:
    """One trick's statistics, and the waves from which they have reached their limits at each of Holm's levels.

    `shown` [left - 1] is the wave at which an effect other than 0 first reaches the limit at alpha / left, inf where it
    never does, `within` that of one within plus and minus the worth. `towards_effect` and `towards_negligible` are
    statistics over limits, [left - 1, W].
    """

    def __init__(
        self, gains: Vector, worth: Vector | None, rule: Rule, levels: Sequence[float], grain: Grain | None
    ) -> None:
        self.waves = len(gains)
        self._path, counts = rule.path(gains, grain)
        self._numbers = np.cumsum(~np.isnan(gains))
        self.towards_effect = _over_limits(np.abs(self._path), counts, rule, levels)
        self.shown = _reached(self.towards_effect)
        # A one-sided test at a level has the limit of the two-sided one at twice the level: of 100,000 paths under no
        # effect, one reaches both sides.
        doubled = [2 * level for level in levels]
        if worth is None:
            self._inside = np.full(len(gains), -np.inf)
            self.towards_negligible = np.full((len(levels), len(gains)), NAN)
            self.within = [math.inf] * len(levels)
        else:
            sides = [rule.path(side, grain) for side in (worth - gains, worth + gains)]
            self._inside = np.minimum(*(statistic for statistic, _ in sides))
            each = [_over_limits(*side, rule, doubled) for side in sides]
            self.towards_negligible = np.minimum(*each)
            self.within = [max(both) for both in zip(*map(_reached, each), strict=True)]
        self._last = rule.most
        self._needed, self._needed_inside = (
            float(rule.limits(level, np.array([self._last or 0]))[0]) for level in (levels[-1], doubled[-1])
        )

    def side(self, wave: float) -> Verdict:
        """Helps or hurts, by the sign of the statistic at the wave where it was shown."""
        return Verdict.HELPS if self._path[int(wave) - 1] > 0 else Verdict.HURTS

    def futile(self, wave: int) -> bool:
        """Whether it is likely to be neither shown nor negligible by the last look.

        That is where the standardised effect and the room that is left within the worth would, each a standard error
        larger than they are seen, still not reach their limit at the last look: of six tricks and at most 20 seeds,
        0.76 standard deviations. Not binding: dropping shows nothing, so that the error is no larger without it.
        Without a last look nothing is futile, but for a trick of which so many waves left no number: none of its runs
        ends with one, or none of the control's.
        """
        n = int(self._numbers[wave - 1])
        if n == 0 and wave >= FUTILE_FROM:
            return True
        if n < FUTILE_FROM or self._last is None:
            return False
        shown, inside = (
            (size + math.sqrt(1 / n + size**2 / (2 * n))) * math.sqrt(self._last)
            for size in (float(each[wave - 1]) / math.sqrt(n) for each in (np.abs(self._path), self._inside))
        )
        return bool(shown < self._needed and not inside >= self._needed_inside)


def _over_limits(statistic: Vector, counts: Counts, rule: Rule, levels: Sequence[float]) -> Matrix:
    """How much of its limit at each level a statistic is after each wave, from 0; NaN of fewer than two differences."""
    limits = np.array([rule.limits(level, counts) for level in levels])
    return np.where(counts < 2, NAN, np.maximum(statistic, 0.0) / limits)


def _reached(over_limits: Matrix) -> list[float]:
    """Per level the wave, from 1, from which the limit has been reached; inf where it never is.

    What has reached its limit at a level has at every larger one: limits that go in steps may forget it.
    """
    there = np.insert(over_limits >= 1, over_limits.shape[1], True, axis=1)
    waves = there.argmax(axis=1) + 1.0
    waves[waves > over_limits.shape[1]] = np.inf
    return [float(wave) for wave in np.maximum.accumulate(waves)]


def _towards(over_limits: Sequence[Matrix], seeds: Sequence[int], rejected: Container[int]) -> tuple[float, ...]:
    """How much of its limit each trick is at its last wave, at the level that is left; at least 1 where rejected."""
    left = max(1, sum(place not in rejected for place in range(len(seeds))))
    found = [float(each[left - 1, wave - 1]) for each, wave in zip(over_limits, seeds, strict=True)]
    # One NaN for all, so that equal looks are equal.
    return tuple(NAN if math.isnan(x) else max(x, float(place in rejected)) for place, x in enumerate(found))


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
