"""What MLflow and Optuna show of one run, and what the study holds of runs that have no journal on this machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.design import Cell, Plan, PlannedRun
from harness.measures import RunState
from harness.recipes.events import SOURCE, Cause, Failed, Finished
from harness.spec import label
from harness.study.journal import Journal
from harness.study.store import StudyStore
from harness.study.store.attempts import Attempt
from harness.study.tracked import FAILURE, REASON, Point


@dataclass(frozen=True, kw_only=True)
class Record:
    """All that Optuna holds of a run that has ended: what MLflow gets of it where there is no journal.

    `reused` is the study that it was taken over from, "" for a run of this study's own, and `original` its MLflow run
    there. `failures` are (attempt, why it failed) pairs. Times are in ms since 1970.
    """

    key: str
    name: str
    parameters: dict[str, str]
    tags: dict[str, str]
    status: str
    points: tuple[Point, ...]
    began: int
    ended: int
    failures: tuple[tuple[int, str], ...] = ()
    reused: str = ""
    original: str = ""


def title(cell: Cell, run: PlannedRun) -> str:
    """A run's name for readers."""
    return f"{cell.name} · seed {run.seed}"


def parameters(plan: Plan, cell: Cell, run: PlannedRun) -> dict[str, str]:
    """All that the run was trained with, flat: factors, settings, budget, evaluation."""
    levels = {f"factor.{factor}": label(level) for factor, level in cell.levels.items()}
    budget = {f"budget.{k}": v for k, v in plan.budget.model_dump().items() if v is not None}
    evaluate = {f"evaluate.{k}": v for k, v in plan.evaluate.model_dump(mode="json").items()}
    found: dict[str, Any] = {"seed": run.seed, "cell": cell.name, **levels, **cell.settings, **budget, **evaluate}
    return {name: str(value) for name, value in found.items()}


def identity(study: str, cell: Cell, run: PlannedRun, source: str) -> dict[str, str]:
    """The tags that a run is found by."""
    tags = {
        "harness.cell": cell.name,
        "harness.seed": str(run.seed),
        "harness.key": run.key,
        "harness.study": study,
    }
    return tags | ({SOURCE: source} if source else {})


def attempt_tags(trial: int, attempt: int, share: int, replicates: int) -> dict[str, str]:
    """The tags of the attempt that a run is at: its trial, its number, how many slots shared the device, and how many
    runs were trained together with it, itself included."""
    about = {"optuna.trial": trial, "harness.attempt": attempt, "slots_per_device": share, "replicates": replicates}
    return {name: str(value) for name, value in about.items()}


def note(cell: Cell, run: PlannedRun, attempt: int) -> str:
    """Markdown that Optuna's dashboard shows with the trial."""
    lines = "\n".join(f"- {factor}: `{label(level)}`" for factor, level in cell.levels.items())
    return f"# {title(cell, run)}\n\nrun `{run.key}`, attempt {attempt}\n\n{lines}\n"


def status_of(kind: Cause | str) -> str:
    """MLflow's word for a run that ended so."""
    return "KILLED" if kind in (Cause.INTERRUPTED, Cause.PRUNED, "") else "FAILED"


def failure_tags(kind: str, reason: str) -> dict[str, str]:
    """The tags of a run that failed."""
    return {FAILURE: kind, REASON: reason}


def unwritten(
    store: StudyStore,
    plan: Plan,
    journal: Journal,
    tags: Mapping[str, str],
    keys: Collection[str] | None = None,
) -> list[Record]:
    """Runs of the plan, or of `keys`, that have ended by Optuna though their journals here do not say so.

    Those that were taken over from another study, and those that were trained from another folder.
    """
    plan = store.tried(plan)
    cells = {cell.name: cell for cell in plan.cells}
    held = store.attempts()
    found = []
    for run in plan.runs:
        # A trial that was withdrawn trained nothing.
        ours = [each for each in held.get(run.key, ()) if each.kind != Cause.WITHDRAWN]
        if not ours or (keys is not None and run.key not in keys):
            continue
        last, told = ours[-1], journal.last(run.key)
        done = next((each for each in ours if each.state in (RunState.COMPLETE, RunState.DIVERGED)), last)
        if isinstance(told, Finished) or (isinstance(told, Failed) and done.state is not RunState.COMPLETE):
            continue
        found.append(_record(store.name, plan, cells[run.cell], run, done, ours, tags))
    return found


def _record(
    study: str,
    plan: Plan,
    cell: Cell,
    run: PlannedRun,
    done: Attempt,
    attempts: Sequence[Attempt],
    tags: Mapping[str, str],
) -> Record:
    complete = done.state is RunState.COMPLETE
    reused = str(done.attributes.get("reused_from") or "")
    end = max(done.curve, default=0)
    points: list[Point] = []
    if not reused:  # such a run's curve is with the one that it was taken from
        points = [
            (plan.objective.name, value, step, done.began + place)
            for place, (step, value) in enumerate(sorted(done.curve.items()))
        ]
    if complete or reused:
        known = {(name, step) for name, _, step, _ in points}
        points += [(name, value, end, done.ended) for name, value in done.summary.items() if (name, end) not in known]
    own = identity(study, cell, run, str(done.attributes.get("source", "")))
    if not reused:
        share, replicates = (int(done.attributes.get(name, 1)) for name in ("slots_per_device", "replicates"))
        own |= attempt_tags(done.trial, done.attempt, share, replicates)
    if not complete:
        own |= failure_tags(done.kind, done.reason) if done.kind else {}
    return Record(
        key=run.key,
        name=title(cell, run),
        parameters=parameters(plan, cell, run),
        tags={**tags, **own},
        status="FINISHED" if complete else status_of(done.kind),
        points=tuple(points),
        began=done.began,
        ended=done.ended,
        failures=tuple(
            (each.attempt, f"{each.kind}: {each.reason}\n\n{each.output}") for each in attempts if each.kind
        ),
        reused=reused,
        original=str(done.attributes.get("mlflow_run_id") or "") if reused else "",
    )
