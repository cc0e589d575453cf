"""The Optuna study: one trial per run, asked and told by one coordinator."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import random
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.storages import get_storage
from optuna.trial import FrozenTrial, TrialState

from harness.design import Cell, Plan, PlannedRun, Search
from harness.design.model import NOWHERE
from harness.errors import StudyError
from harness.measures import Measure, RunState
from harness.recipes.events import Cause
from harness.runs.folder import RUNS
from harness.spec import Spec
from harness.study.store import outcomes, records, searching
from harness.study.store.address import exists, without_password
from harness.study.store.freshness import highest_seed, refuse_used_seeds
from harness.study.store.ownership import owned
from harness.study.store.records import Claim, Results, source_of
from harness.study.store.reuse import Reusable
from harness.study.store.reuse import reusable as reusable_of
from harness.study.store.standing import Standing, spent, standing

_MAX_SEED = 2**31 - 1


class StudyStore:
    """The study of one plan in an Optuna storage. Opening it creates nothing; `create` does."""

    def __init__(self, storage: str, name: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self.storage = storage
        self.name = name
        self.runs = RUNS / name
        """The folder of its runs; see `study.places`."""
        self._study: optuna.Study | None = None
        self._space: dict[str, BaseDistribution] = {}
        self._trials: dict[int, optuna.Trial] = {}
        self._objectives: tuple[Measure, ...] = ()
        self._address = NOWHERE

    # ------------------------------------------------------------------ opening

    @classmethod
    def find(cls, storage: str, name: str) -> StudyStore:
        """The stored study called `name`, or whose name begins so where just one does. Raises StudyError."""
        if not exists(storage):
            place = without_password(storage)
            raise StudyError(f"no study '{name}' in {place}: the file does not exist; run `harness ablate` first")
        opened = get_storage(storage)
        names = optuna.get_all_study_names(opened)
        # A digest makes a name whole: `hunt` is hunt-1a2b3c rather than hunt-confirm-1a2b3c.
        whole = [other for other in names if re.fullmatch(f"{re.escape(name)}-[0-9a-f]{{6}}", other)]
        matches = [name] if name in names else whole or [other for other in names if other.startswith(f"{name}-")]
        if len(matches) != 1:
            what = "several studies begin with" if matches else "no study is called"
            known = ", ".join(sorted(matches or names)) or "none"
            raise StudyError(
                f"{what} '{name}' in {without_password(storage)}; known: {known}; name one of these, or run "
                "`harness ablate`: a spec whose settings changed is another study"
            )
        store = cls(storage, matches[0])
        store._study = optuna.load_study(study_name=matches[0], storage=opened)
        return store

    def refuse_used_seeds(self, plan: Plan) -> None:
        """Refuse a new design on seeds that a search of this storage has chosen by. Raises StudyError."""
        if exists(self.storage):
            refuse_used_seeds(get_storage(self.storage), self.name, plan)

    def highest_seed(self, plan: Plan) -> int:
        """The highest seed that any study of the storage has used for the plan's recipe and objective, or -1."""
        return highest_seed(get_storage(self.storage), plan.recipe, plan.objective.name)

    def create(self, spec: Spec, plan: Plan) -> None:
        """Open the study, made where it is missing."""
        tried = 0
        self._objectives, self._address = plan.objectives, plan.address
        if plan.search is not None:
            # A later start must not draw what the first one drew.
            with contextlib.suppress(KeyError):
                tried = len(optuna.load_study(study_name=self.name, storage=self.storage).trials)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                study_name=self.name,
                storage=self.storage,
                directions=[objective.direction.value for objective in self._objectives],
                load_if_exists=True,
                sampler=searching.sampler(plan.search, tried),
                pruner=searching.pruner(plan.search),
            )
            self._study.set_metric_names([objective.name for objective in self._objectives])
        self._space = {
            name: CategoricalDistribution([factor.baseline, *factor.levels]) for name, factor in spec.factors.items()
        }
        if plan.search is None:
            self._space["seed"] = IntDistribution(0, _MAX_SEED)

    @property
    def study(self) -> optuna.Study:
        assert self._study is not None, "create or find the study first"
        return self._study

    # ------------------------------------------------------------------ ownership

    def ownership(self, *, take_over: bool = False) -> contextlib.AbstractContextManager[None]:
        """Hold the study as its only coordinator. Raises StudyError where another one lives."""
        return owned(self.study, take_over=take_over)

    # ------------------------------------------------------------------ queue

    def reconcile(
        self,
        plan: Plan,
        *,
        retry: bool = False,
        reuse: bool = True,
        kept: Callable[[PlannedRun], bool] = lambda run: False,
    ) -> Standing:
        """Make the queue hold every run of the plan that can be trained now; say where all of them stand.

        Needs ownership: a trial that is RUNNING now was left by a coordinator that died. `retry` tries runs again that
        failed too often, without `reuse` other studies are not looked into, `kept` says whether a complete run's
        checkpoint is still there.
        """
        stale = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in stale:
            self.study.tell(trial.number, state=TrialState.FAIL)
        trials = self.study.get_trials(deepcopy=False)
        found = self._standing(plan, trials, retry=retry, reuse=reuse, kept=kept)
        before = records.attempts(trials)
        for run in found.queued:
            self._enqueue(found.plan.cell(run.cell), run, plan.search, before.get(run.key, 0) + 1)
        return replace(found, stale=len(stale))

    def foresee(self, plan: Plan, *, retry: bool = False, reuse: bool = True) -> Standing:
        """Where the runs of the plan would stand at a start now. Writes nothing."""
        trials: list[FrozenTrial] = []
        if exists(self.storage):
            with contextlib.suppress(KeyError):  # there is no such study yet
                study = optuna.load_study(study_name=self.name, storage=get_storage(self.storage))
                trials = study.get_trials(deepcopy=False)
        ended = [trial for trial in trials if trial.state.is_finished()]
        self._address = plan.address
        return self._standing(plan, ended, retry=retry, reuse=reuse and exists(self.storage), kept=lambda run: False)

    def _standing(
        self,
        plan: Plan,
        trials: list[FrozenTrial],
        *,
        retry: bool,
        reuse: bool,
        kept: Callable[[PlannedRun], bool],
    ) -> Standing:
        source = source_of(self._address)
        # How far a run comes in so many seconds is the machine's; an unknown source may be any.
        reuse = reuse and not plan.budget.timed and bool(source or self._address.is_installed)

        def reusable(keys: set[str]) -> Mapping[str, Reusable]:
            return reusable_of(get_storage(self.storage), self.name, plan, keys, source) if reuse else {}

        return standing(
            records.tried(plan, trials),
            trials,
            source=source,
            retry=retry,
            closed=self.closed,
            reusable=reusable,
            kept=kept,
        )

    def enqueue(self, plan: Plan, run: PlannedRun) -> None:
        """Queue a run of the plan, as one attempt more than there were."""
        before = records.attempts(self.study.get_trials(deepcopy=False)).get(run.key, 0)
        self._enqueue(plan.cell(run.cell), run, plan.search, before + 1)

    def adopt(self, plan: Plan, run: PlannedRun, found: Reusable, mlflow_run: str) -> None:
        """Take over a run that another study of the storage has."""
        complete = found.state is RunState.COMPLETE
        attributes = {**found.attributes, "reused_from": found.study, "mlflow_run_id": mlflow_run}
        values = [found.summary[each.name] for each in self._objectives] if complete else None
        state = TrialState.COMPLETE if complete else TrialState.FAIL
        self._add(plan, run, state, attributes, values, found.curve)

    def _add(
        self,
        plan: Plan,
        run: PlannedRun,
        state: TrialState,
        attributes: dict[str, Any],
        values: list[float] | None = None,
        curve: Mapping[int, float] | None = None,
    ) -> None:
        cell = plan.cell(run.cell)
        trial = optuna.trial.create_trial(
            state=state,
            values=values,
            params={**cell.levels, "seed": run.seed},
            distributions=self._space,
            intermediate_values=dict(curve or {}),
            user_attrs={**records.identity(cell, run, 1), **attributes},
        )
        self.study.add_trial(trial)

    def _enqueue(self, cell: Cell, run: PlannedRun, search: Search | None, attempt: int = 1) -> None:
        # The seed is a parameter, or replicates would collapse; a sampler must not mistake it for one to choose.
        parameters = cell.levels if search else {**cell.levels, "seed": run.seed}
        self.study.enqueue_trial(parameters, user_attrs=records.identity(cell, run, attempt))

    def claim(self, plan: Plan) -> Claim | None:
        """Take the next run from the queue, or under a search from the sampler; None where there is none left."""
        if plan.search is not None:
            return self._propose(plan.search)
        planned = {run.key: run for run in plan.runs}
        while self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            trial = self.study.ask(self._space)
            run = planned.get(trial.user_attrs.get("key", ""))
            if run is not None:
                return self._claimed(trial, plan.cell(run.cell), run)
            self._withdraw(trial, "not in the plan any more")
        return None

    def _propose(self, search: Search) -> Claim | None:
        """Ask the sampler for a cell and take its next free seed, or another cell where it has none."""
        while True:
            trials = self.study.get_trials(deepcopy=False)
            taken = {key for key, _ in outcomes.keyed(trials)}
            queued = any(trial.state == TrialState.WAITING for trial in trials)
            if not queued and len(taken) >= search.trials:
                return None
            trial = self.study.ask(self._space)
            if "key" in trial.user_attrs:
                made = search.make(trial.user_attrs["levels"], trial.user_attrs["seed"])
                if not isinstance(made, str):
                    return self._claimed(trial, *made)
            elif (free := search.free(trial.params, taken)) is not None:
                for name, value in records.identity(*free, 1).items():
                    trial.set_user_attr(name, value)
                return self._claimed(trial, *free)
            self._withdraw(trial, "impossible, or run with every seed already")
            if (another := search.another(taken, random.Random(trial.number))) is None:
                return None
            self._enqueue(*another, search)

    def _claimed(self, trial: optuna.Trial, cell: Cell, run: PlannedRun) -> Claim:
        self._trials[trial.number] = trial
        source = source_of(self._address)
        trial.set_user_attr("started", time.time())
        trial.set_user_attr("source", source)
        attempt = int(trial.user_attrs.get("attempt", 1))
        others = outcomes.keyed(self.study.get_trials(deepcopy=False))
        left = [other.user_attrs.get("mlflow_run_id") for key, other in others if key == run.key]
        previous = next(filter(None, reversed(left)), None)
        return Claim(number=trial.number, run=run, cell=cell, attempt=attempt, previous=previous, source=source)

    def _withdraw(self, trial: optuna.Trial, reason: str) -> None:
        self._trials[trial.number] = trial
        self.fail(trial.number, Cause.WITHDRAWN, reason)

    # ------------------------------------------------------------------ telling

    def attach(self, number: int, **attributes: Any) -> None:
        """Note attributes on a claimed trial: the MLflow run, the device, the slot's share."""
        with self._telling(number):
            for key, value in attributes.items():
                self._trials[number].set_user_attr(key, value)

    @contextlib.contextmanager
    def _telling(self, number: int) -> Iterator[None]:
        try:
            yield
        except optuna.exceptions.UpdateFinishedTrialError:
            raise StudyError(
                f"study '{self.name}': trial {number} was ended by another coordinator, which took the study over; "
                "this one stops here"
            ) from None

    def report(self, number: int, step: int, value: float) -> None:
        """An intermediate value of the objective."""
        if not math.isfinite(value):
            return
        if len(self._objectives) == 1:
            with self._telling(number), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The reported value is ignored")  # of a step that was reported before
                self._trials[number].report(value, step)
        else:  # Optuna has no intermediate values where there are several objectives
            curve = {**self._trials[number].user_attrs.get("curve", {}), str(step): value}
            self._trials[number].set_user_attr("curve", curve)

    def is_hopeless(self, number: int) -> bool:
        """Whether the pruner would stop the run, by what was reported."""
        return len(self._objectives) == 1 and self._trials[number].should_prune()

    def note(self, number: int, text: str) -> None:
        """Markdown that optuna-dashboard shows with the trial; before the trial is told."""
        from optuna_dashboard import save_note

        save_note(self._trials[number], text)

    def show(self, text: str, figures: Mapping[str, Any]) -> None:
        """Markdown and plotly figures by name that optuna-dashboard shows with the study."""
        from optuna_dashboard import save_note, save_plotly_graph_object

        save_note(self.study, text)
        for name, figure in figures.items():
            save_plotly_graph_object(self.study, figure, graph_object_id=name)

    def complete(self, number: int, summary: dict[str, float]) -> None:
        """The run ended well: its summary becomes attributes, its objective (and price) the trial's value."""
        self.attach(number, summary=summary, finished=time.time())
        with self._telling(number):
            self.study.tell(number, [summary[objective.name] for objective in self._objectives])

    def fail(self, number: int, cause: Cause, reason: str) -> None:
        """The run ended badly."""
        self.attach(number, failure={"kind": cause.value, "reason": reason}, finished=time.time())
        with self._telling(number):
            self.study.tell(number, state=TrialState.PRUNED if cause is Cause.PRUNED else TrialState.FAIL)

    # ------------------------------------------------------------------ reading

    def tried(self, plan: Plan) -> Plan:
        """The plan of a search with every run that was tried or waits; any other plan as it is."""
        return records.tried(plan, self.study.get_trials(deepcopy=False)) if plan.search else plan

    def results(self, plan: Plan) -> Results:
        """All that a report needs of the trials, which are read once."""
        trials = self.study.get_trials(deepcopy=False)
        plan = records.tried(plan, trials)
        runs = outcomes.run_table(trials, plan)
        if plan.waves is not None:
            runs["given_up"] = runs["key"].isin(self.closed)
        return Results(
            plan=plan,
            runs=runs,
            curves=outcomes.curves(trials, plan),
            importances=searching.importances(self.study, trials, plan.objective) if plan.search else {},
        )

    @property
    def closed(self) -> list[str]:
        """The keys of runs that had failed too often when a look was taken, which counts them so for good."""
        return list(self.recall("given_up") or ()) if self._study is not None else []

    def failed_too_often(self, plan: Plan) -> set[str]:
        """The keys of runs that will not be tried again."""
        return set(spent(outcomes.keyed(self.study.get_trials(deepcopy=False)), source_of(plan.address)))

    def seconds(self) -> dict[str, float]:
        """Key -> the wall-clock seconds that all attempts at a run took here; a run that was taken over took none."""
        found: dict[str, float] = {}
        for key, trial in outcomes.keyed(self.study.get_trials(deepcopy=False)):
            began, ended = (trial.user_attrs.get(name) for name in ("started", "finished"))
            if began is not None and ended is not None and "reused_from" not in trial.user_attrs:
                found[key] = found.get(key, 0.0) + ended - began
        return found

    @property
    def settled(self) -> int:
        """How many trials have ended with a result."""
        trials = self.study.get_trials(deepcopy=False)
        return sum(outcomes.state_of(trial) in outcomes.SETTLED for _, trial in outcomes.keyed(trials))

    def remember(self, **attributes: Any) -> None:
        """Attributes of the study itself (spec, plan), as JSON."""
        for key, value in attributes.items():
            self.study.set_user_attr(key, json.loads(json.dumps(value, default=str)))

    def recall(self, key: str) -> Any:
        """An attribute that `remember` kept, None where there is none."""
        return self.study.user_attrs.get(key)
