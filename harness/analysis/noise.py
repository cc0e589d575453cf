"""The noise floor: how much results differ from seed to seed where nothing else does, and what that lets one show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from harness.analysis import paired
from harness.analysis.course import rule_of
from harness.analysis.outcomes import Matrix, Outcomes, column, seed_means, usable
from harness.analysis.paired import ALPHA
from harness.analysis.prospects import smallest, smallest_in_looks
from harness.analysis.types import NAN, Estimate
from harness.measures import RunState

_MORE = (3, 5, 8, 12, 20, 40)
"""Numbers of seeds that a noise floor says something of, beside the study's own."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """With `seeds` seeds, at once or in looks up to there, an effect of this size is shown with 80 % power."""

    seeds: int
    effect: float
    own: bool = False
    """Whether it is of the study as it was planned."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The spread over seeds within a cell, in the objective's unit; pooled over `cells` cells of `runs` runs in all.

    `sd` has chi-square's 95 % interval, by degrees of freedom that the correlation of cells over seeds makes fewer.
    `relative` is the same as a share of the control's mean, unknown where the objective changes sign. `correlation` is
    that of two cells over seeds, `differences` the standard deviation of the differences that effects are means of:
    where the study has none, sqrt(2) of the spread. `sampling` is the standard error that runs say their objective has,
    `sampling_share` its share of the variance; NaN where they say none.
    """

    cells: int
    runs: int
    control: float
    sd: Estimate
    relative: Estimate
    correlation: float
    differences: float
    sampling: float
    sampling_share: float
    tests: int
    shown: tuple[Shown, ...]


def noise(quality: Outcomes, runs: pd.DataFrame) -> Noise | None:
    """The noise of a study's objective; None where no cell has two complete runs, or its square is beyond a float."""
    known = [values for values in map(paired.known, quality.values) if len(values) > 1]
    degrees = sum(len(values) - 1 for values in known)
    if not degrees:
        return None
    with np.errstate(over="ignore"):
        variance = sum(float(np.sum((values - values.mean()) ** 2)) for values in known) / degrees
    if not math.isfinite(variance):
        return None
    sd, correlation = math.sqrt(variance), _correlation(quality.values, variance)
    several = degrees / len(known)
    together = 0.0 if math.isnan(correlation) else correlation**2
    free = max(several, degrees / (1 + (len(known) - 1) * together))
    low, high = (
        math.sqrt(free / float(2 * special.gammaincinv(free / 2, share))) for share in (1 - ALPHA / 2, ALPHA / 2)
    )
    spread = Estimate(sd, sd * low, sd * high)
    control = paired.known(quality.values[quality.index[quality.plan.control]])
    one_side = len(control) > 0 and (control.min() > 0 or control.max() < 0)
    mean = float(control.mean()) if len(control) else NAN
    share = abs(mean) if one_side else NAN
    sampling = _sampling(quality, runs)
    differences = _differences(quality)
    if math.isnan(differences):
        differences = math.sqrt(2) * sd
    return Noise(
        cells=len(known),
        runs=degrees + len(known),
        control=mean,
        sd=spread,
        relative=Estimate(spread.value / share, spread.low / share, spread.high / share),
        correlation=correlation,
        differences=differences,
        sampling=sampling,
        sampling_share=float(np.minimum(1.0, sampling**2 / variance)) if variance > 0 else NAN,
        tests=max(1, len(quality.plan.contrasts)),
        shown=_shown(quality, differences),
    )


def _shown(quality: Outcomes, deviation: float) -> tuple[Shown, ...]:
    """What the study's own number of seeds shows, and what others would, at once; without those that show nothing."""
    plan = quality.plan
    tests = max(1, len(plan.contrasts))
    own = len({run.seed for run in plan.runs})
    found = {n: Shown(seeds=n, effect=deviation * smallest(n, tests, plan.test)) for n in _MORE}
    if plan.search:
        pass
    elif plan.waves and plan.waves.most:
        own = plan.waves.most
        size = smallest_in_looks(rule_of(plan.waves, plan.test), own, tests)
        found[own] = Shown(seeds=own, effect=deviation * size, own=True)
    elif plan.waves is None and own > 1:
        found[own] = Shown(seeds=own, effect=deviation * smallest(own, tests, plan.test), own=True)
    return tuple(found[n] for n in sorted(found) if math.isfinite(found[n].effect))


def _differences(quality: Outcomes) -> float:
    """The standard deviation of what effects are the means of, pooled over contrasts; NaN where there are none."""
    squares, degrees = 0.0, 0
    for contrast in quality.plan.contrasts:
        with_it, without = quality.sides(contrast)
        values = seed_means(with_it - without, usable(contrast, with_it, without))
        if len(values) > 1:
            squares += float(np.sum((values - values.mean()) ** 2))
            degrees += len(values) - 1
    return math.sqrt(squares / degrees) if degrees else NAN


def _correlation(values: Matrix, variance: float) -> float:
    """The correlation of two cells over the seeds that both have, pooled over all pairs of cells; NaN of one cell."""
    rows = values[(~np.isnan(values)).sum(axis=1) > 1]
    known = ~np.isnan(rows)
    off = np.where(known, rows - np.nanmean(rows, axis=1, keepdims=True), 0.0)
    # Of a seed all products of two cells are (the sum squared - the sum of squares) / 2; each cell's mean is estimated.
    products = float(np.sum(off.sum(axis=0) ** 2 - (off**2).sum(axis=0))) / 2
    cells, seeds = known.sum(axis=0), known.sum(axis=1).mean()
    pairs = float(np.sum(cells * (cells - 1))) / 2 * (seeds - 1) / seeds
    return float(np.clip(products / pairs / variance, -1, 1)) if pairs and variance > 0 else NAN


def _sampling(quality: Outcomes, runs: pd.DataFrame) -> float:
    """The root mean square of the standard errors that complete runs say their objective has; NaN where none does."""
    name = next((each.name for each in quality.plan.measures if each.error_of == quality.measure.name), None)
    if name is None:
        return NAN
    errors = column(runs[runs["state"] == RunState.COMPLETE], name)
    told = errors[np.isfinite(errors)]
    return math.sqrt(float(np.mean(told**2))) if len(told) else NAN
