"""Power and seeds needed against G*Power, simulation and scipy's noncentral t."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.analysis import power
from harness.analysis.types import SeedsNeeded


def test_power_is_the_textbook_value() -> None:
    # G*Power: paired t, dz = 0.5, n = 34, two-sided 0.05 -> power 0.8078; n = 33 falls short of 0.80
    assert power.power(0.5, 34) == pytest.approx(0.8078, abs=2e-4)
    assert power.fewest_seeds(0.5) == 34
    assert power.power(0.0, 12) == pytest.approx(0.05)


def test_seeds_needed_is_the_first_that_reaches_the_power_by_simulation_too() -> None:
    n = power.fewest_seeds(1.0, alpha=0.01)
    assert n is not None
    assert power.power(1.0, n, 0.01) >= 0.8 > power.power(1.0, n - 1, 0.01)
    samples = np.random.default_rng(0).normal(1.0, 1.0, (20_000, n))
    assert float(np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.01)) == pytest.approx(
        power.power(1.0, n, 0.01), abs=0.01
    )


@pytest.mark.parametrize("size", [0.0, math.nan, math.inf, 1e-6])
def test_seeds_needed_is_none_where_no_number_would_do(size: float) -> None:
    assert power.fewest_seeds(size) is None


@pytest.mark.parametrize("size", [5.0, 50.0, 1e6])
def test_a_huge_effect_needs_few_seeds(size: float) -> None:
    needed = power.fewest_seeds(size)
    assert needed is not None
    assert 2 <= needed <= 4


@pytest.mark.parametrize(
    ("size", "n", "expected"), [(10.06, 2, 0.1478), (4.0, 3, None), (60.0, 2, None), (80.0, 2, None)]
)
def test_power_is_the_share_of_simulated_studies_where_scipys_far_tail_is_not_a_number(
    size: float, n: int, expected: float | None
) -> None:
    drawn = np.random.default_rng(0).normal(size, 1, (400_000, n))
    t = drawn.mean(axis=1) / (drawn.std(axis=1, ddof=1) / math.sqrt(n))
    share = float(np.mean(np.abs(t) > stats.t.ppf(1 - 0.05 / 12, n - 1)))
    assert power.power(size, n, 0.05 / 6) == pytest.approx(share, abs=0.003)
    assert expected is None or power.power(size, n, 0.05 / 6) == pytest.approx(expected, abs=1e-3)


def test_power_grows_with_the_seeds_and_with_the_effect() -> None:
    grid = np.array([[power.power(d, n, 0.05 / 6) for d in np.linspace(0.1, 40, 60)] for n in (2, 3, 4, 7, 12, 40)])
    assert (np.diff(grid, axis=0) >= -1e-3).all()
    assert (np.diff(grid, axis=1) >= -1e-3).all()


@pytest.mark.parametrize("size", np.linspace(0.8, 12, 15))
def test_the_seeds_needed_are_the_first_with_enough_power_by_brute_force(size: float) -> None:
    enough = next(n for n in range(2, 400) if power.power(size, n, 0.05 / 6) >= 0.8)
    assert power.fewest_seeds(size, alpha=0.05 / 6) == enough


def test_an_effect_that_was_not_shown_needs_more_seeds_than_there_were() -> None:
    assert power.fewest_seeds(10.0, 5) == 6
    needed = power.seeds_needed(3.0, 8)
    assert needed is not None
    assert (needed.typical, needed.low) == (9, 9)


@pytest.mark.parametrize(("size", "n"), [(1.2, 3), (0.1, 5), (2.0, 12), (9.0, 4)])
def test_the_interval_of_a_size_covers_it_in_80_of_100_studies(size: float, n: int) -> None:
    drawn = np.random.default_rng(1).normal(size, 1, (1500, n))
    seen = np.abs(drawn.mean(axis=1) / drawn.std(axis=1, ddof=1))
    covered = [low <= size <= high for low, high in (power.size_interval(float(each), n) for each in seen)]
    assert 0.77 <= np.mean(covered) <= 0.93  # more where the sign of a small effect is as likely as not wrong


def test_three_seeds_that_saw_no_clear_effect_give_a_wide_range() -> None:
    needed = power.seeds_needed(1.0, 3, 0.05 / 6)
    assert needed is not None
    assert (needed.typical, needed.low) == (16, 8)
    assert needed.high is None or needed.high > 100


@pytest.mark.parametrize(("size", "n"), [(math.nan, 1), (math.nan, 0), (math.inf, 3)])
def test_there_is_no_guess_without_a_size(size: float, n: int) -> None:
    assert power.seeds_needed(size, n) is None


def test_no_effect_at_all_has_no_typical_number() -> None:
    needed = power.seeds_needed(0.0, 5)
    assert isinstance(needed, SeedsNeeded)
    assert (needed.typical, needed.high) == (None, None)
