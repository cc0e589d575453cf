"""Answers that were wrong once, each by its worked case: what is said must hold where the truth is known."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from harness.analysis import Verdict, answer, compare
from harness.analysis.cells import shrunken
from harness.analysis.outcomes import Outcomes
from harness.analysis.paired import holm
from harness.analysis.verdicts import claims
from harness.design import Alias, Contrast, Plan, fractions
from harness.measures import Measure
from harness.recipes.dcgan.measures import MIFID, measures
from harness.recipes.dcgan.settings import EvaluateSettings

_SPEC = importlib.util.spec_from_file_location("studies", Path(__file__).with_name("studies.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
studies = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(studies)
study, everything, name = studies.study, studies.everything, studies.name

FIRM = (Verdict.HELPS, Verdict.HURTS)
TRICKS = ("crop", "margin", "c", "d", "e", "f", "g", "h")


def screening(signs: Any, seeds: int, random: np.random.Generator) -> tuple[pd.DataFrame, Plan]:
    """A two-level design of eight tricks: `200 + 3 seed - 30 (crop and margin) + N(0, 2)`, nothing else acts."""
    cells = [frozenset(np.array(TRICKS)[row > 0].tolist()) for row in signs]
    plan, runs = study(
        TRICKS, cells, lambda on, seed: 200 + 3 * seed - 30 * ({"crop", "margin"} <= on) + random.normal(0, 2), seeds
    )
    contrasts = []
    for trick, held in zip(TRICKS, fractions.aliases(signs), strict=True):
        sides = [[name(cell) for cell in cells if (trick in cell) == on] for on in (True, False)]
        aliases = tuple(Alias(factors=(TRICKS[a], TRICKS[b]), share=share) for (a, b), share in held.items())
        contrasts.append(
            Contrast(
                name=f"{trick}: off -> on",
                factor=trick,
                level="on",
                baseline="off",
                pairs=tuple(zip(*sides, strict=True)),
                matched=False,
                aliases=aliases,
            )
        )
    return runs, dataclasses.replace(plan, contrasts=tuple(contrasts))


def test_a_plackett_burman_design_says_of_no_trick_alone_that_it_helps_or_hurts() -> None:
    signs = fractions.plackett_burman(8)
    assert signs.shape == (12, 8)
    found = answer(*screening(signs, 5, np.random.default_rng(0)))
    inert = [effect for effect in found.effects if effect.contrast.factor not in ("crop", "margin")]
    assert sum(effect.p_adjusted < 0.05 for effect in inert) == 6  # a third of -30 each, as firm as can be
    assert all(effect.verdict is Verdict.UNDECIDED for effect in found.effects)
    c = inert[0]
    assert c.lean in FIRM
    assert c.reading == f"{c.lean}, or an alias of it does (crop x margin, crop x d, crop x e and 18 more)"
    assert any("below resolution IV" in note and "fold_over" in note for note in found.notes)


def test_its_fold_over_finds_the_two_tricks_and_no_inert_one() -> None:
    signs = fractions.fold_over(fractions.plackett_burman(8))
    assert signs.shape == (24, 8)
    assert not any(fractions.aliases(signs))
    random, said = np.random.default_rng(1), 0
    for _ in range(20):
        found = answer(*screening(signs, 5, random))
        crop, margin, *inert = found.effects
        assert crop.verdict is margin.verdict is Verdict.HELPS
        assert (crop.change.value, margin.change.value) == pytest.approx((-15, -15), abs=2)
        assert not any("resolution" in note for note in found.notes)
        said += any(effect.verdict in FIRM for effect in inert)
    assert said <= 4  # 5 % of 20, give or take three standard deviations of a binomial


def hard_seeds(runs_of_control: int, diverged: int, worse: float) -> tuple[pd.DataFrame, Plan]:
    """A trick that trains always, against a control that diverges in its first seeds."""
    wiggle = np.random.default_rng(4).normal(0, 1, (runs_of_control, 2))
    plan, runs = study(
        "A",
        [frozenset(), frozenset("A")],
        lambda on, seed: "diverged" if not on and seed < diverged else 100 + wiggle[seed, len(on)] + worse * len(on),
        runs_of_control,
    )
    return runs, plan


def test_a_trick_that_looks_worse_than_a_control_which_diverged_hurts_under_that_condition_alone() -> None:
    (effect,) = answer(*hard_seeds(8, 2, 20.0)).effects
    assert (effect.n, effect.verdict, effect.lean) == (6, Verdict.UNDECIDED, Verdict.HURTS)
    assert effect.p_adjusted < 0.001
    assert effect.reading == "hurts where the control trains; control: 2 of 8 diverged"
    (effect,) = answer(*hard_seeds(8, 2, -20.0)).effects  # better than the control's lucky runs
    assert (effect.verdict, effect.reading) == (Verdict.HELPS, "helps by more than the worth; control: 2 of 8 diverged")


def test_one_law_for_both_arms_never_says_hurts_where_the_control_alone_diverges_in_its_worst_runs() -> None:
    random = np.random.default_rng(3)
    said, leaned, made = 0, 0, 60
    for _ in range(made):
        latent = random.normal(100, 10, (12, 2))
        plan, runs = study(
            "A",
            [frozenset(), frozenset("A")],
            lambda on, seed, latent=latent: (
                "diverged" if not on and latent[seed, 0] > 102.5 else float(latent[seed, len(on)])
            ),
            12,
        )
        (effect,) = answer(runs, plan).effects
        said += effect.verdict is Verdict.HURTS
        leaned += effect.p_adjusted < 0.05 and effect.lean is Verdict.HURTS
    assert said == 0
    assert leaned >= 5  # the test alone said so in a fifth of these studies


@pytest.mark.parametrize(
    ("control", "verdict", "reading"),
    [
        ((1.0, 2.0, 3.0, 4.0), Verdict.HURTS, "diverged in all 4 runs"),
        ((1.0, "diverged", 3.0, 4.0), Verdict.UNDECIDED, "undecided: diverged in all 4 runs; control: 1 of 4 diverged"),
        (("diverged",) * 4, Verdict.UNDECIDED, "undecided: diverged in all 4 runs; control: 4 of 4 diverged"),
    ],
)
def test_a_trick_that_always_diverges_hurts_where_the_control_always_trains(
    control: tuple[float | str, ...], verdict: Verdict, reading: str
) -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: "diverged" if on else control[seed], 4)
    (effect,) = answer(runs, plan).effects
    assert (effect.verdict, effect.reading) == (verdict, reading)


def test_one_run_that_diverged_is_no_verdict_and_a_control_that_always_does_gives_a_lean() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: "diverged" if on else 1.0, 1)
    assert answer(runs, plan).effects[0].verdict is Verdict.UNDECIDED
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 1.0 if on else "diverged")
    (effect,) = answer(runs, plan).effects
    assert (effect.lean, effect.reading) == (Verdict.HELPS, "undecided: control diverged in all 3 runs")


def test_a_trick_that_does_nothing_and_diverges_on_the_hard_seeds_gains_nothing_and_is_not_on_the_front() -> None:
    level = (100.0, 101.0, 99.0, 180.0, 190.0)  # two seeds are hard
    plan, runs = study(
        "A", [frozenset(), frozenset("A")], lambda on, seed: "diverged" if on and seed > 2 else level[seed], 5
    )
    plain, trick = answer(runs, plan).prices
    assert plain.objective.value == pytest.approx(np.mean(level))
    assert trick.objective.value == pytest.approx(np.mean(level))  # not 100, the mean of its easy seeds
    assert (trick.n, trick.endings.planned, trick.endings.diverged) == (3, 5, 2)
    assert plain.on_front
    assert not trick.on_front  # it takes longer
    assert trick.gain == 0


def test_yardsticks_rank_cells_by_what_changes_within_a_seed() -> None:
    # A is better by 1 in every seed, and lacks the easy one: by its plain mean it is worse than the control.
    other = Measure(name="mifid/other/square", title="other", yardstick_of="mifid")
    plan, runs = study(
        "AB",
        [frozenset(), *map(frozenset, "AB")],
        lambda on, seed: "failed" if on == {"A"} and seed == 0 else 10.0 + 90 * (seed > 0) - len(on) + 2 * ("B" in on),
        **{other.name: lambda on, seed: 50.0 - ("A" in on) + ("B" in on)},
    )
    (ranks,) = answer(runs, dataclasses.replace(plan, measures=(other,))).agreement.ranks
    assert (ranks.tau, ranks.cells) == (1.0, 3)


def test_equal_time_leaves_out_runs_that_shared_their_device_as_every_cost_does() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 50.0)
    shared = (runs["cell"] == "A") & (runs["seed"] == 0)
    runs["images_per_second"] = np.where(shared, 25.0, 100.0)
    runs["slots_per_device"] = np.where(shared, 4, 1)
    curves = {key: [(250, 200.0), (500, 100.0), (1000, 50.0)] for key in zip(runs["cell"], runs["seed"], strict=True)}
    (found,) = answer(runs, plan, curves).equal
    assert (found.n_images, found.n_time) == (3, 2)
    assert found.time.value == found.images.value == 0  # counted with the others, seed 0 would look 150 worse


def test_runs_that_diverged_are_counted_wherever_something_is_said_of_their_tricks() -> None:
    random = np.random.default_rng(6)

    def outcome(on: frozenset[str], seed: int) -> float | str:
        if "A" in on and seed >= 4:
            return "diverged"
        return float(100 + 5 * seed - 20 * ({"A", "B"} <= on) + random.normal(0, 1))

    plan, runs = study("AB", everything("AB"), outcome, 8)
    found = answer(runs, plan)
    assert found.effects[0].reading == "helps where it trains; 8 of 16 diverged"
    whole = (32, 24, 8)
    for part in (found.factorial, found.shapley, *found.views):
        assert (part.endings.planned, part.endings.complete, part.endings.diverged) == whole
    assert {each.contrast.factor: each.endings.diverged for each in found.bought} == {"A": 8, "B": 8}
    assert {each.cell: each.endings.diverged for each in found.prices} == {"baseline": 0, "A": 4, "B": 0, "AB": 4}
    (together,) = (term for term in found.factorial.terms if len(term.factors) == 2)
    assert together.p_adjusted < 0.05
    assert (together.verdict, together.reading) == (
        Verdict.UNDECIDED,
        "better together where they train; 8 of 32 diverged",
    )


def slower(curve: Any, times: int) -> Any:
    """Equal time of a trick that trains 10 % slower and has the same effect per image, with `times` scores a run."""
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 1.0, 1)
    runs["images_per_second"] = [100.0, 100 / 1.1]
    scores = [(1000 * k / times, float(curve(k / times))) for k in range(1, times + 1)]
    (found,) = answer(runs, plan, {("baseline", 0): scores, ("A", 0): scores}).equal
    assert found.seconds == pytest.approx(10)
    return found.time.value


@pytest.mark.parametrize("times", [2, 4, 10])
def test_at_equal_time_a_power_law_costs_a_slower_trick_just_what_it_does(times: int) -> None:
    assert slower(lambda part: 245 * part**-0.5, times) == pytest.approx(245 * (1.1**0.5 - 1))


@pytest.mark.parametrize(("times", "linear", "found"), [(2, 18.6, 11.3), (4, 14.1, 12.0), (11, 12.0, 12.0)])
def test_at_equal_time_a_convex_curve_is_hardly_biased_against_a_slower_trick(
    times: int, linear: float, found: float
) -> None:
    def curve(part: float) -> float:
        return float(100 + 437 * np.exp(-1.96 * part))

    truth = curve(1 / 1.1) - curve(1)
    assert truth == pytest.approx(12.0, abs=0.1)
    scored = np.arange(1, times + 1) / times
    straight = float(np.interp(1 / 1.1, scored, [curve(part) for part in scored]))
    assert straight - curve(1) == pytest.approx(linear, abs=0.2)
    assert slower(curve, times) == pytest.approx(found, abs=0.1)


def test_a_null_factorial_makes_any_claim_in_at_most_5_percent_of_its_reports_and_one_a_trick() -> None:
    random, claimed, made = np.random.default_rng(10), 0, 300
    plan, runs = study("ABCD", everything("ABCD"), lambda on, seed: 0.0, 4)
    for _ in range(made):
        runs["mifid"] = random.normal(100, 3, len(runs)) + runs["seed"]
        quality = Outcomes.of(runs, plan, MIFID)
        found = claims(quality)
        assert found.factorial is not None
        for effect, term in zip(found.effects, found.factorial.terms[:4], strict=True):
            assert (effect.verdict, effect.reading, effect.p_adjusted) == (term.verdict, term.reading, term.p_adjusted)
            assert term.estimate.value == pytest.approx(effect.change.value)
        claimed += any(each.verdict in FIRM for each in (*found.effects, *found.factorial.terms)) or any(
            view.disagree for view in found.views
        )
    assert claimed / made <= 0.05 + 1.64 * (0.05 * 0.95 / made) ** 0.5  # 17 % in three families


def test_the_family_of_a_report_is_its_contrasts_and_its_clear_interactions() -> None:
    random = np.random.default_rng(1)
    plan, runs = study("ABC", everything("ABC"), lambda on, seed: float(random.normal(100, 3)), 4)
    found = answer(runs, plan)
    p = [effect.p for effect in found.effects] + [term.p for term in found.factorial.terms[3:]]
    adjusted = [effect.p_adjusted for effect in found.effects] + [term.p_adjusted for term in found.factorial.terms[3:]]
    assert adjusted == pytest.approx(multipletests(p, method="holm")[1].tolist())


def test_without_a_factorial_the_side_by_side_tests_join_the_family() -> None:
    random = np.random.default_rng(1)
    cells = [on for on in everything("ABCD") if len(on) != 2]  # ten cells for eleven numbers: nothing can be fitted
    plan, runs = study("ABCD", cells, lambda on, seed: float(random.normal(100, 3)), 4)
    found = answer(runs, plan)
    assert found.factorial is None
    p = [effect.p for effect in found.effects] + [view.p for view in found.views]
    adjusted = [effect.p_adjusted for effect in found.effects] + [view.p_adjusted for view in found.views]
    assert len(found.views) == 4
    np.testing.assert_allclose(adjusted, holm(np.array(p)))
    assert np.isfinite(p).sum() == 8


def test_what_a_fraction_cannot_tell_apart_is_not_tested() -> None:
    random = np.random.default_rng(1)
    half = [on for on in everything("ABCD") if len(on) % 2 == 0]  # I = ABCD: AB = CD
    plan, runs = study("ABCD", half, lambda on, seed: 100.0 - 20 * ({"A", "B"} <= on) + random.normal(0, 1), 5)
    contrasts = []
    for factor in "ABCD":
        sides = [[name(on) for on in half if (factor in on) == there] for there in (True, False)]
        pairs = tuple(zip(*sides, strict=True))
        contrasts.append(Contrast(name=factor, factor=factor, level="on", baseline="off", pairs=pairs, matched=False))
    found = answer(runs, dataclasses.replace(plan, contrasts=tuple(contrasts)))
    (both,) = (term for term in found.factorial.terms if term.name == "A x B")
    assert both.p < 1e-4
    assert np.isnan(both.p_adjusted)
    assert (both.verdict, both.reading) == (Verdict.UNDECIDED, "not told apart from C x D")
    np.testing.assert_allclose([e.p_adjusted for e in found.effects], holm(np.array([e.p for e in found.effects])))


def test_an_interaction_stands_on_the_scale_of_the_main_effects_that_it_may_be_confounded_with() -> None:
    def outcome(on: frozenset[str], seed: int) -> float:
        return 100.0 - 12 * ({"A", "B"} <= on) + seed

    plan, runs = study("ABC", everything("ABC"), outcome)
    terms = {term.name: term.estimate.value for term in answer(runs, plan).factorial.terms}
    assert terms["A x B"] == pytest.approx(-6)  # A's effect is 0 without B and -12 with it: half the change
    half = [on for on in everything("ABC") if len(on) % 2 == 1]  # I = ABC: C = AB
    half = sorted(half, key=len, reverse=True)
    values = {on: outcome(on, 0) for on in half}
    change = np.mean([values[on] for on in half if "C" in on]) - np.mean([values[on] for on in half if "C" not in on])
    assert change == pytest.approx(terms["A x B"])  # what C seems to do there is the interaction, as large as it is


def test_what_the_objective_is_made_of_shows_the_effect_that_a_jump_at_a_threshold_hides() -> None:
    # MiFID = FID, tenfold where the memorisation distance is below tau; A lowers FID by 10, in every seed.
    random = np.random.default_rng(5)
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 0.0, 10)
    runs["fid"] = 100 - 10.0 * (runs["cell"] == "A") + random.normal(0, 3, len(runs))
    runs["memorization_distance"] = 0.2
    runs.loc[runs["seed"].isin((2, 7)) & (runs["cell"] == "baseline"), "memorization_distance"] = 0.05
    runs.loc[(runs["seed"] == 5) & (runs["cell"] == "A"), "memorization_distance"] = 0.05
    runs["mifid"] = runs["fid"] * np.where(runs["memorization_distance"] < 0.1, 10, 1)
    found = answer(runs, dataclasses.replace(plan, measures=measures(EvaluateSettings())))
    assert found.effects[0].reading == "undecided"
    assert set(found.parts) == {"fid", "memorization_distance"}
    (fid,), (distance,) = found.parts["fid"], found.parts["memorization_distance"]
    assert fid.change.high < 0
    assert (fid.lean, fid.verdict) == (Verdict.HELPS, Verdict.UNDECIDED)  # measured, not tested
    assert distance.change.value == pytest.approx((2 - 1) * 0.15 / 10)


def test_two_yardsticks_of_the_same_runs_that_are_6_percent_apart_differ_by_their_shared_seeds() -> None:
    random, paired, welch, made = np.random.default_rng(8), 0, 0, 20
    for _ in range(made):
        noise = random.normal(0, 0.1, (6, 2))  # of the runs; the yardsticks add little
        made_of = {}
        for yardstick, effect in (("one", -0.20), ("other", -0.26)):
            own = random.normal(0, 0.005, (6, 2))
            made_of[yardstick] = study(
                "A",
                [frozenset(), frozenset("A")],
                lambda on, seed, own=own, effect=effect: float(
                    100 * np.exp(noise[seed, len(on)] + own[seed, len(on)] + effect * len(on))  # noqa: B023
                ),
                6,
            )
        (found,) = compare([(key, runs, plan) for key, (plan, runs) in made_of.items()]).tricks
        paired += found.differ
        logs = [[np.log(v) for v in runs["mifid"]] for _, runs in made_of.values()]
        welch += stats.ttest_ind(*(np.array(each[1::2]) - each[::2] for each in logs), equal_var=False).pvalue < 0.05
        assert found.ratio_of_ratios.value == pytest.approx(np.exp(-0.06), abs=0.02)
    assert (paired, welch <= 3) == (made, True)


@pytest.mark.slow
def test_of_two_equal_studies_of_six_tricks_any_is_said_to_differ_in_at_most_5_percent() -> None:
    random, said, made = np.random.default_rng(9), 0, 60
    cells = [frozenset(), *map(frozenset, "ABCDEF")]
    for _ in range(made):
        two = [study("ABCDEF", cells, lambda on, seed: float(random.normal(100, 5)), 5) for _ in "ab"]
        found = compare([(key, runs, plan) for key, (plan, runs) in zip("ab", two, strict=True)]).tricks
        said += any(trick.differ for trick in found)
        np.testing.assert_allclose([t.p_adjusted for t in found], multipletests([t.p for t in found], method="holm")[1])
    assert said <= 8  # 5 % of 60, give or take three standard deviations of a binomial; uncorrected 16 to 22 %


def test_rungs_of_ladders_in_another_order_are_other_contrasts() -> None:
    def ladder(order: str) -> tuple[str, pd.DataFrame, Plan]:
        cells = [frozenset(order[:rungs]) for rungs in range(3)]
        plan, runs = study("AB", cells, lambda on, seed: 100 + seed - 10.0 * ({"A", "B"} <= on) + 0.1 * seed * len(on))
        return order, runs, plan

    assert compare([ladder("AB"), ladder("BA")]).tricks == ()
    again = compare([ladder("AB"), ("AB again", *ladder("AB")[1:])]).tricks
    assert [(trick.factor, trick.held, trick.differ) for trick in again] == [("A", "", False), ("B", "A=on", False)]


def ranked(cells: int, values: Any) -> Any:
    """The rank agreement of two yardsticks over so many cells, one-at-a-time; `values(cell, yardstick)`."""
    tricks = "ABCDEFGH"[: cells - 1]
    order = {frozenset(on): position for position, on in enumerate(["", *tricks])}
    other = Measure(name="mifid/other/square", title="other", yardstick_of="mifid")
    plan, runs = study(
        tricks,
        list(order),
        lambda on, seed: float(values(order[on], 0)),
        2,
        **{other.name: lambda on, seed: float(values(order[on], 1))},
    )
    (found,) = answer(runs, dataclasses.replace(plan, measures=(other,))).agreement.ranks
    return found


def test_three_cells_in_one_order_say_nothing_of_the_yardsticks_and_six_do() -> None:
    few, many = (ranked(cells, lambda cell, yardstick: 10 + cell) for cells in (3, 6))
    assert (few.tau, few.cells, few.reading) == (1, 3, "")
    assert few.p == pytest.approx(2 / 6)  # of six orders the same and the opposite one
    assert many.p == pytest.approx(2 / 720)
    assert many.reading == "almost the same order"
    assert ranked(6, lambda cell, yardstick: 10 + cell * (1 - 2 * yardstick)).reading == "opposite orders"


def test_independent_yardsticks_of_two_tricks_are_never_said_to_agree() -> None:
    random = np.random.default_rng(2)
    said = [ranked(3, lambda cell, yardstick: random.normal(100, 3)).reading for _ in range(20)]
    assert not any(said)  # by tau alone 18 % had almost the same order


@pytest.mark.parametrize("lost", [float("inf"), float("nan")])
def test_a_complete_run_whose_objective_is_not_finite_counts_as_diverged(lost: float) -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 100.0 - 30 * len(on) + seed, 5)
    runs.loc[(runs["cell"] == "A") & (runs["seed"] > 2), "mifid"] = lost
    found = answer(runs, plan)
    (effect,) = found.effects
    assert (effect.n, effect.treated.diverged, effect.wins) == (3, 2, 0.6)
    assert effect.reading == "helps where it trains; 2 of 5 diverged"
    assert any("2 of 10 runs diverged" in note for note in found.notes)
    assert found.failures[1].endings.diverged == 2


def test_a_cost_keeps_its_own_number_of_seeds_beside_the_objectives() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 100.0 - len(on) + seed, 5)
    runs["slots_per_device"] = np.where(runs["seed"] < 3, 2, 1)
    found = answer(runs, plan)
    assert (found.effects[0].n, found.costs["train_seconds"][0].n) == (5, 2)


def test_the_best_of_48_equal_cells_is_hardly_better_when_it_is_shrunk() -> None:
    random = np.random.default_rng(12)
    plain, shrunk = [], []
    for _ in range(50):
        samples = [random.normal(0, 10, 3) for _ in range(48)]
        pulled = shrunken(samples)
        best = int(np.argmin([sample.mean() for sample in samples]))
        plain.append(samples[best].mean())
        shrunk.append(pulled[best])
    assert np.mean(plain) == pytest.approx(-12.9, abs=0.8)
    assert -3 < np.mean(shrunk) < 0


def test_shrinking_halves_the_error_of_cells_that_do_differ_and_pulls_those_of_few_runs_most() -> None:
    random = np.random.default_rng(13)
    truth = random.normal(50, 6, 200)
    samples = [random.normal(each, 10, 2 + position % 4) for position, each in enumerate(truth)]
    pulled, plain = np.array(shrunken(samples)), np.array([sample.mean() for sample in samples])
    assert np.mean((pulled - truth) ** 2) < 0.7 * np.mean((plain - truth) ** 2)
    share = 36 / (36 + 100 / np.array([len(sample) for sample in samples]))
    np.testing.assert_allclose(pulled, 50 + (plain - 50) * share, atol=2.5)  # with both variances known
    assert np.isnan(shrunken([np.array([1.0]), np.array([2.0])])).all()  # one run a cell: the noise is unknown
    known, empty = shrunken([np.array([1.0, 1.0]), np.zeros(0)]), shrunken([np.array([1.0, 3.0]), np.array([2.0])])
    assert np.isnan(known[1])
    assert empty == [2.0, 2.0]


def test_outcomes_that_do_not_vary_with_the_seed_are_certain_and_said_so() -> None:
    plan, runs = study("AB", [frozenset(), *map(frozenset, "AB")], lambda on, seed: 10.0 - len(on & {"A"}))
    found = answer(runs, plan)
    a, b = found.effects
    assert (a.p, a.p_adjusted, a.reading) == (0, 0, "helps by more than the worth")
    assert (b.p, b.verdict, b.reading) == (1, Verdict.NEGLIGIBLE, "identical")
    assert any("does not vary with the seed" in note for note in found.notes)


def test_the_same_change_of_outcomes_that_do_vary_is_no_certainty() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 10.0 - len(on) + 5 * seed)
    (effect,) = answer(runs, plan).effects
    assert (effect.p, effect.reading) == (0.25, "undecided: may help")


def test_a_fit_of_fixed_outcomes_takes_no_rounding_for_an_interaction() -> None:
    plan, runs = study("ABC", everything("ABC"), lambda on, seed: 10.1 - 0.7 * len(on & {"A", "C"}))
    terms = answer(runs, plan).factorial.terms
    assert [term.verdict for term in terms[:3]] == [Verdict.HELPS, Verdict.NEGLIGIBLE, Verdict.HELPS]
    assert [(term.p, term.reading) for term in terms[3:]] == [(1.0, "undecided")] * 3


def test_equal_time_of_a_factorial_is_the_mean_over_the_pairs_of_a_seed_that_were_alone() -> None:
    plan, runs = study("AB", everything("AB"), lambda on, seed: 50.0, 2)
    runs["images_per_second"] = 100.0
    runs.loc[(runs["cell"] == "AB") & (runs["seed"] == 0), "slots_per_device"] = 2
    curves = {
        key: [(500, 100.0), (1000, 50.0 + len(key[0]) % 8)] for key in zip(runs["cell"], runs["seed"], strict=True)
    }
    a, _ = answer(runs, plan, curves).equal
    assert (a.n_images, a.n_time) == (2, 2)
    assert a.time.value == pytest.approx((1.0 + (1.0 + 1.0) / 2) / 2)  # A against baseline in seed 0, both pairs in 1
