"""The sequential rule: p and intervals over all looks, Holm, negligible, dropping, and the open-ended rule."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from harness.analysis import Verdict, boundaries, paired
from harness.analysis.grain import Grain, step_of, t_of_equal
from harness.analysis.rules import path
from harness.analysis.sequential import (
    Anytime,
    Declared,
    Rule,
    interval,
    looks,
    p_negligible,
    p_value,
)
from harness.analysis.types import Estimate

TWELVE = Declared(first=3, most=12)
TWENTY = Declared(first=3, most=20)
FIRM = (Verdict.HELPS, Verdict.HURTS)


def drawn(seed: int, shape: tuple[int, ...] | int, mean: float | np.ndarray = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, shape)


def test_the_path_is_the_t_statistic_of_every_prefix() -> None:
    x = drawn(1, 15, 100.3)
    t, counts = path(x)
    assert counts.tolist() == list(range(1, 16))
    assert t[0] == 0
    assert t[1:] == pytest.approx([stats.ttest_1samp(x[:n], 0).statistic for n in range(2, 16)], rel=1e-9)


def test_seeds_without_a_number_leave_the_path_where_it_was() -> None:
    x = drawn(2, 10, 0.5)
    holed = np.insert(x, [3, 7], np.nan)
    t, counts = path(holed)
    keep = ~np.isnan(holed)
    assert t[keep] == pytest.approx(path(x)[0], rel=1e-12)
    assert counts.tolist() == [1, 2, 3, 3, 4, 5, 6, 7, 7, 8, 9, 10]
    assert t[3] == t[2]


def test_differences_that_are_all_0_show_nothing() -> None:
    assert (path(np.zeros(8))[0] == 0).all()
    assert p_value(np.zeros(8), TWELVE) == 1
    assert not interval(np.zeros(8), TWELVE).bounded


@pytest.mark.parametrize("same", [np.full(8, -1.0), np.full(8, 0.1) + 0.2])
def test_equal_differences_of_which_no_more_is_known_count_by_their_sign_alone(same: np.ndarray) -> None:
    t = path(same)[0]
    assert np.sign(t[1:]).tolist() == [np.sign(same[0])] * 7
    assert stats.t.sf(np.abs(t[1:]), np.arange(1, 8)) == pytest.approx(0.5 ** np.arange(2, 9), rel=1e-6)
    assert not interval(same, TWELVE).bounded


def test_p_is_the_smallest_level_at_which_some_look_so_far_has_reached_its_limit() -> None:
    for seed in range(3):
        x = drawn(seed, 9, 1.0)
        p = p_value(x, TWELVE)
        t = np.abs(path(x)[0])[2:]
        assert (t >= boundaries.limits(p * 1.001, 3, 12)[:7]).any()
        assert not (t >= boundaries.limits(p * 0.999, 3, 12)[:7]).any()


def test_p_only_falls_as_seeds_come_in_and_is_1_before_the_first_look() -> None:
    x = drawn(5, 12, 1.5)
    p = [p_value(x[:n], TWELVE) for n in range(1, 13)]
    assert p[:2] == [1.0, 1.0]
    assert (np.diff(p) <= 0).all()
    assert 0 < p[-1] < 0.05


def test_p_of_a_difference_beyond_all_levels_is_the_least_that_is_told_apart() -> None:
    assert p_value(1000 + drawn(4, 12), TWELVE) == 1e-10


def test_an_interval_holds_0_exactly_until_a_look_at_its_level_has_been_reached() -> None:
    for seed in range(40):
        x = drawn(seed, 12, 0.7)
        t, _ = path(x)
        for n in range(3, 13):
            reached = abs(t[n - 1]) >= boundaries.limits(0.05, 3, 12)[n - 3]
            assert interval(x[:n], TWELVE).excludes_zero == reached


def test_there_is_no_interval_before_the_first_look() -> None:
    assert not interval(drawn(1, 2), TWELVE).bounded
    assert interval(drawn(1, 3), TWELVE).bounded
    assert math.isnan(interval(np.array([]), TWELVE).value)


def test_negligible_is_two_one_sided_tests_each_at_half_the_two_sided_p() -> None:
    gains, worth = 0.1 * drawn(5, 10) + 0.02, np.full(10, 0.3)
    lower, upper = p_value(gains + worth, TWELVE) / 2, p_value(gains - worth, TWELVE) / 2
    assert p_negligible(gains, worth, TWELVE) == pytest.approx(max(lower, upper), rel=1e-9)
    assert p_negligible(gains + 1, worth, TWELVE) == 0.5  # the wrong side of the worth says nothing


def test_a_worth_that_is_a_share_of_the_control_is_tested_seed_by_seed() -> None:
    """The t test of gain - share x control, which is Fieller's of the ratio of their means."""
    control, share = 10 + drawn(6, 12), 0.15
    gains = 0.3 * drawn(7, 12)
    rule = Declared(first=12, most=12)  # one look: the plain t tests
    lower = stats.ttest_1samp(gains + share * control, 0, alternative="greater").pvalue
    upper = stats.ttest_1samp(gains - share * control, 0, alternative="less").pvalue
    assert p_negligible(gains, share * control, rule) == pytest.approx(max(lower, upper), rel=1e-3)


@pytest.mark.parametrize(("p", "verdict"), [(0.04, Verdict.NEGLIGIBLE), (0.06, Verdict.UNDECIDED)])
def test_each_of_the_two_one_sided_tests_has_the_whole_level(p: float, verdict: Verdict) -> None:
    """One look, one trick: the worth at which the plain one-sided t test has this p."""
    gains = 0.1 + drawn(9, 12)
    worth = abs(gains.mean()) + stats.t.isf(p, 11) * gains.std(ddof=1) / math.sqrt(12)
    rule = Declared(first=12, most=12)
    assert looks([gains], [np.full(12, worth)], rule)[-1].verdicts == (verdict,)
    assert p_negligible(gains, np.full(12, worth), rule) == pytest.approx(p, rel=1e-3)


def closed_testing(p: Sequence[float], alpha: float) -> set[int]:
    """Brute force: rejected are those of which Bonferroni rejects every intersection that they are in."""
    everything = range(len(p))
    subsets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(everything, size)]
    refused = {s for s in subsets if min(p[i] for i in s) <= alpha / len(s)}
    return {i for i in everything if all(s in refused for s in subsets if i in s)}


@pytest.mark.parametrize("rule", [TWELVE, Anytime()])
def test_verdicts_are_those_of_brute_force_closed_testing_on_sequential_p(rule: Rule) -> None:
    shown = 0
    for seed in range(8):
        gains = list(drawn(seed, (4, 12), np.array([[2.0], [1.2], [-0.9], [0.0]])))
        last = looks(gains, None, rule)[-1]
        p = [p_value(each[:n], rule) for each, n in zip(gains, last.seeds, strict=True)]
        rejected = closed_testing(p, paired.ALPHA)
        assert {place for place, verdict in enumerate(last.verdicts) if verdict in FIRM} == rejected
        assert rejected == set(np.flatnonzero(paired.holm(np.array(p)) <= paired.ALPHA))
        shown += len(rejected)
    assert shown > 10


def test_negligible_is_brute_force_closed_testing_of_its_own_family() -> None:
    said = 0
    for seed in range(6):
        gains = list(0.4 * drawn(seed, (3, 12)) + np.array([[0.0], [0.2], [0.5]]))
        worths = [np.full(12, 0.5)] * 3
        last = looks(gains, worths, TWELVE)[-1]
        p = [p_negligible(g[:n], w[:n], TWELVE) for g, w, n in zip(gains, worths, last.seeds, strict=True)]
        negligible = {place for place, verdict in enumerate(last.verdicts) if verdict is Verdict.NEGLIGIBLE}
        assert negligible == closed_testing(p, paired.ALPHA)
        said += len(negligible)
    assert said > 4


def test_a_gain_helps_a_loss_hurts_and_what_is_decided_gets_no_further_seed() -> None:
    gains = list(0.1 * drawn(1, (3, 20), np.array([[100.0], [-100.0], [0.0]])))
    found = looks(gains, None, TWENTY)
    assert found[-1].verdicts == (Verdict.HELPS, Verdict.HURTS, Verdict.UNDECIDED)
    assert found[-1].seeds[0] == found[-1].seeds[1] < 6
    assert [look.wave for look in found] == list(range(3, found[-1].wave + 1))
    assert found[-1].going_on == ()


def test_a_trick_is_called_negligible_where_it_is_also_shown_to_help() -> None:
    gains = [1 + 0.01 * drawn(1, 20)]
    assert looks(gains, [np.full(20, 5.0)], TWENTY)[-1].verdicts == (Verdict.NEGLIGIBLE,)
    assert looks(gains, None, TWENTY)[-1].verdicts == (Verdict.HELPS,)


def test_from_five_seeds_on_a_trick_is_dropped_that_could_not_be_shown_in_time() -> None:
    """Six tricks, at most 20 seeds: |size| + its standard error below 0.76, the last limit over sqrt(20)."""
    edge = boundaries.limits(0.05 / 6, 3, 20)[-1] / math.sqrt(20)
    assert edge == pytest.approx(0.76, rel=0.01)
    for seed in range(30):
        found = looks(list(drawn(seed, (6, 20))), None, TWENTY)
        for look in found:
            for place in set(found[0].going_on):
                if look.seeds[place] != look.wave or look.verdicts[place] is not Verdict.UNDECIDED:
                    continue
                n = look.wave
                size = abs(path(drawn(seed, (6, 20))[place])[0][n - 1]) / math.sqrt(n)
                small = n >= 5 and size + math.sqrt(1 / n + size**2 / (2 * n)) < edge
                assert (place in look.unlikely) == small
                assert (place in look.going_on) == (not small and n < 20)


def test_a_trick_that_may_yet_be_negligible_is_not_dropped() -> None:
    gains = [*0.5 * drawn(11, (6, 20))]
    alone = looks(gains, None, TWENTY)
    beside = looks(gains, [np.full(20, 0.45)] * 6, TWENTY)
    assert len(alone[-1].unlikely) > len(beside[-1].unlikely)
    assert beside[-1].verdicts.count(Verdict.NEGLIGIBLE) > 2


def test_nothing_is_unlikely_to_be_decided_where_no_maximum_is_declared() -> None:
    found = looks(list(drawn(3, (2, 40))), None, Anytime())
    assert found[-1].wave == 40
    assert found[-1].going_on == (0, 1)


def test_looks_are_a_function_of_the_runs_so_that_kills_at_any_point_change_nothing() -> None:
    gains = list(drawn(21, (5, 20), np.array([[2.5], [1.5], [1.0], [0.0], [-0.5]])))
    worths = [np.full(20, 1.2)] * 5
    whole = looks(gains, worths, TWENTY)
    for wave in range(2, 21):
        # A kill within the next wave: some tricks have its seed, some do not.
        for ahead in itertools.product((0, 1), repeat=5):
            cut = [each[: wave + more] for each, more in zip(gains, ahead, strict=True)]
            found = looks(cut, [each[: len(c)] for each, c in zip(worths, cut, strict=True)], TWENTY)
            assert found == whole[: len(found)]
            assert len(found) >= min(len(whole), wave - 2)


def test_outcomes_that_a_dropped_trick_has_beyond_are_not_looked_at() -> None:
    gains = list(drawn(5, (2, 20), np.array([[8.0], [1.0]])))
    whole = looks(gains, None, TWENTY)
    n = whole[-1].seeds[0]
    assert n < 10
    changed = [np.concatenate([gains[0][:n], np.full(20 - n, -50.0)]), gains[1]]
    assert looks(changed, None, TWENTY) == whole


def test_no_wave_beyond_the_declared_maximum_is_looked_at() -> None:
    found = looks([drawn(8, 30, 0.75)], None, Declared(first=3, most=8))
    assert found[-1].wave <= 8
    assert found[-1].going_on == ()


def test_seeds_without_a_number_count_as_waves_and_not_as_differences() -> None:
    gains = drawn(2, 14, 1.6)
    gains[[1, 3]] = np.nan
    found = looks([gains], None, TWENTY)
    n = found[-1].wave
    assert found[-1].verdicts == (Verdict.HELPS,)
    assert p_value(paired.known(gains[:n]), TWENTY) <= 0.05
    assert p_value(paired.known(gains[: n - 1]), TWENTY) > 0.05


def test_the_error_over_all_looks_is_the_level_whatever_the_noise_of_the_shared_control() -> None:
    """400 null studies of six tricks with dropping: a rate of 5 % leaves 34 false ones within four standard errors."""
    random, false, anytime = np.random.default_rng(0), 0, 0
    for _ in range(400):
        gains = list(random.normal(size=(6, 20)) - random.normal(size=20))
        false += any(verdict in FIRM for verdict in looks(gains, None, TWENTY)[-1].verdicts)
        anytime += any(verdict in FIRM for verdict in looks(gains, None, Anytime())[-1].verdicts)
    assert 2 <= false <= 34
    assert anytime <= 34


def test_negligible_is_said_at_the_edge_of_a_worth_that_is_a_share_of_a_noisy_control_in_at_most_5_percent() -> None:
    random, said, near = np.random.default_rng(1), 0, 0
    for _ in range(500):
        control, noise = 10 + random.normal(size=20), random.normal(size=(2, 20))
        gains = [1.5 + noise[0] - control + 10, noise[1] - control + 10]  # the worth is 15 % of 10
        first, second = (looks([each], [0.15 * control], TWENTY)[-1].verdicts[0] for each in gains)
        said += first is Verdict.NEGLIGIBLE
        near += second is Verdict.NEGLIGIBLE
    assert 5 <= said <= 25 + 4 * math.sqrt(25)
    assert near > 400


# How far a trick is towards either claim.


def test_the_way_to_a_claim_is_the_statistic_over_the_limit_at_the_level_that_holm_has_come_to() -> None:
    gains = list(drawn(0, (4, 20), np.array([[3.0], [0.8], [0.1], [0.0]])))
    worths = [np.full(20, 0.9)] * 4
    alone = 0
    for look in looks(gains, worths, TWENTY):
        said = [look.verdicts.count(verdict) for verdict in FIRM]
        for place, (gain, worth) in enumerate(zip(gains, worths, strict=True)):
            if look.verdicts[place] is not Verdict.UNDECIDED:
                continue
            n = look.seeds[place]
            limit = boundaries.limits(0.05 / (4 - sum(said)), 3, 20)[n - 3]
            t = stats.ttest_1samp(gain[:n], 0).statistic
            assert look.towards_effect[place] == pytest.approx(abs(t) / limit)
            sides = [stats.ttest_1samp(side[:n], 0).statistic for side in (worth - gain, worth + gain)]
            left = 4 - look.verdicts.count(Verdict.NEGLIGIBLE)
            limit = boundaries.limits(0.1 / left, 3, 20)[n - 3]
            assert look.towards_negligible[place] == pytest.approx(max(0, min(sides)) / limit)
            assert look.towards_effect[place] < 1
            assert look.towards_negligible[place] < 1
            alone += 1
    assert alone > 10


def test_the_way_is_gone_once_a_claim_is_made_and_unknown_without_a_worth_or_a_number() -> None:
    gains = [5 + drawn(0, 20), np.full(20, np.nan), 0.1 * drawn(1, 20)]
    without = looks(gains, None, TWENTY)[-1]
    assert without.towards_effect[0] >= 1
    assert math.isnan(without.towards_effect[1])
    assert all(map(math.isnan, without.towards_negligible))
    beside = looks(gains, [np.full(20, 0.5)] * 3, TWENTY)[-1]
    assert beside.verdicts[2] is Verdict.NEGLIGIBLE
    assert beside.towards_negligible[2] >= 1
    assert beside.towards_negligible[0] == 0


def test_a_trick_that_left_no_number_in_five_waves_is_dropped_under_either_rule() -> None:
    gains = [np.full(20, np.nan), drawn(1, 20, 0.8)]
    for rule in (TWENTY, Anytime()):
        found = {look.wave: look for look in looks(gains, None, rule)}
        assert 0 in found[4].going_on
        assert found[5].unlikely == (0,)
        assert max(look.seeds[0] for look in found.values()) == 5


# Differences that do not vary, by what outcomes are made of.


def table(control: float, *gains: float, seeds: int = 20) -> np.ndarray:
    return np.repeat(np.array([[control], *([control + gain] for gain in gains)]), seeds, axis=1)


def test_a_recipe_without_chance_is_decided_at_the_first_looks() -> None:
    values = table(200.0, -1.0, 2.0, 0.0)
    gains = list(values[1:] - values[0])
    found = looks(gains, [0.05 * values[0]] * 3, TWENTY, grain=Grain(values))
    assert found[-1].wave <= 6
    assert found[-1].verdicts == (Verdict.NEGLIGIBLE,) * 3
    found = looks(gains, None, TWENTY, grain=Grain(values))
    assert found[-1].verdicts == (Verdict.HURTS, Verdict.HELPS, Verdict.UNDECIDED)
    assert found[-1].seeds[0] == found[-1].seeds[1] <= 6
    assert interval(gains[0], TWENTY, grain=Grain(values)) == Estimate(-1.0, -1.0, -1.0)


def test_rounding_of_float32_is_neither_an_effect_nor_the_noise_that_one_is_held_against() -> None:
    noise = 1e-6 * drawn(1, (3, 20))
    values = table(200.0, 0.0, 2.0) + noise
    values[1] += 1e-5  # all differences on one side
    found = looks(list(values[1:] - values[0]), None, TWENTY, grain=Grain(values))
    assert found[-1].verdicts == (Verdict.UNDECIDED, Verdict.HELPS)
    assert looks(list(values[1:] - values[0]), None, TWENTY)[-1].verdicts[0] is Verdict.HELPS


@pytest.mark.parametrize("n", [3, 8])
@pytest.mark.parametrize("steps", [1, 3, 40])
def test_equal_differences_of_stepped_outcomes_say_what_the_fixed_rule_says(n: int, steps: int) -> None:
    t = t_of_equal(-steps * 0.002, n, 0.002, 7)
    assert t < 0
    assert stats.t.sf(-t, n - 1) == pytest.approx(paired.p_of_equal(steps * 0.002, n, 0.002), rel=1e-6)


def test_outcomes_that_vary_come_out_fixed_and_apart_no_more_often_than_is_said() -> None:
    """Exhaustive over what 3 runs of each of 3 cells are, 1 with the probability q and else 0."""
    n, cells = 3, 3
    p = stats.t.sf(t_of_equal(1.0, n, 0.0, cells), n - 1)
    worst = 0.0
    for q in np.linspace(0.01, 0.99, 99):
        chance = 0.0
        for outcomes in itertools.product((0, 1), repeat=cells * n):
            values = np.array(outcomes).reshape(cells, n)
            if (np.ptp(values, axis=1) == 0).all() and values[1, 0] > values[0, 0]:
                chance += float(np.prod(np.where(values == 1, q, 1 - q)))
        worst = max(worst, chance)
    assert worst == pytest.approx(p, rel=1e-3)


def test_the_grain_of_a_look_is_of_the_outcomes_up_to_it_so_that_kills_change_nothing() -> None:
    values = np.round(drawn(3, (3, 20), np.array([[0.0], [6.0], [0.5]])) * 2)  # in steps of 1, later
    values[:, :4] = np.round(values[:, :4] / 4) * 4
    gains = list(values[1:] - values[0])
    whole = looks(gains, None, TWENTY, grain=Grain(values))
    for wave in range(3, whole[-1].wave + 1):
        cut = values[:, :wave]
        assert looks([each[:wave] for each in gains], None, TWENTY, grain=Grain(cut)) == whole[: wave - 2]
    assert Grain(values).step(4) == 4 * Grain(values).step(20)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(("middle", "spread"), [(0.25, 0.1), (0.9, 0.01), (0.5, 0.3)])
def test_the_step_of_an_accuracy_is_found_whatever_the_gaps_between_outcomes_and_their_precision(
    kind: type, middle: float, spread: float
) -> None:
    for seed in range(40):
        for images in (100, 500, 1497):
            accuracy = np.clip(np.round(drawn(seed, (7, 20)) * spread * images + middle * images), 0, images)
            values = (accuracy.astype(kind) / kind(images)).astype(float)
            steps = np.unique(accuracy)
            assert step_of(values) * images == pytest.approx(np.gcd.reduce(np.diff(steps).astype(int)), rel=1e-3)


# The open-ended rule.


def test_the_confidence_sequence_is_the_inversion_of_the_e_values_to_1e_9() -> None:
    rule = Anytime()
    for n in (3, 4, 5, 8, 20, 100, 1000):
        for level in (0.05, 0.05 / 6, 0.001):
            (limit,) = rule.limits(level, np.array([n]))
            if math.isinf(limit):
                assert rule.evidence(np.array([1e12]), np.array([n]))[0] < 1 / level
                continue
            assert rule.evidence(np.array([limit]), np.array([n]))[0] * level == pytest.approx(1, rel=1e-9)
            solved = optimize.brentq(
                lambda t, n=n, level=level: rule.evidence(np.array([t]), np.array([n]))[0] - 1 / level,
                limit * 0.5, limit * 2, xtol=1e-13, rtol=1e-14,
            )  # fmt: skip
            assert solved == pytest.approx(limit, rel=1e-9)


def test_the_e_value_is_the_ratio_of_the_likelihoods_of_t_averaged_over_normal_effects() -> None:
    """By quadrature: noncentral t over central t, effects of mean 0 and standard deviation tau."""
    for n, t in ((3, 5.0), (8, -2.5), (15, 0.4)):

        def ratio(size: float, n: int = n, t: float = t) -> float:
            return float(stats.nct.pdf(t, n - 1, size * math.sqrt(n)) / stats.t.pdf(t, n - 1)) * float(
                stats.norm.pdf(size, 0, 2.0)
            )

        mixed = integrate.quad(ratio, -7, 7, points=[t / math.sqrt(n)], limit=200)[0]
        assert Anytime(tau=2.0).evidence(np.array([t]), np.array([n]))[0] == pytest.approx(mixed, rel=1e-3)


def test_the_open_ended_p_is_the_inverse_of_the_largest_e_value_so_far() -> None:
    x = drawn(3, 10, 1.5)
    t, counts = path(x)
    assert p_value(x, Anytime()) == pytest.approx(1 / Anytime().evidence(t[2:], counts[2:]).max())
    assert p_value(x[:2], Anytime()) == 1


def test_the_open_ended_sequence_misses_the_truth_in_at_most_5_percent_of_200_looks() -> None:
    random, missed = np.random.default_rng(2), 0
    limit = Anytime().limits(0.05, np.arange(1, 201))
    for _ in range(2000):
        missed += bool((np.abs(path(random.normal(size=200))[0]) >= limit).any())
    assert 20 <= missed <= 100
