"""Descriptions and events cross machines as JSON and come out as they went in; what is no event is refused in words."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.recipes.events import Artifact, Cause, DataUsed, Event, Failed, Finished, Noted, Progress, Scored, Started
from harness.runs.description import RunDescription
from harness.runs.wire import order, ordered, read, written

RECIPE = """
from harness import Run, recipe

@recipe(objective="total")
def mine(run: Run, lr: float = 0.1, names: list[str] = ["a"]):
    return {"total": lr}
"""


@pytest.fixture
def description(tmp_path: Path, described: Callable[..., RunDescription]) -> RunDescription:
    (tmp_path / "mine.py").write_text(RECIPE, encoding="utf-8")
    return described("./mine.py:mine", {"lr": 1 / 3, "names": ["x", "y"]})


EVENTS: list[Event] = [
    Started(
        facts={"device.name": "a GPU"},
        data=(DataUsed(name="d", digest="0", source="s", role="training"),),
        resumed_at=3,
    ),
    Progress(step=1, train_seconds=0.1, rate=2.5, fraction=1 / 3, curves={"loss": [(1, 1e-300), (2, -0.1)]}),
    Scored(step=2, train_seconds=1.0, scores={"total": 0.1 + 0.2}, final=True),
    Artifact(step=2, path="run/grid.png", kind="grid"),
    Noted(text="a word: ü\n"),
    Finished(step=2, summary={"total": 5e-324}, trained_from="other"),
    Failed(kind=Cause.MEMORY, reason="too much", details="all\nof it"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.slow
def test_an_event_comes_out_as_it_went_in(event: Event, description: RunDescription) -> None:
    assert read(written(event), description) == event
    assert "\n" not in written(event)


def test_a_description_comes_out_as_it_went_in_and_its_recipe_is_loaded_only_then(description: RunDescription) -> None:
    there = ordered(order(description, directory="elsewhere"))
    assert there.directory == "elsewhere"
    assert there.seed == description.seed
    for name in [each for each in sys.modules if each.startswith("harness_recipe_")]:
        del sys.modules[name]
    pickled = pickle.dumps(there)
    assert not [each for each in sys.modules if each.startswith("harness_recipe_")]
    found = pickle.loads(pickled)
    assert isinstance(found, RunDescription)
    assert found.plain() == {**description.plain(), "directory": "elsewhere"}


@pytest.mark.parametrize(
    "line",
    [
        *("", "{", "[]", "3", "null", '{"event": "Ended"}', '{"event": ["Noted"]}', '{"event": "Noted"}'),
        '{"event": "Finished", "step": 1, "summary": {"total": NaN}}',
        '{"event": "Finished", "step": 1, "summary": {"total": 1e999}}',
        '{"event": "Finished", "step": 1, "summary": {"other": 1.0}}',
        '{"event": "Scored", "step": 1, "train_seconds": 1, "scores": {"total": Infinity}}',
        '{"event": "Scored", "step": -1, "train_seconds": 1, "scores": {"total": 1}}',
        '{"event": "Progress", "step": 99999999999, "train_seconds": 1}',
        '{"event": "Failed", "kind": "bored", "reason": "r"}',
        "[" * 100_000,
    ],
)
@pytest.mark.slow
def test_what_is_no_event_is_a_value_error(line: str, description: RunDescription) -> None:
    with pytest.raises(ValueError, match=r"no event|must be a finite number|no 'total'|emitted"):
        read(line, description)


FIELDS = [
    *("step", "train_seconds", "rate", "fraction", "curves", "scores", "summary", "facts", "data", "kind", "path"),
    *("text", "reason"),
]
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
fields = st.dictionaries(
    st.sampled_from(
        [
            "step",
            "train_seconds",
            "rate",
            "fraction",
            "curves",
            "scores",
            "summary",
            "facts",
            "data",
            "kind",
            "path",
            "text",
            "reason",
        ]
    ),
    plain,
)
kinds = st.sampled_from([type(each).__name__ for each in EVENTS])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=kinds, rest=fields, noise=st.binary(max_size=40))
def test_whatever_a_node_answers_is_an_event_or_a_value_error(
    kind: str, rest: dict[str, object], noise: bytes, description: RunDescription
) -> None:
    for line in (json.dumps({"event": kind, **rest}), noise):
        try:
            event = read(line, description)
        except ValueError:
            continue
        assert read(written(event), description) == event
