"""Views side by side, the Pareto front, equal images and time, yardsticks and studies compared: worked by hand."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.analysis.agreement import agreement
from harness.analysis.bought import bought
from harness.analysis.compare import compare
from harness.analysis.equal import at_equal
from harness.analysis.pareto import pareto
from harness.analysis.views import side_by_side
from harness.recipes.dcgan.settings import EvaluateSettings

_SPEC = importlib.util.spec_from_file_location("studies", Path(__file__).with_name("studies.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
studies = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(studies)
study, everything = studies.study, studies.everything

WIGGLE = (0.0, 1.0, -1.0)  # a seed's own level, the same for all of its cells


def row(table: pd.DataFrame, **where: Any) -> dict[str, Any]:
    for column, value in where.items():
        table = table[table[column] == value]
    (found,) = table.to_dict("records")
    return dict(found)


# ------------------------------------------------------------------ side by side


def test_tricks_that_need_each_other_disagree_between_views_and_name_the_partner() -> None:
    # A is worth 10 alone; B and C are worth nothing alone and 6 together.
    def outcome(on: frozenset[str], seed: int) -> float:
        return 100 + WIGGLE[seed] - 10 * ("A" in on) - (6 + 0.1 * seed) * ({"B", "C"} <= on) + 0.1 * seed * len(on)

    plan, runs = study("ABC", everything("ABC"), outcome)
    table = side_by_side(runs, plan, "mifid")
    assert list(table["factor"]) == ["A", "B", "C"]
    a, b = row(table, factor="A"), row(table, factor="B")
    assert (a["add_one"], a["leave_one_out"], a["shapley"]) == pytest.approx((-9.9, -9.9, -9.9))
    assert not a["disagree"]
    assert a["with_whom"] == ""
    assert (b["add_one"], b["leave_one_out"], b["shapley"]) == pytest.approx((0.1, -6.0, -2.95))
    assert b["disagree"]
    assert b["with_whom"] == "C"


def test_add_one_and_leave_one_out_alone_are_two_views_without_a_share() -> None:
    cells = [frozenset(), *map(frozenset, "ABC"), frozenset("ABC"), *map(frozenset, ("BC", "AC", "AB"))]
    plan, runs = study("ABC", cells[:5] + cells[5:], lambda on, seed: 50.0 + WIGGLE[seed] - 2 * len(on))
    runs = runs[~((runs["cell"] == "AB") & (runs["seed"] == 2))]
    table = side_by_side(runs, plan, "mifid")
    assert table["add_one"].tolist() == pytest.approx([-2, -2, -2])
    assert table["leave_one_out"].tolist() == pytest.approx([-2, -2, -2])


def test_one_view_alone_is_none_to_compare() -> None:
    plan, runs = study("AB", [frozenset(), *map(frozenset, "AB")], lambda on, seed: 1.0 + seed)
    assert len(side_by_side(runs, plan, "mifid")) == 0


# ------------------------------------------------------------------ price


def test_the_front_holds_the_cells_that_no_other_beats_in_both() -> None:
    score = {"baseline": 100.0, "A": 80.0, "B": 110.0, "C": 80.0}
    seconds = {"baseline": 10.0, "A": 20.0, "B": 9.0, "C": 21.0}
    plan, runs = study(
        "ABC", [frozenset(), *map(frozenset, "ABC")], lambda on, seed: score[studies.name(on)] + WIGGLE[seed]
    )
    runs["train_seconds"] = [seconds[cell] for cell in runs["cell"]]
    table = pareto(runs, plan).set_index("cell")
    assert table["on_front"].to_dict() == {"baseline": True, "A": True, "B": True, "C": False}
    assert table.loc["A", "mifid_per_second"] == pytest.approx((100 - 80) / (20 - 10))
    assert math.isnan(table.loc["B", "mifid_per_second"])  # it costs nothing more
    assert math.isnan(table.loc["baseline", "mifid_per_second"])
    low, high = stats.t.interval(0.95, 2, loc=80, scale=1 / math.sqrt(3))
    assert (table.loc["A", "mifid_low"], table.loc["A", "mifid_high"]) == pytest.approx((low, high))


def test_what_a_second_buys_is_the_gain_over_the_extra_seconds_of_the_same_seeds() -> None:
    score, seconds = {"baseline": 100.0, "A": 80.0, "B": 90.0}, {"baseline": 10.0, "A": 14.0, "B": 9.0}
    plan, runs = study("AB", [frozenset(), *map(frozenset, "AB")], lambda on, seed: score[studies.name(on)])
    runs["train_seconds"] = [
        seconds[cell] + WIGGLE[seed] for cell, seed in zip(runs["cell"], runs["seed"], strict=True)
    ]
    runs.loc[(runs["cell"] == "A") & (runs["seed"] == 0), "slots_per_device"] = 2
    table = bought(runs, plan)
    a = row(table, factor="A")
    assert (a["n"], a["mifid_per_second"]) == (2, pytest.approx(20 / 4))
    assert (a["mifid_per_second_low"], a["mifid_per_second_high"]) == pytest.approx((5, 5))  # all seeds agree
    assert math.isnan(row(table, factor="B")["mifid_per_second"])  # quicker, not dearer


def test_runs_that_shared_their_device_have_no_place_on_the_front() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 1.0)
    runs.loc[runs["cell"] == "A", "slots_per_device"] = 2
    assert pareto(runs, plan)["cell"].tolist() == ["baseline"]


def test_a_trick_that_halves_the_speed_wins_at_equal_images_and_loses_at_equal_time() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 0.0, seeds=2)
    runs["images_per_second"] = [100.0 if cell == "baseline" else 50.0 for cell in runs["cell"]]
    curves = {}
    for seed, level in enumerate((0.0, 5.0)):
        curves["baseline", seed] = [(500, 200 + level), (1000, 100 + level)]
        curves["A", seed] = [(250, 240 + level), (500, 180 + level), (1000, 90 + level + seed)]
    found = row(at_equal(curves, runs, plan), factor="A")
    assert found["n"] == 2
    assert found["delta_equal_images"] == pytest.approx((-10 - 9) / 2)
    # At the last common second, 10, the baseline has seen 1,000 images and A 500: 180 against 100.
    assert found["seconds"] == pytest.approx(10)
    assert found["delta_equal_time"] == pytest.approx(80)
    assert (found["delta_equal_time_low"], found["delta_equal_time_high"]) == pytest.approx((80, 80))


def test_a_final_score_on_more_samples_takes_no_part_in_a_curve() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 0.0, seeds=1)
    plan = dataclasses.replace(plan, evaluate=EvaluateSettings(samples=1000, interim_samples=250))
    runs["images_per_second"] = [100.0 if cell == "baseline" else 80.0 for cell in runs["cell"]]
    # No effect: 100 - images / 20 for both, 60 more on fewer samples; A is slower.
    curves = {(cell, 0): [(500, 135.0), (1000, 50.0)] for cell in ("baseline", "A")}
    curves["A", 0][-1] = (1000, 47.0)
    cut = row(at_equal(curves, runs, plan), factor="A")
    assert cut["delta_equal_images"] == -3  # of the final scores, which are alike
    assert math.isnan(cut["delta_equal_time"])
    runs["mifid_interim"] = 110.0
    whole = row(at_equal(curves, runs, plan), factor="A")
    assert whole["delta_equal_images"] == -3
    assert whole["delta_equal_time"] == pytest.approx((1000 - 800) / 20)


def test_between_scores_the_curve_is_a_straight_line() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 0.0, seeds=1)
    runs["images_per_second"] = 10.0
    curves = {("baseline", 0): [(0, 100.0), (100, 0.0)], ("A", 0): [(0, 100.0), (50, 80.0)]}
    found = row(at_equal(curves, runs, plan), factor="A")
    assert found["delta_equal_images"] == pytest.approx(80 - 50)


def test_curves_that_overlap_in_images_alone_are_compared_there_alone() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 0.0, seeds=1)
    runs["images_per_second"] = [100.0 if cell == "baseline" else 10.0 for cell in runs["cell"]]
    curves = {(cell, 0): [(500, 9.0), (1000, value)] for cell, value in (("baseline", 5.0), ("A", 3.0))}
    found = row(at_equal(curves, runs, plan), factor="A")
    assert (found["n"], found["n_time"]) == (1, 0)  # A has its first score after 50 s, the baseline its last after 10
    assert found["delta_equal_images"] == pytest.approx(-2)
    assert math.isnan(found["delta_equal_time"])


def test_curves_that_do_not_overlap_are_not_compared() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 0.0, seeds=1)
    found = row(at_equal({("baseline", 0): [(500, 1.0)], ("A", 0): [(100, 1.0)]}, runs, plan), factor="A")
    assert found["n"] == 0
    assert math.isnan(found["delta_equal_images"])


# ------------------------------------------------------------------ yardsticks


def test_a_trick_that_one_yardstick_likes_and_another_does_not_is_flagged() -> None:
    plan, runs = study(
        "AB",
        [frozenset(), *map(frozenset, "AB")],
        lambda on, seed: 100 + WIGGLE[seed] - 10 * ("A" in on) - 5 * ("B" in on),
        **{"mifid/other/square": lambda on, seed: 50.0 + WIGGLE[seed] - 5 * ("A" in on) + 2 * ("B" in on)},
    )
    table = agreement(runs, plan)
    assert table is not None
    a, b = row(table, factor="A"), row(table, factor="B")
    assert a["effect[mifid]"] == a["low[mifid]"] == a["high[mifid]"] == pytest.approx(-10)
    assert a["effect[mifid/other/square]"] == pytest.approx(-5)
    assert not a["signs_differ"]
    assert b["signs_differ"]
    # Means 100, 90, 95 and 50, 45, 52: of three pairs two are alike ranked, one is not.
    assert table.attrs["rank_agreement"] == {("mifid", "mifid/other/square"): pytest.approx(1 / 3)}


def test_one_yardstick_has_nothing_to_agree_with() -> None:
    plan, runs = study("A", [frozenset(), frozenset("A")], lambda on, seed: 1.0)
    assert agreement(runs, plan) is None


# ------------------------------------------------------------------ studies


def _ratios(effect: float, spread: float, seeds: int) -> tuple[Any, pd.DataFrame]:
    shifts = np.linspace(-spread, spread, seeds)
    plan, runs = study(
        "A",
        [frozenset(), frozenset("A")],
        lambda on, seed: 100 * math.exp((effect + shifts[seed]) if on else 0),
        seeds=seeds,
    )
    return plan, runs


@pytest.mark.parametrize(("second", "differ"), [(-0.25, False), (0.3, True)])
def test_studies_differ_where_welchs_test_of_their_log_ratios_says_so(second: float, differ: bool) -> None:
    (plan_one, one), (plan_two, two) = _ratios(-0.2, 0.1, 4), _ratios(second, 0.2, 6)
    table = compare([("one", one, plan_one), ("two", two, plan_two)])
    found = row(table, factor="A")
    assert found["ratio[one]"] == pytest.approx(math.exp(-0.2))
    assert found["ratio_of_ratios"] == pytest.approx(math.exp(second + 0.2))
    assert found["same_sign"] == (second < 0)
    p = stats.ttest_ind(-0.2 + np.linspace(-0.1, 0.1, 4), second + np.linspace(-0.2, 0.2, 6), equal_var=False).pvalue
    assert found["differ"] == differ == (p < 0.05)
    assert table.attrs["studies"] == ["one", "two"]


def test_tricks_of_one_study_alone_are_left_out() -> None:
    plan_one, one = study("A", [frozenset(), frozenset("A")], lambda on, seed: 1.0 + seed)
    plan_two, two = study("B", [frozenset(), frozenset("B")], lambda on, seed: 1.0 + seed)
    assert len(compare([("one", one, plan_one), ("two", two, plan_two)])) == 0
