"""What designs can show before they run, against closed forms and simulated studies."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.analysis import answer
from harness.analysis.foresight import Prospect, Spread, family, prospect, recommended
from harness.analysis.prospects import smallest
from harness.analysis.types import Verdict
from harness.design.alternatives import alternatives
from harness.spec import load
from harness.spec.seeds import Waves
from harness.spec.worth import Worth

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("studies", Path(__file__).with_name("studies.py"))
assert _spec is not None
assert _spec.loader is not None
studies = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(studies)

SPEC = """
study: five
recipe: ./five.py:five
factors:
  a: {baseline: 0, levels: [1]}
  b: {baseline: 0, levels: [1]}
  c: {baseline: 0, levels: [1]}
  d: {baseline: 0, levels: [1]}
  e: {baseline: 0, levels: [LEVELS]}
seeds: SEEDS
"""
RECIPE = """
from harness import Run, recipe


@recipe(objective="loss")
def five(run: Run, a: int = 0, b: int = 0, c: int = 0, d: int = 0, e: int = 0) -> dict[str, float]:
    return {"loss": 100.0}
"""


def designs(folder: Path, seeds: str, levels: str = "1", *overrides: str) -> dict[str, Prospect]:
    """What each design can show, by its kind; the spread is 6 % and the worth 5 %."""
    (folder / "five.py").write_text(RECIPE)
    (folder / "five.yaml").write_text(SPEC.replace("SEEDS", seeds).replace("LEVELS", levels))
    plans = alternatives(load(folder / "five.yaml", overrides))
    return {plan.design: prospect(plan, Spread(share=0.06)) for plan in plans}


def alone(factors: str) -> list[frozenset[str]]:
    return [frozenset(), *map(frozenset, factors)]


@pytest.mark.parametrize("correlation", [0.0, 0.6])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.slow
def test_what_it_says_of_fixed_seeds_is_what_studies_end_with(whole: bool, correlation: float) -> None:
    cells, n = studies.everything("AB") if whole else alone("AB"), 8
    plan, _ = studies.study("AB", cells, lambda on, seed: 0.0, n)
    plan = replace(plan, worth=Worth(amount=7.0))
    spread = Spread(amount=4.0, correlation=correlation)
    told = prospect(plan, spread)
    effect, generator, helps, negligible = 4.0 * told.smallest, np.random.default_rng(4), 0, 0
    for _ in range(200):
        drawn = generator.normal(0, math.sqrt(1 - correlation), (len(cells), n))
        shared = generator.normal(0, math.sqrt(correlation), n)
        values = dict(zip(cells, 100 + 4 * (drawn + shared), strict=True))
        _, runs = studies.study("AB", cells, lambda on, seed, v=values: v[on][seed] - effect * ("A" in on), n)
        one, other = answer(runs, plan).effects
        helps += one.verdict is Verdict.HELPS
        negligible += other.p_within < 0.05
    assert helps / 200 == pytest.approx(0.8, abs=0.09)  # Holm's later steps and what is negligible move it a little
    assert negligible / 200 == pytest.approx(told.negligible, abs=0.09)


def test_main_effects_vary_by_four_over_the_cells_and_pairs_by_two() -> None:
    pairs, _ = studies.study("AB", alone("AB"), lambda on, seed: 0.0, 5)
    whole, _ = studies.study("AB", studies.everything("AB"), lambda on, seed: 0.0, 5)
    assert prospect(pairs).smallest == pytest.approx(smallest(5, family(pairs)) * math.sqrt(2))
    assert prospect(whole).smallest == pytest.approx(smallest(5, family(whole)) * math.sqrt(4 / 4))
    assert (family(pairs), family(whole)) == (2, 3)  # of the factorial its interaction too


def test_at_equal_runs_five_tricks_in_a_factorial_have_a_third_of_the_variance(tmp_path: Path) -> None:
    found = designs(tmp_path, "16")
    alone, fraction = found["one-at-a-time"], found["fractional-factorial"]
    assert alone.most == fraction.most == 96
    of_a_seed = {"one-at-a-time": 2.0, "fractional-factorial": 4 / 16}
    variances = [of_a_seed[each.plan.design] / each.seeds for each in (alone, fraction)]
    assert variances[1] / variances[0] == pytest.approx(2 / 6)


def test_waves_expect_fewer_runs_than_the_most_and_the_null_ends_as_negligible_more_often_with_less_noise() -> None:
    plan, _ = studies.study("ABC", alone("ABC"), lambda on, seed: 0.0, 12)
    plan = replace(plan, waves=Waves(first=3, most=12), worth=Worth(share=0.05))
    loud, quiet = (prospect(plan, Spread(share=share)) for share in (0.06, 0.01))
    assert quiet.runs < loud.runs < loud.most == 48
    assert quiet.runs >= 3 * 4
    assert loud.negligible < 0.5 < 0.95 < quiet.negligible
    assert loud == prospect(plan, Spread(share=0.06))  # the generator is fixed
    assert math.isnan(prospect(plan).negligible)


@pytest.mark.slow
def test_designs_side_by_side_take_no_more_runs_than_the_specs_own(tmp_path: Path) -> None:
    found = designs(tmp_path, "{first: 3, most: 20}")
    assert list(found) == ["one-at-a-time", "leave-one-out", "fractional-factorial", "full-factorial"]
    assert all(each.most <= 120 and each.seeds >= 3 for each in found.values())
    assert {each.plan.waves.most for each in found.values() if each.plan.waves} == {20, 7, 3}
    few = designs(tmp_path, "4")
    assert set(few) == {"one-at-a-time", "leave-one-out"}  # 16 cells have no two seeds among 24 runs
    assert not designs(tmp_path, "4", "1", "design={kind: noise}")


@pytest.mark.slow
def test_one_design_is_recommended_and_none_that_leaves_a_level_out(tmp_path: Path) -> None:
    whole = designs(tmp_path, "{first: 3, most: 20}")
    assert recommended(list(whole.values())).plan.design == "fractional-factorial"
    partly = designs(tmp_path, "{first: 3, most: 20}", "1, 2")
    assert recommended(list(partly.values())).plan.design == "one-at-a-time"
    aliased = designs(tmp_path, "12", "1", "design.kind=plackett-burman")
    assert not recommended(list(aliased.values())).aliased


@pytest.mark.slow
def test_a_study_without_a_maximum_is_looked_ahead_for_20_seeds(tmp_path: Path) -> None:
    found = designs(tmp_path, "{anytime: true}")
    assert found["one-at-a-time"].seeds == 20
    assert found["one-at-a-time"].smallest > designs(tmp_path, "{first: 3, most: 20}")["one-at-a-time"].smallest


@pytest.mark.slow
def test_ranks_are_planned_by_ranks(tmp_path: Path) -> None:
    waves, ranks = "{first: 3, most: 20}", "design.test=ranks"
    by_t, by_ranks = (designs(tmp_path, waves, "1", *more) for more in ((), (ranks,)))
    assert by_ranks["one-at-a-time"].smallest > by_t["one-at-a-time"].smallest
    assert math.isinf(by_ranks["full-factorial"].smallest)  # of at most three seeds ranks show nothing
    assert by_ranks["full-factorial"].negligible == 0
    assert math.isinf(designs(tmp_path, "5", "1", ranks)["one-at-a-time"].smallest)
    assert designs(tmp_path, "5", "1", ranks)["one-at-a-time"].negligible == 0


@pytest.mark.slow
def test_looks_ahead_go_beyond_a_first_look_however_late(tmp_path: Path) -> None:
    late = designs(tmp_path, "{anytime: true, first: 30}")["one-at-a-time"]
    assert late.seeds > 30
    assert math.isfinite(late.smallest)
    assert 30 * 6 <= late.runs <= late.most
