"""Negligible and beyond the worth: against scipy, Fieller's interval, and the error that they promise by simulation."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness.analysis import Verdict, answer, paired
from harness.analysis.power import fewest_seeds, power_within, seeds_needed
from harness.analysis.worth import margins, p_beyond, p_within
from harness.design import Alias
from harness.spec.worth import Worth

_SPEC = importlib.util.spec_from_file_location("studies", Path(__file__).with_name("studies.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
studies = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(studies)
study = studies.study

FIVE = Worth(share=0.05)
BOTH = [frozenset[str](), frozenset("A")]


def test_negligible_is_two_one_sided_t_tests() -> None:
    changes = np.random.default_rng(1).normal(0.2, 1, 9)
    margin = margins(Worth(amount=1.3), np.ones(9))
    lower = stats.ttest_1samp(changes, -1.3, alternative="greater").pvalue
    upper = stats.ttest_1samp(changes, 1.3, alternative="less").pvalue
    assert p_within(changes, margin) == pytest.approx(max(lower, upper), rel=1e-12)


def test_negligible_of_an_amount_is_a_90_percent_interval_within_it() -> None:
    random = np.random.default_rng(2)
    seen = set()
    for _ in range(200):
        changes = random.normal(0, 1, 6)
        low, high = stats.t.interval(0.9, 5, changes.mean(), stats.sem(changes))
        inside = low > -1 and high < 1
        assert (p_within(changes, np.ones(6)) < 0.05) == inside
        seen.add(inside)
    assert seen == {True, False}


def test_a_share_of_the_control_is_held_against_fiellers_interval_of_the_ratio() -> None:
    """Significant is a share exactly where Fieller's 90 % interval of change over control ends, worked out as roots."""
    random = np.random.default_rng(3)
    control = random.normal(100, 8, 7)
    changes = random.normal(2, 3, 7) + 0.1 * (control - 100)
    quantile = stats.t.ppf(0.95, 6) ** 2 / 7
    half = np.cov(changes, control) * quantile
    a = control.mean() ** 2 - half[1, 1]
    b, c = changes.mean() * control.mean() - half[0, 1], changes.mean() ** 2 - half[0, 0]
    low, high = ((b + sign * math.sqrt(b**2 - a * c)) / a for sign in (-1, 1))
    edge = max(abs(low), abs(high))
    assert p_within(changes, margins(Worth(share=edge), control)) == pytest.approx(0.05, rel=1e-9)


def test_beyond_the_worth_is_the_two_sided_test_from_the_nearer_edge() -> None:
    changes = np.random.default_rng(4).normal(-3, 1, 8)
    expected = stats.ttest_1samp(changes, -1.5).pvalue
    assert changes.mean() < -1.5
    assert p_beyond(changes, np.full(8, 1.5)) == pytest.approx(expected, rel=1e-12)
    assert p_beyond(changes, np.full(8, 1e-12)) == pytest.approx(paired.t_p(changes), rel=1e-6)
    assert p_beyond(changes, np.full(8, 5.0)) > 0.99


def test_changes_that_are_all_equal_are_tested_by_their_signs_alone() -> None:
    control = np.array([100.0, 110.0, 95.0, 99.0, 102.0])
    assert p_within(np.full(5, -1.0), margins(FIVE, control)) == 0.5**5
    assert p_within(np.full(5, -6.0), margins(FIVE, control)) == 1
    assert p_within(np.full(5, -1.0), margins(FIVE, control), grain=0.0) == 0
    assert p_beyond(np.full(5, -20.0), np.full(5, 1.0)) == 2 * 0.5**5


def test_one_seed_and_a_control_on_both_sides_of_zero_say_nothing_of_a_share() -> None:
    assert math.isnan(p_within(np.array([1.0]), np.array([5.0])))
    assert np.isnan(margins(FIVE, np.array([1.0, -1.0, 2.0]))).all()
    assert margins(FIVE, np.array([-100.0, -120.0])) == pytest.approx([5.0, 6.0])
    assert len(margins(FIVE, np.array([]))) == 0


def test_a_trick_that_does_nothing_is_negligible_and_one_beyond_the_worth_is_said_to_be() -> None:
    noise = np.random.default_rng(5).normal(0, 1, (3, 8))
    plan, runs = study(
        "AB",
        [frozenset(), frozenset("A"), frozenset("B")],
        lambda on, seed: 100.0 - 20 * ("A" in on) + noise[len(on) + ("B" in on), seed],
        8,
    )
    a, b = answer(runs, plan).effects
    assert (a.verdict, a.reading) == (Verdict.HELPS, "helps by more than the worth")
    assert (b.verdict, b.reading, b.seeds_needed) == (Verdict.NEGLIGIBLE, "negligible", None)
    assert b.worth == pytest.approx(5, rel=0.02)
    bigger = answer(runs, dataclasses.replace(plan, worth=Worth(amount=20.0))).effects[0]
    assert (bigger.verdict, bigger.reading) == (Verdict.HELPS, "helps, perhaps by less than the worth")
    assert bigger.change == a.change
    whole = answer(runs, dataclasses.replace(plan, worth=Worth(amount=40.0))).effects[0]
    assert (whole.verdict, whole.reading) == (Verdict.HELPS, "helps, by less than the worth")


def test_negligible_and_beyond_are_each_corrected_over_all_contrasts_by_holm() -> None:
    noise = np.random.default_rng(6).normal(0, 4, (4, 6))
    cells = [frozenset(), *map(frozenset, "ABC")]
    plan, runs = study("ABC", cells, lambda on, seed: 100.0 + noise[cells.index(on), seed], 6)
    found = answer(runs, plan).effects
    raw = {"p_within": [], "p_beyond": []}  # type: ignore[var-annotated]
    for place in range(3):
        changes, margin = noise[place + 1] - noise[0], 0.05 * (100 + noise[0])
        raw["p_within"].append(p_within(changes, margin))
        raw["p_beyond"].append(p_beyond(changes, margin))
    for name, p in raw.items():
        assert [getattr(effect, name) for effect in found] == pytest.approx(paired.holm(np.array(p)).tolist())


def quiet(on: frozenset[str], seed: int) -> float:
    """Nothing but a little noise that differs by arm."""
    return 100.0 + 0.1 * (seed * 7 % 5) + 0.1 * len(on) * (seed % 3 - 1)


@pytest.mark.parametrize(
    ("treated", "control", "reading"),
    [
        (6, 8, "negligible where it trains; 2 of 8 diverged"),
        (8, 6, "negligible where the control trains; control: 2 of 8 diverged"),
        (7, 7, "negligible where both train; 1 of 8 diverged; control: 1 of 8 diverged"),
        (8, 8, "negligible"),
    ],
)
def test_runs_that_diverged_leave_negligible_under_a_condition(treated: int, control: int, reading: str) -> None:
    plan, runs = study(
        "A", BOTH, lambda on, seed: "diverged" if seed >= (treated if on else control) else quiet(on, seed), 8
    )
    (effect,) = answer(runs, plan).effects
    assert effect.reading == reading
    assert (effect.verdict is Verdict.NEGLIGIBLE) == (treated == control == 8)


def test_an_alias_may_hide_an_effect_that_looks_negligible() -> None:
    plan, runs = study("A", BOTH, lambda on, seed: 100.0 + (seed * (3 if on else 5)) % 8 / 10, 8)
    assert answer(runs, plan).effects[0].reading == "negligible"
    aliased = dataclasses.replace(plan.contrasts[0], aliases=(Alias(factors=("B", "C"), share=1.0),))
    (effect,) = answer(runs, dataclasses.replace(plan, contrasts=(aliased,))).effects
    assert effect.verdict is Verdict.UNDECIDED
    assert effect.reading == "negligible, or hidden by an alias of it (B x C)"


def test_other_measures_than_the_objective_have_no_worth() -> None:
    plan, runs = study("A", BOTH, quiet, 8, train_seconds=lambda cell, seed: 10.0 + seed)
    costs = answer(runs, plan).costs["train_seconds"]
    assert len(costs) == 1
    assert all(math.isnan(cost.p_within) and cost.verdict is Verdict.UNDECIDED for cost in costs)


@pytest.mark.parametrize(("truth", "least", "most"), [(5.0, 0.02, 0.05), (-5.0, 0.02, 0.05), (0.0, 0.6, 1.0)])
def test_at_the_edge_of_a_share_of_a_noisy_control_negligible_is_said_in_at_most_5_percent(
    truth: float, least: float, most: float
) -> None:
    """4,000 studies of 10 seeds, one trick; the control's mean is known to 2 % only. Three standard errors allowed."""
    random = np.random.default_rng(7)
    said = 0
    for _ in range(4000):
        control, treated = 100 + 6 * random.normal(size=10), 100 + truth + 6 * random.normal(size=10) * 0.6
        treated += 0.4 * (control - 100)
        said += p_within(treated - control, margins(FIVE, control)) < 0.05
    assert least <= said / 4000 <= most + 3 * math.sqrt(0.05 * 0.95 / 4000)


def test_the_power_to_show_an_effect_to_be_negligible_is_that_of_simulated_studies() -> None:
    random = np.random.default_rng(8)
    for size, worth, n in ((0.0, 1.0, 12), (0.3, 1.2, 10), (0.5, 2.0, 5), (0.0, 40.0, 3)):
        draws = random.normal(size, 1, (20_000, n))
        half = stats.t.ppf(0.95, n - 1) * draws.std(axis=1, ddof=1) / math.sqrt(n)
        shown = (np.abs(draws.mean(axis=1)) + half < worth).mean()
        assert power_within(size, worth, n) == pytest.approx(shown, abs=0.012)


def test_the_seeds_that_decide_are_the_fewer_of_showing_the_effect_and_showing_it_negligible() -> None:
    def within(size: float, worth: float, alpha: float) -> int:
        return next(n for n in range(4, 10_000) if power_within(size, worth, n, alpha) >= 0.8)

    found = seeds_needed(0.3, 3, 0.05 / 6, 2.0, 0.05 / 6)
    assert found is not None
    assert found.typical == within(0.3, 2.0, 0.05 / 6) < (fewest_seeds(0.3, 3, 0.05 / 6) or 0)
    large = seeds_needed(4.0, 3, 0.05 / 6, 2.0, 0.05 / 6)
    assert large is not None
    assert large.typical == fewest_seeds(4.0, 3, 0.05 / 6)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.typical <= found.high  # what lies between no effect and the worth takes most
    assert seeds_needed(0.3, 3, 0.05 / 6) != found
