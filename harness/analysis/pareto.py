"""MiFID against run time over cells, and which cells no other beats in both."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from harness.analysis import paired
from harness.analysis.effects import Outcomes

if TYPE_CHECKING:
    from harness.design import Plan

_COLUMNS = ("cell", "n", "mifid", "mifid_low", "mifid_high", "train_seconds", "train_seconds_low", "train_seconds_high")


def pareto(runs: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Per cell the mean MiFID and training seconds with 95 % t intervals, from complete runs alone on their device.

    `on_front` cells are beaten by no other in both means. `mifid_per_second` is the MiFID gained over the control per
    extra second of training; NaN where it is not shown to cost more (the 95 % interval of the extra seconds, paired by
    seed, holds 0, or there is one seed alone), and for the control itself.
    """
    quality, cost = Outcomes.of(runs, plan, "mifid"), Outcomes.of(runs, plan, "train_seconds")
    rows = []
    for name, position in quality.index.items():
        both = ~np.isnan(quality.values[position]) & ~np.isnan(cost.values[position])
        if not both.any():
            continue
        scores, seconds = quality.values[position][both], cost.values[position][both]
        quality_and_interval = (float(scores.mean()), *paired.t_interval(scores))
        rows.append((name, int(both.sum()), *quality_and_interval, float(seconds.mean()), *paired.t_interval(seconds)))
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    points = table[["mifid", "train_seconds"]].to_numpy(dtype=float)
    table["on_front"] = [
        not bool(((points <= point).all(axis=1) & (points < point).any(axis=1)).any()) for point in points
    ]
    control = table[table["cell"] == plan.control]
    table["mifid_per_second"] = math.nan
    if len(control):
        extra = cost.values - cost.values[cost.index[plan.control]]
        dearer = {
            name: paired.t_interval(row[~np.isnan(row)]).low > 0 for name, row in zip(cost.index, extra, strict=True)
        }
        more = table["train_seconds"] - float(control["train_seconds"].iloc[0])
        gained = float(control["mifid"].iloc[0]) - table["mifid"]
        table["mifid_per_second"] = (gained / more.where((more > 0) & table["cell"].map(dearer))).astype(float)
    return table
