"""What a run leaves and a tracking server says is read with care: neither ends a report or a study with a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest
import requests
import torch
from mlflow.exceptions import MlflowException
from requests.adapters import HTTPAdapter

from harness.files.images import save_pairs
from harness.recipes.events import Cause, Failed, Progress, Scored
from harness.study.answer import _nearest
from harness.study.journal import Journal
from harness.study.store import StudyStore
from harness.study.tracking import Tracker

STORE = Mock(spec=StudyStore, storage="sqlite:///optuna.db", recall=lambda key: None)
STORE.name = "tricks"
RUNS = pd.DataFrame([{"key": key, "state": "complete"} for key in ("near", "far")])


def leave(key: str, distance: float) -> Path:
    folder = Path("runs", "tricks", key)
    folder.mkdir(parents=True)
    images = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    save_pairs(images, images, folder / "nearest.png")
    about = {"title": key, "reading": "left, right", "distances": [distance]}
    (folder / "nearest.json").write_text(json.dumps(about))
    return folder


def test_the_pairs_shown_are_those_of_the_run_that_comes_closest(project: Path) -> None:
    leave("far", 0.5), leave("near", 0.1)
    found = _nearest(STORE, RUNS)
    assert found is not None
    assert (found.title, [distance for *_, distance in found.pairs]) == ("near", [0.1])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("nearest.json", b"{"),
        ("nearest.json", b"\xff"),
        ("nearest.json", b"[0.1]"),
        ("nearest.json", b"[" * 100_000),
        ("nearest.json", b'{"title": "a", "reading": "b"}'),
        ("nearest.json", b'{"title": 1, "reading": "b", "distances": [0.1]}'),
        ("nearest.json", b'{"title": "a", "reading": "b", "distances": [NaN]}'),
        ("nearest.json", b'{"title": "a", "reading": "b", "distances": ["0.1"]}'),
        ("nearest.json", b'{"title": "a", "reading": "b", "distances": [0.1, 0.2]}'),
        ("nearest.png", b"no image"),
    ],
)
def test_damaged_pairs_leave_the_place_to_the_next_closest(project: Path, file: str, content: bytes) -> None:
    leave("far", 0.5)
    (leave("near", 0.1) / file).write_bytes(content)
    found = _nearest(STORE, RUNS)
    assert found is not None
    assert found.title == "far"


@pytest.mark.parametrize("body", [b'{"experiments": Infinity}', b'{"experiments": [{"name": 1}]}', b"[", b"<html>"])
def test_what_a_server_answers_and_mlflow_cannot_read_is_mlflows_own_exception(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(self: HTTPAdapter, request: Any, **more: Any) -> requests.Response:
        found = requests.Response()
        found.status_code, found._content, found.request = 200, body, request
        return found

    monkeypatch.setattr(HTTPAdapter, "send", send)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(MlflowException):
        Tracker("http://127.0.0.1:9")


EVENTS = (
    Progress(step=1, train_seconds=0.5, rate=2.0, fraction=0.5, curves={"loss": [(1, 0.5)]}),
    Scored(step=2, train_seconds=1.0, scores={"mifid": 100.0}),
    Failed(kind=Cause.LOST, reason="its process died"),
)


@pytest.mark.parametrize(
    "line",
    [
        '{"at": 1, "event": "Scored", "step": 2, "train_seconds": 1.0, "scores": 5, "final": false}',
        '{"at": 1, "event": "Scored", "step": "x", "train_seconds": 1.0, "scores": {}, "final": false}',
        '{"at": 1e999, "event": "Noted", "text": "a"}',
        '{"at": 1, "event": "Progress", "step": 1, "train_seconds": 1, "rate": 1, "fraction": 1, "curves": {"a": [1]}}',
        '{"at": 1, "event": "Failed", "kind": "lost", "reason": [], "details": 1}',
        '{"at": 1, "event": ["Noted"], "text": "a"}',
        '{"at": 1, "event": "Nothing"}',
        "[1]",
        "[" * 100_000,
    ],
)
def test_a_line_of_a_journal_that_is_no_event_is_left_out(project: Path, line: str) -> None:
    journal = Journal(Path("runs/study"))
    for at, event in enumerate(EVENTS[:2]):
        journal.append("key", event, at)
    journal.close()
    with journal.path("key").open("a") as file:
        file.write(f"{line}\n")
    again = Journal(Path("runs/study"))
    again.append("key", EVENTS[2], 9)
    assert [each.kept for each in again.read("key")] == list(EVENTS)
    assert again.last("key") == EVENTS[2]


def test_a_runs_name_is_as_long_as_mlflows_table_takes(project: Path) -> None:
    tracker = Tracker("sqlite:///mlflow.db")
    tracker.open_study("harness", "study", tags={})
    child = tracker.make("key", "x" * 300, at=1, tags={})
    tracker.go_on(child.identity, "y" * 300)
    assert tracker.client.get_run(child.identity).info.run_name == "y" * 250
