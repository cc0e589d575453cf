"""Ladders, fractions and unions: their cells by hand, and what fractions confound as the textbooks have it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from harness import recipes
from harness.design import Plan, fractions, plan
from harness.errors import SpecError
from harness.recipes.dcgan.recipe import Dcgan
from harness.settings import Settings
from harness.spec import load

Switch = Literal["off", "on", "more"]


class ToySettings(Settings):
    a: Switch = "off"
    b: Switch = "off"
    c: Switch = "off"
    d: Switch = "off"
    e: Switch = "off"


class ToyRecipe(Dcgan):
    name = "dcgan"
    settings = ToySettings


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recipes, "get", lambda name: ToyRecipe())
    monkeypatch.chdir(tmp_path)
    factors = "\n".join(f"  {name}: {{baseline: off, levels: [on]}}" for name in "abcde").replace(
        "[on]", "[on, more]", 1
    )
    text = f"study: toy\nrecipe: dcgan\nfactors:\n{factors}\nseeds: 2\nbudget: {{images: 640}}\n"
    Path("toy.yaml").write_text(text.replace("off", "'off'").replace("on,", "'on',").replace("[on]", "['on']"))


def planned(design: str, *overrides: str) -> Plan:
    return plan(load("toy.yaml", [f"design={design}", *overrides]))


def aliases(line: str) -> frozenset[str]:
    return frozenset(part.replace(" x ", "") for part in line.split(" = "))


def groups(text: str) -> set[frozenset[str]]:
    return {frozenset(group.split("=")) for group in text.split()}


# Box, Hunter and Hunter, Statistics for Experimenters, and Montgomery, Design and Analysis of Experiments: alias
# structures up to two-factor interactions, higher ones neglected.
TEXTBOOK = {
    (4, 4): "AB=CD AC=BD AD=BC",  # I = ABCD
    (5, 5): "",  # I = ABCDE
    (5, 3): "A=BD=CE B=AD C=AE D=AB E=AC BC=DE CD=BE",  # I = ABD = ACE
    (7, 3): "A=BD=CE=FG B=AD=CF=EG C=AE=BF=DG D=AB=CG=EF E=AC=BG=DF F=BC=AG=DE G=CD=BE=AF",  # D=AB E=AC F=BC G=ABC
}


@pytest.mark.parametrize(("factors", "resolution"), TEXTBOOK, ids=str)
def test_the_alias_structure_is_the_textbooks(factors: int, resolution: int) -> None:
    signs = fractions.regular(factors, resolution)
    assert signs.shape == ({4: 8, 5: 16 if resolution == 5 else 8, 7: 8}[factors], factors)
    found = {aliases(line) for line in fractions.confounding(signs, list("ABCDEFG"[:factors]))}
    assert found == groups(TEXTBOOK[factors, resolution])


@pytest.mark.parametrize("resolution", [3, 4, 5])
@pytest.mark.parametrize("factors", range(5, 11))
def test_no_word_of_the_defining_relation_is_shorter_than_the_resolution(factors: int, resolution: int) -> None:
    signs = fractions.regular(factors, resolution)
    assert len(signs) < 2**factors or resolution > factors - 1
    for size in range(1, resolution):
        for word in itertools.combinations(range(factors), size):
            assert abs(int(signs[:, word].prod(axis=1).sum())) < len(signs), word


def test_plackett_burman_in_12_runs_holds_a_third_of_every_other_interaction() -> None:
    signs = fractions.plackett_burman(11)
    assert signs.shape == (12, 11)
    assert np.array_equal(signs.T @ signs, 12 * np.eye(11))
    for one, (left, right) in itertools.product(range(11), itertools.combinations(range(11), 2)):
        share = abs(int(signs[:, one] @ (signs[:, left] * signs[:, right]))) / 12
        assert share == pytest.approx(0 if one in (left, right) else 1 / 3)
    (line,) = fractions.confounding(signs, list("ABCDEFGHIJK"))
    assert "0.33 of every interaction of two other factors" in line


def test_a_fraction_is_balanced_and_its_pairs_give_the_main_effects() -> None:
    made = planned("{kind: fractional-factorial, resolution: 3}")
    assert len(made.cells) == 8
    values = {cell.name: sum(2**i * (cell.levels[f] == "on") for i, f in enumerate("abcde")) for cell in made.cells}
    assert [contrast.factor for contrast in made.contrasts] == list("abcde")
    for position, contrast in enumerate(made.contrasts):
        treated, control = zip(*contrast.pairs, strict=True)
        assert sorted([*treated, *control]) == sorted(values)
        assert all(made.cell(name).levels[contrast.factor] == "on" for name in treated)
        differences = [values[left] - values[right] for left, right in contrast.pairs]
        assert sum(differences) / len(differences) == 2**position
    assert made.control == "baseline"
    assert "a = -b x d = -c x e" in made.confounding  # the signs are turned, so that one cell has every trick off


def test_plackett_burman_screens_five_tricks_in_eight_cells() -> None:
    made = planned("plackett-burman".join(["{kind: ", "}"]))
    assert len(made.cells) == 8
    assert made.cells[0].name == made.control == "baseline"
    assert not any(contrast.matched for contrast in made.contrasts)
    assert made.confounding


def test_a_fraction_with_an_impossible_cell_is_refused() -> None:
    with pytest.raises(
        SpecError, match="needs every cell, and 'a=on, d=on, e=on' cannot be run: d=on excludes e at on"
    ):
        planned("{kind: fractional-factorial, resolution: 3}", "factors.d.exclude={e: ['on']}")


def test_a_resolution_out_of_reach_is_refused_with_the_remedy() -> None:
    with pytest.raises(SpecError, match="needs at least 5 factors, here are 4; use full-factorial"):
        planned("{kind: fractional-factorial, resolution: 5}", "factors.e=null")


def test_a_ladder_adds_one_trick_at_a_time_in_the_order_given() -> None:
    made = planned("{kind: ladder, order: [c, a, b, e, d], on: {a: more}}")
    assert [cell.name for cell in made.cells][:3] == ["baseline", "c=on", "a=more, c=on"]
    assert len(made.cells) == 6
    assert [contrast.name for contrast in made.contrasts][:2] == ["c: off -> on", "a: off -> more"]
    assert [contrast.pairs[0] for contrast in made.contrasts[:2]] == [
        ("c=on", "baseline"),
        ("a=more, c=on", "c=on"),
    ]
    everything = made.cell(made.contrasts[-1].pairs[0][0]).levels
    assert everything == {"a": "more", "b": "on", "c": "on", "d": "on", "e": "on"}


def test_a_union_runs_a_cell_that_two_designs_want_once() -> None:
    made = planned("{kind: union, of: [one-at-a-time, leave-one-out, ladder]}")
    # 7 cells one at a time, all on and 5 without one; the ladder's rungs 0 and 1 are the first design's, its last two
    # rungs are `without e` and `all on` of the second.
    assert len(made.cells) == 7 + 6 + 2
    assert made.cells[0].name == made.control == "baseline"
    assert [cell.name for cell in made.cells][-2:] == ["a=on, b=on", "a=on, b=on, c=on"]
    by_name = {contrast.name: contrast for contrast in made.contrasts}
    # The ladder's first rung is the first design's contrast, its last one the second's: each is one test.
    assert len(by_name) == len(made.contrasts) == 6 + 5 + 3
    assert by_name["b: off -> on"].pairs == (("b=on", "baseline"),)
    assert by_name["b: off -> on (leave-one-out)"].pairs == (("all on", "without b"),)
    assert by_name["b: off -> on (ladder)"].pairs == (("a=on, b=on", "a=on"),)
    assert by_name["e: off -> on (leave-one-out)"].pairs == (("all on", "without e"),)
    assert not {"a: off -> on (ladder)", "e: off -> on (ladder)"} & by_name.keys()
    assert [by_name[name].design for name in ("b: off -> on", "b: off -> on (ladder)")] == ["one-at-a-time", "ladder"]


def test_designs_that_mean_other_levels_by_one_name_keep_their_cells_apart() -> None:
    made = planned("{kind: union, of: [leave-one-out, {kind: leave-one-out, on: {a: more}}]}")
    # All on twice, four times without another trick twice, and once without a.
    assert len(made.cells) == 6 + 5
    more = [contrast for contrast in made.contrasts if contrast.level == "more"]
    assert len(more) == 1
    treated, control = more[0].pairs[0]
    assert made.cell(treated).levels == {"a": "more", **dict.fromkeys("bcde", "on")}
    assert made.cell(control).levels == {"a": "off", **dict.fromkeys("bcde", "on")}
    again = next(contrast for contrast in made.contrasts if contrast.name == "b: off -> on (leave-one-out 2)")
    treated, control = again.pairs[0]
    assert (made.cell(treated).levels["a"], made.cell(control).levels["a"]) == ("more", "more")


def test_a_union_with_two_designs_of_one_kind_keeps_every_contrast_once() -> None:
    ladders = "{kind: ladder, order: [a, b, c, d, e]}, {kind: ladder, order: [e, d, c, b, a]}"
    made = planned(f"{{kind: union, of: [one-at-a-time, {ladders}]}}")
    # Either ladder's first rung is a trick alone against the baseline, and so the first design's.
    assert len({contrast.name for contrast in made.contrasts}) == len(made.contrasts) == 6 + 4 + 4
    assert {contrast.design for contrast in made.contrasts} == {"one-at-a-time", "ladder 1", "ladder 2"}
    used = {cell for contrast in made.contrasts for pair in contrast.pairs for cell in pair}
    assert used == {cell.name for cell in made.cells}


@pytest.mark.parametrize(("factors", "resolution", "runs", "reached"), [(5, 4, 16, 5), (4, 3, 8, 4), (8, 3, 16, 4)])
def test_of_equally_small_fractions_the_highest_resolution_is_taken(
    factors: int, resolution: int, runs: int, reached: int
) -> None:
    signs = fractions.regular(factors, resolution)
    assert len(signs) == runs
    for size in range(1, reached):
        for word in itertools.combinations(range(factors), size):
            assert abs(int(signs[:, word].prod(axis=1).sum())) < runs, word


def test_runs_of_a_union_come_seed_by_seed_with_the_baseline_first() -> None:
    made = planned("{kind: union, of: [leave-one-out, one-at-a-time]}")
    assert [run.seed for run in made.runs] == [0] * (len(made.runs) // 2) + [1] * (len(made.runs) // 2)


@pytest.mark.parametrize(
    ("design", "said"),
    [
        ("{kind: ladder, order: [a, b]}", "design.order: leaves out c, d, e"),
        ("{kind: ladder, order: [a, b, c, d, f]}", "there is no factor 'f'"),
        ("{kind: ladder, order: [a, a, b, c, d, e]}", "'a' is named twice"),
        ("{kind: one-at-a-time, order: [a]}", "design.order: has no meaning for one-at-a-time"),
        ("{kind: one-at-a-time, resolution: 3}", "design.resolution: has no meaning"),
        ("{kind: fractional-factorial, resolution: 6}", "design.resolution"),
        ("{kind: union}", "'union' unites nothing; name its designs, like of:"),
        ("{kind: union, of: [one-at-a-time, {kind: union, of: [ladder]}]}", "cannot hold another"),
        ("{kind: union, of: [lader]}", "did you mean 'ladder'"),
        ("{kind: union, of: ladder}", "design.of"),
        ("{kind: union, of: [{kind: leave-one-out, on: {a: moore}}]}", "'moore' is no level of factor 'a'"),
    ],
)
def test_what_a_design_cannot_be_is_said_with_its_place(design: str, said: str) -> None:
    with pytest.raises(SpecError) as refusal:
        planned(design)
    assert said in str(refusal.value)
    assert "design" in str(refusal.value)


@pytest.mark.parametrize(
    ("design", "cells"),
    [
        ("{kind: plackett-burman, fold_over: true}", 16),
        ("{kind: fractional-factorial, resolution: 3, fold_over: true}", 16),
    ],
)
def test_a_fold_over_frees_main_effects_of_the_interactions_that_the_design_confounds_them_with(
    design: str, cells: int
) -> None:
    plain, folded = planned(design.replace(", fold_over: true", "")), planned(design)
    assert len(plain.cells) == cells / 2
    assert all(contrast.aliases for contrast in plain.contrasts)
    assert len(folded.cells) == cells
    assert not any(contrast.aliases for contrast in folded.contrasts)
    assert {cell.name for cell in plain.cells} <= {cell.name for cell in folded.cells}
    assert folded.cells[0].name == "baseline"
    assert len(folded.cells[-1].name.split(", ")) == 5


def test_the_aliases_of_a_main_effect_are_those_of_the_textbook_with_their_signs() -> None:
    made = planned("{kind: fractional-factorial, resolution: 3}")  # I = ABD = ACE, signs turned
    (a,) = (contrast for contrast in made.contrasts if contrast.factor == "a")
    assert {(alias.factors, alias.share) for alias in a.aliases} == {(("b", "d"), -1.0), (("c", "e"), -1.0)}


@pytest.mark.parametrize("factors", [9, 10, 11])
def test_each_main_effect_of_twelve_runs_holds_a_third_of_every_interaction_of_two_others(factors: int) -> None:
    for held in fractions.aliases(fractions.plackett_burman(factors)):
        assert len(held) == (factors - 1) * (factors - 2) / 2
        assert {abs(share) for share in held.values()} == {1 / 3}


def test_a_fold_over_that_adds_no_cell_is_refused() -> None:
    with pytest.raises(SpecError, match="fold_over: has nothing to add"):
        planned("{kind: fractional-factorial, resolution: 4, fold_over: true}", "factors.e=null")


def test_a_fold_over_has_no_meaning_for_a_full_factorial() -> None:
    with pytest.raises(SpecError, match="fold_over: has no meaning for full-factorial"):
        planned("{kind: full-factorial, fold_over: true}")
