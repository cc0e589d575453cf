"""The rule of ranks: exact p and intervals of a fixed number, limits over all looks, held to brute force and scipy."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness.analysis import Verdict, answer, ranks
from harness.analysis.grain import Grain
from harness.analysis.ranks import Ranks, estimate, limits, p_above, p_either, signed_ranks
from harness.analysis.sequential import interval, looks, p_value
from harness.spec.worth import Worth

_SPEC = importlib.util.spec_from_file_location("studies", Path(__file__).with_name("studies.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
studies = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(studies)

TWENTY = Ranks(first=3, most=20)
FIRM = (Verdict.HELPS, Verdict.HURTS)


def drawn(seed: int, shape: tuple[int, ...] | int, mean: float | np.ndarray = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, shape)


def by_ranks(x: np.ndarray) -> float:
    """W as it is taught: ranks of the sizes, with the signs."""
    return float((np.sign(x) * stats.rankdata(np.abs(x))).sum())


def test_w_is_the_sum_of_signed_ranks_of_every_prefix() -> None:
    x = drawn(1, 15, 0.3)
    w, counts = signed_ranks(x)
    assert counts.tolist() == list(range(1, 16))
    assert w.tolist() == [by_ranks(x[:n]) for n in range(1, 16)]


def test_differences_without_a_number_or_of_0_are_left_out() -> None:
    x = drawn(2, 8, 0.3)
    holed = np.insert(x, [2, 5], [np.nan, 1e-9])
    w, counts = signed_ranks(holed, rounding=1e-6)
    assert counts.tolist() == [1, 2, 2, 3, 4, 5, 5, 6, 7, 8]
    assert w[[0, 1, 3, 4, 5, 7, 8, 9]].tolist() == signed_ranks(x)[0].tolist()


@pytest.mark.parametrize("n", [1, 2, 5, 12, 20])
def test_p_of_a_fixed_number_is_that_of_scipys_exact_test(n: int) -> None:
    for seed in range(5):
        x = drawn(seed, n, 0.4)
        assert p_either(x) == pytest.approx(stats.wilcoxon(x, method="exact").pvalue)
        assert p_above(x) == pytest.approx(stats.wilcoxon(x, alternative="greater", method="exact").pvalue)


def test_nothing_and_zeros_have_p_1() -> None:
    assert p_above(np.zeros(0)) == p_either(np.zeros(4)) == p_either(np.full(3, np.nan)) == 1


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_the_interval_of_a_fixed_number_is_every_shift_that_the_test_does_not_reject(level: float) -> None:
    for seed in range(5):
        x = drawn(seed, 10, 0.5)
        found = estimate(x, level)
        shifts = np.linspace(x.min() - 1, x.max() + 1, 4001)
        kept = [shift for shift in shifts if p_either(x - shift) > level]
        step = float(shifts[1] - shifts[0])
        assert kept[0] == pytest.approx(found.low, abs=step)
        assert kept[-1] == pytest.approx(found.high, abs=step)
        pairs = itertools.combinations_with_replacement(x, 2)
        assert found.value == pytest.approx(np.median([(one + other) / 2 for one, other in pairs]))


def test_five_differences_have_no_interval_at_5_percent() -> None:
    assert not estimate(drawn(1, 5), 0.05).bounded
    assert estimate(drawn(1, 6), 0.05).bounded


@pytest.mark.parametrize(("most", "level"), [(6, 0.1), (7, 0.3)])
def test_the_limits_spend_what_they_may_and_as_much_as_the_steps_of_w_allow(most: int, level: float) -> None:
    """Exhaustive over the orders and signs of as many sizes: the first look that is reached, and how often."""
    reached = limits(level, 3, most)
    hits, total = np.zeros(most - 2), 0
    for order in itertools.permutations(range(1, most + 1)):
        if order[0] > order[1]:  # the first two in either order are the same to looks from 3 on, signs aside
            continue
        values = np.array(order) * np.array(list(itertools.product((-1, 1), repeat=most)))
        w = np.stack([(np.sign(values[:, None, :n] + values[:, :n, None]) * np.tri(n)).sum((1, 2))
                      for n in range(3, most + 1)], axis=1)  # fmt: skip
        beyond = np.abs(w) >= reached
        hits += np.bincount(beyond.argmax(axis=1)[beyond.any(axis=1)], minlength=most - 2)
        total += len(values)
    spent = level * (np.arange(3, most + 1) / most) ** 2
    assert (np.cumsum(hits) / total <= spent * (1 + 0.02)).all()
    assert hits.sum() / total > 0.6 * level


def test_simulated_paths_of_other_noise_reach_a_limit_as_often_as_is_spent() -> None:
    random, paths, level = np.random.default_rng(5), 40_000, 0.05
    for noise in (random.standard_cauchy((20, paths)), random.uniform(-1, 1, (20, paths))):
        w = np.cumsum([np.sign(noise[: n + 1] + noise[n]).sum(axis=0) for n in range(20)], axis=0)
        reached = (np.abs(w[2:]) >= limits(level, 3, 20)[:, None]).any(axis=0).mean()
        assert level * 0.85 < reached < level + 4 * math.sqrt(level / paths)


def test_no_fewer_seeds_show_anything_than_equal_signs_can() -> None:
    for level in (0.1, 0.05, 0.05 / 6):
        first = next(n for n in range(3, 21) if np.isfinite(limits(level, 3, 20)[n - 3]))
        assert 2.0 ** (1 - first) <= level * (first / 20) ** 2 * 1.05
        assert 2.0 ** (2 - first) > level * ((first - 1) / 20) ** 2 * 0.95


def test_p_is_the_smallest_level_at_which_some_look_so_far_has_reached_its_limit() -> None:
    for seed in range(3):
        x = drawn(seed, 18, 0.8)
        p = p_value(x, TWENTY)
        w = np.abs(signed_ranks(x)[0])[2:]
        assert (w >= limits(p, 3, 20)[:16]).any()
        assert not (w >= limits(p / 1.01, 3, 20)[:16]).any()
    assert p_value(drawn(1, 2), TWENTY) == 1


def test_an_interval_holds_0_until_a_look_at_its_level_has_been_reached() -> None:
    for seed in range(20):
        x = drawn(seed, 20, 0.7)
        w, _ = signed_ranks(x)
        for n in range(8, 21):
            reached = abs(w[n - 1]) >= limits(0.05, 3, 20)[n - 3]
            assert interval(x[:n], TWENTY).excludes_zero == reached


def test_intervals_at_all_looks_hold_the_truth_of_heavy_noise_in_95_percent() -> None:
    random, missed = np.random.default_rng(2), 0
    for _ in range(400):
        x = 3 + random.standard_t(2, size=20)
        ends = [interval(x[:n], TWENTY) for n in range(8, 21)]
        missed += any(each.bounded and not each.low <= 3 <= each.high for each in ends)
    assert 2 <= missed <= 20 + 4 * math.sqrt(20)


def test_verdicts_of_a_study_with_outliers_are_those_of_its_typical_runs() -> None:
    gains = list(0.5 * drawn(1, (3, 20)) + np.array([[2.0], [-2.0], [0.0]]))
    gains[0][[2, 7]] = -40.0, 40.0
    gains[1][5] = 40.0
    found = looks(gains, [np.full(20, 1.0)] * 3, TWENTY)
    assert found[-1].verdicts == (Verdict.HELPS, Verdict.HURTS, Verdict.NEGLIGIBLE)


def test_outcomes_of_one_value_are_settled_by_signs_and_rounding_is_none() -> None:
    values = np.repeat([[200.0], [201.0], [200.0]], 20, axis=1) + 1e-6 * np.abs(drawn(1, (3, 20)))
    values[2] += 1e-5
    found = looks(list(values[1:] - values[0]), None, TWENTY, grain=Grain(values))
    assert found[-1].verdicts == (Verdict.HELPS, Verdict.UNDECIDED)


@pytest.mark.parametrize("rare", [0.05, 0.3, 0.5, 1.0])
def test_outcomes_of_a_few_steps_keep_the_error(rare: float) -> None:
    """Differences of -1, 0 and 1, of which most are tied: at most 5 % and four standard errors of 20,000 paths."""
    random, paths = np.random.default_rng(3), 20_000
    x = random.choice([-1, 1], (paths, 20)) * (random.random((paths, 20)) < rare)
    reached = sum(
        bool((np.abs(signed_ranks(row)[0]) >= limited).any())
        for row, limited in ((row, _by_count(row)) for row in x[: paths // 10].astype(float))
    )
    assert reached / (paths // 10) <= 0.05 + 4 * math.sqrt(0.05 / (paths // 10))


def _by_count(row: np.ndarray) -> np.ndarray:
    counts = signed_ranks(row)[1]
    reached = limits(0.05, 3, 20)
    return np.where(counts >= 3, reached[np.maximum(counts, 3) - 3], np.inf)


def test_limits_from_the_likely_paths_alone_are_those_from_all_paths() -> None:
    paths = ranks._paths(20)
    for level in (0.1, 0.05, 0.05 / 6):
        assert (ranks._spend(paths, paths.shape[1], level, 3)[0] == limits(level, 3, 20)).all()


def test_the_answer_of_a_plan_tested_by_ranks_is_wilcoxons() -> None:
    noise = {"": 200 + drawn(1, 16), "A": 196 + drawn(2, 16), "B": 200 + drawn(3, 16)}
    noise["A"][4] = 290.0
    none, a, b = frozenset[str](), frozenset("A"), frozenset("B")
    plan, runs = studies.study(["A", "B"], [none, a, b], lambda on, seed: noise["".join(on)][seed], seeds=16)
    plan = dataclasses.replace(plan, worth=Worth(amount=2.0))
    by_t, by_ranks = answer(runs, plan), answer(runs, dataclasses.replace(plan, test="ranks"))
    assert [effect.verdict for effect in by_t.effects] == [Verdict.UNDECIDED, Verdict.NEGLIGIBLE]
    assert [effect.verdict for effect in by_ranks.effects] == [Verdict.HELPS, Verdict.NEGLIGIBLE]
    for effect, treated in zip(by_ranks.effects, (noise["A"], noise["B"]), strict=True):
        changes = treated - noise[""]
        assert effect.p == pytest.approx(stats.wilcoxon(changes).pvalue)
        assert (effect.change, effect.size) == (estimate(changes, 0.05), changes.mean() / changes.std(ddof=1))
    sides = [2 - (noise["B"] - noise[""]), 2 + (noise["B"] - noise[""])]
    p = max(stats.wilcoxon(side, alternative="greater").pvalue for side in sides)
    assert by_ranks.effects[1].p_within == pytest.approx(2 * p)  # Holm's, of two
