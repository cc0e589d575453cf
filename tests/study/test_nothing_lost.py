"""A study that is killed between any two steps, locked out or told nonsense ends as one that nothing happened to."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState

from harness.cli import main
from harness.recipes.events import Cause, Event, Failed, Finished, Scored
from harness.runs.launchers import LAUNCHERS, InlineLauncher
from harness.spec import load
from harness.study import publishing
from harness.study.ablate import ablate
from harness.study.coordinator import Coordinator
from harness.study.journal import Journal
from harness.study.placement import Options
from harness.study.store import StudyStore
from harness.study.tracking import Tracker

STORAGE = "sqlite:///optuna.db"
TOY = '''
from pathlib import Path

from harness import Run, recipe


@recipe(objective="error")
def toy(run: Run, lr: float = 0.1):
    """Its error is that of the seed and the rate; one of its runs diverges."""
    for step in (1, 2):
        run.report(step, loss=lr / step)
        run.report(step, error=lr + run.seed + 1 / step)
    if lr == 0.2 and run.seed == 1:
        return {"error": float("nan")}
    return {"error": lr + run.seed + 0.5, "train_seconds": 5.0 + lr, "peak_memory_mb": 1.0}
'''
SPEC = """
study: toy
recipe: ./toy.py:toy
factors:
  lr: {baseline: 0.1, levels: [0.2]}
seeds: 2
"""
# Tags and numbers that say when, where and how often rather than what.
ELSE = ("harness.forwarded", "optuna.trial", "harness.attempt", "mlflow.note.content", "mlflow.parentRunId")
RUNS = 4


@pytest.fixture
def begin(project: Path, tracking: str) -> Callable[..., tuple[Any, list[str]]]:
    (project / "toy.py").write_text(TOY)
    (project / "spec.yaml").write_text(SPEC)

    def start(**options: Any) -> tuple[Any, list[str]]:
        lines: list[str] = []
        outcome, _ = ablate(load(Path("spec.yaml")), Options(storage=STORAGE, launch="inline", **options), lines.append)
        return outcome, lines

    return start


def mlflow_rows() -> dict[str, Any]:
    """MLflow's own tables, row by row, a run by its key."""
    found: dict[str, Any] = {}
    with sqlite3.connect(os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///")) as database:
        for identity, name, status in database.execute(
            "SELECT run_uuid, name, status FROM runs WHERE lifecycle_stage = 'active'"
        ).fetchall():

            def rows(columns: str, table: str, identity: str = identity) -> list[Any]:
                query = f"SELECT {columns} FROM {table} WHERE run_uuid = ?"
                return sorted(database.execute(query, (identity,)).fetchall())

            tags = dict(rows("key, value", "tags"))
            parent = tags["harness.role"] == "study"
            key = tags.get("harness.key", "study")
            assert key not in found, "a run is there twice"
            points = [row for row in rows("key, step, value", "metrics") if "per_second" not in row[0]]
            assert len({row[:2] for row in points}) == len(points) or parent, "a point is there twice"
            inputs = database.execute("SELECT count(*) FROM inputs WHERE destination_id = ?", (identity,)).fetchone()
            found[key] = (
                name,
                status,
                points,
                [row for row in rows("key, step, value", "latest_metrics") if "per_second" not in row[0]],
                rows("key, value", "params"),
                sorted((tag, value) for tag, value in tags.items() if tag not in ELSE),
                inputs,
            )
    database.close()
    return found


def trials() -> list[optuna.trial.FrozenTrial]:
    (name,) = optuna.get_all_study_names(STORAGE)
    return optuna.load_study(study_name=name, storage=STORAGE).trials


def optuna_rows() -> dict[str, Any]:
    """How each run ended by its trials, with its whole curve."""
    found: dict[str, Any] = {}
    for trial in trials():
        assert trial.state not in (TrialState.RUNNING, TrialState.WAITING)
        key = trial.user_attrs["key"]
        ends, curve = found.setdefault(key, ([], {}))
        curve.update(trial.intermediate_values)
        if trial.state == TrialState.COMPLETE or trial.user_attrs.get("failure", {}).get("kind") == Cause.DIVERGED:
            summary = trial.user_attrs.get("summary", {})
            ends.append((trial.state.name, trial.values, {k: v for k, v in summary.items() if "per_second" not in k}))
    return found


def compared() -> tuple[dict[str, Any], dict[str, Any]]:
    return mlflow_rows(), optuna_rows()


@pytest.fixture
def undisturbed(begin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both stores hold of a study that nothing happened to, in a folder beside."""
    calm = Path("calm")
    calm.mkdir()
    for each in ("toy.py", "spec.yaml", "mlflow.db"):
        shutil.copy(each, calm)
    monkeypatch.chdir(calm)
    with monkeypatch.context() as there:
        there.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/mlflow.db")
        outcome, _ = begin()
        assert (outcome.complete, outcome.diverged) == (3, 1)
        found = compared()
    monkeypatch.chdir("..")
    assert len(found[0]) == RUNS + 1
    assert all(len(ends) == 1 for ends, _ in found[1].values())
    return found


def gone(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MLflow's database be an empty one; at another place, since MLflow keeps the file open."""
    other = Path(f"mlflow-{uuid.uuid4().hex}.db").absolute()
    shutil.copy(empty, other)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")


def _killed(owner: Any, name: str, nth: int, when: str) -> None:
    """Start the study and die without a word at the `nth` call of a function; in a process of its own."""
    real, calls = getattr(owner, name), []

    def dying(*args: Any, **named: Any) -> Any:
        calls.append(name)
        if len(calls) == nth and when == "before":
            os._exit(9)
        found = real(*args, **named)
        if len(calls) == nth:
            os._exit(9)
        return found

    setattr(owner, name, dying)
    publishing.pictures = lambda *_: []  # type: ignore[assignment]
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path.cwd()}/./mlflow.db"  # not what the parent has open
    ablate(load(Path("spec.yaml")), Options(storage=STORAGE, launch="inline"), lambda _: None)
    os._exit(0)


def kill(owner: Any, name: str, nth: int, when: str) -> int | None:
    process = multiprocessing.get_context("fork").Process(target=_killed, args=(owner, name, nth, when))
    process.start()
    process.join(120)
    return process.exitcode


STEPS: list[tuple[Any, str, int]] = [
    (Journal, "append", 1),
    (Journal, "append", 4),
    (Journal, "append", 6),
    (StudyStore, "claim", 2),
    (StudyStore, "attach", 3),
    (StudyStore, "report", 3),
    (StudyStore, "complete", 2),
    (StudyStore, "fail", 1),
    (InlineLauncher, "submit", 3),
    (Tracker, "open_study", 1),
    (Tracker, "make", 2),
    (Tracker, "send", 3),
    (Tracker, "finish", 2),
    (Tracker, "numbers", 1),
    (StudyStore, "show", 1),
    (Coordinator, "run", 1),
]


@pytest.mark.parametrize("chosen", [STEPS[0::4], STEPS[1::4], STEPS[2::4], STEPS[3::4]], ids="abcd")
@pytest.mark.slow
def test_a_study_that_is_killed_again_and_again_ends_as_if_it_never_was(
    begin: Callable[..., Any], undisturbed: tuple[dict[str, Any], dict[str, Any]], chosen: list[tuple[Any, str, int]]
) -> None:
    died = [kill(*step, when) for step, when in zip(chosen, ("before", "after") * 2, strict=False)]
    assert died.count(9) >= 2
    begin()
    assert compared() == undisturbed


@pytest.mark.slow
def test_a_deleted_mlflow_database_is_filled_again_by_the_next_start_and_by_sync(
    begin: Callable[..., Any],
    undisturbed: tuple[dict[str, Any], dict[str, Any]],
    empty_tracking: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin()
    trained = len(trials())
    gone(empty_tracking, monkeypatch)
    _, lines = begin()
    assert any("nothing to add" in line for line in lines)
    assert compared() == undisturbed
    gone(empty_tracking, monkeypatch)
    done = CliRunner().invoke(main, ["sync", "toy"], catch_exceptions=False)
    assert done.exit_code == 0
    assert f"{RUNS} run(s) made, {RUNS} filled, {RUNS} closed" in done.output
    assert compared() == undisturbed
    done = CliRunner().invoke(main, ["sync", "toy"], catch_exceptions=False)
    assert "nothing was missing" in done.output
    assert len(trials()) == trained


@pytest.mark.slow
def test_sync_leaves_a_study_in_waves_that_was_over_early_as_it_is(begin: Callable[..., Any]) -> None:
    Path("spec.yaml").write_text(SPEC.replace("seeds: 2", "worth: {error: 5}\nseeds: {first: 3, most: 12}"))
    begin()
    before = mlflow_rows()["study"]
    assert before[1] == "FINISHED"
    assert any(name == "looks/undecided" for name, *_ in before[2])
    done = CliRunner().invoke(main, ["sync", "toy"], catch_exceptions=False)
    assert "nothing was missing" in done.output
    assert mlflow_rows()["study"] == before


@pytest.mark.slow
def test_without_its_journals_mlflow_is_filled_from_optuna(
    begin: Callable[..., Any], empty_tracking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin()
    before = mlflow_rows()
    gone(empty_tracking, monkeypatch)
    shutil.rmtree(next(Path("runs").glob("*/events")))
    begin()
    after = mlflow_rows()
    assert set(after) == set(before)
    for key, (name, status, points, *_) in before.items():
        assert after[key][:2] == (name, status)
        of_optuna = [row for row in points if row[0] != "loss"]
        assert [row for row in after[key][2] if status == "FINISHED"] == (of_optuna if status == "FINISHED" else [])


def test_sync_of_a_study_that_is_run_is_refused_and_of_an_unknown_one_too(begin: Callable[..., Any]) -> None:
    begin()
    (name,) = optuna.get_all_study_names(STORAGE)
    with StudyStore.find(STORAGE, name).ownership():
        done = CliRunner().invoke(main, ["sync", "toy"])
    assert (done.exit_code, "is being run by process" in done.stderr) == (2, True)
    done = CliRunner().invoke(main, ["sync", "other"])
    assert (done.exit_code, "no study is called 'other'" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["optuna.db", "mlflow.db"])
def test_a_lock_while_it_trains_is_waited_for_and_loses_nothing(
    begin: Callable[..., Any],
    undisturbed: tuple[dict[str, Any], dict[str, Any]],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Coordinator._place
    held: list[threading.Thread] = []

    def hold() -> None:
        database = sqlite3.connect(name, isolation_level=None, timeout=30)
        database.execute("BEGIN EXCLUSIVE")
        ready.set()
        time.sleep(4)
        database.execute("ROLLBACK")
        database.close()

    ready = threading.Event()

    def locked(self: Coordinator, *arguments: Any) -> None:
        place(self, *arguments)
        if not held:
            held.append(threading.Thread(target=hold))
            held[0].start()
            ready.wait(30)

    monkeypatch.setattr(Coordinator, "_place", locked)
    outcome, _ = begin()
    held[0].join()
    assert (outcome.complete, outcome.diverged) == (3, 1)
    assert compared() == undisturbed


@pytest.mark.slow
def test_a_full_disk_is_waited_for(
    begin: Callable[..., Any],
    undisturbed: tuple[dict[str, Any], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    append, calls = Journal.append, []

    def full(self: Journal, *arguments: Any) -> bool:
        calls.append(arguments)
        if 3 <= len(calls) <= 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return append(self, *arguments)

    monkeypatch.setattr(Journal, "append", full)
    begin()
    assert "cannot be written (No space left on device): waiting" in capsys.readouterr().out
    assert compared() == undisturbed


class Telling(InlineLauncher):
    """Tells something else in place of what some events are."""

    change: Callable[[Event], Event]

    def events(self, timeout: float) -> list[tuple[int, Event]]:
        return [(slot, type(self).change(event)) for slot, event in super().events(timeout)]


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        (lambda event: Finished(step=event.step, summary={"other": 1.0}), "error", "it ended without 'error'"),
        (
            lambda event: Finished(step=event.step, summary={"error": float("nan")}),
            "diverged",
            "it ended with error nan",
        ),
        (lambda event: Finished(step=event.step, summary={"error": object()}), "error", "what it told cannot be read"),
    ],
)
@pytest.mark.slow
def test_an_end_that_nobody_can_read_is_that_of_its_run_alone(
    begin: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Finished], Event],
    kind: str,
    reason: str,
) -> None:
    ends: list[Event] = []

    def changed(event: Event) -> Event:
        if isinstance(event, Finished):
            ends.append(event)
            return change(event) if len(ends) == 1 else event
        return event

    Telling.change = staticmethod(changed)  # type: ignore[assignment]
    monkeypatch.setitem(LAUNCHERS, "inline", lambda _: Telling())
    outcome, _ = begin()
    assert outcome.complete == 2
    (failed,) = [trial for trial in trials() if trial.number == 0]
    assert failed.state == TrialState.FAIL
    assert failed.user_attrs["failure"]["kind"] == kind
    assert reason in failed.user_attrs["failure"]["reason"]
    rows = mlflow_rows()[failed.user_attrs["key"]]
    assert rows[1] == "FAILED"
    assert reason in dict(rows[5])["harness.reason"]
    begin()  # and the next start goes on


def test_an_event_that_raises_while_it_is_told_ends_its_run_alone(
    begin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Event] = []

    def changed(event: Event) -> Event:
        if isinstance(event, Scored):
            told.append(event)
            return Scored(step=1, train_seconds=0, scores={"other": 1.0}) if len(told) == 1 else event
        return event

    Telling.change = staticmethod(changed)  # type: ignore[assignment]
    monkeypatch.setitem(LAUNCHERS, "inline", lambda _: Telling())
    outcome, _ = begin()
    assert (outcome.complete, outcome.failed) == (2, 1)
    first = trials()[0]
    assert "what it told cannot be read: KeyError: 'error'" in first.user_attrs["failure"]["reason"]
    assert "Traceback" in first.user_attrs["output"]


def test_a_run_whose_machine_died_is_tried_again_in_the_same_start_and_every_attempt_keeps_its_reason(
    begin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[Event] = []

    def changed(event: Event) -> Event:
        if isinstance(event, Finished):
            ends.append(event)
            if len(ends) in (1, 2):
                return Failed(kind=Cause.LOST, reason=f"the machine died, {len(ends)}", details="its last words")
        return event

    Telling.change = staticmethod(changed)  # type: ignore[assignment]
    monkeypatch.setitem(LAUNCHERS, "inline", lambda _: Telling())
    outcome, _ = begin()
    assert (outcome.complete, outcome.diverged, outcome.failed) == (3, 1, 0)
    lost = [trial for trial in trials() if trial.user_attrs.get("failure", {}).get("kind") == "lost"]
    assert [trial.user_attrs["failure"]["reason"] for trial in lost] == ["the machine died, 1", "the machine died, 2"]
    assert {trial.user_attrs["output"] for trial in lost} == {"its last words"}
    client = Tracker().client
    for trial in lost:
        (child,) = client.search_runs(
            [each.experiment_id for each in client.search_experiments()],
            f"tags.`harness.key` = '{trial.user_attrs['key']}'",
        )
        assert child.info.status == "FINISHED"
        assert "harness.failure" not in child.data.tags
        attempt = trial.user_attrs["attempt"]
        kept = client.download_artifacts(child.info.run_id, f"attempts/{attempt}.txt", ".")
        assert trial.user_attrs["failure"]["reason"] in Path(kept).read_text()
        assert "its last words" in Path(kept).read_text()


@pytest.mark.slow
def test_what_always_dies_is_tried_three_times(begin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(event: Event) -> Event:
        dies = isinstance(event, Finished) and event.summary["error"] < 1
        return Failed(kind=Cause.LOST, reason="it died") if dies else event

    Telling.change = staticmethod(changed)  # type: ignore[assignment]
    monkeypatch.setitem(LAUNCHERS, "inline", lambda _: Telling())
    outcome, _ = begin()
    assert (outcome.complete, outcome.diverged, outcome.failed) == (1, 1, 2)
    assert sorted(trial.user_attrs["attempt"] for trial in trials()) == [1, 1, 1, 1, 2, 2, 3, 3]
    begin()
    assert len(trials()) == 8


def test_a_tracking_address_that_cannot_be_opened_is_refused_before_anything_is_written(
    begin: Callable[..., Any],
) -> None:
    done = CliRunner().invoke(
        main, ["ablate", "spec.yaml", "--launch", "inline", "--tracking-uri", "sqlite:////nowhere/at/all/mlflow.db"]
    )
    assert done.exit_code == 2
    assert "--tracking-uri sqlite:////nowhere/at/all/mlflow.db: " in done.stderr
    assert not Path("optuna.db").exists()
    assert not Path("runs").exists()
