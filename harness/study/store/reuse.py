"""Runs that another study of the storage has trained already: equal keys mean equal runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from harness.design import Plan
from harness.measures import RunState
from harness.study.store import outcomes

_CARRIED = (
    "summary",
    "failure",
    "source",
    "trained_from",
    "device",
    "device_name",
    "slots_per_device",
    "replicates",
    "started",
    "finished",
)


@dataclass(frozen=True, kw_only=True)
class Reusable:
    """A run of the study `study` that ended as `state`, complete or diverged; `mlflow_run` is its record there."""

    study: str
    state: RunState
    reason: str
    summary: Mapping[str, float]
    curve: Mapping[int, float]
    mlflow_run: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


def reusable(storage: BaseStorage, name: str, plan: Plan, keys: set[str], source: str) -> dict[str, Reusable]:
    """Key -> that run as another study has it, for those of `keys` that one has with the same source of the recipe.

    Runs of a search are left out: its sampler chose them by their results. One pass over the other studies' trials.
    """
    found: dict[str, Reusable] = {}
    for summary in optuna.get_all_study_summaries(storage, include_best_trial=False):
        document = outcomes.plan_of(summary.user_attrs)
        if summary.study_name == name or document.get("recipe") != plan.recipe or document.get("search"):
            continue
        trials = optuna.load_study(study_name=summary.study_name, storage=storage).get_trials(deepcopy=False)
        for key, trial in outcomes.keyed_of_others(trials):
            if key not in keys or trial.user_attrs.get("source", "") != source:
                continue
            taken = _reusable(trial, summary.study_name, plan.objective.name, document.get("objective"))
            first_hand = "reused_from" not in trial.user_attrs
            if taken is not None and (key not in found or first_hand):
                found[key] = taken
    return found


def _reusable(trial: FrozenTrial, study: str, objective: str, its_objective: str | None) -> Reusable | None:
    state = outcomes.state_of(trial)
    summary = trial.user_attrs.get("summary", {})
    if state is RunState.COMPLETE and not math.isfinite(summary.get(objective, math.nan)):
        return None
    if state not in (RunState.COMPLETE, RunState.DIVERGED):
        return None
    return Reusable(
        study=trial.user_attrs.get("reused_from", study),
        state=state,
        reason=trial.user_attrs.get("failure", {}).get("reason", ""),
        summary=summary,
        curve=outcomes.curve_of(trial) if its_objective == objective else {},
        mlflow_run=trial.user_attrs.get("mlflow_run_id", ""),
        attributes={name: trial.user_attrs[name] for name in _CARRIED if name in trial.user_attrs},
    )
