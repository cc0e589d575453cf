"""What MLflow and Optuna show of one run, and how runs of other studies come into both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.design import Cell, Plan, PlannedRun
from harness.measures import RunState
from harness.recipes.events import SOURCE, Cause
from harness.spec import label
from harness.study.store import Reusable, StudyStore
from harness.study.tracking import Tracker


def title(cell: Cell, run: PlannedRun) -> str:
    """A run's name for readers."""
    return f"{cell.name} · seed {run.seed}"


def parameters(plan: Plan, cell: Cell, run: PlannedRun) -> dict[str, Any]:
    """All that the run was trained with, flat: factors, settings, budget, evaluation."""
    levels = {f"factor.{factor}": label(level) for factor, level in cell.levels.items()}
    budget = {f"budget.{k}": v for k, v in plan.budget.model_dump().items() if v is not None}
    evaluate = {f"evaluate.{k}": v for k, v in plan.evaluate.model_dump(mode="json").items()}
    return {"seed": run.seed, "cell": cell.name, **levels, **cell.settings, **budget, **evaluate}


def identity(study: str, cell: Cell, run: PlannedRun, source: str) -> dict[str, str]:
    """The tags that a run is found by."""
    tags = {
        "harness.cell": cell.name,
        "harness.seed": str(run.seed),
        "harness.key": run.key,
        "harness.study": study,
    }
    return tags | ({SOURCE: source} if source else {})


def note(cell: Cell, run: PlannedRun, attempt: int, mlflow_run: str) -> str:
    """Markdown that Optuna's dashboard shows with the trial."""
    lines = "\n".join(f"- {factor}: `{label(level)}`" for factor, level in cell.levels.items())
    return f"# {title(cell, run)}\n\nrun `{run.key}`, attempt {attempt}, MLflow run `{mlflow_run}`\n\n{lines}\n"


def adopt(store: StudyStore, tracker: Tracker, plan: Plan, found: Mapping[str, Reusable], tags: dict[str, str]) -> None:
    """Take over runs of other studies, by key, in both stores: there they look as if they had been trained here."""
    for run in plan.runs:
        if run.key not in found:
            continue
        taken, cell = found[run.key], plan.cell(run.cell)
        own = identity(store.name, cell, run, taken.attributes.get("source", ""))
        if taken.state is RunState.DIVERGED:
            own |= {"harness.failure": Cause.DIVERGED.value, "harness.reason": taken.reason}
        mlflow_run = tracker.adopt(
            title(cell, run),
            original=taken.mlflow_run,
            study=taken.study,
            parameters=parameters(plan, cell, run),
            tags=tags | own,
            metrics=taken.summary,
            step=max(taken.curve, default=0),
        )
        store.adopt(plan, run, taken, mlflow_run)
        tracker.finish(mlflow_run, "FINISHED" if taken.state is RunState.COMPLETE else "FAILED")
