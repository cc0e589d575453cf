"""Names out of a registry, settings that count under others only, and settings of sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from harness.settings import SAMPLING, Not, OneOf, Reading, Settings, When, asleep, idle, sampling_only


@dataclass(frozen=True)
class Entry:
    reads: tuple[str, ...] | None = None


LOSSES: dict[str, Any] = {"plain": Entry(reads=()), "margined": Entry(reads=("margin",)), "off": None}


class Model(Settings):
    loss: Annotated[str, OneOf(LOSSES)] = Field(default="plain", description="What is lowered.")
    margin: Annotated[float | None, When(loss=Reading(LOSSES, "margin"))] = Field(default=0.8, ge=0, lt=1)
    averaging: str = "none"
    beta: Annotated[float, When(averaging=("ema",))] = 0.9
    penalty: str = "none"
    weight: Annotated[float, When(penalty=Not("none", "off"))] = 10.0
    both: Annotated[float, When(averaging=("ema",), penalty=Not("none"))] = 1.0
    truncation: Annotated[float | None, SAMPLING] = Field(default=None, gt=0)


def test_a_name_that_is_entered_later_is_allowed_and_in_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match=r"loss\n.*Input should be 'plain', 'margined' or 'off'"):
        Model(loss="late")
    assert Model.model_json_schema()["properties"]["loss"]["enum"] == ["plain", "margined", "off"]
    monkeypatch.setitem(LOSSES, "late", Entry())
    assert Model(loss="late").loss == "late"
    assert Model.model_json_schema()["properties"]["loss"] == {
        "default": "plain",
        "description": "What is lowered.",
        "enum": ["plain", "margined", "off", "late"],
        "title": "Loss",
        "type": "string",
    }


@pytest.mark.parametrize("value", [None, 1, True, ["plain"], {"plain": 1}, b"plain"], ids=repr)
def test_what_is_not_a_name_is_refused_as_a_literal_would(value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Annotated[str, OneOf(["plain"])]).validate_python(value)
    (details,) = refused.value.errors()
    assert (details["type"], details["ctx"]) == ("literal_error", {"expected": "'plain'"})


def test_bounds_hold_beside_a_marker() -> None:
    for wrong in ({"margin": 1.0}, {"truncation": 0}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            Model(**wrong)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"margin", "beta", "weight", "both"}),
        ({"loss": "margined"}, {"beta", "weight", "both"}),
        ({"loss": "off"}, {"margin", "beta", "weight", "both"}),
        ({"averaging": "ema"}, {"margin", "weight", "both"}),
        ({"penalty": "r1"}, {"margin", "beta", "both"}),
        ({"penalty": "off"}, {"margin", "beta", "weight", "both"}),
        ({"averaging": "ema", "penalty": "r1"}, {"margin"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set | frozenset) else value),
)
def test_a_setting_is_idle_where_those_it_depends_on_are_set_otherwise(
    changes: dict[str, Any], expected: set[str]
) -> None:
    assert idle(Model(**changes)) == expected


class Chained(Settings):
    last: Annotated[float, When(middle=("b",))] = 0.0
    middle: Annotated[str, When(mode=("on",))] = "a"
    usual: Annotated[float, When(middle=("a",))] = 0.0
    mode: str = "off"


def test_what_depends_on_an_idle_setting_reads_that_at_its_default() -> None:
    assert asleep(Chained(middle="b")) == {"last": ["mode"], "middle": ["mode"]}
    assert idle(Chained(middle="b", mode="on")) == {"usual"}
    assert idle(Chained(middle="b", last=3.0)) == idle(Chained()) == {"last", "middle"}


def test_a_circle_of_conditions_comes_to_an_end() -> None:
    class Circle(Settings):
        one: Annotated[str, When(other=("b",))] = "a"
        other: Annotated[str, When(one=("b",))] = "a"

    assert idle(Circle(one="b")) <= {"one", "other"}


def test_an_entry_that_does_not_say_what_it_reads_may_read_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOSSES, "silent", Entry())
    assert "margin" not in idle(Model(loss="silent"))


def test_settings_of_sampling_are_told_by_their_mark() -> None:
    assert sampling_only(Model) == {"truncation"}
