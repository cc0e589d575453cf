"""What the trials of a study say of its runs: how each ended, what it measured and its learning curve."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from harness.design import Plan
from harness.measures import RunState
from harness.recipes.events import Cause

SETTLED = (RunState.COMPLETE, RunState.DIVERGED, RunState.PRUNED)
"""How a run ends that is not tried again."""
_REUSED = "reused_from"
_SOMETIMES = ("source", _REUSED, "trained_from")  # columns that tables have where any of their runs has one
# Best evidence first: where a run has several trials, the table shows the first of these.
_RANK = [*SETTLED, RunState.RUNNING, RunState.WAITING, RunState.FAILED]


def run_table(trials: Sequence[FrozenTrial], plan: Plan) -> pd.DataFrame:
    """One tidy row a planned run: key, cell, seed, state, attempts and a column a measure by its name.

    `source`, the digest of the recipe's source, `reused_from`, the study that trained it, and `trained_from`, the key
    of the run whose training it shares, where any run has one. A run that was taken over from another kind of device
    has no costs: they are that device's. `replicates` are those that a run was trained together with at any attempt, or
    that the run was whose training it shares, itself included: their costs are shares of one program's.
    """
    best: dict[str, FrozenTrial] = {}
    together: dict[str, int] = {}
    for key, trial in keyed(trials):
        together[key] = max(together.get(key, 1), int(trial.user_attrs.get("replicates", 1)))
        if key not in best or _RANK.index(state_of(trial)) < _RANK.index(state_of(best[key])):
            best[key] = trial
    devices, costs = _devices(best.values()), {cost.name for cost in plan.costs}
    rows = []
    for run in plan.runs:
        row: dict[str, Any] = {"key": run.key, "cell": run.cell, "seed": run.seed, "state": RunState.MISSING.value}
        if run.key in best:
            trial = best[run.key]
            row |= {"state": state_of(trial).value, "trial": trial.number}
            elsewhere = _REUSED in trial.user_attrs and trial.user_attrs.get("device_name") not in devices
            summary = trial.user_attrs.get("summary", {})
            row |= {name: value for name, value in summary.items() if not (elsewhere and name in costs)}
            row["attempt"] = trial.user_attrs.get("attempt", 1)
            row["slots_per_device"] = trial.user_attrs.get("slots_per_device", 1)
            row["replicates"] = max(together[run.key], together.get(trial.user_attrs.get("trained_from", ""), 1))
            row["reason"] = trial.user_attrs.get("failure", {}).get("reason", "")
            row["mlflow_run_id"] = trial.user_attrs.get("mlflow_run_id", "")
            row |= {name: trial.user_attrs[name] for name in _SOMETIMES if trial.user_attrs.get(name)}
        rows.append(row)
    table = pd.DataFrame(rows)
    for name in _SOMETIMES:
        if name in table:
            table[name] = table[name].fillna("")
    for measure in (plan.objective, *plan.measures, *plan.costs):
        if measure.name not in table:
            table[measure.name] = math.nan
    for name in ("slots_per_device", "replicates"):
        if name not in table:
            table[name] = 1
    return table


def _devices(trials: Collection[FrozenTrial]) -> set[str]:
    """The kinds of device that a study trains on: those of its own runs, or of most of its runs where none is its own.

    Where it is not known what a run was trained on, that is none of them.
    """
    named = [trial for trial in trials if trial.user_attrs.get("device_name")]
    own = {trial.user_attrs["device_name"] for trial in named if _REUSED not in trial.user_attrs}
    return own or {name for name, _ in Counter(trial.user_attrs["device_name"] for trial in named).most_common(1)}


def curves(trials: Sequence[FrozenTrial], plan: Plan) -> dict[tuple[str, int], list[tuple[int, float]]]:
    """(cell, seed) -> (step, objective) pairs over all attempts at the run."""
    found: dict[str, dict[int, float]] = {}
    for key, trial in keyed(trials):
        found.setdefault(key, {}).update(curve_of(trial))
    return {(run.cell, run.seed): sorted(found[run.key].items()) for run in plan.runs if found.get(run.key)}


def curve_of(trial: FrozenTrial) -> dict[int, float]:
    """Step -> objective, as one attempt at a run reported it."""
    if trial.intermediate_values:
        return trial.intermediate_values
    return {int(step): value for step, value in trial.user_attrs.get("curve", {}).items()}


def keyed(trials: Sequence[FrozenTrial]) -> list[tuple[str, FrozenTrial]]:
    """(key of its run, trial) for each trial that is of a run: someone else's have no key."""
    return [(trial.user_attrs["key"], trial) for trial in trials if "key" in trial.user_attrs]


def plan_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The plan among a study's attributes; {} where there is none, or one that is not of our making.

    Whoever shares the storage may keep anything under that name.
    """
    found = attributes.get("plan")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in ("recipe", "objective")):
        return {}
    search, runs = found.get("search"), found.get("runs")
    if search and not (
        isinstance(search, dict) and isinstance(search.get("levels"), dict) and isinstance(search.get("trials"), int)
    ):
        return {}
    sound = isinstance(runs, list) and all(isinstance(run, dict) and isinstance(run.get("key"), str) for run in runs)
    return found if sound and isinstance(found.get("design"), str) else {}


def keyed_of_others(trials: Sequence[FrozenTrial]) -> list[tuple[str, FrozenTrial]]:
    """`keyed` of a study that others may have made: those whose attributes are what we write."""
    return [(str(trial.user_attrs["key"]), trial) for trial in trials if _is_ours(trial.user_attrs)]


def _is_ours(attributes: Mapping[str, Any]) -> bool:
    told = {"key": str, "cell": str, "seed": int, "levels": dict}
    more = {"summary": dict, "failure": dict, "curve": dict, "source": str, "mlflow_run_id": str, "reused_from": str}
    summary, curve = attributes.get("summary") or {}, attributes.get("curve") or {}
    return (
        all(type(attributes.get(name)) is kind for name, kind in told.items())
        and all(isinstance(attributes.get(name, kind()), kind) for name, kind in more.items())
        and all(isinstance(value, float | int) for value in (*summary.values(), *curve.values()))
        and all(str(step).isdecimal() for step in curve)
    )


def state_of(trial: FrozenTrial) -> RunState:
    """Where the run of a trial is."""
    if trial.state == TrialState.FAIL:
        diverged = trial.user_attrs.get("failure", {}).get("kind") == Cause.DIVERGED
        return RunState.DIVERGED if diverged else RunState.FAILED
    return RunState(trial.state.name.lower())
