"""The mirror: MLflow gets every event of the journals once, whatever happens to MLflow or to the mirror."""

from __future__ import annotations

import errno
import itertools
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from harness.recipes.events import SOURCE, Artifact, Cause, DataUsed, Failed, Finished, Progress, Scored, Started
from harness.runs.folder import RUNS
from harness.study import tracking as tracking_module
from harness.study.journal import Began, Journal, Kept
from harness.study.mirror import Mirror
from harness.study.recording import Record
from harness.study.tracking import Tracker

DATA = DataUsed(name="photos", digest="1", source="/photos", role="training")
KEYS = ("a", "b", "c")


class Killed(BaseException):
    """The process ends here."""


def events(key: str) -> list[Kept]:
    tags = {"harness.key": key, "harness.seed": "0"}
    return [
        Began(attempt=1, trial=0, name=key, parameters={"lr": "0.1"}, tags={**tags, "harness.attempt": "1"}),
        Started(facts={"device.name": "imagination"}, data=(DATA,)),
        Progress(step=1, train_seconds=1, rate=10.0, curves={"loss": [(1, 0.5)]}),
        Scored(step=1, train_seconds=1, scores={"error": 0.3, "other": 1.0}),
        Failed(kind=Cause.LOST, reason="the machine is gone", details="its last words"),
        Began(attempt=2, trial=1, name=key, parameters={"lr": "0.1"}, tags={**tags, "harness.attempt": "2"}),
        Started(facts={"device.name": "imagination"}, data=(DATA,), resumed_at=1),
        Artifact(step=2, path=str(Path("grid.png").absolute()), kind="grid"),
        Scored(step=2, train_seconds=2, scores={"error": 0.2, "other": 1.0}, final=True),
        Finished(step=2, summary={"error": 0.2, "train_seconds": 5.0}),
    ]


def write(journal: Journal, key: str, kept: list[Kept]) -> None:
    for place, event in enumerate(kept):
        journal.append(key, event, 1_000_000 + place)


def mirror(uri: str, journal: Journal, **options: Any) -> Mirror:
    given: dict[str, Any] = {"running": False, "tags": {"origin": "here"}, "unit": "steps", **options}
    found = Mirror(uri=uri, experiment="s", study="s-1", journal=journal, **given)
    found.start()
    return found


def table(uri: str) -> dict[str, Any]:
    """All that MLflow has of the study, run by run, without identities and how far it is forwarded."""
    client = mlflow.MlflowClient(uri)
    found: dict[str, Any] = {}
    for run in client.search_runs([e.experiment_id for e in client.search_experiments()]):
        identity, tags = run.info.run_id, run.data.tags
        key = tags.get("harness.key", tags["harness.role"])
        assert key not in found, "a run is there twice"
        points = {
            (name, point.step, point.timestamp, point.value)
            for name in run.data.metrics
            for point in client.get_metric_history(identity, name)
        }
        count = sum(len(client.get_metric_history(identity, name)) for name in run.data.metrics)
        assert count == len(points), "a point is there twice"
        inside = [file.path for file in client.list_artifacts(identity)]
        found[key] = (
            run.info.run_name,
            run.info.status,
            points,
            dict(run.data.params),
            {name: value for name, value in tags.items() if name not in ("mlflow.parentRunId", "mlflow.user")},
            sorted(each.dataset.name for each in run.inputs.dataset_inputs),
            sorted(inside),
        )
    return found


@pytest.fixture
def journal(project: Path) -> Journal:
    Path("grid.png").write_bytes(b"a picture")
    found = Journal(RUNS / "s-1")
    for key in KEYS:
        write(found, key, events(key))
    return found


@pytest.fixture
def undisturbed(tracking: str, journal: Journal) -> dict[str, Any]:
    assert mirror(tracking, journal).close("FINISHED", 60) == ""
    return table(tracking)


def forget(uri: str) -> None:
    """Delete all that MLflow has."""
    client = mlflow.MlflowClient(uri)
    for each in client.search_experiments():
        for run in client.search_runs([each.experiment_id]):
            client.delete_run(run.info.run_id)


def test_a_run_has_what_its_journal_says(undisturbed: dict[str, Any]) -> None:
    assert set(undisturbed) == {*KEYS, "study"}
    name, status, points, params, tags, inputs, files = undisturbed["a"]
    assert (name, status, params, inputs) == ("a", "FINISHED", {"lr": "0.1"}, ["photos"])
    assert {(name, step, value) for name, step, _, value in points} == {
        ("loss", 1, 0.5),
        ("steps_per_second_now", 1, 10.0),
        ("error", 1, 0.3),
        ("other", 1, 1.0),
        ("error", 2, 0.2),
        ("other", 2, 1.0),
        ("train_seconds", 2, 5.0),
    }
    assert tags["harness.attempt"] == "2"
    assert tags["device.name"] == "imagination"
    assert "harness.failure" not in tags
    assert "harness.reason" not in tags
    assert files == ["attempts", "grid", "traceback.txt"]
    assert undisturbed["study"][1] == "FINISHED"
    assert undisturbed["study"][5] == ["photos"]


def test_another_start_adds_and_changes_nothing(tracking: str, journal: Journal, undisturbed: dict[str, Any]) -> None:
    again = mirror(tracking, journal)
    assert again.close("FINISHED", 60) == ""
    assert again.changed == {"made": 0, "filled": 0, "closed": 0}
    assert table(tracking) == undisturbed


def test_a_mirror_that_is_killed_between_two_steps_is_followed_by_one_that_does_the_rest_once(
    tracking: str, journal: Journal, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ["open_study", "children", "make", "artifact", "text", "inputs", "send", "unmark", "finish"]
    forget(tracking)
    for step, when in itertools.product(steps, ("before", "after")):
        real = getattr(Tracker, step)

        def killed(self: Tracker, *args: Any, real: Any = real, when: str = when, **named: Any) -> Any:
            if when == "after":
                real(self, *args, **named)
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(Tracker, step, killed)
            patched.setattr(threading, "excepthook", lambda _: None)
            first = mirror(tracking, journal)
            first._thread.join(60)
            assert not first._thread.is_alive()
    assert mirror(tracking, journal).close("FINISHED", 60) == ""
    assert table(tracking) == undisturbed


def test_what_was_deleted_is_filled_again(tracking: str, journal: Journal, undisturbed: dict[str, Any]) -> None:
    forget(tracking)
    assert mirror(tracking, journal).close("FINISHED", 60) == ""
    assert table(tracking) == undisturbed


def test_an_extra_child_of_a_run_goes_and_a_failure_that_was_overcome_is_no_tag(
    tracking: str, journal: Journal, undisturbed: dict[str, Any]
) -> None:
    tracker = Tracker(tracking)
    tracker.open_study("s", "s-1", tags={}, running=False)
    tracker.finish(tracker.make("b", "b", at=0, tags={"harness.seed": "0"}).identity, "KILLED")
    tracker.set_tags(tracker.children()["c"].identity, {"harness.failure": "lost", "harness.reason": "gone"})
    assert mirror(tracking, journal).close("FINISHED", 60) == ""
    assert table(tracking) == undisturbed


def test_a_run_whose_end_nobody_told_is_killed_and_goes_on_as_running(tracking: str, project: Path) -> None:
    journal = Journal(RUNS / "s-1")
    Path("grid.png").write_bytes(b"a picture")
    write(journal, "a", events("a")[:3])
    assert mirror(tracking, journal).close("KILLED", 60) == ""
    assert [table(tracking)[key][1] for key in ("a", "study")] == ["KILLED", "KILLED"]
    second = mirror(tracking, journal, running=True)
    write(journal, "a", events("a")[5:8])
    second.goes_on("a")
    assert second.settle(60) == ""
    assert [table(tracking)[key][1] for key in ("a", "study")] == ["RUNNING", "RUNNING"]
    write(journal, "a", events("a")[8:])
    second.wrote("a", ended=True)
    assert second.close("FINISHED", 60) == ""
    assert [table(tracking)[key][1] for key in ("a", "study")] == ["FINISHED", "FINISHED"]
    assert len(table(tracking)["a"][2]) == 5


def test_a_kill_between_the_last_line_and_the_end_of_a_run_leaves_no_earlier_status(
    tracking: str, journal: Journal, undisturbed: dict[str, Any]
) -> None:
    client = mlflow.MlflowClient(tracking)
    for run in client.search_runs([each.experiment_id for each in client.search_experiments()]):
        if run.data.tags.get("harness.key") == "a":  # an earlier attempt's, of which nobody told the end
            client.set_terminated(run.info.run_id, "KILLED")
    assert table(tracking)["a"][1] == "KILLED"
    assert mirror(tracking, journal).close("FINISHED", 60) == ""
    assert table(tracking) == undisturbed


@pytest.mark.slow
def test_a_lock_is_waited_for_and_said_and_no_point_is_lost_or_doubled(
    tracking: str, journal: Journal, undisturbed: dict[str, Any]
) -> None:
    forget(tracking)
    said: list[str] = []
    held = sqlite3.connect(tracking.removeprefix("sqlite:///"), isolation_level=None, timeout=20)
    held.execute("BEGIN EXCLUSIVE")
    locked = mirror(tracking, journal, say=said.append)
    assert locked.settle(8) != ""
    assert locked.run_of("a", patience=60) == ""  # at once: nobody waits for what does not answer
    held.execute("ROLLBACK")
    held.close()
    assert locked.close("FINISHED", 60) == ""
    assert "does not answer: database is locked; what it lacks waits; training goes on" in said[0]
    assert said[1].startswith("MLflow answers again after ")
    assert table(tracking) == undisturbed


@pytest.mark.slow
def test_where_mlflow_stays_away_the_end_says_what_waits(tracking: str, journal: Journal) -> None:
    held = sqlite3.connect(tracking.removeprefix("sqlite:///"), isolation_level=None, timeout=20)
    held.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    left = mirror(tracking, journal).close("FINISHED", 1)
    assert "does not answer" in left
    assert "what it lacks waits" in left
    assert time.monotonic() - began < 60
    held.execute("ROLLBACK")
    held.close()


def test_a_run_that_mlflow_does_not_take_holds_up_no_other(
    tracking: str, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Tracker.send
    names = {}

    def send(self: Tracker, run: str, **given: Any) -> None:
        names.setdefault(run, (given.get("tags") or {}).get("harness.key"))
        if names[run] == "b":
            raise MlflowException("the reason", error_code=1000)
        real(self, run, **given)

    monkeypatch.setattr(Tracker, "send", send)
    said: list[str] = []
    left = mirror(tracking, journal, say=said.append).close("FINISHED", 60)
    assert "does not take all of 1 run(s), like b: the reason" in left
    assert any("run b: MLflow does not take all of it: the reason" in line for line in said)
    assert {key: row[1] for key, row in table(tracking).items() if key != "b"} == dict.fromkeys(
        ("a", "c", "study"), "FINISHED"
    )
    monkeypatch.setattr(Tracker, "send", real)
    assert mirror(tracking, journal).close("FINISHED", 60) == ""
    assert len(table(tracking)["b"][2]) == 7


def test_a_run_without_a_journal_is_filled_from_its_record_once(tracking: str, journal: Journal) -> None:
    record = Record(
        key="d",
        name="d",
        parameters={"lr": "0.3"},
        tags={"harness.key": "d"},
        status="FINISHED",
        points=(("error", 0.4, 1, 5), ("error", 0.3, 2, 6), ("train_seconds", 9.0, 2, 6)),
        began=5,
        ended=6,
        failures=((1, "lost: the machine is gone"),),
    )
    for _ in range(2):
        assert mirror(tracking, journal, records=[record]).close("FINISHED", 60) == ""
    name, status, points, params, _, _, files = table(tracking)["d"]
    assert (name, status, params, files) == ("d", "FINISHED", {"lr": "0.3"}, ["attempts"])
    assert {(name, step, value) for name, step, _, value in points} == {
        ("error", 1, 0.4),
        ("error", 2, 0.3),
        ("train_seconds", 2, 9.0),
    }


def test_a_run_that_was_begun_in_another_folder_keeps_the_points_it_has(tracking: str, journal: Journal) -> None:
    assert mirror(tracking, journal).close("FINISHED", 60) == ""
    before = table(tracking)
    elsewhere = Journal(RUNS / "s-1")
    elsewhere.folder = Path("elsewhere")
    for key in KEYS:
        for place, event in enumerate(events(key)):
            elsewhere.append(key, event, 2_000_000 + place)
    assert mirror(tracking, elsewhere).close("FINISHED", 60) == ""
    after = table(tracking)
    assert {key: row[2] for key, row in after.items()} == {key: row[2] for key, row in before.items()}


def test_the_numbers_of_the_parent_are_logged_once_and_again_where_they_change(tracking: str) -> None:
    tracker = Tracker(tracking)
    tracker.open_study("s", "s-1", tags={})
    for value in (1.0, 1.0, 2.0, 2.0):
        tracker.numbers(tracker.parent, [("best", value, 0), ("looks/of a trick", 3.0, 1)])
    found = {
        name: [point.value for point in tracker.client.get_metric_history(tracker.parent, name)]
        for name in ("best", "looks/of a trick")
    }
    assert found == {"best": [1.0, 2.0], "looks/of a trick": [3.0]}


def test_more_than_a_call_takes_is_sent_in_several(tracking: str) -> None:
    tracker = Tracker(tracking)
    tracker.open_study("s", "s-1", tags={})
    run = tracker.make("k", "k", at=0, tags={}).identity
    points = [("loss", float(step), step, 5) for step in range(2500)]
    for _ in range(2):
        tracker.send(
            run,
            points=points,
            parameters={f"p{place}": "x" for place in range(200)},
            tags={f"t{place}": "x" for place in range(200)},
        )
    data = tracker.client.get_run(run).data
    assert len(tracker.client.get_metric_history(run, "loss")) == 2500
    assert len(data.params) == 200
    assert sum(name.startswith("t") for name in data.tags) == 200


def test_an_answer_that_a_server_does_not_take_is_given_up_and_said(tracking: str, journal: Journal) -> None:
    said: list[str] = []
    found = mirror(tracking, journal, say=said.append)

    def publish(tracker: Tracker) -> None:
        raise PermissionError("/srv/mlruns")

    found.ask(publish)
    assert found.close("FINISHED", 20) == f"MLflow ({tracking}) does not take all of the answer: /srv/mlruns"
    assert said == ["the answer: MLflow does not take all of it: /srv/mlruns"]
    assert table(tracking)["study"][1] == "FINISHED"


def test_a_disk_that_stays_full_is_waited_for_no_longer_than_was_said(
    tracking: str, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Tracker, "artifact", full)
    left = mirror(tracking, journal).close("FINISHED", 3)
    assert "No space left on device" in left
    assert "wait" in left


def test_the_run_of_a_changed_recipe_takes_the_place_of_the_old_ones(tracking: str, project: Path) -> None:
    journal = Journal(RUNS / "s-1")
    for attempt, source in ((1, "old"), (2, "new")):
        began = Began(attempt=attempt, trial=attempt, name="k", tags={SOURCE: source})
        score = Scored(step=1, train_seconds=1, scores={"error": attempt / 10})
        end: Kept = Finished(step=1, summary={"error": 0.2}) if attempt == 2 else Failed(kind=Cause.ERROR, reason="bug")
        for at, event in enumerate((began, score, end)):
            journal.append("k", event, 10 * attempt + at)
        assert mirror(tracking, journal).close("FINISHED", 60) == ""
    _, status, points, _, tags, _, _ = table(tracking)["k"]
    assert status == "FINISHED"
    assert tags[SOURCE] == "new"
    assert {(name, step, value) for name, step, _, value in points} == {("error", 1, 0.2)}


def test_a_fresh_database_is_made_whole_or_not_at_all(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, uri = tracking_module.MlflowClient, f"sqlite:///{project}/fresh.db"

    def killed(half_made: str) -> Any:
        real(half_made).search_experiments()
        raise Killed

    monkeypatch.setattr(tracking_module, "MlflowClient", killed)
    with pytest.raises(Killed):
        Tracker(uri)
    assert list(project.iterdir()) == []
    monkeypatch.setattr(tracking_module, "MlflowClient", real)
    Tracker(uri).open_study("s", "s-1", tags={})
    assert "fresh.db" in [path.name for path in project.iterdir()]
    assert not list(project.glob(".fresh.db*"))
