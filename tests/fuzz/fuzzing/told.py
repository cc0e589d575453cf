"""What others tell: lines that a command prints, studies that others keep in the same storage, answers of a server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import strategies as st

from fuzzing.mutation import EDITS, edited, edited_document
from fuzzing.target import Target
from harness.errors import DivergedError, HarnessError, RecipeError
from harness.measures import Direction, Measure
from harness.recipes import Run
from harness.recipes.address import Address
from harness.recipes.events import (
    Artifact,
    Cause,
    DataUsed,
    Event,
    Failed,
    Finished,
    Noted,
    Progress,
    Scored,
    Started,
)
from harness.recipes.printed import Printed
from harness.recipes.process import _Lines
from harness.runs.boundary import checked, guarded

# ---------------------------------------------------------------------- lines of a command

_ACCURACY = Measure(name="accuracy", title="accuracy", direction=Direction.MAXIMIZE)
_LINES = (
    b'{"step": 1, "accuracy": 0.5, "loss": 1.25}\n',
    b'{"step": 2, "loss": 1e-3, "accuracy": 0.75, "train_seconds": 3, "lr": 0.1, "note": "text", "ok": true}\n',
    b'epoch 1: loss 0.5\n{"step": 3, "accuracy": Infinity}\r\n  {"accuracy": 1}  \n',
    b'{"loss": NaN, "best": -Infinity}\n{"a": {"b": 1}, "c": [1, 2], "d": null}\n\n{}\n[1]\n',
)
_JSON = (
    *(
        b'"accuracy"',
        b'"step"',
        b'"accuracy": ',
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"null",
        b"true",
        b'"1"',
        b"[]",
        b"{}",
        b"{",
        b"}",
    ),
    *(
        b"1e308",
        b"1e309",
        b"-0.0",
        b"9" * 400,
        b"9" * 5000,
        b"0x1",
        b"1.",
        b"01",
        b"2147483647",
        b"2147483648",
        b"-1",
        b"0.5",
    ),
    *(
        b'"\\ud800"',
        b'"\\u0000"',
        b'"\x1b[2J"',
        b'""',
        b'"../../x"',
        b'"a/b"',
        b'"mifid"',
        b'"train_seconds"',
        b'"peak_memory_mb"',
    ),
    *(
        b"\n",
        b"\r",
        b"\r\n",
        b"\0",
        b"\xff",
        b"\xe2\x80\xa8",
        b"[" * 3000,
        b'{"a":' * 1500,
        b"x" * 70_000,
        b"\x85",
        b"\x0c",
        b", ",
    ),
)


def _printed(folder: Path) -> Callable[[tuple[list[int], list[int], int]], str]:
    def read(value: tuple[list[int], list[int], int]) -> str:
        which, edits, size = value
        content = edited(b"".join(_LINES[each] for each in which), edits, _JSON)
        events: list[Event] = []
        run = Run(
            seed=0,
            directory=folder,
            objective=_ACCURACY,
            emit=guarded(events.append, "a command", _ACCURACY),
            recipe="a command",
        )
        printed = Printed(run)
        lines = _Lines(printed.line)
        for start in range(0, len(content), size):
            lines.feed(content[start : start + size])
        lines.end()
        printed.flush()
        for event in events:
            json.dumps(asdict(event), allow_nan=False).encode()
        summary = checked({**printed.last}, "a command", _ACCURACY)
        json.loads(json.dumps(summary, allow_nan=False))
        return f"{len(events)} events"

    return read


# ---------------------------------------------------------------------- journals, and slots on other machines

_TOLD: tuple[Event, ...] = (
    Started(facts={"device.name": "cpu"}, data=(DataUsed(name="a", digest="0", source="b", role="training"),)),
    Progress(step=1, train_seconds=0.5, rate=2.0, fraction=0.5, curves={"loss": [(1, 0.5), (2, 0.25)]}),
    Scored(step=2, train_seconds=1.0, scores={"accuracy": 0.5, "loss": 0.25}),
    Artifact(step=2, path="grid-000000002.png", kind="grid"),
    Noted(text="no sign of life for 30 s"),
    Finished(step=2, summary={"accuracy": 0.5, "train_seconds": 1.0}),
    Failed(kind=Cause.LOST, reason="its process died", details="..."),
)


def _damaged(lines: Sequence[str], which: list[int], as_documents: bool, edits: list[int]) -> bytes:
    """Some of the lines, one after the other, damaged as JSON or as bytes."""
    chosen = [lines[each % len(lines)] for each in which]
    if as_documents:
        changed = edited_document([json.loads(each) for each in chosen], edits)
        return b"".join(
            json.dumps(each).encode() + b"\n" for each in (changed if isinstance(changed, list) else [changed])
        )
    return edited("".join(f"{each}\n" for each in chosen).encode(), edits, _JSON)


def _journals(folder: Path) -> Callable[[tuple[list[int], bool, list[int]]], str]:
    from harness.study.journal import Began, Journal

    first = Journal(folder / "runs")
    for at, event in enumerate((Began(attempt=1, trial=0, name="a run"), *_TOLD), 1):
        first.append("real", event, at)
    first.close()
    lines = first.path("real").read_text().splitlines()

    def read(value: tuple[list[int], bool, list[int]]) -> str:
        content = _damaged(lines, *value)
        said: list[str] = []
        journal = Journal(folder / "runs", said.append)
        journal.path("key").write_bytes(content)
        found = list(journal.read("key"))
        for line in found:
            json.dumps(asdict(line.kept))
        journal.last("key"), journal.born("key"), journal.ended("key", 1), journal.scored("key", 1)
        journal.append("key", _TOLD[2], 9)
        journal.append("key", _TOLD[5], 10)
        journal.close()
        assert journal.last("key") == _TOLD[5]
        assert len(list(journal.read("key"))) >= len(found)
        return f"{len(found)} events"

    return read


def _slots(folder: Path) -> Callable[[tuple[list[int], bool, list[int]]], str]:
    from harness.runs import wire
    from harness.runs.description import RunDescription

    described = mock.Mock(spec=RunDescription, address=Address("dcgan"), objective=_ACCURACY)
    lines = [wire.written(event) for event in _TOLD]

    def read(value: tuple[list[int], bool, list[int]]) -> str:
        good = 0
        for line in _damaged(lines, *value).splitlines():
            try:
                event = wire.read(line, described)
            except ValueError:
                continue  # documented: the launcher says so of the slot
            json.dumps(asdict(event), allow_nan=isinstance(event, Failed | Noted | Artifact | Started))
            good += 1
        return f"{good} events"

    return read


# ---------------------------------------------------------------------- studies of others


def _studies(folder: Path) -> Callable[[tuple[list[int], list[int], list[int]]], str]:
    """A storage of a team holds studies of others, with attributes of any kind: they stop nobody's own."""
    import optuna
    from optuna.trial import TrialState, create_trial

    from fuzzing.specs import CONTENT
    from harness.design import plan
    from harness.spec import load
    from harness.study.answer import plan_document, study_name
    from harness.study.store import freshness, reuse
    from harness.study.store.listing import _stored
    from harness.study.store.records import identity

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    case = folder / "case.yaml"
    case.write_bytes(CONTENT["smoke.yaml"])
    spec = load(case)
    made = plan(spec)
    own = json.loads(json.dumps(plan_document(made)))
    searched = {
        **own,
        "search": {"levels": {"crop": ["resize", "square"]}, "trials": 4, "seeds": [0], "sampler": "tpe"},
    }
    run = made.runs[0]
    attributes = {
        **identity(made.cell(run.cell), run, 1),
        "summary": {"mifid": 100.0, "train_seconds": 1.0},
        "mlflow_run_id": "0" * 32,
        "source": "",
        "curve": {"1": 2.0},
    }
    keys = {each.key for each in made.runs}

    def read(value: tuple[list[int], list[int], list[int]]) -> str:
        of_study, of_trial, of_search = value
        storage = optuna.storages.InMemoryStorage()
        for name, document, edits in (("theirs", own, of_study), ("search", searched, of_search)):
            study = optuna.create_study(study_name=name, storage=storage)
            found = edited_document({"plan": document, "spec": {}, "owner": None}, edits)
            for key, each in found.items() if isinstance(found, dict) else ():
                study.set_user_attr(str(key), each)
            kept = edited_document(attributes, of_trial)
            kept = kept if isinstance(kept, dict) else {"key": kept}
            study.add_trial(
                create_trial(state=TrialState.COMPLETE, value=1.0, user_attrs={str(k): v for k, v in kept.items()})
            )
            study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"failure": kept, "key": run.key}))
            _stored(study)
        reused = reuse.reusable(storage, study_name(spec, made), made, keys, "")
        freshness.highest_seed(storage, made.recipe, made.objective.name)
        freshness.refuse_used_seeds(storage, study_name(spec, made), made)
        return f"{len(reused)} reused"

    return read


# ---------------------------------------------------------------------- a tracking server

_RUN = {
    "info": {
        "run_id": "0" * 32,
        "run_uuid": "0" * 32,
        "experiment_id": "1",
        "status": "RUNNING",
        "start_time": 1,
        "end_time": 2,
        "artifact_uri": "mlflow-artifacts:/1/0/artifacts",
        "lifecycle_stage": "active",
        "run_name": "a",
        "user_id": "b",
    },
    "data": {
        "tags": [{"key": "harness.key", "value": "k"}],
        "params": [],
        "metrics": [{"key": "m", "value": 1.0, "timestamp": 1, "step": 0}],
    },
    "inputs": {},
}
_EXPERIMENT = {
    "experiment_id": "1",
    "name": "harness",
    "lifecycle_stage": "active",
    "artifact_location": "mlflow-artifacts:/1",
}
_ANSWERS = {
    "experiments/search": {"experiments": [_EXPERIMENT]},
    "experiments/get-by-name": {"experiment": _EXPERIMENT},
    "experiments/create": {"experiment_id": "1"},
    "experiments/restore": {},
    "runs/search": {"runs": [_RUN]},
    "runs/create": {"run": _RUN},
    "runs/update": {"run_info": _RUN["info"]},
    "runs/get": {"run": _RUN},
    "runs/log-batch": {},
    "runs/log-inputs": {},
    "runs/set-tag": {},
    "runs/delete-tag": {},
    "metrics/get-history": {"metrics": [{"key": "m", "value": 1.0, "timestamp": 1, "step": 0}]},
}
_HEADERS: tuple[dict[str, str], ...] = (
    {"content-type": "application/json"},
    *(
        {},
        {"content-type": "text/html"},
        {"location": "file:///etc/passwd"},
        {"retry-after": "9" * 30},
        {"content-encoding": "gzip"},
    ),
)


def _server(folder: Path) -> Callable[[tuple[int, tuple[int, int, bool, list[int]]]], str]:
    """A tracking server that answers anything: one of the answers to a call is damaged, the others are sound."""
    import requests
    from mlflow.exceptions import MlflowException
    from requests.adapters import HTTPAdapter

    from harness.study.tracking import Tracker

    bad: tuple[int, int, bool, list[int]] = (99, 200, True, [])
    count = 0

    def answer(self: HTTPAdapter, request: Any, **more: Any) -> requests.Response:
        nonlocal count
        path = request.url.partition("?")[0].partition("/mlflow/")[2]
        sound = _ANSWERS.get(path, {})
        found = requests.Response()
        found.request, found.url, found.status_code = request, request.url, 200
        found.headers.update(_HEADERS[0])
        found._content = json.dumps(sound).encode()
        if count == bad[0]:
            _, found.status_code, as_document, edits = bad
            found._content = (
                json.dumps(edited_document(sound, edits)).encode()
                if as_document
                else edited(found._content, edits, _JSON)
            )
            if edits:
                found.headers.clear()
                found.headers.update(_HEADERS[edits[0] % len(_HEADERS)])
        count += 1
        return found

    quick = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}

    def new() -> Tracker:
        return Tracker("http://127.0.0.1:9")

    def opened(tracker: Tracker) -> None:
        tracker.open_study("harness", "tricks-1a2b3c", tags={"a": "b"})

    run, points = "0" * 32, [("mifid", 1.0, 1, 1)]
    data = [DataUsed(name="a", digest="b", source="c", role="training")]
    calls: tuple[Callable[[Tracker], object], ...] = (
        lambda tracker: new(),
        opened,
        Tracker.children,
        lambda tracker: tracker.make("k", "a run", at=1, tags={"harness.key": "k"}),
        lambda tracker: tracker.send(run, points=points, parameters={"seed": "0"}, tags={"a": "b"}),
        lambda tracker: tracker.absent(run, points),
        lambda tracker: tracker.unmark(run),
        lambda tracker: tracker.inputs(run, data),
        lambda tracker: tracker.copy(run, original=run, study="b", key="k", tags={}),
        lambda tracker: tracker.numbers(run, [("mifid", 1.0, 1)]),
        lambda tracker: tracker.finish(run, "FINISHED"),
    )
    with mock.patch.object(HTTPAdapter, "send", answer), mock.patch.dict(os.environ, quick):
        tracker = new()
        for call in calls:  # what they import is imported now
            call(tracker)

    def read(value: tuple[int, tuple[int, int, bool, list[int]]]) -> str:
        nonlocal bad, count
        call, bad = value
        count = 0
        with mock.patch.object(HTTPAdapter, "send", answer), mock.patch.dict(os.environ, quick):
            try:
                calls[call % len(calls)](tracker)
            except MlflowException:
                return "MLflow's own exception"
        return f"told in {count} calls"

    return read


_PARTS = st.lists(st.integers(0, len(_LINES) - 1), min_size=1, max_size=4)

TARGETS = (
    Target(
        name="command-lines",
        inputs=st.tuples(_PARTS, EDITS, st.sampled_from((1, 7, 64, 1 << 16))),
        prepare=_printed,
        documented=(RecipeError, DivergedError),
    ),
    Target(
        name="journals",
        inputs=st.tuples(st.lists(st.integers(0, 7), min_size=1, max_size=8), st.booleans(), EDITS),
        prepare=_journals,
        documented=(),
    ),
    Target(
        name="slots-answers",
        inputs=st.tuples(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.booleans(), EDITS),
        prepare=_slots,
        documented=(),
    ),
    Target(
        name="others-studies",
        inputs=st.tuples(EDITS, EDITS, EDITS),
        prepare=_studies,
        documented=(HarnessError,),
        few=100,
    ),
    Target(
        name="server-answers",
        inputs=st.tuples(
            st.integers(0, 10),
            st.tuples(
                st.sampled_from((0, 0, 0, 1, 2, 3)),
                st.sampled_from((200, 200, 200, 201, 302, 404, 429, 500)),
                st.booleans(),
                EDITS,
            ),
        ),
        prepare=_server,
        documented=(HarnessError,),
        few=100,
    ),
)
