"""A trick added to the plain recipe, taken from the full one, and its Shapley share, side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from harness.analysis import paired
from harness.analysis.factorial import factorial_effects
from harness.analysis.shapley import shapley
from harness.analysis.space import Space

if TYPE_CHECKING:
    from harness.design import Plan

_VIEWS = ("add_one", "leave_one_out", "shapley")


def side_by_side(runs: pd.DataFrame, plan: Plan, metric: str) -> pd.DataFrame:
    """One row per factor that at least two of the views have: its effect in each, with 95 % intervals.

    `disagree` says that adding the trick to the plain recipe and to all the others differ by more than chance: the
    paired t test over seeds, after Holm's correction over the factors. `with_whom` then names the factor with which it
    has the largest interaction that a factorial shows after correction.
    """
    space = Space.of(runs, plan, metric)
    shares = shapley(runs, plan, metric)
    fitted = factorial_effects(runs, plan, metric)
    everything = set(space.factors)
    scale = float(np.max(np.abs(space.values[~np.isnan(space.values)]), initial=0.0))
    rows: list[dict[str, Any]] = []
    tested: list[float] = []
    for factor in space.factors if len(space.factors) > 1 else ():
        added = _differences(space, {factor}, set())
        taken = _differences(space, everything, everything - {factor})
        row: dict[str, Any] = {"factor": factor, "level": space.levels[factor]}
        row |= _estimate("add_one", added) | _estimate("leave_one_out", taken)
        row |= dict.fromkeys(("shapley", "shapley_low", "shapley_high"), math.nan)
        if shares is not None:
            share = shares[shares["factor"] == factor].iloc[0]
            row |= {"shapley": share["share"], "shapley_low": share["low"], "shapley_high": share["high"]}
        change = added - taken
        known = change[~np.isnan(change)]
        if sum(not math.isnan(row[view]) for view in _VIEWS) >= 2:
            rows.append(row)
            tested.append(paired.t_p(known, paired.spread(known, scale)))
    for row, p in zip(rows, paired.holm(np.array(tested)), strict=True):
        row["disagree"] = bool(p < paired.ALPHA)
        row["with_whom"] = _partner(row["factor"], space.factors, fitted) if row["disagree"] else ""
    intervals = [f"{view}{end}" for view in _VIEWS for end in ("", "_low", "_high")]
    table = pd.DataFrame(rows, columns=["factor", "level", *intervals, "disagree", "with_whom"])
    table["level"] = pd.Series([row["level"] for row in rows], dtype=object)
    return table


def _differences(space: Space, treated: set[str], control: set[str]) -> paired.Vector:
    """Per seed: the metric with `treated` on less that with `control` on; NaN where a run is missing."""
    with_it, without = space.position(treated), space.position(control)
    if with_it is None or without is None:
        return np.full(space.values.shape[1], np.nan)
    return np.asarray(space.values[with_it] - space.values[without])


def _estimate(view: str, differences: paired.Vector) -> dict[str, float]:
    known = differences[~np.isnan(differences)]
    low, high = paired.t_interval(known)
    return {view: float(np.mean(known)) if len(known) else math.nan, f"{view}_low": low, f"{view}_high": high}


def _partner(factor: str, factors: list[str], fitted: pd.DataFrame | None) -> str:
    if fitted is None:
        return ""
    shown = {row["term"]: abs(row["estimate"]) for row in fitted.to_dict("records") if row["p_holm"] < paired.ALPHA}
    sizes = {
        other: max(shown.get(f"{factor} x {other}", 0.0), shown.get(f"{other} x {factor}", 0.0)) for other in factors
    }
    most = max(sizes, key=lambda other: sizes[other])
    return most if sizes[most] > 0 else ""
