"""What tells runs apart: not the order in which settings were written, nor when a setting came to be."""

from __future__ import annotations

import json
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from harness.settings import SAMPLING, Settings, When
from harness.spec.identity import differing, digest, effective, trained


class Mode(Enum):
    FAST = "fast"


class Old(Settings):
    width: int = 8
    rate: float = 1


class New(Settings):
    width: int = 8
    rate: float = 1
    loss: str = "hinge"
    layers: list[int] = Field(default_factory=lambda: [1, 2])
    inner: Old = Old()


def test_a_setting_at_its_default_is_not_told() -> None:
    assert differing(New()) == differing(Old()) == {}
    assert differing(New(width=9)) == differing(Old(width=9)) == {"width": 9}
    assert differing(New(layers=[1])) == {"layers": [1]}
    assert differing(New(layers=[1, 2], loss="hinge", rate=1.0, inner=Old())) == {}


def test_a_setting_without_a_default_is_told_always() -> None:
    class Required(Settings):
        path: Path
        depth: int = 1

    assert differing(Required(path=Path("a/b"))) == {"path": "a/b"}


def test_a_setting_of_a_model_within_is_not_told_at_its_default_either() -> None:
    class Before(Settings):
        sets: tuple[Old, ...] = ()

    found = differing(Before(sets=(Old(), Old(width=3))))
    assert found == {"sets": [["Old", {}], ["Old", {"width": 3}]]}


def test_two_kinds_of_model_within_are_told_apart_where_each_is_at_its_defaults() -> None:
    class Adam(Settings):
        kind: Literal["adam"] = "adam"
        rate: float = 0.1

    class Sgd(Settings):
        kind: Literal["sgd"] = "sgd"
        rate: float = 0.1

    class Training(Settings):
        optimizer: Adam | Sgd

    one, other = Training(optimizer=Adam(rate=0.2)), Training(optimizer=Sgd(rate=0.2))
    assert differing(one) != differing(other)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [(1, 1.0, True), (1, True, False), (0, False, False), ("1", 1, False), (None, False, False), (0.0, -0.0, True)],
)
def test_one_and_one_point_nought_are_one_value_but_true_is_another(one: Any, other: Any, alike: bool) -> None:
    class Anything(BaseModel):
        value: Any = "default"
        defaulted: Any = one

    assert (digest(differing(Anything(value=one))) == digest(differing(Anything(value=other)))) is alike
    assert (differing(Anything(defaulted=other)) == {}) is alike


def test_values_are_plain_data_whatever_they_are() -> None:
    class Odd(BaseModel):
        model_config = {"extra": "allow"}

        mode: Mode | None = None
        names: set[str] = set()
        shape: tuple[int, ...] = ()
        table: dict[str, Path] = {}

    found = differing(
        Odd.model_validate(
            {"mode": Mode.FAST, "names": {"b", "a"}, "shape": (1, 2), "table": {"x": Path("y")}, "more": 3.0}
        )
    )
    assert found == {"mode": "fast", "names": ["a", "b"], "shape": [1, 2], "table": {"x": "y"}, "more": 3}
    json.dumps(found)


def test_a_digest_is_the_same_in_every_process() -> None:
    code = (
        "from pydantic import BaseModel\n"
        "from harness.spec.identity import differing, digest\n"
        "class Bag(BaseModel):\n    names: set[str] = set()\n"
        "print(digest(differing(Bag(names={'a', 'b', 'c', 'd', 'e'}))))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
        ).stdout
        for seed in "123"
    }  # fmt: skip
    assert len(found) == 1


class Dependent(Settings):
    averaging: Literal["none", "ema"] = "none"
    beta: Annotated[float, When(averaging=("ema",))] = 0.9
    truncation: Annotated[float | None, SAMPLING] = None


def test_what_plays_no_part_makes_no_other_run() -> None:
    assert effective(Dependent(beta=0.5)) == effective(Dependent()) == {}
    assert effective(Dependent(averaging="ema", beta=0.5)) == {"averaging": "ema", "beta": 0.5}
    assert differing(Dependent(beta=0.5)) == {"beta": 0.5}


def test_what_depends_on_a_setting_that_plays_no_part_makes_no_other_run_either() -> None:
    class Chained(Settings):
        mode: Literal["off", "on"] = "off"
        kind: Annotated[Literal["a", "b"], When(mode=("on",))] = "a"
        rate: Annotated[float, When(kind=("b",))] = 1.0

    assert effective(Chained(kind="b", rate=2.0)) == effective(Chained()) == {}
    assert effective(Chained(mode="on", kind="b", rate=2.0)) == {"mode": "on", "kind": "b", "rate": 2}


def test_what_is_used_at_sampling_only_makes_another_run_and_no_other_training() -> None:
    one, other = Dependent(beta=0.5, truncation=0.7), Dependent()
    assert effective(one) != effective(other)
    assert trained(one) == trained(other) == {}


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1}) != digest({"a": 1, "b": [3, 2]})
