"""A trick added to the plain recipe, taken from the full one, and its Shapley share, side by side."""

from __future__ import annotations

import numpy as np

from harness.analysis import paired
from harness.analysis.outcomes import Matrix
from harness.analysis.space import Space
from harness.analysis.types import NAN, Estimate, Shapley, View


def side_by_side(space: Space, shares: Shapley | None) -> tuple[View, ...]:
    """One view per factor that at least two of the three can say something of; not judged.

    `p` is of the paired t test over seeds of the difference between adding the trick to the plain recipe and to all
    the others.
    """
    by_factor = {share.factor: share.estimate for share in shares.shares} if shares else {}
    everything = set(space.factors)
    scale = float(np.max(np.abs(space.values[~np.isnan(space.values)]), initial=0.0))
    found = []
    for factor in space.factors if len(space.factors) > 1 else ():
        alone, full = _differences(space, {factor}, set()), _differences(space, everything, everything - {factor})
        views = (_estimate(alone), _estimate(full), by_factor.get(factor))
        if sum(view is not None for view in views) < 2:
            continue
        change = paired.rounded((alone - full)[~np.isnan(alone - full)], scale)
        found.append(
            View(
                factor=factor,
                level=space.levels[factor],
                alone=views[0],
                full=views[1],
                share=views[2],
                p=paired.t_p(change, space.fixed),
                p_adjusted=NAN,
                disagree=False,
                partner="",
                endings=space.endings,
            )
        )
    return tuple(found)


def _differences(space: Space, treated: set[str], control: set[str]) -> Matrix:
    """Per seed: the measure with `treated` on less that with `control` on; NaN where a run is missing."""
    with_it, without = space.position(treated), space.position(control)
    if with_it is None or without is None:
        return np.full(space.values.shape[1], np.nan)
    return np.asarray(space.values[with_it] - space.values[without])


def _estimate(differences: Matrix) -> Estimate | None:
    known = differences[~np.isnan(differences)]
    return paired.estimate(known) if len(known) else None
