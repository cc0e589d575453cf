"""What a second buys: the MiFID that a trick gains per extra second of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from harness.analysis import paired
from harness.analysis.effects import Outcomes

if TYPE_CHECKING:
    from harness.design import Plan


def bought(runs: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Per contrast the mean MiFID gained over the mean extra training seconds, with Fieller's 95 % interval.

    From seeds whose runs are complete and were alone on their device. Positive where the trick lowers MiFID; NaN where
    it is not shown to take longer (the 95 % interval of the extra seconds holds 0 or lies below).
    """
    quality, cost = Outcomes.of(runs, plan, "mifid"), Outcomes.of(runs, plan, "train_seconds")
    rows = []
    for contrast in plan.contrasts:
        treated, control = (np.array([quality.index[pair[side]] for pair in contrast.pairs]) for side in (0, 1))
        gained = quality.values[control] - quality.values[treated]
        extra = cost.values[treated] - cost.values[control]
        known = ~np.isnan(gained + extra)
        if not contrast.matched:
            known &= known.all(axis=0)
        seeds = known.any(axis=0)
        means = [np.nanmean(np.where(known, values, np.nan)[:, seeds], axis=0) for values in (gained, extra)]
        ratio, interval = paired.ratio_of_means(*means)
        rows.append(
            {
                "contrast": contrast.name,
                "factor": contrast.factor,
                "level": contrast.level,
                "n": int(seeds.sum()),
                "mifid_per_second": ratio,
                "mifid_per_second_low": interval.low,
                "mifid_per_second_high": interval.high,
            }
        )
    intervals = [f"mifid_per_second{end}" for end in ("", "_low", "_high")]
    table = pd.DataFrame(rows, columns=["contrast", "factor", "level", "n", *intervals])
    table["level"] = pd.Series([row["level"] for row in rows], dtype=object)
    return table
