"""Whether the yardsticks of a study agree: every effect under each of them, and how alike they rank the cells."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from harness.analysis.effects import Outcomes, effects

if TYPE_CHECKING:
    from harness.design import Plan

OBJECTIVE = "mifid"


def yardsticks(runs: pd.DataFrame) -> list[str]:
    """The MiFID columns of a run table: the objective first, then `mifid/<extractor>/<crop>`."""
    return [OBJECTIVE, *sorted(str(name) for name in runs.columns if str(name).startswith(f"{OBJECTIVE}/"))]


def agreement(runs: pd.DataFrame, plan: Plan) -> pd.DataFrame | None:
    """Per contrast its effect on MiFID under each yardstick; None where the study has one alone.

    Columns `effect[<yardstick>]`, `low[...]` and `high[...]` hold the changes, each on its yardstick's own scale;
    `signs_differ` flags tricks that one yardstick likes and another does not.
    `attrs["rank_agreement"]` maps pairs of yardsticks to Kendall's tau-b of the cells' mean MiFIDs.
    """
    names = yardsticks(runs)
    if len(names) < 2:
        return None
    table = pd.DataFrame(
        {
            "contrast": [contrast.name for contrast in plan.contrasts],
            "factor": [contrast.factor for contrast in plan.contrasts],
            "level": pd.Series([contrast.level for contrast in plan.contrasts], dtype=object),
        }
    )
    for name in names:
        found = effects(runs, plan, name)
        for column in ("effect", "low", "high"):
            table[f"{column}[{name}]"] = found[column]
    signs = np.sign(table[[f"effect[{name}]" for name in names]].to_numpy(dtype=float))
    table["signs_differ"] = (signs < 0).any(axis=1) & (signs > 0).any(axis=1)
    means = {name: _means(runs, plan, name) for name in names}
    table.attrs["rank_statistic"] = "Kendall's tau-b"
    table.attrs["rank_agreement"] = {
        (one, other): _tau(means[one], means[other]) for one, other in itertools.combinations(names, 2)
    }
    return table


def _means(runs: pd.DataFrame, plan: Plan, metric: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    values = Outcomes.of(runs, plan, metric).values
    counts = (~np.isnan(values)).sum(axis=1)
    return np.asarray(np.where(counts > 0, np.nansum(values, axis=1) / np.maximum(counts, 1), np.nan))


def _tau(
    one: np.ndarray[tuple[int, ...], np.dtype[np.float64]], other: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> float:
    both = ~np.isnan(one) & ~np.isnan(other)
    return float(stats.kendalltau(one[both], other[both]).statistic) if both.sum() >= 2 else float("nan")
