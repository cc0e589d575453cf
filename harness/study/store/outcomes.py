"""What the trials of a study say of its runs: how each ended, its scores and its learning curve."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from harness.design import Plan

# Best evidence first: where a run has several trials, the table shows the first of these.
_RANK = {"complete": 0, "diverged": 1, "pruned": 2, "running": 3, "waiting": 4, "failed": 5}


def run_table(study: optuna.Study, plan: Plan) -> pd.DataFrame:
    """One tidy row per planned run: key, cell, seed, state, attempts and every outcome of its summary."""
    best: dict[str, FrozenTrial] = {}
    for trial in study.get_trials(deepcopy=False):
        key = trial.user_attrs.get("key")
        if key is not None and (key not in best or _RANK[state_of(trial)] < _RANK[state_of(best[key])]):
            best[key] = trial
    rows = []
    for run in plan.runs:
        row: dict[str, Any] = {"key": run.key, "cell": run.cell, "seed": run.seed, "state": "missing"}
        if run.key in best:
            trial = best[run.key]
            row |= {"state": state_of(trial), "trial": trial.number, "attempt": trial.user_attrs.get("attempt", 1)}
            row |= trial.user_attrs.get("summary", {})
            row["slots_per_device"] = trial.user_attrs.get("slots_per_device", 1)
            row["reason"] = trial.user_attrs.get("failure", {}).get("reason", "")
            row["mlflow_run_id"] = trial.user_attrs.get("mlflow_run_id", "")
        rows.append(row)
    table = pd.DataFrame(rows)
    for column in ("mifid", "fid", "memorization_distance", "train_seconds", "images_per_second", "peak_memory_mb"):
        if column not in table:
            table[column] = math.nan
    if "slots_per_device" not in table:
        table["slots_per_device"] = 1
    return table


def curves(study: optuna.Study, plan: Plan) -> dict[tuple[str, int], list[tuple[int, float]]]:
    """(cell, seed) -> (images, MiFID) pairs over all attempts at the run."""
    found: dict[str, dict[int, float]] = {}
    for trial in study.get_trials(deepcopy=False):
        key = trial.user_attrs.get("key")
        if key is not None:
            curve = {int(images): value for images, value in trial.user_attrs.get("curve", {}).items()}
            found.setdefault(key, {}).update(trial.intermediate_values or curve)
    return {(run.cell, run.seed): sorted(found[run.key].items()) for run in plan.runs if found.get(run.key)}


def state_of(trial: FrozenTrial) -> str:
    """complete, diverged, pruned, running, waiting or failed."""
    if trial.state == TrialState.FAIL:
        return "diverged" if trial.user_attrs.get("failure", {}).get("kind") == "diverged" else "failed"
    return "waiting" if trial.state == TrialState.WAITING else trial.state.name.lower()
