"""Views side by side, the Pareto front, equal images and time, yardsticks and studies compared: worked by hand."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.analysis import answer, compare
from harness.design import Search
from harness.measures import Measure, RunState

_SPEC = importlib.util.spec_from_file_location("studies", Path(__file__).with_name("studies.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
studies = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(studies)
study, everything = studies.study, studies.everything

WIGGLE = (0.0, 1.0, -1.0)  # a seed's own level, the same for all of its cells


def of(factor: str, found: Sequence[Any]) -> Any:
    """The one about `factor`, of views or of what holds a contrast."""
    (one,) = (each for each in found if getattr(each, "contrast", each).factor == factor)
    return one


# ------------------------------------------------------------------ side by side


def test_tricks_that_need_each_other_disagree_between_views_and_name_the_partner() -> None:
    # A is worth 10 alone; B and C are worth nothing alone and 6 together.
    def outcome(on: frozenset[str], seed: int) -> float:
        return 100 + WIGGLE[seed] - 10 * ("A" in on) - (6 + 0.1 * seed) * ({"B", "C"} <= on) + 0.1 * seed * len(on)

    plan, runs = study("ABC", everything("ABC"), outcome)
    views = answer(runs, plan).views
    assert [view.factor for view in views] == ["A", "B", "C"]
    a, b = of("A", views), of("B", views)
    assert (a.alone.value, a.full.value, a.share.value) == pytest.approx((-9.9, -9.9, -9.9))
    assert (a.disagree, a.partner) == (False, "")
    assert (b.alone.value, b.full.value, b.share.value) == pytest.approx((0.1, -6.0, -2.95))
    assert (b.disagree, b.partner) == (True, "C")


def test_add_one_and_leave_one_out_alone_are_two_views_without_a_share() -> None:
    cells = [frozenset(), *map(frozenset, "ABC"), frozenset("ABC"), *map(frozenset, ("BC", "AC", "AB"))]
    plan, runs = study("ABC", cells[:5] + cells[5:], lambda on, seed: 50.0 + WIGGLE[seed] - 2 * len(on))
    runs = runs[~((runs["cell"] == "AB") & (runs["seed"] == 2))]
    views = answer(runs, plan).views
    assert [view.alone.value for view in views] == pytest.approx([-2, -2, -2])
    assert [view.full.value for view in views] == pytest.approx([-2, -2, -2])


def test_one_view_alone_is_none_to_compare() -> None:
    plan, runs = study("AB", [frozenset(), *map(frozenset, "AB")], lambda on, seed: 1.0 + seed)
    assert answer(runs, plan).views == ()


# ------------------------------------------------------------------ price


def test_the_front_holds_the_cells_that_no_other_beats_in_both() -> None:
    score = {"baseline": 100.0, "A": 80.0, "B": 110.0, "C": 80.0}
    seconds = {"baseline": 10.0, "A": 20.0, "B": 9.0, "C": 21.0}
    plan, runs = study(
        "ABC", [frozenset(), *map(frozenset, "ABC")], lambda on, seed: score[studies.name(on)] + WIGGLE[seed]
    )
    runs["train_seconds"] = [seconds[cell] for cell in runs["cell"]]
    price = {each.cell: each for each in answer(runs, plan).prices}
    assert {cell: each.on_front for cell, each in price.items()} == {"baseline": True, "A": True, "B": True, "C": False}
    assert price["A"].gain == pytest.approx((100 - 80) / (20 - 10))
    assert math.isnan(price["B"].gain)  # it costs nothing more
    assert math.isnan(price["baseline"].gain)
    low, high = stats.t.interval(0.95, 2, loc=100, scale=1 / math.sqrt(3))
    assert (price["baseline"].objective.low, price["baseline"].objective.high) == pytest.approx((low, high))
    assert (price["A"].objective.low, price["A"].objective.high) == pytest.approx((80, 80))  # of the change


def test_what_a_second_buys_is_the_gain_over_the_extra_seconds_of_the_same_seeds() -> None:
    score, seconds = {"baseline": 100.0, "A": 80.0, "B": 90.0}, {"baseline": 10.0, "A": 14.0, "B": 9.0}
    plan, runs = study("AB", [frozenset(), *map(frozenset, "AB")], lambda on, seed: score[studies.name(on)])
    runs["train_seconds"] = [
        seconds[cell] + WIGGLE[seed] for cell, seed in zip(runs["cell"], runs["seed"], strict=True)
    ]
    runs.loc[(runs["cell"] == "A") & (runs["seed"] == 0), "slots_per_device"] = 2
    bought = answer(runs, plan).bought
    a = of("A", bought)
    assert (a.n, a.gain.value) == (2, pytest.approx(20 / 4))
    assert (a.gain.low, a.gain.high) == pytest.approx((5, 5))  # all seeds agree
    assert not of("B", bought).gain.known  # quicker, not dearer


def test_runs_that_shared_their_device_have_no_place_on_the_front() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 1.0)
    runs.loc[runs["cell"] == "A", "slots_per_device"] = 2
    assert [each.cell for each in answer(runs, plan).prices] == ["baseline"]


def test_a_trick_that_halves_the_speed_wins_at_equal_images_and_loses_at_equal_time() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 0.0, seeds=2)
    runs["images_per_second"] = [100.0 if cell == "baseline" else 50.0 for cell in runs["cell"]]
    curves = {}
    for seed, level in enumerate((0.0, 5.0)):
        curves["baseline", seed] = [(500, 200 + level), (1000, 100 + level)]
        curves["A", seed] = [(250, 240 + level), (500, 180 + level), (1000, 90 + level + seed)]
    found = of("A", answer(runs, plan, curves).equal)
    assert found.n_images == 2
    assert found.images.value == pytest.approx((-10 - 9) / 2)
    # At the last common second, 10, the baseline has seen 1,000 images and A 500: 180 against 100.
    assert found.seconds == pytest.approx(10)
    assert found.time.value == pytest.approx(80)
    assert (found.time.low, found.time.high) == pytest.approx((80, 80))


def test_a_final_score_on_more_samples_takes_no_part_in_a_curve() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 0.0, seeds=1)
    runs["images_per_second"] = [100.0 if cell == "baseline" else 80.0 for cell in runs["cell"]]
    curves = {(cell, 0): [(500, 135.0), (1000, 50.0)] for cell in ("baseline", "A")}
    curves["A", 0][-1] = (1000, 47.0)
    runs["mifid_interim"] = math.nan
    cut = of("A", answer(runs, plan, curves).equal)
    assert cut.images.value == -3  # of the final scores, which are alike
    assert not cut.time.known
    runs["mifid_interim"] = 110.0
    assert of("A", answer(runs, plan).equal).n_images == 0  # no curve: nothing to compare, whatever its interim score
    whole = of("A", answer(runs, plan, curves).equal)
    assert whole.images.value == -3
    # A straight line on logarithmic scales through (500, 135) and (1000, 110), at the 800 images that A has in 10 s.
    slope = math.log(110 / 135) / math.log(1000 / 500)
    assert whole.time.value == pytest.approx(135 * (800 / 500) ** slope - 110)


def test_between_scores_that_are_not_all_positive_the_curve_is_a_straight_line() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 0.0, seeds=1)
    runs["images_per_second"] = 10.0
    curves = {("baseline", 0): [(0, 100.0), (100, 0.0)], ("A", 0): [(0, 100.0), (50, 80.0)]}
    found = of("A", answer(runs, plan, curves).equal)
    assert found.images.value == pytest.approx(80 - 50)


def test_curves_that_overlap_in_images_alone_are_compared_there_alone() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 0.0, seeds=1)
    runs["images_per_second"] = [100.0 if cell == "baseline" else 10.0 for cell in runs["cell"]]
    curves = {(cell, 0): [(500, 9.0), (1000, value)] for cell, value in (("baseline", 5.0), ("A", 3.0))}
    found = of("A", answer(runs, plan, curves).equal)
    assert (found.n_images, found.n_time) == (1, 0)  # A has its first score after 50 s, the baseline its last after 10
    assert found.images.value == pytest.approx(-2)
    assert math.isnan(found.time.value)


def test_curves_that_do_not_overlap_are_not_compared() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 0.0, seeds=1)
    found = of("A", answer(runs, plan, {("baseline", 0): [(500, 1.0)], ("A", 0): [(100, 1.0)]}).equal)
    assert found.n_images == 0
    assert math.isnan(found.images.value)


# ------------------------------------------------------------------ yardsticks


def test_a_trick_that_one_yardstick_likes_and_another_does_not_is_flagged() -> None:
    plan, runs = study(
        "AB",
        [frozenset(), *map(frozenset, "AB")],
        lambda on, seed: 100 + WIGGLE[seed] - 10 * ("A" in on) - 5 * ("B" in on),
        **{"mifid/other/square": lambda on, seed: 50.0 + WIGGLE[seed] - 5 * ("A" in on) + 2 * ("B" in on)},
    )
    found = answer(runs, _with_other_yardstick(plan)).agreement
    a, b = of("A", found.rows), of("B", found.rows)
    mifid = a.changes["mifid"]
    assert mifid.value == mifid.low == mifid.high == pytest.approx(-10)
    assert a.changes["mifid/other/square"].value == pytest.approx(-5)
    assert not a.signs_differ
    assert b.signs_differ
    # Means 100, 90, 95 and 50, 45, 52: of three pairs two are alike ranked, one is not.
    (rank,) = found.ranks
    assert (rank.one.name, rank.other.name, rank.cells) == ("mifid", "mifid/other/square", 3)
    assert rank.tau == pytest.approx(1 / 3)


def _with_other_yardstick(plan: Any) -> Any:
    other = Measure(name="mifid/other/square", title="MiFID (other, square)", yardstick_of="mifid")
    return dataclasses.replace(plan, measures=(other,))


def test_one_yardstick_has_nothing_to_agree_with() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 1.0)
    assert answer(runs, plan).agreement is None


# ------------------------------------------------------------------ studies


def _ratios(effect: float, spread: float, seeds: int, first: int = 0) -> tuple[Any, pd.DataFrame]:
    shifts = np.linspace(-spread, spread, seeds)
    plan, runs = study(
        "A",
        [frozenset(), frozenset("A")],
        lambda on, seed: 100 * math.exp((effect + shifts[seed]) if on else 0),
        seeds=seeds,
    )
    return plan, runs.assign(seed=runs["seed"] + first)


@pytest.mark.parametrize(("second", "differ"), [(-0.25, False), (0.3, True)])
def test_studies_differ_where_welchs_test_of_their_log_ratios_says_so(second: float, differ: bool) -> None:
    (plan_one, one), (plan_two, two) = _ratios(-0.2, 0.1, 4), _ratios(second, 0.2, 6, first=10)
    comparison = compare([("one", one, plan_one), ("two", two, plan_two)])
    found = of("A", comparison.tricks)
    assert found.effects["one"].ratio.value == pytest.approx(math.exp(-0.2))
    assert found.ratio_of_ratios.value == pytest.approx(math.exp(second + 0.2))
    assert found.same_sign == (second < 0)
    logs = -0.2 + np.linspace(-0.1, 0.1, 4), second + np.linspace(-0.2, 0.2, 6)
    test = stats.ttest_ind(logs[1], logs[0], equal_var=False)
    interval = test.confidence_interval()
    assert (found.ratio_of_ratios.low, found.ratio_of_ratios.high) == pytest.approx(
        np.exp([interval.low, interval.high])
    )
    assert found.p == pytest.approx(test.pvalue)
    assert found.differ == differ == (found.p < 0.05)
    assert comparison.studies == ("one", "two")


def test_tricks_of_one_study_alone_are_left_out() -> None:
    plan_one, one = study("A", [frozenset(), frozenset("A")], lambda on, seed: 1.0 + seed)
    plan_two, two = study("B", [frozenset(), frozenset("B")], lambda on, seed: 1.0 + seed)
    assert compare([("one", one, plan_one), ("two", two, plan_two)]).tricks == ()


# ------------------------------------------------------------------ searches


def test_a_search_ranks_the_cells_that_it_tried_and_estimates_no_effect() -> None:
    score = {"baseline": 100.0, "A": 80.0, "B": 110.0, "AB": 0.0}
    plan, runs = study(
        "AB",
        [frozenset(), *map(frozenset, "AB"), frozenset("AB")],
        lambda on, seed: "diverged" if len(on) == 2 else score[studies.name(on)] + WIGGLE[seed],
    )
    search = Search(sampler="tpe", trials=10, prune=False, levels={}, seeds=(0, 1, 2), make=lambda levels, seed: "")
    runs = runs[(runs["seed"] == 0) | (runs["cell"] == "A")]
    tried = tuple(run for run in plan.runs if run.seed == 0 or run.cell == "A")
    found = answer(runs, dataclasses.replace(plan, contrasts=(), runs=tried, search=search))
    assert [(cell.cell, cell.n, cell.objective.value) for cell in found.tried][:3] == [
        ("A", 3, 80.0),
        ("baseline", 1, 100.0),
        ("B", 1, 110.0),
    ]
    best, *_, lost = found.tried
    assert 80 < best.shrunk < 81  # its noise is 1 and the cells lie far apart
    assert (lost.cell, lost.n, dict(lost.states)) == ("AB", 0, {RunState.DIVERGED: 1})
    assert [(price.cell, price.n, price.endings.planned) for price in found.prices] == [
        ("baseline", 1, 1),
        ("A", 3, 3),
        ("B", 1, 1),
    ]
    assert (found.effects, found.costs, found.parts, found.views) == ((), {}, {}, ())
    assert (found.factorial, found.shapley) == (None, None)
    assert "the best MiFID is flattered" in found.notes[0]
    assert found.notes[1] == "4 of 10 runs are still to come"
