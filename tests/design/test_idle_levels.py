"""Levels that change nothing in their cell are refused, or dropped with the reason, and never trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from harness import recipes
from harness.design import Plan, plan
from harness.errors import SpecError
from harness.measures import Measure
from harness.recipes import Recipe
from harness.settings import Not, Settings, When
from harness.spec import load


class ToySettings(Settings):
    averaging: Literal["none", "swa", "ema"] = "none"
    start: Annotated[float, When(averaging=Not("none"))] = Field(default=0.0, ge=0, le=1)
    beta: Annotated[float, When(averaging=("ema",))] = Field(default=0.9, ge=0, lt=1)
    loss: Literal["ce", "hinge"] = "ce"
    margin: Annotated[float | None, When(loss=("ce",))] = None
    width: int = 8


class Toy(Recipe):
    name = "toy"
    objective = Measure(name="loss", title="loss")
    settings = ToySettings

    def train(self, settings: Any, run: Any) -> dict[str, float]:
        raise AssertionError("nothing is trained here")


SPEC = """\
study: toy
recipe: toy
factors:
  averaging: {baseline: none, levels: [ema, swa]}
  beta: {baseline: 0.9, levels: [0.5]}
seeds: 1
"""


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recipes, "get", lambda name: Toy())
    monkeypatch.chdir(tmp_path)
    Path("toy.yaml").write_text(SPEC)


def planned(*overrides: str) -> Plan:
    return plan(load("toy.yaml", overrides))


def refused(*overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        planned(*overrides)
    (line,) = str(caught.value).splitlines()
    return line


def test_a_factor_that_a_design_compares_only_where_it_plays_no_part_is_told_of_when() -> None:
    assert refused() == (
        "toy.yaml:5: factors.beta: beta plays no part where averaging is none, and 'one-at-a-time' compares it nowhere "
        "else; say where the factor exists, like when: {averaging: [ema]}, or use full-factorial"
    )
    made = planned("factors.beta.when={averaging: [ema]}")
    assert [contrast.pairs for contrast in made.contrasts if contrast.factor == "beta"] == [
        (("averaging=ema, beta=0.5", "averaging=ema"),)
    ]


def test_a_condition_that_leaves_it_asleep_is_told_of_the_one_that_does_not() -> None:
    line = refused("factors.beta.when={averaging: [swa, ema]}")
    assert "beta plays no part where averaging is swa" in line
    assert "like when: {averaging: [ema]}" in line


def test_cells_that_it_changes_nothing_in_are_dropped_with_the_reason() -> None:
    made = planned("design.kind=full-factorial")
    assert [cell.name for cell in made.cells] == [
        "baseline", "averaging=ema", "averaging=ema, beta=0.5", "averaging=swa"
    ]  # fmt: skip
    assert [(each.name, each.reason) for each in made.dropped] == [
        ("beta=0.5", "beta plays no part where averaging is none: it is 'baseline'"),
        ("averaging=swa, beta=0.5", "beta plays no part where averaging is swa: it is 'averaging=swa'"),
    ]
    assert {contrast.name: contrast.pairs for contrast in made.contrasts} == {
        "averaging: none -> ema": (("averaging=ema", "baseline"),),
        "averaging: none -> swa": (("averaging=swa", "baseline"),),
        "beta: 0.9 -> 0.5": (("averaging=ema, beta=0.5", "averaging=ema"),),
    }
    assert len({run.key for run in made.runs}) == len(made.runs) == 4


def test_a_nested_factorial_drops_nothing() -> None:
    dropped = planned("design.kind=full-factorial")
    nested = planned("design.kind=full-factorial", "factors.beta.when={averaging: [ema]}")
    assert not nested.dropped
    assert [run.key for run in nested.runs] == [run.key for run in dropped.runs]
    assert [contrast.pairs for contrast in nested.contrasts] == [contrast.pairs for contrast in dropped.contrasts]


def test_a_level_that_no_other_factor_can_wake_is_refused_with_the_spec() -> None:
    with pytest.raises(SpecError) as caught:
        load("toy.yaml", ["factors.averaging=null", "factors.width={baseline: 8, levels: [9]}"])
    assert str(caught.value) == (
        "toy.yaml:5: factors.beta.levels: 0.5 changes nothing in any cell: beta plays no part where averaging is none; "
        "set that otherwise, or take this away"
    )
    load("toy.yaml", ["factors.averaging=null", "train.averaging=ema"])
    assert "averaging is swa" in refused("factors.averaging=null", "train.averaging=swa")


def test_a_level_that_changes_something_else_too_is_a_level() -> None:
    sets = "{calm: {beta: 0.5, width: 9}, base: {beta: 0.9}}"
    made = planned(f"factors.beta={{baseline: base, levels: [calm], sets: {sets}}}")
    assert made.cell("beta=calm").settings["train.width"] == 9


def test_all_on_may_put_a_trick_to_sleep_and_is_told_of_when() -> None:
    both = ["factors.beta=null", "factors.averaging=null", "factors.width={baseline: 8, levels: [9]}",
            "factors.loss={baseline: ce, levels: [hinge]}", "factors.margin={baseline: null, levels: [0.8]}",
            "design.kind=leave-one-out"]  # fmt: skip
    line = refused(*both)
    assert "factors.margin: margin plays no part where loss is hinge, and 'leave-one-out' compares it" in line
    assert "like when: {loss: [ce]}" in line
    made = planned(*both, "factors.margin.when={loss: [ce]}")
    assert {contrast.factor: contrast.pairs for contrast in made.contrasts} == {
        "width": (("all on", "without width"),),
        "loss": (("all on", "without loss"),),
        "margin": (("width=9, margin=0.8", "without loss"),),
    }


def test_leaving_out_what_wakes_another_is_a_comparison() -> None:
    made = planned("design.kind=leave-one-out")
    assert [cell.name for cell in made.cells] == ["all on", "without averaging", "without beta"]
    assert len({run.key for run in made.runs}) == 3
    assert not made.dropped


def test_a_ladder_whose_rung_changes_nothing_is_told_of_when() -> None:
    line = refused("design={kind: ladder, order: [beta, averaging]}")
    assert "factors.beta: beta plays no part where averaging is none" in line
    assert len(planned("design={kind: ladder, order: [averaging, beta]}").cells) == 3


def test_a_fraction_in_which_a_trick_sleeps_is_refused() -> None:
    more = ["factors.loss={baseline: ce, levels: [hinge]}", "factors.width={baseline: 8, levels: [9]}"]
    for kind in ("plackett-burman", "fractional-factorial"):
        line = refused(*more, f"design.kind={kind}")
        assert f"'{kind}' needs every trick to play its part in every cell" in line
        assert "beta plays no part where averaging is none" in line


def test_a_union_may_compare_in_one_design_what_sleeps_in_another() -> None:
    made = planned("design={kind: union, of: [one-at-a-time, full-factorial]}")
    assert [contrast.design for contrast in made.contrasts if contrast.factor == "beta"] == ["full-factorial"]


def test_a_search_gives_a_cell_one_name_whatever_sleeps_in_it() -> None:
    made = planned("design={kind: search, trials: 40}")
    assert made.search is not None
    assert made.search.trials == 4
    for beta in (0.9, 0.5):
        tried = made.search.make({"averaging": "swa", "beta": beta}, 0)
        assert not isinstance(tried, str)
        assert (tried[0].name, tried[0].levels) == ("averaging=swa", {"averaging": "swa", "beta": 0.9})


def test_a_level_that_two_others_must_wake_together_is_no_level_that_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Deep(ToySettings):
        speed: Annotated[int, When(averaging=("ema",), loss=("hinge",))] = 1

    class DeepToy(Toy):
        settings = Deep

    monkeypatch.setattr(recipes, "get", lambda name: DeepToy())
    more = ["factors.beta=null", "factors.loss={baseline: ce, levels: [hinge]}",
            "factors.speed={baseline: 1, levels: [2]}"]  # fmt: skip
    line = refused(*more)
    assert "speed plays no part where averaging is none and loss is ce, and 'one-at-a-time' compares it" in line
    assert "say where the factor exists, or use full-factorial" in line
    nested = planned(*more, "factors.speed.when={averaging: [ema], loss: [hinge]}")
    assert nested.contrasts[-1].pairs == (("averaging=ema, loss=hinge, speed=2", "averaging=ema, loss=hinge"),)
    assert len(planned(*more, "design.kind=full-factorial").cells) == 3 * 2 + 1
