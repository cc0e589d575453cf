"""What a run leaves and a tracking server says is read with care: neither ends a report or a study with a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
import torch
from mlflow.exceptions import MlflowException
from requests.adapters import HTTPAdapter

from harness.files.images import save_pairs
from harness.study.answer import _nearest
from harness.study.tracking import Tracker

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
    found = _nearest("tricks", RUNS)
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
    found = _nearest("tricks", RUNS)
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
