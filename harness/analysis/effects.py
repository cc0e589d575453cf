"""Effects: every contrast of a plan estimated from runs paired by seed, with interval, p, power and verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.analysis import paired

if TYPE_CHECKING:
    from harness.design import Contrast, Plan

HIGHER_IS_BETTER: dict[str, bool] = {
    "mifid": False,
    "fid": False,
    "kid": False,
    "memorization_distance": True,
    "precision": True,
    "recall": True,
    "density": True,
    "coverage": True,
    "train_seconds": False,
    "images_per_second": True,
    "peak_memory_mb": False,
    "images": True,
}
"""Which way a metric is better; one that is not listed is taken as lower is better."""

COSTS = ("train_seconds", "images_per_second", "peak_memory_mb")
"""Outcomes that only count from runs that had their device alone."""

Matrix = NDArray[np.float64]


def higher_is_better(metric: str) -> bool:
    """The direction of a metric; `mifid/inception/square` goes as `mifid`."""
    return HIGHER_IS_BETTER.get(metric.split("/")[0], False)


@dataclass(frozen=True)
class Outcomes:
    """The run table as matrices [cell, seed]: the metric where a run may be used (else NaN), and how each ended."""

    index: dict[str, int]
    values: Matrix
    states: NDArray[np.object_]
    note: str

    @classmethod
    def of(cls, runs: pd.DataFrame, plan: Plan, metric: str) -> Outcomes:
        """Line up the runs of the plan's cells. Where a cell and seed has several rows, a complete one counts."""
        index = {cell.name: position for position, cell in enumerate(plan.cells)}
        table = runs[runs["cell"].isin(list(index))]
        seeds = {seed: position for position, seed in enumerate(sorted(set(table["seed"])))}
        values: Matrix = np.full((len(index), len(seeds)), np.nan)
        states = np.full((len(index), len(seeds)), "missing", dtype=object)
        order = table["state"].map({"complete": 2, "diverged": 1}).fillna(0)
        table = table.iloc[np.argsort(order.to_numpy(), kind="stable")]
        rows = table["cell"].map(index).to_numpy(dtype=int)
        columns = table["seed"].map(seeds).to_numpy(dtype=int)
        states[rows, columns] = table["state"].to_numpy(dtype=object)
        numbers = _column(table, metric)
        complete = (table["state"] == "complete").to_numpy() & np.isfinite(numbers)
        note = ""
        if metric.split("/")[0] in COSTS:
            alone = np.nan_to_num(_column(table, "slots_per_device", 1.0), nan=1.0) == 1
            shared = int(np.sum(complete & ~alone))
            if shared:
                note = (
                    f"{metric}: {shared} of {int(np.sum(complete))} complete runs shared their device with others and "
                    "are left out; measure cost with one slot per device"
                )
            complete &= alone
        values[rows[complete], columns[complete]] = numbers[complete]
        return cls(index, values, states, note)


def _column(table: pd.DataFrame, name: str, default: float = math.nan) -> Matrix:
    if name not in table:
        return np.full(len(table), default)
    column = pd.to_numeric(table[name], errors="coerce")
    return np.asarray(column.to_numpy(dtype=float, na_value=np.nan))


def effects(runs: pd.DataFrame, plan: Plan, metric: str) -> pd.DataFrame:
    """One row per contrast of the plan: what the treated level changes in `metric`, from runs paired by seed.

    Per seed the difference is the mean of (treated - control) over the contrast's pairs in which both runs are
    complete; of a fractional design only seeds count in which all are. Seeds are the replicates. `low`, `high` is the
    unadjusted 95 % t interval of the mean difference; `ratio` and its interval are the same on the log scale (NaN
    unless all values are positive). `p_holm` adjusts `p_t` over all contrasts of the plan; the verdicts "helps" and
    "hurts" need it below 0.05, so that the chance of any false one in the table is at most 5 %. `seeds_needed` asks 80
    % power for the observed effect at the corrected level. `failed_*` counts diverged and failed runs alike,
    `diverged_*` those that diverged, `ended_*` those that ended at all; `probability_better` is the share of paired
    runs in which the treated one is better, a diverged run counting as the worst (NaN for fractional designs, whose
    pairs differ in more than the trick). Lower-is-better metrics keep their sign: a negative effect on MiFID helps.
    `attrs["note"]` says which runs were left out of a cost.
    """
    outcomes = Outcomes.of(runs, plan, metric)
    rows = [_row(contrast, outcomes, metric) for contrast in plan.contrasts]
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    for name in ("level", "baseline"):  # a level may be null, and pandas would make that a missing number
        table[name] = pd.Series([row[name] for row in rows], dtype=object)
    table["p_holm"] = paired.holm(table["p_t"].to_numpy(dtype=float))
    alpha = paired.ALPHA / max(1, len(table))
    table["seeds_needed"] = pd.array(
        [
            None if row["p_holm"] < paired.ALPHA else paired.seeds_needed(row["standardised"], alpha)
            for row in table.to_dict("records")
        ],
        dtype="Int64",
    )
    table["verdict"] = [verdict(row, metric) for row in table.to_dict("records")]
    table.attrs["metric"] = metric
    table.attrs["note"] = outcomes.note
    return table


_COLUMNS = (
    *("factor", "level", "baseline", "contrast", "n", "mean_treated", "mean_control", "sd_control"),
    *("effect", "relative", "low", "high", "boot_low", "boot_high", "ratio", "ratio_low", "ratio_high"),
    *("p_sign_flip", "p_t", "p_holm", "standardised", "seeds_needed", "probability_better"),
    *("planned_treated", "planned_control", "matched", "ended_treated", "ended_control"),
    *("failed_treated", "failed_control", "diverged_treated", "diverged_control"),
    *("identical", "verdict"),
)


def _row(contrast: Contrast, outcomes: Outcomes, metric: str) -> dict[str, Any]:
    treated = np.array([outcomes.index[pair[0]] for pair in contrast.pairs], dtype=int)
    control = np.array([outcomes.index[pair[1]] for pair in contrast.pairs], dtype=int)
    with_it, without = outcomes.values[treated], outcomes.values[control]
    both = ~np.isnan(with_it) & ~np.isnan(without)
    if not contrast.matched:  # a seed with a gap would hold other tricks' effects too
        both &= both.all(axis=0)
    means_with, means_without = _seed_means(with_it, both), _seed_means(without, both)
    differences = _seed_means(with_it - without, both)
    n = len(differences)
    mean_with, mean_without = _mean(means_with), _mean(means_without)
    # Noise of summation must not pass for an effect: below this the differences are one number, or zero.
    scale = float(np.max(np.abs(np.concatenate((means_with, means_without))), initial=0.0))
    deviation = paired.spread(differences, scale)
    if n >= 2 and deviation == 0:
        differences = np.full(n, 0.0 if abs(_mean(differences)) <= 1e-12 * scale else _mean(differences))
    effect = _mean(differences)
    interval, boot = paired.t_interval(differences), paired.bootstrap_interval(differences)
    ratio, ratio_interval = _ratio(with_it, without, both)
    standardised = math.nan
    if n >= 2:
        standardised = effect / deviation if deviation > 0 else math.copysign(math.inf, effect) if effect else 0.0
    return {
        "factor": contrast.factor,
        "level": contrast.level,
        "baseline": contrast.baseline,
        "contrast": contrast.name,
        "n": n,
        "mean_treated": mean_with,
        "mean_control": mean_without,
        "sd_control": float(np.std(means_without, ddof=1)) if n >= 2 else math.nan,
        "effect": effect,
        "relative": effect / abs(mean_without) if n and mean_without else math.nan,
        "low": interval.low,
        "high": interval.high,
        "boot_low": boot.low,
        "boot_high": boot.high,
        "ratio": ratio,
        "ratio_low": ratio_interval.low,
        "ratio_high": ratio_interval.high,
        "p_sign_flip": paired.sign_flip_p(differences),
        "p_t": paired.t_p(differences, deviation),
        "standardised": standardised,
        "probability_better": _probability_better(outcomes, treated, control, higher_is_better(metric))
        if contrast.matched
        else math.nan,
        "planned_treated": outcomes.states[np.unique(treated)].size,
        "planned_control": outcomes.states[np.unique(control)].size,
        "matched": contrast.matched,
        **_endings(outcomes, np.unique(treated), "treated"),
        **_endings(outcomes, np.unique(control), "control"),
        "identical": bool(n and effect == 0 and (n == 1 or deviation == 0)),
    }


def _mean(values: Matrix) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _seed_means(values: Matrix, use: NDArray[np.bool_]) -> Matrix:
    """Mean over the pairs in use, per seed that has any."""
    counts = use.sum(axis=0)
    sums = np.where(use, values, 0.0).sum(axis=0)
    return np.asarray(sums[counts > 0] / counts[counts > 0])


def _ratio(with_it: Matrix, without: Matrix, both: NDArray[np.bool_]) -> tuple[float, paired.Interval]:
    if not both.any() or with_it[both].min() <= 0 or without[both].min() <= 0:
        return math.nan, paired.NONE
    logs = np.zeros_like(with_it)
    logs[both] = np.log(with_it[both]) - np.log(without[both])
    changes = _seed_means(logs, both)
    low, high = paired.t_interval(changes)
    # One wild seed of two gives log intervals beyond what a float holds; those are as good as none.
    return math.exp(_mean(changes)), paired.Interval(_exp(low), _exp(high))


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _endings(outcomes: Outcomes, cells: NDArray[np.int64], side: str) -> dict[str, int]:
    states = outcomes.states[cells]
    diverged = int(np.sum(states == "diverged"))
    failed = diverged + int(np.sum(states == "failed"))
    return {
        f"ended_{side}": failed + int(np.sum(states == "complete")),
        f"failed_{side}": failed,
        f"diverged_{side}": diverged,
    }


def _probability_better(
    outcomes: Outcomes, treated: NDArray[np.int64], control: NDArray[np.int64], higher: bool
) -> float:
    """Share of paired runs won by the treated one, ties half: keeps the runs that diverged, as the worst there is."""
    scores = outcomes.values if higher else -outcomes.values
    scores = np.where(outcomes.states == "diverged", -np.inf, scores)
    with_it, without = scores[treated], scores[control]
    both = ~np.isnan(with_it) & ~np.isnan(without)
    if not both.any():
        return math.nan
    won, tied = with_it[both] > without[both], with_it[both] == without[both]
    return float(np.mean(won + 0.5 * tied))


def verdict(row: Mapping[Any, Any], metric: str) -> str:
    """What a row of `effects` says, in plain words."""
    words = _claim(row, metric)
    treated, control = int(row["diverged_treated"]), int(row["diverged_control"])
    faults = int(row["failed_treated"]) - treated
    if treated:
        if words == "helps" or words.startswith("may help"):
            words += " where it trains"  # the survivors may be the lucky ones
        words = f"diverged in all {treated} runs" if treated == row["planned_treated"] else words
        if not words.startswith("diverged"):
            words += f"; {treated} of {row['ended_treated']} diverged"
    if control and not row["n"] and control == row["planned_control"]:
        return f"control diverged in all {control} runs" + (f"; {words}" if treated else "")
    if control:
        words += f"; control: {control} of {row['ended_control']} diverged"
    if faults:
        words += f"; {faults} of {row['ended_treated']} failed"
    return words


def _claim(row: Mapping[Any, Any], metric: str) -> str:
    n = int(row["n"])
    if n == 0:
        return "no paired runs yet" if row["matched"] else "no seed is whole yet"
    if row["identical"]:
        return "identical"
    if n == 1:
        return "one seed says nothing"
    better = (row["effect"] > 0) == higher_is_better(metric)
    if row["p_holm"] < paired.ALPHA:
        return "helps" if better else "hurts"
    if row["low"] > 0 or row["high"] < 0:
        return f"may {'help' if better else 'hurt'} (not after correction)"
    return f"no evidence at n={n}"
