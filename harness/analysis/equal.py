"""Effects at equal images and at equal training time, read off the learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.analysis import paired

if TYPE_CHECKING:
    from harness.design import Plan

Curves = Mapping[tuple[str, int], Sequence[tuple[int, float]]]
_VIEWS = ("delta_equal_images", "delta_equal_time")


def at_equal(curves: Curves, runs: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Per contrast the change of MiFID at the last number of images, and at the last training second, that both have.

    Curves are interpolated linearly between scores. A point's training time is its images over the run's images/s.
    `n` seeds have both curves, `n_time` of them overlap in time; `seconds` is the mean of those last seconds.
    Scores of equally many samples alone are compared: where the final score has more than the interim ones, it is
    compared with another final one after as many images, and else `mifid_interim` of the run table takes its place;
    where that is missing the curve ends before.
    """
    done = _learned(curves, runs, plan)
    seeds = sorted({seed for _, seed in done})
    rows = []
    for contrast in plan.contrasts:
        images, time, last = [], [], []  # one number a seed
        for seed in seeds:
            keys = [((a, seed), (b, seed)) for a, b in contrast.pairs]
            pairs = [(done[treated], done[control]) for treated, control in keys if {treated, control} <= done.keys()]
            if not contrast.matched and len(pairs) < len(contrast.pairs):
                continue
            found = [(_at_equal_images(*pair), *_at_equal_time(*pair)) for pair in pairs]
            found = [each for each in found if not np.isnan(each[0])]
            if found:
                by_images, by_time, seconds = np.mean(np.array(found), axis=0)
                images.append(by_images)
                if not np.isnan(by_time):
                    time.append(by_time)
                    last.append(seconds)
        row: dict[str, object] = {
            "contrast": contrast.name,
            "factor": contrast.factor,
            "level": contrast.level,
            "n": len(images),
            "n_time": len(time),
        }
        for view, values in zip(_VIEWS, (images, time), strict=True):
            low, high = paired.t_interval(np.array(values))
            row |= {view: float(np.mean(values)) if values else np.nan, f"{view}_low": low, f"{view}_high": high}
        row["seconds"] = float(np.mean(last)) if last else np.nan
        rows.append(row)
    intervals = [f"{view}{end}" for view in _VIEWS for end in ("", "_low", "_high")]
    table = pd.DataFrame(rows, columns=["contrast", "factor", "level", "n", "n_time", *intervals, "seconds"])
    table["level"] = pd.Series([row["level"] for row in rows], dtype=object)
    return table


@dataclass(frozen=True)
class _Learned:
    """What a complete run learned: [P, 2] (images, MiFID), `alike` those points with `interim_samples`; images/s."""

    curve: NDArray[np.float64]
    alike: NDArray[np.float64]
    rate: float


def _learned(curves: Curves, runs: pd.DataFrame, plan: Plan) -> dict[tuple[str, int], _Learned]:
    """(cell, seed) -> what each complete run learned."""
    found = {}
    for row in runs[runs["state"] == "complete"].to_dict("records"):
        key = row["cell"], int(row["seed"])
        curve = np.array(curves.get(key, ()), dtype=float).reshape(-1, 2)
        alike = curve
        if plan.evaluate.samples != plan.evaluate.interim_samples:
            last = row.get("mifid_interim", np.nan)
            alike = curve[:-1] if np.isnan(last) else np.vstack([curve[:-1], [(x, last) for x, _ in curve[-1:]]])
        found[key] = _Learned(curve, alike, row["images_per_second"])
    return found


def _at_equal_images(treated: _Learned, control: _Learned) -> float:
    """Difference at the last common images; NaN where there are none."""
    if len(treated.curve) and len(control.curve) and treated.curve[-1, 0] == control.curve[-1, 0]:
        return float(treated.curve[-1, 1] - control.curve[-1, 1])  # the final scores are of equally many samples
    difference, _ = _at_last_common(treated.alike, control.alike)
    return difference


def _at_equal_time(treated: _Learned, control: _Learned) -> tuple[float, float]:
    """Difference at the last common training second, and that second; NaN where there is none."""
    if not treated.rate > 0 or not control.rate > 0:
        return np.nan, np.nan
    return _at_last_common(treated.alike / (treated.rate, 1), control.alike / (control.rate, 1))


def _at_last_common(treated: NDArray[np.float64], control: NDArray[np.float64]) -> tuple[float, float]:
    """Difference of two [P, 2] curves at the last x that both reach, and that x; NaN where they do not overlap."""
    if not len(treated) or not len(control):
        return np.nan, np.nan
    (x, y), (u, v) = treated.T, control.T
    last = float(min(x[-1], u[-1]))
    if last < max(x[0], u[0]):
        return np.nan, np.nan
    return float(np.interp(last, x, y) - np.interp(last, u, v)), last
