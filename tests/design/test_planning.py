"""Designs: the cells, contrasts and runs that a spec asks for, counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, model_validator

from harness import recipes
from harness.design import Plan, plan
from harness.errors import SpecError
from harness.recipes.dcgan.recipe import Dcgan
from harness.settings import Settings
from harness.spec import load


class ToySettings(Settings):
    width: int = Field(default=8, ge=1)
    depth: int = Field(default=1, ge=1)
    margin: float | None = Field(default=None, ge=0, le=1)
    averaging: Literal["none", "ema"] = "none"
    batch: int = Field(default=32, ge=2)

    @model_validator(mode="after")
    def _fits(self) -> ToySettings:
        if self.width > 10 and self.margin is not None:
            raise ValueError("a margin needs a width of at most 10")
        return self


class ToyRecipe(Dcgan):
    name = "dcgan"
    settings = ToySettings


SPEC = """\
study: toy
recipe: dcgan
data: {size: 32}
factors:
  crop: {baseline: resize, levels: [square, bbox]}
  margin: {baseline: null, levels: [0.8]}
  averaging: {baseline: none, levels: [ema]}
seeds: [3, 1]
budget: {images: 640}
"""


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recipes, "get", lambda name: ToyRecipe())
    monkeypatch.chdir(tmp_path)
    Path("toy.yaml").write_text(SPEC)


def planned(*overrides: str) -> Plan:
    return plan(load("toy.yaml", overrides))


def names(made: Plan) -> list[str]:
    return [cell.name for cell in made.cells]


def test_one_at_a_time_holds_every_level_against_the_baseline() -> None:
    made = planned()
    assert names(made) == ["baseline", "crop=square", "crop=bbox", "margin=0.8", "averaging=ema"]
    assert made.control == "baseline"
    assert [(c.name, c.pairs) for c in made.contrasts] == [
        ("crop: resize -> square", (("crop=square", "baseline"),)),
        ("crop: resize -> bbox", (("crop=bbox", "baseline"),)),
        ("margin: off -> 0.8", (("margin=0.8", "baseline"),)),
        ("averaging: none -> ema", (("averaging=ema", "baseline"),)),
    ]
    assert made.cell("crop=bbox").settings["data.crop"] == "bbox"
    assert made.cell("crop=bbox").settings["train.margin"] is None
    assert made.cell("margin=0.8").train == ToySettings(margin=0.8)


def test_leave_one_out_takes_each_trick_from_all() -> None:
    made = planned("design={kind: leave-one-out, on: {crop: bbox}}")
    assert names(made) == ["all on", "without crop", "without margin", "without averaging"]
    assert made.control == "all on"
    assert made.cell("all on").levels == {"crop": "bbox", "margin": 0.8, "averaging": "ema"}
    assert made.cell("without margin").levels == {"crop": "bbox", "margin": None, "averaging": "ema"}
    first = made.contrasts[0]
    assert (first.name, first.pairs) == ("crop: resize -> bbox", (("all on", "without crop"),))
    assert planned("design.kind=leave-one-out").cell("all on").levels["crop"] == "square"


def test_full_factorial_pairs_cells_that_differ_in_one_factor_only() -> None:
    made = planned("design.kind=full-factorial")
    assert len(made.cells) == 3 * 2 * 2
    assert names(made)[0] == made.control == "baseline"
    assert len(set(names(made))) == 12
    counts = {contrast.name: len(contrast.pairs) for contrast in made.contrasts}
    assert counts == {
        "crop: resize -> square": 4,
        "crop: resize -> bbox": 4,
        "margin: off -> 0.8": 6,
        "averaging: none -> ema": 6,
    }
    for contrast in made.contrasts:
        for treated, control in contrast.pairs:
            one, other = made.cell(treated).levels, made.cell(control).levels
            assert {name for name in one if one[name] != other[name]} == {contrast.factor}
            assert (one[contrast.factor], other[contrast.factor]) == (contrast.level, contrast.baseline)


def test_runs_come_seed_by_seed_with_the_control_first() -> None:
    made = planned()
    assert [(run.seed, run.cell) for run in made.runs] == [(seed, cell) for seed in (3, 1) for cell in names(made)]
    assert len({run.key for run in made.runs}) == 10


def test_the_same_run_has_the_same_key_whatever_the_design_and_the_seeds() -> None:
    one = {(run.cell, run.seed): run.key for run in planned().runs}
    factorial = {(run.cell, run.seed): run.key for run in planned("design.kind=full-factorial", "seeds=5").runs}
    assert {factorial[cell, 1] for cell in planned_cells()} == {one[cell, 1] for cell in planned_cells()}


def planned_cells() -> list[str]:
    return ["baseline", "crop=square", "crop=bbox", "margin=0.8", "averaging=ema"]


@pytest.mark.parametrize(
    "override", ["train.batch=64", "data.count=99", "evaluate.samples=99", "budget.images=99", "evaluate.size=64"]
)
def test_whatever_moves_a_score_moves_key_and_fingerprint(override: str) -> None:
    before, after = planned(), planned(override)
    assert not {run.key for run in before.runs} & {run.key for run in after.runs}
    assert before.fingerprint != after.fingerprint


def test_more_seeds_and_another_design_are_the_same_study() -> None:
    assert planned().fingerprint == planned("seeds=9", "design.kind=leave-one-out").fingerprint
    assert planned().fingerprint != planned("factors.margin.levels=[0.7]").fingerprint


def test_a_reference_may_be_another_folder_or_the_photos_held_out() -> None:
    sets = "[square, {name: fresh, split: held-out}, {name: cats, source: folder, root: cats, crop: resize}]"
    made = planned(f"evaluate.references={sets}", "data={limit: 50, split: train}")
    assert list(made.references) == ["square", "fresh", "cats"]
    same, fresh, cats = made.references.values()
    assert (same.split, fresh.split, cats.split) == ("train", "held-out", "all")
    assert (fresh.crop, fresh.limit, fresh.source) == ("square", 50, same.source)
    assert (cats.crop, cats.limit, cats.source, str(cats.root)) == ("resize", None, "folder", "cats")
    assert {data.size for data in made.references.values()} == {same.size}


def test_the_crop_of_a_reference_set_is_square_and_of_a_folder_resize_unless_given() -> None:
    sets = "[{name: fresh, split: held-out}, {name: cats, source: folder, root: cats}, {name: boxes, crop: bbox}]"
    made = planned(f"evaluate.references={sets}")
    assert [data.crop for data in made.references.values()] == ["square", "resize", "bbox"]


def test_a_folder_that_drawn_dogs_would_not_look_at_is_refused() -> None:
    with pytest.raises(SpecError, match=r"evaluate.*reference set 'cats': synthetic-dogs has no root.*folder"):
        planned("evaluate.references=[{name: cats, root: cats}]")


def test_references_are_the_data_in_the_references_own_crop_and_size() -> None:
    made = planned("evaluate.references=[square,centre]", "factors.size={baseline: 32, levels: [64]}")
    assert list(made.references) == ["square", "centre"]
    assert {name: data.crop for name, data in made.references.items()} == {"square": "square", "centre": "centre"}
    assert {data.size for data in made.references.values()} == {32}
    assert {data.size for data in planned("evaluate.size=64").references.values()} == {64}


def test_a_cell_that_misses_what_it_requires_is_dropped_with_the_reason() -> None:
    made = planned("factors.averaging.requires={crop: [square]}", "design.kind=full-factorial")
    assert len(made.cells) == 12 - 4  # ema with resize or bbox, margin either way
    assert len(made.dropped) == 4
    assert "averaging=ema requires crop at square, here it is at" in made.dropped[0].reason
    counts = {contrast.name: len(contrast.pairs) for contrast in made.contrasts}
    assert counts["averaging: none -> ema"] == 2
    assert counts["crop: resize -> square"] == 2


def test_a_cell_that_holds_what_it_excludes_is_dropped_with_the_reason() -> None:
    made = planned("factors.margin.exclude={crop: [bbox], averaging: [ema]}", "design.kind=full-factorial")
    assert len(made.dropped) == 2 + 2  # margin with bbox (ema or not), with ema (resize or square)
    assert {drop.reason for drop in made.dropped} == {
        "margin=0.8 excludes crop at bbox", "margin=0.8 excludes averaging at ema",
    }  # fmt: skip


def test_a_cell_that_the_recipe_refuses_is_dropped_with_the_recipes_reason() -> None:
    made = planned("factors.width={baseline: 8, levels: [12]}", "design.kind=full-factorial")
    assert len(made.cells) == 24 - 6
    assert {drop.reason for drop in made.dropped} == {"a margin needs a width of at most 10"}


def test_cells_with_the_same_settings_are_run_once() -> None:
    made = planned("factors.big={baseline: a, levels: [b, c], sets: {b: {batch: 8}, c: {batch: 8}}}")
    assert "big=b" in names(made)
    assert [(drop.name, drop.reason) for drop in made.dropped] == [("big=c", "its settings are those of 'big=b'")]


def test_an_impossible_control_is_refused() -> None:
    with pytest.raises(SpecError, match=r"control cell 'all on' .* excludes crop at square") as caught:
        planned("factors.margin.exclude={crop: [square]}", "design.kind=leave-one-out")
    assert str(caught.value).startswith("--set design.kind=leave-one-out: design.kind: ")
    assert "\n" not in str(caught.value)


def test_a_plan_with_nothing_to_compare_is_refused() -> None:
    with pytest.raises(SpecError, match="leaves nothing to compare"):
        planned("factors.crop=null", "factors.averaging=null", "factors.width={baseline: 8, levels: [9]}",
                "factors.margin.requires={width: [9]}", "factors.width.requires={margin: [0.8]}")  # fmt: skip


def test_a_factorial_out_of_all_bounds_is_refused_before_it_is_built() -> None:
    levels = ", ".join(str(number) for number in range(1000, 1080))
    factors = [f"factors.{name}={{baseline: 2, levels: [{levels}]}}" for name in ("batch", "depth")]
    with pytest.raises(SpecError, match="at most 4096"):
        planned(*factors, "design.kind=full-factorial")


def test_sets_can_rename_and_move_several_settings() -> None:
    made = planned("factors.size_of_all={baseline: 8, levels: [9], sets: [width, depth]}")
    cell = made.cell("size_of_all=9")
    assert cell.train == ToySettings(width=9, depth=9)
    assert made.cell("baseline").train == ToySettings(depth=8)
    renamed = planned("factors.photos={baseline: 2000, levels: [99], sets: data.count}")
    assert renamed.cell("photos=99").settings["data.count"] == 99


def test_designs_that_compare_the_very_same_cells_make_one_contrast() -> None:
    united = "design={kind: union, of: [one-at-a-time, leave-one-out]}"
    one = planned(united, "factors={crop: null, margin: null}")
    assert [(contrast.factor, contrast.pairs) for contrast in one.contrasts] == [
        ("averaging", (("averaging=ema", "baseline"),))
    ]
    both = planned(united, "factors.margin=null", "factors.crop.levels=[square]")
    assert len(both.contrasts) == 4  # of two factors each is beside another company
    assert len({contrast.pairs for contrast in both.contrasts}) == 4
