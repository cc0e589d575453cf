"""Boundaries of group-sequential tests, held to published tables, a closed form and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from harness.analysis.boundaries import error_of, known_variance, limits

POCOCK = {2: 2.178, 3: 2.289, 4: 2.361, 5: 2.413, 10: 2.555}
OBRIEN_FLEMING = {2: 1.977, 3: 2.004, 4: 2.024, 5: 2.040, 10: 2.087}


@pytest.mark.parametrize(("table", "power"), [(POCOCK, 0.0), (OBRIEN_FLEMING, 0.5)])
def test_constants_of_jennison_and_turnbull_for_a_known_variance_come_out_to_their_digits(
    table: dict[int, float], power: float
) -> None:
    """Tables 2.1 and 2.3 of Jennison and Turnbull (2000): two-sided alpha 0.05, K looks at equal information."""
    for looks, published in table.items():
        information = np.arange(1, looks + 1) / looks

        def excess(constant: float, information: np.ndarray = information) -> float:
            return float(error_of(constant * information**-power, information).sum()) - 0.05

        assert round(float(optimize.brentq(excess, 1.9, 3.0)), 3) == pytest.approx(published, abs=1e-9)


def test_limits_of_lan_and_demets_for_five_looks_come_out_to_their_digits() -> None:
    """The O'Brien-Fleming spending function, 0.025 on either side: 4.8769, 3.3569, 2.6803, 2.2898, 2.0310."""
    information = np.arange(1, 6) / 5
    spent = 2 * (2 - 2 * stats.norm.cdf(stats.norm.ppf(1 - 0.025 / 2) / np.sqrt(information)))
    reached = known_variance(np.diff(spent, prepend=0.0), information)
    assert reached == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)


def test_a_single_look_at_the_end_is_the_t_test() -> None:
    for n in (2, 3, 7, 30):
        assert limits(0.05, n, n)[0] == pytest.approx(stats.t.isf(0.025, n - 1), rel=1e-4)


def test_the_first_limit_is_a_quantile_of_t_at_the_error_spent_by_then() -> None:
    for level, first, most in ((0.05 / 6, 3, 12), (0.05, 4, 20), (1e-6, 3, 20)):
        assert limits(level, first, most)[0] == pytest.approx(
            stats.t.isf(level * (first / most) ** 2 / 2, first - 1), rel=1e-3
        )


def test_the_limits_for_twelve_seeds_are_those_worked_out_beforehand() -> None:
    """Simulated from 400,000 paths. Of 46.0 and 9.43, which rest on some 200 each, 60 million paths say 43.80 and 9.75.

    See the slow test: they reach 46.0 too seldom by 17 standard errors and 9.43 too often by 25.
    """
    worked = [46.0, 17.1, 9.43, 7.05, 5.92, 5.12, 4.60, 4.23, 3.98, 3.76]
    found = limits(0.05 / 6, 3, 12)
    assert found[3:] == pytest.approx(worked[3:], rel=0.02)
    assert found[:3] == pytest.approx(worked[:3], rel=0.06)
    assert found[0] == pytest.approx(stats.t.isf(0.05 / 6 / 16 / 2, 2), rel=1e-3)


def test_half_widths_for_twelve_seeds_are_those_worked_out_beforehand() -> None:
    found = limits(0.05, 3, 12)
    assert found[8 - 3] / math.sqrt(8) == pytest.approx(1.23, rel=0.02)
    assert found[12 - 3] / math.sqrt(12) == pytest.approx(0.75, rel=0.02)


def first_crossings(reached: np.ndarray, first: int, paths: int, shift: float = 0.0) -> np.ndarray:
    """How many simulated paths of |t| first reach their limit at each look."""
    random, hits = np.random.default_rng(7), np.zeros(len(reached))
    most = first + len(reached) - 1
    n = np.arange(first, most + 1)
    for _ in range(paths // 100_000):
        x = random.normal(shift, 1, (100_000, most))
        sums, squares = x.cumsum(axis=1)[:, first - 1 :], (x**2).cumsum(axis=1)[:, first - 1 :]
        t = sums / np.sqrt(n) / np.sqrt((squares - sums**2 / n) / (n - 1))
        beyond = np.abs(t) >= reached
        hits += np.bincount(beyond.argmax(axis=1)[beyond.any(axis=1)], minlength=len(reached))
    return hits


def test_simulated_paths_first_reach_each_limit_as_often_as_is_spent() -> None:
    paths, first, most, level = 400_000, 3, 12, 0.05
    spent = np.diff(level * (np.arange(first, most + 1) / most) ** 2, prepend=0.0)
    hits = first_crossings(limits(level, first, most), first, paths)
    off = (hits - paths * spent) / np.sqrt(paths * spent)
    assert (np.abs(off) < 4).all()
    assert hits.sum() / paths == pytest.approx(level, abs=4 * math.sqrt(level / paths))


@pytest.mark.slow
@pytest.mark.parametrize(("level", "first", "most"), [(0.05 / 6, 3, 20), (0.05, 2, 8), (0.1, 4, 20)])
def test_four_million_paths_first_reach_each_limit_as_often_as_is_spent(level: float, first: int, most: int) -> None:
    paths = 4_000_000
    spent = np.diff(level * (np.arange(first, most + 1) / most) ** 2, prepend=0.0)
    hits = first_crossings(limits(level, first, most), first, paths)
    assert (np.abs((hits - paths * spent) / np.sqrt(paths * spent)) < 4).all()


@pytest.mark.slow
def test_sixty_million_paths_reach_the_first_three_limits_as_often_as_is_spent_and_not_those_of_fewer_paths() -> None:
    random, paths, at_a_time, reached = np.random.default_rng(2026), 60_000_000, 500_000, limits(0.05 / 6, 3, 12)
    hits, instead = np.zeros(3), np.zeros(2)
    for _ in range(paths // at_a_time):
        x = random.standard_normal((5, at_a_time))
        alive = np.ones(at_a_time, dtype=bool)
        for look, n in enumerate((3, 4, 5)):
            t = np.abs(x[:n].mean(axis=0)) / x[:n].std(axis=0, ddof=1) * math.sqrt(n)
            hits[look] += (alive & (t >= reached[look])).sum()
            instead += [n == 3 and (t >= 46.0).sum(), n == 5 and (alive & (t >= 9.43)).sum()]
            alive &= t < reached[look]
    spent = paths * np.diff(0.05 / 6 * (np.arange(3, 6) / 12) ** 2, prepend=0.0)
    assert (np.abs(hits - spent) < 4 * np.sqrt(spent)).all()
    assert ((instead - spent[[0, 2]]) / np.sqrt(spent[[0, 2]])).round().tolist() == [-17, 25]


def test_limits_are_lower_at_a_larger_level_at_every_look() -> None:
    """What sequential p values rest on: what has reached its limit at a level has at every larger one."""
    levels = np.geomspace(1e-9, 1, 20)
    table = np.array([limits(float(level), 3, 20) for level in levels])
    table[np.isinf(table)] = 1e12
    assert (np.diff(table, axis=0) <= 1e-9).all()


def test_at_level_1_the_last_look_shows_everything() -> None:
    assert limits(1.0, 3, 12)[-1] < 0.1
    assert (limits(1.0, 3, 12)[:-1] > 0).all()


@pytest.mark.parametrize(("level", "first", "most"), [(0.05, 1, 12), (0.05, 8, 7), (0.0, 3, 12), (1.5, 3, 12)])
def test_limits_that_cannot_be_are_refused(level: float, first: int, most: int) -> None:
    with pytest.raises(ValueError, match="need 0 < level <= 1"):
        limits(level, first, most)
