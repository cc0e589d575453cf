"""What a search tried: its cells by their mean MiFID, with how their runs ended. Rankings, not effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from harness.analysis import paired
from harness.analysis.effects import Outcomes

if TYPE_CHECKING:
    from harness.design import Plan

ENDINGS = ("complete", "pruned", "diverged", "failed")


def tried(runs: pd.DataFrame, plan: Plan) -> pd.DataFrame | None:
    """Per cell the mean MiFID of its `n` complete runs with its 95 % t interval, mean training seconds, and endings.

    The lowest mean first, cells without a complete run last. None for a plan that is no search.
    """
    if plan.search is None:
        return None
    quality, cost = Outcomes.of(runs, plan, "mifid"), Outcomes.of(runs, plan, "train_seconds")
    rows = []
    for name, position in quality.index.items():
        scores, seconds = (each.values[position][~np.isnan(each.values[position])] for each in (quality, cost))
        low, high = paired.t_interval(scores)
        states = list(quality.states[position])
        rows.append(
            {
                "cell": name,
                "n": len(scores),
                "mifid": float(scores.mean()) if len(scores) else np.nan,
                "mifid_low": low,
                "mifid_high": high,
                "train_seconds": float(seconds.mean()) if len(seconds) else np.nan,
                **{ending: states.count(ending) for ending in ENDINGS},
            }
        )
    return pd.DataFrame(rows).sort_values("mifid", kind="stable", na_position="last", ignore_index=True)
