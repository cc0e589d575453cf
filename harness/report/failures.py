"""How often runs diverge or fail, per level of every factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from harness.analysis import label

if TYPE_CHECKING:
    from harness.design import Plan

_ENDED = ("complete", "diverged", "failed")


def failure_rates(runs: pd.DataFrame, plan: Plan) -> pd.DataFrame | None:
    """Per factor and level, over every run that ended at this level: ended, diverged, failed, rate, low, high.

    The interval is Clopper and Pearson's exact 95 % one. None where no run diverged or failed.
    """
    from scipy.stats import binomtest

    counts = pd.crosstab(runs["cell"], runs["state"]).reindex(columns=list(_ENDED), fill_value=0)
    if not counts[["diverged", "failed"]].to_numpy().any():
        return None
    levels = {cell.name: {name: label(level) for name, level in cell.levels.items()} for cell in plan.cells}
    rows = []
    for factor in dict.fromkeys(name for cell in plan.cells for name in cell.levels):
        known = {cell: several[factor] for cell, several in levels.items() if factor in several}
        for level in dict.fromkeys(known.values()):
            here = counts.loc[[cell for cell, other in known.items() if other == level and cell in counts.index]].sum()
            ended, bad = int(here.sum()), int(here["diverged"] + here["failed"])
            if not ended:
                continue
            sure = binomtest(bad, ended).proportion_ci(0.95)
            rows.append(
                {
                    "factor": factor,
                    "level": level,
                    "ended": ended,
                    "diverged": int(here["diverged"]),
                    "failed": int(here["failed"]),
                    "rate": bad / ended,
                    "low": float(sure.low),
                    "high": float(sure.high),
                }
            )
    return pd.DataFrame(rows)
