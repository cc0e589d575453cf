"""Nested factors: every design against brute force over all combinations, and the ways to get a condition wrong."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import recipes
from harness.design import Plan, plan
from harness.errors import SpecError
from harness.recipes.dcgan.recipe import Dcgan
from harness.settings import Settings
from harness.spec import load

Levels = dict[str, Any]
Factors = dict[str, dict[str, Any]]


class ToySettings(Settings):
    a: str = "a0"
    b: str = "b0"
    c: str = "c0"
    d: str = "d0"


class ToyRecipe(Dcgan):
    name = "dcgan"
    settings = ToySettings


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recipes, "get", lambda name: ToyRecipe())
    monkeypatch.chdir(tmp_path)


def factor(name: str, count: int = 1, **when: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {"baseline": f"{name}0", "levels": [f"{name}{level}" for level in range(1, count + 1)]}
    return {**made, **({"when": when} if when else {})}


def planned(factors: Factors, design: Any = "one-at-a-time", *overrides: str) -> Plan:
    document = {
        "study": "toy",
        "recipe": "dcgan",
        "factors": factors,
        "design": design if isinstance(design, dict) else {"kind": design},
        "seeds": 2,
        "budget": {"images": 640},
    }
    Path("toy.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return plan(load("toy.yaml", overrides))


def names(made: Plan) -> list[str]:
    return [cell.name for cell in made.cells]


def pairs(made: Plan) -> dict[str, tuple[tuple[str, str], ...]]:
    return {contrast.name: contrast.pairs for contrast in made.contrasts}


def valid(factors: Factors, levels: Levels) -> bool:
    """By the definition: what is off its baseline exists there."""
    return all(
        levels[name] == each["baseline"]
        or all(levels[other] in allowed for other, allowed in each.get("when", {}).items())
        for name, each in factors.items()
    )


def everything(factors: Factors) -> list[Levels]:
    """All combinations, valid or not."""
    every = ([each["baseline"], *each["levels"]] for each in factors.values())
    return [dict(zip(factors, levels, strict=True)) for levels in itertools.product(*every)]


def possible(factors: Factors, name: str) -> bool:
    """Whether the factor can be at its first level anywhere."""
    return any(valid(factors, levels) and levels[name] == factors[name]["levels"][0] for levels in everything(factors))


def frozen(levels: Levels) -> frozenset[tuple[str, Any]]:
    return frozenset(levels.items())


def differ(made: Plan, one: str, other: str) -> set[str]:
    left, right = made.cell(one).levels, made.cell(other).levels
    return {name for name in left if left[name] != right[name]}


def drawn(seed: int) -> Factors:
    """Four factors of one or two levels, nested at random in a random order without a circle."""
    chance = random.Random(seed)
    order = chance.sample("abcd", 4)
    made = {}
    for position, name in enumerate(order):
        made[name] = factor(name, chance.choice([1, 1, 2]))
        for other in order[:position]:
            if chance.random() < 0.45:
                every = [made[other]["baseline"], *made[other]["levels"]]
                made[name].setdefault("when", {})[other] = chance.sample(every, chance.randint(1, len(every)))
    return {name: made[name] for name in "abcd"}


DRAWN = [pytest.param(drawn(seed), id=str(seed)) for seed in range(60)]


def check_pairs(made: Plan, factors: Factors) -> None:
    """What an analysis relies on: valid cells, each once, and pairs that differ in their factor alone."""
    assert all(valid(factors, dict(cell.levels)) for cell in made.cells)
    assert len({frozen(cell.levels) for cell in made.cells}) == len(made.cells) == len(set(names(made)))
    assert not made.dropped
    for contrast in made.contrasts:
        assert contrast.pairs
        for treated, control in contrast.pairs:
            assert differ(made, treated, control) == {contrast.factor}
            assert made.cell(treated).levels[contrast.factor] == contrast.level
            assert made.cell(control).levels[contrast.factor] == contrast.baseline == f"{contrast.factor}0"


@pytest.mark.parametrize("factors", DRAWN)
def test_a_full_factorial_is_all_combinations_that_exist_and_all_their_matched_pairs(factors: Factors) -> None:
    if not all(possible(factors, name) for name in factors):
        with pytest.raises(SpecError, match="when: can never hold"):
            planned(factors, "full-factorial")
        return
    made = planned(factors, "full-factorial")
    check_pairs(made, factors)
    wanted = {frozen(levels) for levels in everything(factors) if valid(factors, levels)}
    assert {frozen(cell.levels) for cell in made.cells} == wanted
    for name, each in factors.items():
        for level in each["levels"]:
            expected = {
                (frozen(levels), frozen({**levels, name: each["baseline"]}))
                for levels in everything(factors)
                if levels[name] == level
                and valid(factors, levels)
                and valid(factors, {**levels, name: each["baseline"]})
            }
            found = pairs(made).get(f"{name}: {each['baseline']} -> {level}", ())
            assert {(frozen(made.cell(t).levels), frozen(made.cell(c).levels)) for t, c in found} == expected
            assert expected


@pytest.mark.parametrize("factors", DRAWN)
def test_one_at_a_time_moves_one_factor_where_it_exists_and_nothing_but_its_conditions(factors: Factors) -> None:
    if not all(possible(factors, name) for name in factors):
        return
    made = planned(factors)
    check_pairs(made, factors)
    assert made.control == names(made)[0] == "baseline"
    assert [contrast.name for contrast in made.contrasts] == [
        f"{name}: {name}0 -> {level}" for name, each in factors.items() for level in each["levels"]
    ]
    used = {"baseline"}
    for contrast in made.contrasts:
        ((treated, control),) = contrast.pairs
        used |= {treated, control}
        moved = differ(made, control, "baseline")
        above, waiting = set(), [contrast.factor]
        while waiting:
            new = set(factors[waiting.pop()].get("when", {})) - above
            above |= new
            waiting += new
        assert moved <= above
        if all(f"{other}0" in allowed for other, allowed in factors[contrast.factor].get("when", {}).items()):
            assert control == "baseline"
    assert used == set(names(made))


@pytest.mark.parametrize("factors", DRAWN)
def test_leave_one_out_compares_every_factor_that_can_be_on_with_all_that_can_be_on_beside_it(factors: Factors) -> None:
    if not all(possible(factors, name) for name in factors):
        return
    made = planned(factors, "leave-one-out")
    check_pairs(made, factors)
    assert made.control == names(made)[0] == "all on"
    assert [contrast.factor for contrast in made.contrasts] == list(factors)
    everywhere_on = {name: each["levels"][0] for name, each in factors.items()}
    if valid(factors, everywhere_on):
        assert made.cell("all on").levels == everywhere_on
        for contrast in made.contrasts:
            ((treated, control),) = contrast.pairs
            off = ", ".join(name for name in factors if made.cell(control).levels[name] == f"{name}0")
            assert control == f"without {off}"
            assert made.cell(treated).levels == {**made.cell(control).levels, contrast.factor: contrast.level}


@pytest.mark.parametrize("factors", DRAWN)
def test_a_ladder_takes_every_rung_or_says_which_it_cannot(factors: Factors) -> None:
    if not all(possible(factors, name) for name in factors):
        return
    orders = list(itertools.permutations(factors))

    def climbs(order: tuple[str, ...]) -> bool:
        levels = {name: each["baseline"] for name, each in factors.items()}
        for name in order:
            levels[name] = factors[name]["levels"][0]
            if not valid(factors, levels):
                return False
        return True

    for order in random.Random(0).sample(orders, 6):
        design = {"kind": "ladder", "order": list(order)}
        if climbs(order):
            made = planned(factors, design)
            check_pairs(made, factors)
            assert [contrast.factor for contrast in made.contrasts] == list(order)
            assert [contrast.pairs for contrast in made.contrasts] == [
                ((above, below),) for below, above in itertools.pairwise(names(made))
            ]
        else:
            with pytest.raises(SpecError, match="exists only where"):
                planned(factors, design)


@pytest.mark.parametrize("factors", DRAWN)
def test_a_union_runs_each_cell_once(factors: Factors) -> None:
    if not all(possible(factors, name) for name in factors):
        return
    made = planned(factors, {"kind": "union", "of": ["one-at-a-time", "leave-one-out", "full-factorial"]})
    check_pairs(made, factors)
    assert len(made.cells) == sum(valid(factors, levels) for levels in everything(factors))
    assert len({contrast.name for contrast in made.contrasts}) == len(made.contrasts)


@pytest.mark.parametrize("factors", DRAWN)
def test_a_search_makes_one_cell_of_combinations_that_differ_where_a_factor_does_not_exist(factors: Factors) -> None:
    if not all(possible(factors, name) for name in factors):
        return
    made = planned(factors, {"kind": "search", "trials": 500})
    assert made.search is not None
    found: dict[str, tuple[str, Levels]] = {}
    for levels in everything(factors):
        tried = made.search.make(levels, 0)
        assert not isinstance(tried, str)
        cell, run = tried
        assert valid(factors, dict(cell.levels))
        assert found.setdefault(run.key, (cell.name, dict(cell.levels))) == (cell.name, dict(cell.levels))
        if valid(factors, levels):
            assert cell.levels == levels
    assert len(found) == sum(valid(factors, levels) for levels in everything(factors))
    assert made.search.trials == 2 * len(found)


# ---------------------------------------------------------------------------- by hand

NESTED: Factors = {
    "b": factor("b", 2, a=["a2", "a1"]),  # stands before what it depends on
    "a": factor("a", 2),
    "c": factor("c"),
}


def test_one_at_a_time_holds_a_nested_factor_against_its_conditions_first_level() -> None:
    made = planned(NESTED)
    assert names(made) == ["baseline", "a=a2", "b=b1, a=a2", "b=b2, a=a2", "a=a1", "c=c1"]
    assert pairs(made) == {
        "b: b0 -> b1": (("b=b1, a=a2", "a=a2"),),
        "b: b0 -> b2": (("b=b2, a=a2", "a=a2"),),
        "a: a0 -> a1": (("a=a1", "baseline"),),
        "a: a0 -> a2": (("a=a2", "baseline"),),
        "c: c0 -> c1": (("c=c1", "baseline"),),
    }


def test_a_control_that_no_factor_asks_for_is_added() -> None:
    made = planned({"a": factor("a"), "b": factor("b", a=["a1"]), "c": factor("c", a=["a1"], b=["b1"])})
    assert names(made) == ["baseline", "a=a1", "a=a1, b=b1", "a=a1, b=b1, c=c1"]


def test_leave_one_out_of_what_others_are_nested_under_leaves_them_off_on_both_sides() -> None:
    made = planned(NESTED, {"kind": "leave-one-out", "on": {"a": "a1"}})
    assert {cell.name: tuple(cell.levels.values()) for cell in made.cells} == {
        "all on": ("b1", "a1", "c1"),
        "without b": ("b0", "a1", "c1"),
        "without b, a": ("b0", "a0", "c1"),
        "without c": ("b1", "a1", "c0"),
    }
    assert pairs(made) == {
        "b: b0 -> b1": (("all on", "without b"),),
        "a: a0 -> a1": (("without b", "without b, a"),),
        "c: c0 -> c1": (("all on", "without c"),),
    }


def test_leave_one_out_goes_where_a_factor_exists_that_is_not_among_all_on() -> None:
    made = planned({"a": factor("a", 2), "b": factor("b", a=["a2"]), "c": factor("c")}, "leave-one-out")
    assert made.cell("all on").levels == {"a": "a1", "b": "b0", "c": "c1"}
    assert pairs(made)["b: b0 -> b1"] == (("a=a2, b=b1, c=c1", "a=a2, c=c1"),)


def test_a_ladder_puts_a_nested_rung_after_its_condition_unless_told_otherwise() -> None:
    made = planned(NESTED, "ladder")
    assert names(made) == ["baseline", "a=a1", "b=b1, a=a1", "b=b1, a=a1, c=c1"]
    with pytest.raises(SpecError) as caught:
        planned(NESTED, {"kind": "ladder", "order": ["b", "a", "c"]})
    assert str(caught.value) == (
        "toy.yaml:24: design.order: 'b' exists only where a is a2 or a1, and the rung 'b' has a at a0; name other "
        "levels under design.on, or put it after its condition in design.order"
    )


@pytest.mark.parametrize("kind", ["fractional-factorial", "plackett-burman"])
def test_a_fraction_has_no_nested_factors(kind: str) -> None:
    factors = {**NESTED, "d": factor("d")}
    for design in (kind, {"kind": "union", "of": ["one-at-a-time", kind]}):
        with pytest.raises(SpecError, match=f"'{kind}' needs every factor in every cell, and 'b' exists only where a"):
            planned(factors, design)


@pytest.mark.parametrize(
    ("when", "parts"),
    [
        ("{z: [a1]}", ("factors.b.when.z: there is no other factor 'z'", "a, c")),
        ("{b: [b1]}", ("factors.b.when.b: there is no other factor 'b'",)),
        ("{a: [a9]}", ("factors.b.when.a: 'a9' is no level of factor 'a'", "allowed: a0, a1, a2")),
        ("{a: []}", ("factors.b.when.a: names no level of factor 'a'",)),
        ("{a: a1}", ("factors.b.when.a: 'a1' is not allowed", "list")),
        ("[a]", ("factors.b.when: ", "mapping of another factor to a list of its levels")),
    ],
)
def test_a_condition_on_what_is_not_there_is_refused(when: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(SpecError) as caught:
        planned({**NESTED, "b": factor("b")}, "one-at-a-time", f"factors.b.when={when}")
    (line,) = str(caught.value).splitlines()
    assert all(part in line for part in parts), line


def test_conditions_in_a_circle_are_refused_once() -> None:
    factors = {"a": factor("a", c=["c1"]), "b": factor("b", a=["a1"]), "c": factor("c", b=["b1"]), "d": factor("d")}
    with pytest.raises(SpecError) as caught:
        planned(factors)
    (line,) = str(caught.value).splitlines()
    assert "factors.a.when: leads back to itself: a -> c -> b -> a" in line


def test_conditions_that_can_never_hold_are_refused() -> None:
    factors = {"a": factor("a"), "b": factor("b", a=["a1"]), "c": factor("c", a=["a0"], b=["b1"])}
    with pytest.raises(SpecError, match=r"factors\.c\.when: can never hold: .* at which a is a0 and b is b1"):
        planned(factors)


def test_a_condition_is_part_of_the_study_and_not_of_its_runs() -> None:
    free, nested = (
        planned({"a": factor("a"), "b": factor("b")}),
        planned({"a": factor("a"), "b": factor("b", a=["a1"])}),
    )
    assert free.fingerprint != nested.fingerprint
    assert {run.key for run in free.runs if run.cell in ("baseline", "a=a1")} <= {run.key for run in nested.runs}
