"""The Optuna study: one trial per planned run, asked and told by one coordinator. Alone in importing optuna."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import math
import os
import socket
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from harness.design import Plan
from harness.errors import StudyError
from harness.spec import Spec

DEFAULT_STORAGE = "sqlite:///optuna.db"
_MAX_SEED = 2**31 - 1
# Best evidence first: where a run has several trials, the table shows the first of these.
_RANK = {"complete": 0, "diverged": 1, "running": 2, "waiting": 3, "failed": 4}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A run the coordinator took from the queue. `previous` is the MLflow run that an earlier attempt left."""

    number: int
    key: str
    attempt: int
    previous: str | None


class StudyStore:
    """The study of one plan in an Optuna storage. Opening it creates nothing; `create` does."""

    def __init__(self, storage: str, name: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self.storage = storage
        self.name = name
        self._study: optuna.Study | None = None
        self._space: dict[str, BaseDistribution] = {}
        self._trials: dict[int, optuna.Trial] = {}

    # ------------------------------------------------------------------ opening

    @classmethod
    def find(cls, storage: str, name: str) -> StudyStore:
        """The stored study called `name`, or whose name begins so where just one does. Raises StudyError."""
        if not _exists(storage):
            raise StudyError(f"no study '{name}' in {storage}: the file does not exist; run `harness ablate` first")
        names = optuna.get_all_study_names(storage)
        matches = [name] if name in names else [other for other in names if other.startswith(f"{name}-")]
        if len(matches) != 1:
            what = "several studies begin with" if matches else "no study is called"
            known = ", ".join(sorted(matches or names)) or "none"
            raise StudyError(f"{what} '{name}' in {storage}; known: {known}")
        store = cls(storage, matches[0])
        store._study = optuna.load_study(study_name=matches[0], storage=storage)
        return store

    def create(self, spec: Spec, plan: Plan) -> None:
        """Open the study, made where it is missing."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                study_name=self.name,
                storage=self.storage,
                direction="minimize",
                load_if_exists=True,
                sampler=optuna.samplers.RandomSampler(seed=0),
            )
            self._study.set_metric_names(["mifid"])
        self._space = {
            name: CategoricalDistribution([factor.baseline, *factor.levels]) for name, factor in spec.factors.items()
        }
        self._space["seed"] = IntDistribution(0, _MAX_SEED)

    def load(self) -> None:
        """Open a study that must be there. Raises StudyError."""
        self._study = StudyStore.find(self.storage, self.name).study

    @property
    def study(self) -> optuna.Study:
        assert self._study is not None, "create or load the study first"
        return self._study

    # ------------------------------------------------------------------ ownership

    @contextlib.contextmanager
    def ownership(self, *, take_over: bool = False) -> Iterator[None]:
        """Hold the study as its only coordinator. Raises StudyError where another one lives."""
        folder = Path(".harness")
        folder.mkdir(exist_ok=True)
        with open(folder / f"{self.name}.lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StudyError(f"study '{self.name}' is being run {self._whose()}; wait for it, or stop it") from None
            owner = self.study.user_attrs.get("owner")
            if owner and not take_over and _alive(owner):
                raise StudyError(
                    f"study '{self.name}' is being run {self._whose()}; wait for it, or, where you know it to be dead, "
                    "add --take-over"
                )
            self.study.set_user_attr("owner", _this_process())
            try:
                yield
            finally:
                self.study.set_user_attr("owner", None)

    def _whose(self) -> str:
        owner = self.study.user_attrs.get("owner") or {}
        return f"by process {owner.get('pid', 'unknown')} on {owner.get('host', 'this machine')}"

    # ------------------------------------------------------------------ queue

    def reconcile(self, plan: Plan) -> dict[str, int]:
        """Make the queue hold every run of the plan that is neither done nor waiting; say how many of each.

        Needs ownership: a trial that is RUNNING now was left by a coordinator that died.
        """
        stale = 0
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(trial.number, state=TrialState.FAIL)
            stale += 1
        cells = {cell.name: cell for cell in plan.cells}
        done, waiting, attempts = self._census()
        added = 0
        for run in plan.runs:
            if run.key in done or run.key in waiting:
                continue
            self.study.enqueue_trial(
                {**cells[run.cell].levels, "seed": run.seed},
                user_attrs={"key": run.key, "cell": run.cell, "attempt": attempts.get(run.key, 0) + 1},
            )
            added += 1
        planned = {run.key for run in plan.runs}
        return {
            "done": len(done & planned),
            "stale": stale,
            "added": added,
            "pending": len(planned - done),
        }

    def _census(self) -> tuple[set[str], set[str], dict[str, int]]:
        done: set[str] = set()
        waiting: set[str] = set()
        attempts: dict[str, int] = {}
        for trial in self.study.get_trials(deepcopy=False):
            key = trial.user_attrs.get("key")
            if key is None:
                continue
            state = _state(trial)
            if state in ("complete", "diverged"):
                done.add(key)
            elif state == "waiting":
                waiting.add(key)
            attempts[key] = max(attempts.get(key, 0), int(trial.user_attrs.get("attempt", 1)))
        return done, waiting, attempts

    def claim(self, plan: Plan) -> Claim | None:
        """Take the next planned run from the queue, None where it is empty."""
        planned = {run.key for run in plan.runs}
        while self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            trial = self.study.ask(self._space)
            self._trials[trial.number] = trial
            key = trial.user_attrs.get("key")
            if key not in planned:
                self.fail(trial.number, "withdrawn", "not in the plan any more")
                continue
            previous = self._previous(key, trial)
            trial.set_user_attr("started", time.time())
            return Claim(
                number=trial.number, key=key, attempt=int(trial.user_attrs.get("attempt", 1)), previous=previous
            )
        return None

    def _previous(self, key: str, trial: optuna.Trial) -> str | None:
        """The MLflow run that an earlier attempt at this run left behind."""
        previous: str | None = None
        for other in self.study.get_trials(deepcopy=False):
            if other.number != trial.number and other.user_attrs.get("key") == key:
                previous = other.user_attrs.get("mlflow_run_id", previous)
        return previous

    # ------------------------------------------------------------------ telling

    def attach(self, number: int, **attributes: Any) -> None:
        """Note attributes on a claimed trial: the MLflow run, the device, the slot's share."""
        for key, value in attributes.items():
            self._trials[number].set_user_attr(key, value)

    def report(self, number: int, images: int, value: float) -> None:
        """An intermediate MiFID after `images` shown."""
        if math.isfinite(value):
            self._trials[number].report(value, images)

    def note(self, number: int, text: str) -> None:
        """Markdown that optuna-dashboard shows with the trial; before the trial is told."""
        from optuna_dashboard import save_note

        save_note(self._trials[number], text)

    def study_note(self, text: str) -> None:
        """Markdown that optuna-dashboard shows with the study."""
        from optuna_dashboard import save_note

        save_note(self.study, text)

    def study_figure(self, figure: Any, name: str) -> None:
        """A plotly figure that optuna-dashboard shows with the study."""
        from optuna_dashboard import save_plotly_graph_object

        save_plotly_graph_object(self.study, figure, graph_object_id=name)

    def complete(self, number: int, summary: dict[str, float]) -> None:
        """The run ended well: its summary becomes attributes, its MiFID the trial's value."""
        self.attach(number, summary={k: v for k, v in summary.items() if math.isfinite(v)}, finished=time.time())
        self.study.tell(number, summary["mifid"])

    def fail(self, number: int, kind: str, reason: str) -> None:
        """The run ended as diverged (an outcome), error, interrupted or withdrawn."""
        self.attach(number, failure={"kind": kind, "reason": reason}, finished=time.time())
        self.study.tell(number, state=TrialState.FAIL)

    # ------------------------------------------------------------------ reading

    def run_table(self, plan: Plan) -> pd.DataFrame:
        """One tidy row per planned run: key, cell, seed, state, attempts and every outcome of its summary."""
        best: dict[str, FrozenTrial] = {}
        for trial in self.study.get_trials(deepcopy=False):
            key = trial.user_attrs.get("key")
            if key is not None and (key not in best or _RANK[_state(trial)] < _RANK[_state(best[key])]):
                best[key] = trial
        rows = []
        for run in plan.runs:
            row: dict[str, Any] = {"key": run.key, "cell": run.cell, "seed": run.seed, "state": "missing"}
            if run.key in best:
                trial = best[run.key]
                row |= {"state": _state(trial), "trial": trial.number, "attempt": trial.user_attrs.get("attempt", 1)}
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

    def curves(self, plan: Plan) -> dict[tuple[str, int], list[tuple[int, float]]]:
        """(cell, seed) -> (images, MiFID) pairs over all attempts at the run."""
        found: dict[str, dict[int, float]] = {}
        for trial in self.study.get_trials(deepcopy=False):
            key = trial.user_attrs.get("key")
            if key is not None:
                found.setdefault(key, {}).update(trial.intermediate_values)
        return {(run.cell, run.seed): sorted(found[run.key].items()) for run in plan.runs if found.get(run.key)}

    def remember(self, **attributes: Any) -> None:
        """Attributes of the study itself (spec, plan), as JSON."""
        for key, value in attributes.items():
            self.study.set_user_attr(key, json.loads(json.dumps(value, default=str)))

    def recall(self, key: str) -> Any:
        """An attribute that `remember` kept, None where there is none."""
        return self.study.user_attrs.get(key)


def _state(trial: FrozenTrial) -> str:
    if trial.state == TrialState.FAIL:
        return "diverged" if trial.user_attrs.get("failure", {}).get("kind") == "diverged" else "failed"
    return {TrialState.COMPLETE: "complete", TrialState.RUNNING: "running", TrialState.WAITING: "waiting"}.get(
        trial.state, "failed"
    )


def _exists(storage: str) -> bool:
    """Whether the storage is there already; asking Optuna would make an empty SQLite file."""
    prefix = "sqlite:///"
    return not storage.startswith(prefix) or Path(storage.removeprefix(prefix)).exists()


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    """When the process began, in clock ticks since boot: tells a reused process number from the same process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _this_process() -> dict[str, Any]:
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "boot": _boot_id(), "began": _start_time(pid)}


def _alive(owner: dict[str, Any]) -> bool:
    """Whether an owner record's process may live. One of another host cannot be asked, so it is taken to live."""
    if owner.get("host") != socket.gethostname():
        return True
    if owner.get("boot") != _boot_id() or owner.get("pid") == os.getpid():
        return False
    try:
        os.kill(int(owner["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return bool(owner.get("began", "") == _start_time(int(owner["pid"])))
