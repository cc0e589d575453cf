"""A study outlives locks, full disks and lost connections: each call waits, says why, and happens once."""

from __future__ import annotations

import contextlib
import itertools
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import OperationalError

from harness.design import Plan
from harness.design import plan as make_plan
from harness.errors import StudyError
from harness.recipes.events import Cause
from harness.spec import Spec, load
from harness.study.store import StudyStore, patience
from harness.study.store.opening import opened
from harness.study.store.patience import Patience, Patient, passing

STORAGE = "sqlite:///optuna.db"
TOY = """
from harness import Run, recipe


@recipe(objective="error")
def toy(run: Run, lr: float = 0.1):
    return {"error": lr + run.seed}
"""
SPEC = "study: patient\nrecipe: ./toy.py:toy\nfactors:\n  lr: {baseline: 0.1, levels: [0.2]}\nseeds: 2\n"


@pytest.fixture
def planned(project: Path) -> tuple[Spec, Plan]:
    (project / "toy.py").write_text(TOY)
    (project / "spec.yaml").write_text(SPEC)
    spec = load(project / "spec.yaml")
    return spec, make_plan(spec)


@contextmanager
def locked(path: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds the database as a backup does, from now on for so long."""
    hold = (
        "import sqlite3, sys, time\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN EXCLUSIVE')\n"
        "print('held', flush=True)\n"
        "time.sleep(float(sys.argv[2]))\n"
        "connection.execute('ROLLBACK')\n"
    )
    command = [sys.executable, "-c", hold, path, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.slow
def test_every_kind_of_call_waits_for_a_lock_to_go_and_says_who_holds_it(planned: tuple[Spec, Plan]) -> None:
    spec, plan = planned
    told: list[tuple[str, float]] = []
    store = StudyStore(STORAGE, "patient", while_waiting=lambda reason, seconds: told.append((reason, seconds)))
    store.create(spec, plan)
    store.reconcile(plan)
    claim = store.claim(plan)
    assert claim is not None
    calls: list[Callable[[], object]] = [
        lambda: store.attach(claim.number, device="cpu"),
        lambda: store.report(claim.number, 1, 0.5),
        lambda: store.note(claim.number, "a note"),
        lambda: store.enqueue(plan, claim.run),
        lambda: store.complete(claim.number, {"error": 0.5}),
        lambda: store.claim(plan),
        lambda: store.remember(key="value"),
        lambda: store.results(plan),
        lambda: StudyStore(STORAGE, "patient", while_waiting=store.while_waiting).create(spec, plan),
    ]
    for call in calls:
        told.clear()
        with locked("optuna.db", 2.5) as process:
            began = time.monotonic()
            call()
            assert 1.5 < time.monotonic() - began < 8
        assert told[0][0] == f"optuna.db is locked by process {process.pid} (python)"
        assert [seconds for _, seconds in told] == sorted(seconds for _, seconds in told)
    trials = optuna.load_study(study_name="patient", storage=STORAGE).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "RUNNING", "WAITING", "WAITING", "WAITING"]
    assert len({trial.user_attrs["key"] + str(trial.user_attrs["attempt"]) for trial in trials}) == 5


@pytest.mark.slow
def test_while_a_call_waits_the_hook_runs_every_other_second(planned: tuple[Spec, Plan]) -> None:
    spec, plan = planned
    at: list[float] = []
    store = StudyStore(STORAGE, "patient", while_waiting=lambda reason, seconds: at.append(time.monotonic()))
    store.create(spec, plan)
    with locked("optuna.db", 9):
        store.remember(key="value")
    assert len(at) >= 4
    assert max(later - before for before, later in itertools.pairwise(at)) < 3


@pytest.mark.slow
def test_without_a_hook_a_call_gives_up_and_says_who_holds_what_and_what_to_do(
    planned: tuple[Spec, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "LIMIT", 2.0)
    spec, plan = planned
    store = StudyStore(STORAGE, "patient")
    store.create(spec, plan)
    with locked("optuna.db", 60) as process, pytest.raises(StudyError) as given_up:
        store.remember(key="value")
    assert str(given_up.value).startswith(
        f"--storage sqlite:///optuna.db: optuna.db is locked by process {process.pid} (python), for "
    )
    assert "close what holds it, a viewer or a backup, then the same command again goes on" in str(given_up.value)


@pytest.mark.slow
def test_a_hook_that_raises_gives_the_call_up_and_the_store_goes_on_afterwards(planned: tuple[Spec, Plan]) -> None:
    spec, plan = planned
    store = StudyStore(STORAGE, "patient")
    store.create(spec, plan)
    store.reconcile(plan)

    def interrupt(reason: str, seconds: float) -> None:
        raise KeyboardInterrupt

    store.while_waiting = interrupt
    with locked("optuna.db", 60), pytest.raises(KeyboardInterrupt):
        store.claim(plan)
    assert store.claim(plan) is not None


@pytest.mark.slow
def test_a_study_is_given_back_in_a_moment_though_its_database_is_locked(planned: tuple[Spec, Plan]) -> None:
    spec, plan = planned
    store = StudyStore(STORAGE, "patient", while_waiting=lambda reason, seconds: None)
    store.create(spec, plan)
    with contextlib.ExitStack() as held:
        owner = store.ownership()
        owner.__enter__()
        held.enter_context(locked("optuna.db", 60))
        began = time.monotonic()
        owner.__exit__(None, None, None)
    assert time.monotonic() - began < 12
    with store.ownership():  # what is left of the owner is seen to be dead
        pass


def test_a_full_disk_is_waited_for_and_nothing_is_lost(planned: tuple[Spec, Plan]) -> None:
    spec, plan = planned
    told: list[str] = []
    store = StudyStore(STORAGE, "patient")
    store.create(spec, plan)
    store.reconcile(plan)
    size = Path("optuna.db").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def make_room(reason: str, seconds: float) -> None:
        told.append(reason)
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    store.while_waiting = make_room
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        store.remember(long="x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert len(told) == 1
    assert "the disk of optuna.db" in told[0]
    assert store.recall("long") == "x" * 100_000


# ---------------------------------------------------------------------- what passes and what does not


class _DriverError(Exception):
    """As psycopg's errors are: an error with a code of PostgreSQL's."""

    def __init__(self, text: str, sqlstate: str | None = None) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


_DriverError.__module__ = "psycopg.errors"


@pytest.mark.parametrize(
    ("text", "sqlstate", "while_running", "while_opening"),
    [
        ("terminating connection due to administrator command", "57P01", "lost", "lost"),
        ("canceling statement due to lock timeout", "55P03", "locked", "locked"),
        ("deadlock detected", "40P01", "locked", "locked"),
        ("could not extend file: No space left on device", "53100", "full", "full"),
        ("sorry, too many clients already", "53300", "no more connections", "no more connections"),
        ("connection failed: FATAL: sorry, too many clients already", None, "no more connections", "no more conn"),
        ("connection failed: FATAL: the database system is starting up", None, "starting", "starting"),
        ("connection failed: connection to server at 1.2.3.4 failed: Connection refused", None, "lost", None),
        ("consuming input failed: server closed the connection unexpectedly", None, "lost", None),
        ("connection failed: FATAL: password authentication failed for user a", None, None, None),
        ('connection failed: FATAL: role "a" does not exist', None, None, None),
        ("column x does not exist", "42703", None, None),
    ],
)
def test_what_postgresql_says_is_waited_for_only_where_it_passes(
    text: str, sqlstate: str | None, while_running: str | None, while_opening: str | None
) -> None:
    error = StorageInternalError("an exception is raised during the commit")
    error.__cause__ = OperationalError("SELECT 1", {}, _DriverError(text, sqlstate))
    for opening, wanted in ((False, while_running), (True, while_opening)):
        found = passing(error, opening=opening)
        assert found is None if wanted is None else wanted in (found or "")


def _fails_once(inner: Any, name: str, *, after: bool) -> None:
    """Let a storage's method lose its connection at its first call, before or after the call is committed."""
    method, tries = getattr(inner, name), [0]

    def call(*arguments: Any, **named: Any) -> Any:
        tries[0] += 1
        if tries[0] > 1:
            return method(*arguments, **named)
        if after:
            method(*arguments, **named)
        raise StorageInternalError("commit") from OperationalError("COMMIT", {}, _DriverError("gone", "57P01"))

    setattr(inner, name, call)


@pytest.mark.parametrize("after", [False, True])
def test_a_call_whose_commit_may_or_may_not_have_been_made_happens_once(after: bool) -> None:
    inner = InMemoryStorage()
    storage = Patient(inner, Patience("postgresql://somewhere/db", lambda: lambda reason, seconds: None))
    study = optuna.create_study(storage=storage, study_name="once")
    identity = storage.get_study_id_from_name("once")
    _fails_once(inner, "create_new_trial", after=after)
    study.enqueue_trial({"x": 1}, user_attrs={"key": "a", "attempt": 1})
    study.enqueue_trial({"x": 1}, user_attrs={"key": "a", "attempt": 2})
    assert [trial.user_attrs["attempt"] for trial in study.trials] == [1, 2]
    for state, values in ((TrialState.RUNNING, None), (TrialState.COMPLETE, [0.5])):
        _fails_once(inner, "set_trial_state_values", after=after)
        assert storage.set_trial_state_values(0, state, values)
        del inner.set_trial_state_values
        assert storage.get_trial(0).state == state
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        storage.set_trial_state_values(0, TrialState.COMPLETE, [0.6])
    assert storage.get_trial(0).values == [0.5]
    assert len(storage.get_all_trials(identity)) == 2


def test_a_fault_that_does_not_pass_is_said_at_once_and_a_wrong_call_is_the_callers(project: Path) -> None:
    inner = InMemoryStorage()
    storage = Patient(inner, Patience("postgresql://me:hidden@somewhere/db", lambda: lambda *_: pytest.fail("waited")))
    with pytest.raises(KeyError):
        storage.get_study_id_from_name("none")

    def refused(*arguments: Any, **named: Any) -> None:
        raise StorageInternalError("commit") from OperationalError(
            "", {}, _DriverError("permission denied for hidden", "42501")
        )

    inner.get_all_studies = refused  # type: ignore[assignment]
    with pytest.raises(
        StudyError, match=r"--storage postgresql://me:\*\*\*@somewhere/db: the login was refused"
    ) as said:
        storage.get_all_studies()
    assert "hidden" not in str(said.value)


# ---------------------------------------------------------------------- journals


def test_a_study_in_a_journal_file_runs_like_one_in_a_database(planned: tuple[Spec, Plan]) -> None:
    spec, plan = planned
    store = StudyStore("study.log", "patient")
    assert not store.is_there()
    store.create(spec, plan)
    with store.ownership():
        store.reconcile(plan)
        while (claim := store.claim(plan)) is not None:
            store.attach(claim.number, mlflow_run_id="m")
            store.complete(claim.number, {"error": 0.5})
    found = StudyStore.find("study.log", "patient").results(plan).runs
    assert set(found["state"]) == {"complete"}
    assert len(found) == 4
    theirs = optuna.load_study(study_name="patient", storage=JournalStorage(JournalFileBackend("study.log")))
    assert len(theirs.trials) == 4  # as anyone else reads it


def test_a_line_that_a_full_disk_cut_off_leaves_the_journal_readable(project: Path) -> None:
    told: list[str] = []
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def make_room(reason: str, seconds: float) -> None:
        told.append(reason)
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    storage = opened("study.log", while_waiting=lambda: make_room, make=True)
    study = optuna.create_study(storage=storage, study_name="full")
    trial = create_trial(state=TrialState.WAITING, user_attrs={"key": "x" * 5000})
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (Path("study.log").stat().st_size + 1000, before[1]))
        study.add_trial(trial)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert told
    again = optuna.load_study(storage=opened("study.log"), study_name="full")
    assert [each.user_attrs["key"] for each in again.trials] == ["x" * 5000]


def test_a_lock_is_named_only_where_another_process_holds_it(project: Path) -> None:
    with closing(sqlite3.connect("own.db", isolation_level=None)) as connection:
        connection.execute("create table t (x)")
        connection.execute("BEGIN EXCLUSIVE")
        assert patience.holder(Path("own.db")) == ""
    assert patience.holder(Path("none.db")) == ""
    with locked("own.db", 10) as process:
        assert patience.holder(Path("own.db")) == f"process {process.pid} (python)"


@pytest.mark.slow
def test_a_run_is_failed_with_its_cause_after_a_lock(planned: tuple[Spec, Plan]) -> None:
    spec, plan = planned
    store = StudyStore(STORAGE, "patient", while_waiting=lambda reason, seconds: None)
    store.create(spec, plan)
    store.reconcile(plan)
    claim = store.claim(plan)
    assert claim is not None
    with locked("optuna.db", 2):
        store.fail(claim.number, Cause.LOST, "its process died")
    (trial,) = (each for each in store.study.trials if each.number == claim.number)
    assert trial.user_attrs["failure"] == {"kind": "lost", "reason": "its process died"}
