"""The noise floor, against what the outcomes were drawn from, closed forms and simulated studies."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.stats import wilcoxon
from statsmodels.stats.power import TTestPower

from harness.analysis import answer
from harness.analysis.noise import Noise
from harness.analysis.prospects import smallest, smallest_in_looks, within
from harness.analysis.sequential import Anytime, Declared, Ranks, looks
from harness.analysis.types import Verdict
from harness.measures import Measure
from harness.spec.seeds import Waves

_spec = importlib.util.spec_from_file_location("studies", Path(__file__).with_name("studies.py"))
assert _spec is not None
assert _spec.loader is not None
studies = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(studies)

CELLS = [frozenset(), frozenset("A"), frozenset("B")]


def noise_of(values: np.ndarray, **more) -> Noise | None:
    """The noise of a study whose cells [3] have these values [cell, seed]."""
    names = {cell: row for row, cell in enumerate(CELLS)}
    plan, runs = studies.study("AB", CELLS[: len(values)], lambda on, seed: values[names[on], seed], values.shape[1])
    return answer(runs, replace(plan, **more)).noise


def test_of_one_cell_it_is_the_textbook_interval_of_a_standard_deviation() -> None:
    # Box, Hunter and Hunter: sd sqrt(v / chi2) of 1..9, whose variance is 7.5 with 8 degrees of freedom.
    found = noise_of(np.arange(1.0, 10.0)[None, :])
    assert found is not None
    low, high = (math.sqrt(7.5 * 8 / stats.chi2.ppf(share, 8)) for share in (0.975, 0.025))
    assert (found.sd.value, found.sd.low, found.sd.high) == pytest.approx((math.sqrt(7.5), low, high))
    assert found.relative.value == pytest.approx(math.sqrt(7.5) / 5)
    assert (found.cells, found.runs, found.differences) == (1, 9, pytest.approx(math.sqrt(15)))
    assert math.isnan(found.correlation)


@pytest.mark.parametrize("shared", [0.0, 0.8])
@pytest.mark.slow
def test_its_interval_holds_the_truth_in_19_of_20_studies_also_where_cells_go_together(shared: float) -> None:
    generator, held, correlations = np.random.default_rng(5), 0, []
    for _ in range(200):
        drawn = math.sqrt(shared) * generator.normal(size=(1, 6)) + math.sqrt(1 - shared) * generator.normal(
            size=(3, 6)
        )
        found = noise_of(100 + 4 * drawn)
        assert found is not None
        held += found.sd.low <= 4 <= found.sd.high
        correlations.append(found.correlation)
    assert held / 200 == pytest.approx(0.95, abs=0.04)
    assert np.mean(correlations) == pytest.approx(shared, abs=0.07)


def test_effects_vary_as_the_differences_that_they_are_means_of() -> None:
    values = np.random.default_rng(1).normal(100, 5, (3, 40))
    found = noise_of(values)
    assert found is not None
    apart = [np.var(values[row] - values[0], ddof=1) for row in (1, 2)]
    assert found.differences == pytest.approx(math.sqrt(np.mean(apart)))


def test_the_share_that_is_sampling_is_what_the_runs_say_of_their_own_error() -> None:
    error = Measure(name="mifid_error", title="error", error_of="mifid")
    plan, runs = studies.study(
        "A", CELLS[:1], lambda on, seed: 100.0 + 4 * (-1) ** seed, 8, mifid_error=lambda on, seed: 1.0 + seed % 2
    )
    found = answer(runs, replace(plan, measures=(error,))).noise
    assert found is not None
    assert found.sampling == pytest.approx(math.sqrt(2.5))
    assert found.sampling_share == pytest.approx(2.5 / (16 * 8 / 7))
    silent = answer(runs, plan).noise
    assert silent is not None
    assert math.isnan(silent.sampling_share)


def test_two_runs_of_one_cell_are_the_fewest() -> None:
    assert noise_of(np.array([[1.0]])) is None
    assert noise_of(np.array([[1.0], [2.0], [3.0]])) is None


@pytest.mark.parametrize(("n", "tests"), [(3, 1), (5, 6), (12, 6), (40, 2)])
def test_the_smallest_effect_of_fixed_seeds_is_that_of_statsmodels(n: int, tests: int) -> None:
    told = TTestPower().solve_power(nobs=n, alpha=0.05 / tests, power=0.8)
    assert smallest(n, tests) == pytest.approx(float(np.squeeze(told)), rel=1e-5)
    assert math.isinf(smallest(1))


def test_the_smallest_effect_of_waves_is_what_the_looks_show_in_four_of_five_studies() -> None:
    rule = Declared(first=3, most=20)
    size = smallest_in_looks(rule, 20, 6)
    generator, shown = np.random.default_rng(3), 0
    for _ in range(400):
        gains = [generator.normal(size * (trick == 0), 1, 20) for trick in range(6)]
        shown += looks(gains, None, rule)[-1].verdicts[0] is Verdict.HELPS
    assert shown / 400 == pytest.approx(0.8, abs=0.05)


def test_as_many_seeds_as_are_known_to_show_an_effect_of_one_deviation_do() -> None:
    # Of six tricks at 80 % power: 19 at most in looks, and 16 at once.
    assert (
        smallest_in_looks(Declared(first=3, most=19), 19, 6) <= 1 < smallest_in_looks(Declared(first=3, most=18), 18, 6)
    )
    assert smallest(16, 6) <= 1 < smallest(15, 6)


def test_without_a_maximum_more_seeds_are_needed_for_the_same_effect() -> None:
    # Of six tricks at 80 % power: 26.
    assert smallest_in_looks(Anytime(first=3), 26, 6) <= 1 < smallest_in_looks(Anytime(first=3), 25, 6)


def test_the_study_as_planned_is_among_the_numbers_of_seeds() -> None:
    values = np.random.default_rng(2).normal(100, 5, (3, 7))
    found = noise_of(values)
    assert found is not None
    assert [each.seeds for each in found.shown if each.own] == [7]
    (own,) = (each.effect for each in found.shown if each.own)
    assert own == pytest.approx(found.differences * smallest(7, 2))
    waves = noise_of(values, waves=Waves(first=3, most=7))
    assert waves is not None
    (looked,) = (each.effect for each in waves.shown if each.own)
    assert looked > own


def test_the_smallest_effect_by_ranks_is_what_their_looks_show_in_four_of_five_studies() -> None:
    rule = Ranks(first=3, most=20)
    size = smallest_in_looks(rule, 20, 6)
    generator, shown = np.random.default_rng(3), 0
    for _ in range(400):
        gains = [generator.normal(size * (trick == 0), 1, 20) for trick in range(6)]
        shown += looks(gains, None, rule)[-1].verdicts[0] is Verdict.HELPS
    assert shown / 400 == pytest.approx(0.8, abs=0.05)
    assert math.isinf(smallest_in_looks(Ranks(first=3, most=6), 6, 6))


@pytest.mark.parametrize(("n", "tests"), [(10, 1), (16, 6)])
def test_the_smallest_effect_of_fixed_seeds_by_ranks_is_wilcoxons_by_scipy(n: int, tests: int) -> None:
    size = smallest(n, tests, "ranks")
    drawn = np.random.default_rng(5).normal(size, 1, (1500, n))
    shown = wilcoxon(drawn, axis=1, method="exact").pvalue <= 0.05 / tests
    assert shown.mean() == pytest.approx(0.8, abs=0.035)
    assert smallest(n, tests) < size < 1.25 * smallest(n, tests)
    assert math.isinf(smallest(4, 1, "ranks"))  # four signs alike have a p of 2 / 16


def test_the_chance_of_negligible_by_ranks_is_that_of_two_tests_by_scipy() -> None:
    margin, n, level = 1.3, 12, 0.05 / 2
    drawn = np.random.default_rng(6).normal(0, 1, (1500, n))
    sides = (wilcoxon(side, axis=1, alternative="greater", method="exact") for side in (margin - drawn, margin + drawn))
    shown = np.maximum(*(side.pvalue for side in sides)) <= level
    assert 0.2 < shown.mean() < 0.98
    assert within(margin, n, level, "ranks") == pytest.approx(shown.mean(), abs=0.04)
