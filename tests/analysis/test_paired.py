"""The paired statistics against scipy, enumeration, published and hand-worked examples, and simulation."""

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from harness.analysis import paired
from harness.analysis.agreement import kendall
from harness.analysis.types import Estimate


def ends(estimate: Estimate) -> tuple[float, float]:
    return estimate.low, estimate.high


def test_t_interval_and_p_are_those_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(50, 5, 7), rng.normal(48, 5, 7)
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval(0.95)
    assert ends(paired.estimate(a - b)) == pytest.approx((interval.low, interval.high))
    assert paired.t_p(a - b) == pytest.approx(expected.pvalue)


def test_t_interval_of_a_hand_worked_sample() -> None:
    # differences 1, 2, 3: mean 2, sd 1, standard error 1/sqrt(3), t(0.975, 2) = 4.302653 -> 2 ± 2.484138
    assert ends(paired.estimate(np.array([1.0, 2.0, 3.0]))) == pytest.approx((-0.484138, 4.484138), abs=1e-6)


def test_students_sleep_data_give_what_r_prints() -> None:
    # R, help("sleep"): t.test(extra ~ group, paired): t = -4.0621, df = 9, p-value = 0.002833, mean difference -1.58
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    change = first - second
    assert paired.t_p(change) == pytest.approx(0.002833, abs=5e-7)
    assert ends(paired.estimate(change)) == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)


def test_the_boys_shoes_of_box_hunter_and_hunter() -> None:
    # Statistics for Experimenters, 2nd edition, section 3.2: of the 1,024 assignments of the two materials, 3 give a
    # larger mean difference than the 0.41 seen and 4 the same one. R prints p-value = 0.008539 for MASS::shoes.
    change = np.array([0.8, 0.6, 0.3, -0.1, 1.1, -0.2, 0.3, 0.5, 0.5, 0.3])
    assert change.mean() == pytest.approx(0.41)
    assert paired.sign_flip_p(change) == 2 * (3 + 4) / 1024
    assert paired.t_p(change) == pytest.approx(0.008539, abs=5e-7)
    assert ends(paired.estimate(change)) == pytest.approx((0.1330461, 0.6869539), abs=5e-8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=9))
def test_sign_flip_p_is_the_share_of_all_sign_assignments(values: list[int]) -> None:
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(values))
    ]
    expected = sum(total >= abs(sum(values)) for total in sums) / len(sums)
    assert paired.sign_flip_p(np.array(values, dtype=float)) == pytest.approx(expected)


def test_sign_flip_p_agrees_with_scipys_permutation_test_at_a_size_that_is_split_in_two() -> None:
    values = np.random.default_rng(3).normal(0.4, 1, 13)
    expected = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert paired.sign_flip_p(values) == pytest.approx(expected)


def test_sign_flip_p_counts_ties_whatever_the_rounding() -> None:
    assert paired.sign_flip_p(np.array([0.1, 0.2, 0.3])) == 0.25  # only all-plus and all-minus reach 0.6


def test_sign_flip_p_beyond_enumeration_is_close_to_the_t_test() -> None:
    values = np.random.default_rng(5).normal(0.3, 1, 60)
    assert paired.sign_flip_p(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)


def test_holm_of_a_worked_example() -> None:
    # p = .01, .04, .03, .005 (m = 4): sorted .005 x4 = .02, .01 x3 = .03, .03 x2 = .06, .04 x1 -> max(.06, .04) = .06
    np.testing.assert_allclose(paired.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@pytest.mark.slow
def test_holm_is_statsmodels_own(p: list[float]) -> None:
    expected = multipletests(p, method="holm")[1]
    np.testing.assert_allclose(paired.holm(np.array(p)), expected, atol=1e-12)


def test_holm_counts_a_contrast_without_runs_in_the_family() -> None:
    np.testing.assert_allclose(paired.holm(np.array([0.01, np.nan, 0.03])), [0.03, np.nan, 0.06])


def test_holm_never_exceeds_one() -> None:
    assert paired.holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("n", [3, 8])
def test_the_ratios_interval_ends_where_the_t_test_begins_to_reject(n: int) -> None:
    rng = np.random.default_rng(n)
    extra = rng.normal(10, 1, n)
    gained = 2 * extra + rng.normal(0, 4, n)
    ratio = paired.ratio_of_means(gained, extra)
    assert ratio.value == pytest.approx(gained.mean() / extra.mean())
    assert ratio.low < ratio.value < ratio.high
    for end in (ratio.low, ratio.high):
        assert stats.ttest_1samp(gained - end * extra, 0).pvalue == pytest.approx(0.05)


@pytest.mark.parametrize("extra", [[1.0, -1.0, 0.5], [-3.0, -3.1, -2.9], [2.0], []])
def test_there_is_no_ratio_to_a_cost_that_is_not_shown(extra: list[float]) -> None:
    ratio = paired.ratio_of_means(np.full(len(extra), 5.0), np.array(extra))
    assert not ratio.known
    assert not ratio.bounded


def test_bootstrap_interval_is_reproducible_and_near_the_t_interval_for_many_seeds() -> None:
    values = np.random.default_rng(7).normal(2, 1, 80)
    low, high = ends(paired.bootstrap(values))
    assert (low, high) == ends(paired.bootstrap(values))
    assert (low, high) == pytest.approx(ends(paired.estimate(values)), abs=0.06)


def test_bootstrap_interval_of_equal_or_few_values_is_plain() -> None:
    assert ends(paired.bootstrap(np.array([3.0, 3.0, 3.0]))) == (3.0, 3.0)
    assert all(math.isnan(end) for end in ends(paired.bootstrap(np.array([3.0]))))
    low, high = ends(paired.bootstrap(np.array([1.0, 2.0])))
    assert 1.0 <= low < high <= 2.0


@pytest.mark.parametrize("n", [3, 5, 10])
def test_t_intervals_cover_the_truth_in_95_of_100_studies(n: int) -> None:
    rng = np.random.default_rng(n)
    covered = [low <= 1.5 <= high for low, high in map(ends, map(paired.estimate, rng.normal(1.5, 2.0, (2000, n))))]
    assert 0.935 <= np.mean(covered) <= 0.965


def test_differences_that_are_equal_on_all_seeds_count_by_how_many_steps_of_the_outcome_they_are() -> None:
    equal = np.full(4, 0.1)
    # Half a step off either way, evenly: a difference of two outcomes has the variance grain^2 / 6.
    assert paired.t_p(equal, 0.02) == pytest.approx(2 * stats.t.sf(0.1 / (0.02 / np.sqrt(6) / 2), 3))
    assert paired.t_p(equal, 0.0) == 0.0  # outcomes that do not vary with the seed
    assert paired.t_p(equal, 0.1) == paired.t_p(equal) == 2 / 2**4  # one step, or outcomes of which nothing is known
    assert paired.t_p(np.zeros(4), 0.02) == 1.0


def test_equal_differences_of_rounded_outcomes_are_said_to_differ_no_more_often_than_they_should() -> None:
    random, rejected = np.random.default_rng(0), np.zeros(3)
    for _ in range(4000):
        latent = random.normal(size=(2, 5))
        for index, grain in enumerate((0.1, 1.0, 3.0)):
            outcomes = np.round(latent / grain) * grain
            rejected[index] += paired.t_p(outcomes[1] - outcomes[0], grain) < 0.05
    assert (rejected / 4000 < 0.06).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=2, max_size=25), st.integers(0, 6))
def test_the_bootstrap_interval_is_that_of_scipy_to_the_last_bit(values: list[float], digits: int) -> None:
    differences = np.round(np.array(values), digits)
    if np.ptp(differences) == 0:
        return
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            drawn = stats.bootstrap(
                (differences,), np.mean, n_resamples=4000, method=method, rng=np.random.default_rng(0)
            )
        if np.isfinite(drawn.confidence_interval).all():
            assert ends(paired.bootstrap(differences)) == tuple(drawn.confidence_interval)
            return
    assert not paired.bootstrap(differences).bounded


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(-9, 9), st.floats(-1, 1)), min_size=2, max_size=22))
def test_kendalls_tau_and_its_p_are_those_of_scipy_to_the_last_bit(pairs: list[tuple[int, float]]) -> None:
    for left in (np.array([float(one) for one, _ in pairs]), np.array([one + other for one, other in pairs])):
        right = np.array([other for _, other in pairs])
        assert repr(kendall(left, right)) == repr(tuple(map(float, stats.kendalltau(left, right))))
