"""The same trick in two studies: on other data, at another budget, under another extractor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from scipy import stats

from harness.analysis.effects import effects
from harness.analysis.paired import ALPHA
from harness.analysis.types import Effect, Estimate
from harness.measures import Measure
from harness.spec import Level
from harness.spec.factors import label

if TYPE_CHECKING:
    from harness.design import Plan

_PARTS = {"ratio": "ratio", "low": "ratio_low", "high": "ratio_high"}

Study = tuple[str, pd.DataFrame, "Plan"]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A trick that at least two studies have: its effect in each, and the farthest from the first."""

    factor: str
    baseline: Level
    level: Level
    design: str
    held: str
    effects: Mapping[str, Effect]
    same_sign: bool
    ratio_of_ratios: Estimate
    p: float
    p_adjusted: float
    differ: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Studies by name, and the tricks that they share."""

    studies: tuple[str, ...]
    measure: Measure
    tricks: tuple[Compared, ...]


def compare(studies: Sequence[Study], metric: str = "mifid") -> pd.DataFrame:
    """One row per trick that at least two studies have, with its effect in each as a ratio (treated over control).

    Columns `factor`, `level`, `design`; per study `ratio[<name>]`, `low[<name>]`, `high[<name>]`, `n[<name>]` and
    `verdict[<name>]`; `same_sign`; and `differ`: whether the log-ratios of some study and the first differ by more than
    chance (Welch's 95 % interval excludes 0), with the ratio of their ratios `ratio_of_ratios` for the farthest one.
    """
    tables = {name: _by_trick(effects(runs, plan, metric), plan) for name, runs, plan in studies}
    keys = list(dict.fromkeys(key for table in tables.values() for key in table))
    rows: list[dict[str, Any]] = []
    for key in keys:
        found = {name: table[key] for name, table in tables.items() if key in table and table[key]["n"] > 0}
        if len(found) < 2:
            continue
        factor, _, _, design = key
        row: dict[str, Any] = {"factor": factor, "level": next(iter(found.values()))["level"], "design": design}
        for name, effect in found.items():
            row |= {f"{part}[{name}]": effect[column] for part, column in _PARTS.items()}
            row |= {f"n[{name}]": effect["n"], f"verdict[{name}]": effect["verdict"]}
        first, *others = found.values()
        logs = [math.log(effect["ratio"]) for effect in found.values()]
        row["same_sign"] = min(logs) > 0 or max(logs) < 0 or min(logs) == max(logs)
        row["differ"] = any(_differ(first, other) for other in others)
        farthest = max(others, key=lambda other: abs(math.log(other["ratio"] / first["ratio"])))
        row["ratio_of_ratios"] = farthest["ratio"] / first["ratio"]
        rows.append(row)
    table = pd.DataFrame(rows)
    table.attrs["studies"] = [name for name, *_ in studies]
    return table


def _by_trick(table: pd.DataFrame, plan: Plan) -> dict[tuple[str, str, str, str], dict[Any, Any]]:
    return {
        (contrast.factor, label(contrast.level), label(contrast.baseline), contrast.design): row
        for contrast, row in zip(plan.contrasts, table.to_dict("records"), strict=True)
    }


def _spread(effect: dict[Any, Any]) -> float:
    """Standard error of a log-ratio, from its t interval."""
    width = math.log(effect["ratio_high"]) - math.log(effect["ratio_low"])
    return width / 2 / float(stats.t.ppf(1 - ALPHA / 2, effect["n"] - 1))


def _differ(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    if min(one["n"], other["n"]) < 2:
        return False
    a, b = _spread(one) ** 2, _spread(other) ** 2
    change = math.log(other["ratio"]) - math.log(one["ratio"])
    if a + b == 0:
        return change != 0
    degrees = (a + b) ** 2 / (a**2 / (one["n"] - 1) + b**2 / (other["n"] - 1))
    return abs(change) > float(stats.t.ppf(1 - ALPHA / 2, degrees)) * math.sqrt(a + b)
