"""A stored study as whoever reads it sees it: found, and all that its trials say of a plan. Writes nothing."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Self

import optuna
from optuna.trial import FrozenTrial

from harness.design import Plan, PlannedRun
from harness.design.model import NOWHERE
from harness.errors import StudyError
from harness.runs.folder import RUNS
from harness.study.store import opening, outcomes, records, searching
from harness.study.store.address import exists, without_password
from harness.study.store.attempts import Attempt, attempts
from harness.study.store.freshness import highest_seed, refuse_used_seeds
from harness.study.store.patience import Patient, WhileWaiting
from harness.study.store.records import Results, source_of
from harness.study.store.reuse import Reusable
from harness.study.store.reuse import reusable as reusable_of
from harness.study.store.standing import Standing, spent, standing


class StoredStudy:
    """The study of one plan in an Optuna storage. Making one opens nothing; `find` and `look` open what is there.

    Every call waits for a database that is locked, full or out of reach. Meanwhile `while_waiting` is called about
    every second with the reason in words and the seconds waited so far; it may raise, and then the call is given up,
    but must not use the store. Where there is none a call gives up after 30 s. Raises StudyError.
    """

    def __init__(self, storage: str, name: str, *, while_waiting: WhileWaiting | None = None) -> None:
        self.storage = storage
        self.name = name
        self.while_waiting = while_waiting
        self.runs = RUNS / name
        """The folder of its runs; see `study.places`."""
        self._opened: Patient | None = None
        self._study: optuna.Study | None = None
        self._address = NOWHERE

    @classmethod
    def find(cls, storage: str, name: str) -> Self:
        """The stored study called `name`, or whose name begins so where just one does. Raises StudyError."""
        if not exists(storage):
            place = without_password(storage)
            raise StudyError(f"no study '{name}' in {place}: the file does not exist; run `harness ablate` first")
        store = cls(storage, name)
        opened = store._storage()
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
        store.name = matches[0]
        store._study = optuna.load_study(study_name=matches[0], storage=opened)
        return store

    def check(self) -> None:
        """Raise StudyError where the storage cannot be opened or written. Writes nothing."""
        opening.check(self.storage, flag="--storage", program="Optuna", while_waiting=self.while_waiting)

    def is_there(self) -> bool:
        """Whether the storage holds anything of Optuna's. Writes nothing. Raises StudyError."""
        return opening.is_there(self.storage, while_waiting=lambda: self.while_waiting)

    def _storage(self, *, make: bool = False) -> Patient:
        """The storage, opened once; with `make` it is made where it is missing."""
        if self._opened is None:
            self._opened = opening.opened(self.storage, while_waiting=lambda: self.while_waiting, make=make)
        return self._opened

    def refuse_used_seeds(self, plan: Plan) -> None:
        """Refuse a new design on seeds that a search of this storage has chosen by. Raises StudyError."""
        if self.is_there():
            refuse_used_seeds(self._storage(), self.name, plan)

    def highest_seed(self, plan: Plan) -> int:
        """The highest seed that any study of the storage has used for the plan's recipe and objective, or -1."""
        return highest_seed(self._storage(), plan.recipe, plan.objective.name)

    def look(self) -> bool:
        """Open the study where it is there already; whether it is. Writes nothing. Raises StudyError."""
        if self.is_there():
            with contextlib.suppress(KeyError):
                self._study = optuna.load_study(study_name=self.name, storage=self._storage())
        return self._study is not None

    @property
    def study(self) -> optuna.Study:
        assert self._study is not None, "create or find the study first"
        return self._study

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

    def foresee(self, plan: Plan, *, retry: bool = False, reuse: bool = True) -> Standing:
        """Where the runs of the plan would stand at a start now. Writes nothing."""
        trials: list[FrozenTrial] = []
        there = self.is_there()
        if there:
            with contextlib.suppress(KeyError):  # there is no such study yet
                study = optuna.load_study(study_name=self.name, storage=self._storage())
                trials = study.get_trials(deepcopy=False)
        ended = [trial for trial in trials if trial.state.is_finished()]
        self._address = plan.address
        return self._standing(plan, ended, retry=retry, reuse=reuse and there, kept=lambda run: False)

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
            return reusable_of(self._storage(), self.name, plan, keys, source) if reuse else {}

        return standing(
            records.tried(plan, trials),
            trials,
            source=source,
            retry=retry,
            closed=self.closed,
            reusable=reusable,
            kept=kept,
        )

    @property
    def closed(self) -> list[str]:
        """The keys of runs that had failed too often when a look was taken, which counts them so for good."""
        return list(self.recall("given_up") or ()) if self._study is not None else []

    def failed_too_often(self, plan: Plan) -> set[str]:
        """The keys of runs that will not be tried again."""
        return set(spent(outcomes.keyed(self.study.get_trials(deepcopy=False)), source_of(plan.address)))

    def seconds(self) -> dict[str, float]:
        """Key -> the wall-clock seconds that all attempts at a run took here; a run that was taken over took none.

        Of runs that were trained together each took its share.
        """
        found: dict[str, float] = {}
        for key, trial in outcomes.keyed(self.study.get_trials(deepcopy=False)):
            began, ended = (trial.user_attrs.get(name) for name in ("started", "finished"))
            if began is not None and ended is not None and "reused_from" not in trial.user_attrs:
                found[key] = found.get(key, 0.0) + (ended - began) / trial.user_attrs.get("replicates", 1)
        return found

    def ended(self) -> list[tuple[int, str]]:
        """Number and state of every trial that has ended."""
        trials = self.study.get_trials(deepcopy=False)
        return [(trial.number, trial.state.name) for trial in trials if trial.state.is_finished()]

    def attempts(self) -> dict[str, list[Attempt]]:
        """Key -> the attempts at that run that have ended, the last one last."""
        return attempts(self.study.get_trials(deepcopy=False))

    @property
    def settled(self) -> int:
        """How many trials have ended with a result."""
        trials = self.study.get_trials(deepcopy=False)
        return sum(outcomes.state_of(trial) in outcomes.SETTLED for _, trial in outcomes.keyed(trials))

    def recall(self, key: str) -> Any:
        """An attribute that `remember` kept, None where there is none."""
        return self.study.user_attrs.get(key)
