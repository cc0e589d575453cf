"""The Optuna study as its only coordinator writes it: one trial per run, asked and told."""

from __future__ import annotations

import contextlib
import json
import math
import random
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from harness.design import Cell, Plan, PlannedRun, Search
from harness.errors import StudyError
from harness.measures import Measure, RunState
from harness.recipes.events import Cause, Failed, Finished, Scored
from harness.spec import Spec
from harness.study.store import outcomes, records, searching
from harness.study.store.index import Index, waiting
from harness.study.store.ownership import owned
from harness.study.store.patience import WhileWaiting
from harness.study.store.records import Claim, source_of
from harness.study.store.reuse import Reusable
from harness.study.store.standing import RETRIED, Standing
from harness.study.store.stored import StoredStudy

_MAX_SEED = 2**31 - 1
_TAIL = 4000  # characters of a run's output that its trial keeps


class StudyStore(StoredStudy):
    """A stored study that is made, owned, asked for runs and told of them; `create` makes it where it is missing."""

    def __init__(self, storage: str, name: str, *, while_waiting: WhileWaiting | None = None) -> None:
        super().__init__(storage, name, while_waiting=while_waiting)
        self._space: dict[str, BaseDistribution] = {}
        self._trials: dict[int, optuna.Trial] = {}
        self._index: Index | None = None
        self._planned: tuple[Plan, dict[str, tuple[Cell, PlannedRun]]] | None = None
        self._objectives: tuple[Measure, ...] = ()

    def create(self, spec: Spec, plan: Plan) -> None:
        """Open the study, made where it is missing."""
        tried = 0
        if self._study is None:
            self._opened = None  # as it was opened to look into it, it may have no tables
        storage = self._storage(make=True)
        self._objectives, self._address = plan.objectives, plan.address
        if plan.search is not None:
            # A later start must not draw what the first one drew.
            with contextlib.suppress(KeyError):
                tried = len(optuna.load_study(study_name=self.name, storage=storage).trials)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                study_name=self.name,
                storage=storage,
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

    # ------------------------------------------------------------------ ownership

    def ownership(self, *, take_over: bool = False) -> contextlib.AbstractContextManager[None]:
        """Hold the study as its only coordinator. Raises StudyError where another one lives."""
        return owned(self.study, take_over=take_over, hurried=self._storage().patience.hurried)

    def hurried(self, seconds: float) -> contextlib.AbstractContextManager[None]:
        """Inside, calls give up after so many seconds and tell nobody: this process is about to end."""
        return self._storage().patience.hurried(seconds)

    # ------------------------------------------------------------------ queue

    def reconcile(
        self,
        plan: Plan,
        *,
        retry: bool = False,
        reuse: bool = True,
        kept: Callable[[PlannedRun], bool] = lambda run: False,
        ended: Callable[[str, int], Finished | Failed | None] = lambda key, attempt: None,
        scored: Callable[[str, int], Sequence[Scored]] = lambda key, attempt: (),
    ) -> Standing:
        """Make the queue hold every run of the plan that can be trained now; say where all of them stand.

        Needs ownership: a trial that is RUNNING now was left by a coordinator that died. `retry` tries runs again that
        failed too often, without `reuse` other studies are not looked into, `kept` says whether a complete run's
        checkpoint is still there. `ended` and `scored` say, by a run's key and attempt, how the run ended where that is
        known though its trial was not told, and what it was scored.
        """
        stale = 0
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            stale += not self._close(trial, ended, scored)
        trials = self.study.get_trials(deepcopy=False)
        self._index = Index.of(trials)
        found = self._standing(plan, trials, retry=retry, reuse=reuse, kept=kept)
        cells = {cell.name: cell for cell in found.plan.cells}
        for run in found.queued:
            self._enqueue(cells[run.cell], run, plan.search)
        return replace(found, stale=stale)

    def _close(
        self,
        trial: FrozenTrial,
        ended: Callable[[str, int], Finished | Failed | None],
        scored: Callable[[str, int], Sequence[Scored]],
    ) -> bool:
        """Tell a trial that was left RUNNING how its run ended, else that it failed; whether that was known."""
        key, attempt = trial.user_attrs.get("key"), int(trial.user_attrs.get("attempt", 1))
        self._trials[trial.number] = optuna.Trial(self.study, self._identity(trial.number))
        for event in scored(key, attempt) if key is not None else ():
            if (objective := self._objectives[0].name) in event.scores:
                self.report(trial.number, event.step, event.scores[objective])
        match ended(key, attempt) if key is not None else None:
            case Finished() as end:
                if end.trained_from:
                    self.attach(trial.number, trained_from=end.trained_from)
                self.complete(trial.number, end.summary)
            case Failed() as end:
                self.fail(trial.number, end.kind, end.reason, end.details)
            case None:
                self.study.tell(trial.number, state=TrialState.FAIL)
                self._trials.pop(trial.number, None)
                return False
        return True

    def enqueue(self, plan: Plan, run: PlannedRun) -> None:
        """Queue a run of the plan, as one attempt more than there were."""
        self._enqueue(plan.cell(run.cell), run, plan.search)

    def try_again(self, plan: Plan, run: PlannedRun, cause: Cause) -> bool:
        """Queue a run once more whose attempt has ended by `cause`, where that is tried again at once; whether it was.

        The attempt was told before. A run that failed so too often is left alone.
        """
        if cause not in RETRIED or run.key in self.failed_too_often(plan):
            return False
        self.enqueue(plan, run)
        return True

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

    def _enqueue(self, cell: Cell, run: PlannedRun, search: Search | None) -> None:
        attempt = self._known.attempts.get(run.key, 0) + 1
        # The seed is a parameter, or replicates would collapse; a sampler must not mistake it for one to choose.
        parameters = cell.levels if search else {**cell.levels, "seed": run.seed}
        self.study.enqueue_trial(parameters, user_attrs=records.identity(cell, run, attempt))
        self._known.attempts[run.key] = attempt

    @property
    def _known(self) -> Index:
        if self._index is None:
            self._index = Index.of(self.study.get_trials(deepcopy=False))
        return self._index

    def claim(self, plan: Plan, among: Collection[str] | None = None) -> Claim | None:
        """Take the next run from the queue, or under a search from the sampler; None where there is none left.

        Of a queue, the next `among` these keys, where they are given.
        """
        if plan.search is not None:
            return self._propose(plan.search)
        planned = self._runs(plan)
        while (trial := self._next(among)) is not None:
            found = planned.get(trial.user_attrs.get("key", ""))
            if found is not None:
                return self._claimed(trial, *found)
            self._withdraw(trial, "not in the plan any more")
        return None

    def _runs(self, plan: Plan) -> dict[str, tuple[Cell, PlannedRun]]:
        """Key -> cell and run of a plan, worked out once: every claim asks."""
        if self._planned is None or self._planned[0] is not plan:
            cells = {cell.name: cell for cell in plan.cells}
            self._planned = plan, {run.key: (cells[run.cell], run) for run in plan.runs}
        return self._planned[1]

    def _next(self, among: Collection[str] | None) -> optuna.Trial | None:
        """The first trial that waits, running now. `Study.ask` reads every trial that waits for each one it takes."""
        known, storage = self._known, self._storage()
        while True:
            if not known.waiting and among is None:
                known.waiting |= waiting(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
            if (number := known.take(among)) is None:
                return None
            identity = self._identity(number)
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # someone has ended it
                if storage.set_trial_state_values(identity, TrialState.RUNNING):
                    trial = optuna.Trial(self.study, identity)
                    for name, distribution in self._space.items():
                        if isinstance(distribution, IntDistribution):
                            trial.suggest_int(name, distribution.low, distribution.high)
                        elif isinstance(distribution, CategoricalDistribution):
                            trial.suggest_categorical(name, distribution.choices)
                    return trial

    def _identity(self, number: int) -> int:
        """A trial's identity in the storage."""
        storage = self._storage()
        study = storage.get_study_id_from_name(self.name)
        return int(storage.get_trial_id_from_study_id_trial_number(study, number))

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
        return Claim(number=trial.number, run=run, cell=cell, attempt=attempt, source=source)

    def _withdraw(self, trial: optuna.Trial, reason: str) -> None:
        self._trials[trial.number] = trial
        self.fail(trial.number, Cause.WITHDRAWN, reason)

    # ------------------------------------------------------------------ telling

    def attach(self, number: int, **attributes: Any) -> None:
        """Note attributes on a claimed trial: the MLflow run, the device, the slot's share."""
        trial = self._trials.get(number)
        with self._telling(number):
            for key, value in attributes.items():
                if trial is not None:
                    trial.set_user_attr(key, value)
                else:  # left by a coordinator that died
                    self._storage().set_trial_user_attr(self._identity(number), key, value)

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

        with self._storage().remembering():
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
        self._trials.pop(number, None)

    def fail(self, number: int, cause: Cause, reason: str, output: str = "") -> None:
        """The run ended badly; the tail of what its process printed, or a traceback, is kept where there is one."""
        kept = {"output": output[-_TAIL:]} if output else {}
        self.attach(number, failure={"kind": cause.value, "reason": reason}, finished=time.time(), **kept)
        with self._telling(number):
            self.study.tell(number, state=TrialState.PRUNED if cause is Cause.PRUNED else TrialState.FAIL)
        self._trials.pop(number, None)

    def remember(self, **attributes: Any) -> None:
        """Attributes of the study itself (spec, plan), as JSON."""
        for key, value in attributes.items():
            self.study.set_user_attr(key, json.loads(json.dumps(value, default=str)))
