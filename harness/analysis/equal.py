"""Effects at equal images and at equal training time, read off the learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

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
    done = runs[runs["state"] == "complete"]
    alike = _alike(curves, done, plan)
    rates = {
        (cell, int(seed)): rate
        for cell, seed, rate in zip(done["cell"], done["seed"], done["images_per_second"], strict=True)
    }
    seeds = sorted({seed for _, seed in rates})
    rows = []
    for contrast in plan.contrasts:
        images, time, last = [], [], []  # one number a seed
        for seed in seeds:
            pairs = [((a, seed), (b, seed)) for a, b in contrast.pairs if (a, seed) in rates and (b, seed) in rates]
            if not contrast.matched and len(pairs) < len(contrast.pairs):
                continue
            found = []
            for a, b in pairs:
                ends = [curves[key][-1] for key in (a, b) if curves.get(key)]
                each = _differences(alike.get(a, ()), alike.get(b, ()), rates[a], rates[b])
                if len(ends) == 2 and ends[0][0] == ends[1][0]:  # the final scores are of equally many samples
                    each = (float(ends[0][1] - ends[1][1]), *(each or (0.0, np.nan, np.nan))[1:])
                if each is not None:
                    found.append(each)
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


def _alike(curves: Curves, done: pd.DataFrame, plan: Plan) -> Curves:
    """The curves of complete runs with every point scored on `interim_samples`."""
    if plan.evaluate.samples == plan.evaluate.interim_samples:
        return curves
    last = done["mifid_interim"] if "mifid_interim" in done else np.full(len(done), np.nan)
    found = {}
    for cell, seed, value in zip(done["cell"], done["seed"], last, strict=True):
        points = list(curves.get((cell, int(seed)), ()))
        found[cell, int(seed)] = points[:-1] + ([(points[-1][0], float(value))] if points and value == value else [])
    return found


def _differences(
    treated: Sequence[tuple[int, float]], control: Sequence[tuple[int, float]], rate: float, control_rate: float
) -> tuple[float, float, float] | None:
    """Difference at the last common images, at the last common second, and that second; None without curves.

    The latter two are NaN where one curve ends before the other begins.
    """
    if not treated or not control or not rate > 0 or not control_rate > 0:
        return None
    (x, y), (u, v) = (np.array(curve, dtype=float).T for curve in (treated, control))
    images = min(x[-1], u[-1])
    seconds = min(x[-1] / rate, u[-1] / control_rate)
    if images < max(x[0], u[0]):
        return None
    at_images = float(np.interp(images, x, y) - np.interp(images, u, v))
    if seconds < max(x[0] / rate, u[0] / control_rate):
        return at_images, np.nan, np.nan
    at_time = np.interp(seconds, x / rate, y) - np.interp(seconds, u / control_rate, v)
    return at_images, float(at_time), float(seconds)
