"""Effects at equal images and at equal training time, read off the learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.analysis import paired
from harness.analysis.outcomes import Outcomes, column, seed_means, usable
from harness.analysis.types import AtEqual
from harness.measures import RunState

Curves = Mapping[tuple[str, int], Sequence[tuple[int, float]]]
"""(cell, seed) -> the run's scores so far: (images, objective)."""


def at_equal(curves: Curves, runs: pd.DataFrame, speed: Outcomes) -> tuple[AtEqual, ...]:
    """Per contrast the change of the objective at the last number of images, and at the last training second, of both.

    Between scores curves are straight lines on logarithmic scales, or plain ones where some number is not positive.
    That is exact for power laws. Of a curve that falls exponentially, a trick which is 10 % slower and 12.0 worse for
    it comes out as 8.9 to 12.6 worse with two scores a run, 10.8 to 12.5 with four and 11.9 to 12.0 with ten, by how
    far above 0 the curve ends (plain lines: 18.6, 14.1 and 12.1); where its truth is small the error is a larger share
    of it, half with two scores, a sixth with four.

    A point's training time is its images over the run's images/s (`speed`), which runs that shared their device do not
    have. `n_images` seeds have both curves, `n_time` of them overlap in time; `seconds` is the mean last second.
    A score that was not made as the interim ones were is compared with another such one after as many images; else the
    `<objective>_interim` of the run table takes its place, where it has that column, and a run without one ends before.
    """
    done = _learned(curves, runs, speed)
    found = []
    for contrast in speed.plan.contrasts:
        changes = np.full((3, len(contrast.pairs), len(speed.seeds)), np.nan)  # by images, by time, the last second
        for pair, (treated, control) in enumerate(contrast.pairs):
            for place, seed in enumerate(speed.seeds):
                if (one := done.get((treated, seed))) and (other := done.get((control, seed))):
                    changes[:, pair, place] = _differences(one, other)
        changes[:, np.isnan(changes[0])] = np.nan
        alike, timed = usable(contrast, changes[0]), usable(contrast, *changes)
        images, time, last = (seed_means(*each) for each in zip(changes, (alike, timed, timed), strict=True))
        found.append(
            AtEqual(
                contrast=contrast,
                images=paired.estimate(images),
                n_images=len(images),
                time=paired.estimate(time),
                n_time=len(time),
                seconds=paired.mean(last),
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class _Learned:
    """What a complete run learned: [P, 2] (images, objective), `alike` those points that compare; images/s."""

    curve: NDArray[np.float64]
    alike: NDArray[np.float64]
    rate: float


def _learned(curves: Curves, runs: pd.DataFrame, speed: Outcomes) -> dict[tuple[str, int], _Learned]:
    """(cell, seed) -> what each complete run learned."""
    interim, found = f"{speed.plan.objective.name}_interim", {}
    done = runs[(runs["state"] == RunState.COMPLETE) & runs["cell"].isin(list(speed.index))]
    for row, last in zip(done.to_dict("records"), column(done, interim), strict=True):
        key = row["cell"], int(row["seed"])
        curve = np.array(curves.get(key, ()), dtype=float).reshape(-1, 2)
        alike = curve.copy()
        if interim in row:
            alike[-1:, 1] = last
            alike = alike[:-1] if np.isnan(last) else alike
        found[key] = _Learned(curve, alike, float(speed.values[speed.index[key[0]], speed.seeds.index(key[1])]))
    return found


def _differences(treated: _Learned, control: _Learned) -> tuple[float, float, float]:
    """The difference at the last common images, that at the last common training second, and that second; or NaN."""
    by_images, _ = _at_last_common(treated.alike, control.alike)
    if len(treated.curve) and len(control.curve) and treated.curve[-1, 0] == control.curve[-1, 0]:
        by_images = float(treated.curve[-1, 1] - control.curve[-1, 1])  # the final scores are made alike
    if not treated.rate > 0 or not control.rate > 0:
        return by_images, np.nan, np.nan
    return by_images, *_at_last_common(treated.alike / (treated.rate, 1), control.alike / (control.rate, 1))


def _at_last_common(treated: NDArray[np.float64], control: NDArray[np.float64]) -> tuple[float, float]:
    """Difference of two [P, 2] curves at the last x that both reach, and that x; NaN where they do not overlap."""
    if not len(treated) or not len(control):
        return np.nan, np.nan
    (x, y), (u, v) = treated.T, control.T
    last = float(min(x[-1], u[-1]))
    if last < max(x[0], u[0]):
        return np.nan, np.nan
    if min(treated.min(), control.min()) > 0:
        at, x, y, u, v = map(np.log, (last, x, y, u, v))
        return float(np.exp(np.interp(at, x, y)) - np.exp(np.interp(at, u, v))), last
    return float(np.interp(last, x, y) - np.interp(last, u, v)), last
