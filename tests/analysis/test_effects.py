"""Effects of runs made up by hand or drawn with a known truth."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.analysis import Effect, Verdict, answer, effects
from harness.design import Cell, Contrast, Plan, PlannedRun
from harness.errors import StudyError
from harness.recipes.dcgan.measures import MIFID, measures
from harness.recipes.dcgan.settings import DcganBudget as Budget
from harness.recipes.dcgan.settings import EvaluateSettings


def make_plan(pairs: dict[str, list[tuple[str, str]]], seeds: range = range(3), **budget: Any) -> Plan:
    """A plan whose contrasts are named after their factor; every cell named in a pair is trained once per seed."""
    names = list(dict.fromkeys(name for several in pairs.values() for pair in several for name in reversed(pair)))
    return Plan(
        objective=MIFID,
        measures=measures(EvaluateSettings()),
        study="test",
        recipe="dcgan",
        design="one-at-a-time",
        cells=tuple(Cell(name=name, levels={}, train={}, data={}) for name in names),
        contrasts=tuple(
            Contrast(name=f"{f}: off -> on", factor=f, level=True, baseline=False, pairs=tuple(several))
            for f, several in pairs.items()
        ),
        runs=tuple(PlannedRun(cell=name, seed=seed, key=f"{name}-{seed}") for seed in seeds for name in names),
        dropped=(),
        control=names[0],
        budget=Budget(**(budget or {"images": 1000})),
        evaluate=EvaluateSettings(),
        references={},
        fingerprint="",
    )


def make_runs(values: dict[str, list[float | str | None]], **columns: Any) -> pd.DataFrame:
    """Per cell the MiFID of seeds 0, 1, ...; a string is the state of a run without one, None a run that is absent."""
    rows = []
    for cell, several in values.items():
        for seed, value in enumerate(several):
            if value is None:
                continue
            done = not isinstance(value, str)
            rows.append(
                {
                    "key": f"{cell}-{seed}",
                    "cell": cell,
                    "seed": seed,
                    "state": "complete" if done else value,
                    "mifid": value if done else math.nan,
                    "train_seconds": 10.0 if done else math.nan,
                    "slots_per_device": 1,
                }
                | columns
            )
    return pd.DataFrame(rows)


ONE = {"crop": [("crop", "base")]}


def only(runs: pd.DataFrame, pairs: dict[str, list[tuple[str, str]]] = ONE, metric: str = "mifid") -> Effect:
    (effect,) = effects(runs, make_plan(pairs), metric)
    return effect


def test_an_effect_is_the_paired_t_test_of_its_runs() -> None:
    base, crop = [100.0, 110.0, 95.0], [80.0, 92.0, 74.0]
    row = only(make_runs({"base": list(base), "crop": list(crop)}))
    expected = stats.ttest_rel(crop, base)
    interval = expected.confidence_interval(0.95)
    assert row.n == 3
    assert row.change.value == pytest.approx((-20 - 18 - 21) / 3)
    assert (row.change.low, row.change.high) == pytest.approx((interval.low, interval.high))
    assert row.p == row.p_adjusted == pytest.approx(expected.pvalue)
    assert row.p_signs == 0.25
    assert row.size == pytest.approx((-59 / 3) / np.std([-20, -18, -21], ddof=1))
    assert row.relative == pytest.approx((-59 / 3) / (305 / 3))
    logs = np.log(crop) - np.log(base)
    assert row.ratio.value == pytest.approx(np.exp(logs.mean()))
    log_interval = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    assert (row.ratio.low, row.ratio.high) == pytest.approx((np.exp(log_interval.low), np.exp(log_interval.high)))
    assert row.wins == 1.0
    assert (row.verdict, row.lean, row.reading) == (Verdict.HELPS, None, "helps by more than the worth")


def test_a_metric_where_more_is_better_turns_the_verdict_and_not_the_sign() -> None:
    runs = make_runs({"base": [100.0, 110.0, 95.0], "crop": [80.0, 92.0, 74.0]})
    runs["coverage"] = runs["mifid"]
    runs["fid"] = runs["mifid"]
    row = only(runs, metric="coverage")
    assert row.change.value < 0
    assert (row.verdict, row.lean, row.reading) == (Verdict.UNDECIDED, Verdict.HURTS, "")  # measured, not tested
    assert math.isnan(row.p_adjusted)
    assert only(runs, metric="fid").lean is Verdict.HELPS


def test_a_measure_that_no_run_has_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(StudyError, match=r"has a measure 'coverge'; .* did you mean 'coverage'"):
        only(make_runs({"base": [1.0], "crop": [2.0]}), metric="coverge")


def test_several_pairs_of_a_seed_are_averaged_before_seeds_are_compared() -> None:
    # factorial in crop and width; per seed: (70-80 + 40-60)/2 = -15 and (75-85 + 44-58)/2 = -12
    runs = make_runs({"0": [80.0, 85.0], "c": [70.0, 75.0], "w": [60.0, 58.0], "cw": [40.0, 44.0]})
    row = only(runs, {"crop": [("c", "0"), ("cw", "w")]})
    assert row.n == 2
    assert row.change.value == pytest.approx(-13.5)
    assert row.treated_mean - row.control_mean == pytest.approx(-13.5)
    assert (row.change.low, row.change.high) == pytest.approx(
        tuple(stats.ttest_1samp([-15, -12], 0).confidence_interval(0.95))
    )


def test_a_seed_with_only_one_of_the_two_runs_is_left_out() -> None:
    row = only(make_runs({"base": [100.0, 110.0, None], "crop": [80.0, "failed", 74.0]}))
    assert row.n == 1
    assert row.change.value == -20
    assert math.isnan(row.change.low)
    assert math.isnan(row.p)
    assert row.treated.failed == 1
    assert row.treated.diverged == 0
    assert row.reading == "one seed says nothing; 1 of 3 failed"


def test_identical_runs_are_called_identical() -> None:
    row = only(make_runs({"base": [100.1, 110.2, 95.3], "crop": [100.1, 110.2, 95.3]}))
    assert (row.change.value, row.change.low, row.change.high, row.size, row.p) == (0, 0, 0, 0, 1)
    assert row.reading == "identical"
    assert row.verdict is Verdict.NEGLIGIBLE
    assert row.seeds_needed is None


def test_rounding_noise_is_identical_too() -> None:
    base = [100.1, 110.2, 95.3]
    row = only(make_runs({"base": list(base), "crop": [value * (1 + 1e-15) for value in base]}))
    assert row.reading == "identical"


def test_the_very_same_change_in_every_seed_counts_by_the_steps_that_outcomes_come_in() -> None:
    row = only(make_runs({"base": [100.0, 110.0, 95.0], "crop": [99.0, 109.0, 94.0]}))
    assert (row.change.low, row.change.high) == (-1.0, -1.0)
    assert row.p == 0.25  # one step of 1
    assert row.verdict is Verdict.NEGLIGIBLE  # and four steps from a worth of 5
    row = only(make_runs({"base": [100.0, 110.0, 95.0], "crop": [60.0, 70.0, 55.0]}))
    assert row.verdict is Verdict.HELPS


def test_outcomes_that_were_averaged_in_float32_are_equal_where_they_are_but_for_that() -> None:
    base = [float(np.float32(right) / np.float32(30)) for right in (22, 24, 23)]
    crop = [float(np.float32(right) / np.float32(30)) for right in (21, 23, 22)]
    assert only(make_runs({"base": base, "crop": crop})).p == 0.25  # one image each: by the signs alone


def test_identical_outcomes_in_coarse_steps_are_not_shown_to_be_negligible() -> None:
    row = only(make_runs({"base": [0.5, 0.6, 0.7], "crop": [0.5, 0.6, 0.7]}))  # steps of 0.1 hide a worth of 0.03
    assert (row.verdict, row.reading) == (Verdict.UNDECIDED, "identical")


def test_an_interval_that_excludes_zero_before_correction_only_may_help() -> None:
    values: dict[str, list[float | str | None]] = {"base": [100.0, 110.0, 95.0], "crop": [92.0, 100.0, 88.5]}
    pairs = {"crop": [("crop", "base")]}
    for index in range(4):
        values[f"t{index}"] = [103.0 + index, 104.0, 99.0 - index]
        pairs[f"t{index}"] = [(f"t{index}", "base")]
    table = effects(make_runs(values), make_plan(pairs), "mifid")
    assert table[0].change.high < 0
    assert table[0].p_adjusted == pytest.approx(5 * table[0].p)
    assert table[0].reading == "undecided: may help"
    assert table[0].seeds_needed is not None
    assert table[0].seeds_needed.typical is not None
    assert table[0].seeds_needed.typical > 3
    assert (table[0].verdict, table[0].lean) == (Verdict.UNDECIDED, Verdict.HELPS)
    assert table[1].reading == "undecided"


def test_diverged_runs_are_counted_and_qualify_the_verdict() -> None:
    runs = make_runs({"base": [100.0, 110.0, 95.0, 99.0, 105.0], "crop": [80.0, 91.0, 74.0, "diverged", "diverged"]})
    row = only(runs)
    assert row.n == 3
    assert (row.treated.diverged, row.treated.failed, row.treated.ended) == (2, 0, 5)
    assert row.wins == pytest.approx(3 / 5)
    assert (row.verdict, row.lean) == (Verdict.UNDECIDED, Verdict.HELPS)
    assert row.reading == "helps where it trains; 2 of 5 diverged"


def test_a_trick_that_always_diverges_says_so() -> None:
    row = only(make_runs({"base": [100.0, 110.0, 95.0], "crop": ["diverged", "diverged", "diverged"]}))
    assert row.n == 0
    assert row.wins == 0.0
    assert row.reading == "undecided: diverged in all 3 runs"


def test_a_control_that_diverged_is_told() -> None:
    row = only(make_runs({"base": [100.0, 110.0, "diverged"], "crop": [80.0, 92.0, 74.0]}))
    assert row.reading.endswith("; control: 1 of 3 diverged")


@pytest.mark.parametrize("state", ["missing", "waiting", "running"])
def test_runs_that_have_not_ended_are_no_failures(state: str) -> None:
    row = only(make_runs({"base": [100.0, state], "crop": [state, state]}))
    assert (row.n, row.treated.ended, row.treated.failed) == (0, 0, 0)
    assert row.reading == "no paired runs yet"


def test_an_empty_run_table_gives_every_contrast_without_numbers() -> None:
    empty = make_runs({"base": [1.0]}).iloc[:0]
    row = only(empty)
    assert row.n == 0
    assert math.isnan(row.change.value)
    assert len(answer(empty, make_plan(ONE)).effects) == 1


def test_a_complete_attempt_counts_before_a_failed_one_of_the_same_run() -> None:
    runs = make_runs({"base": [100.0, 110.0], "crop": [80.0, 91.0]})
    again = runs[runs["cell"] == "crop"].assign(state="failed", mifid=math.nan)
    assert only(pd.concat([runs, again])).n == only(pd.concat([again, runs])).n == 2


def test_the_order_of_the_runs_changes_nothing() -> None:
    runs = make_runs({"base": [100.0, 110.0, 95.0], "crop": [80.0, 92.0, 74.0]})
    shuffled = runs.sample(frac=1, random_state=3)
    assert only(runs) == only(shuffled)


def test_costs_of_runs_that_shared_a_device_are_left_out_with_a_note() -> None:
    runs = make_runs({"base": [100.0, 110.0, 95.0], "crop": [80.0, 92.0, 74.0]}, slots_per_device=2)
    table = effects(runs, make_plan(ONE), "train_seconds")
    assert table[0].n == 0
    assert math.isnan(table[0].change.value)
    assert only(runs).n == 3
    found = answer(runs, make_plan(ONE))
    assert not found.costs["train_seconds"][0].change.known
    assert any("6 of 6 complete runs shared their device" in note for note in found.notes)


def test_the_answer_holds_mifid_and_cost_of_each_trick() -> None:
    runs = make_runs({"base": [100.0, 110.0, 95.0], "crop": [80.0, 92.0, 74.0]})
    runs["train_seconds"] = [10.0, 11.0, 12.0, 12.0, 13.5, 13.5]
    found = answer(runs, make_plan(ONE))
    (quality,), (cost,) = found.effects, found.costs["train_seconds"]
    assert (quality.contrast.factor, quality.n, quality.reading) == ("crop", 3, "helps by more than the worth")
    assert quality.treated_mean == pytest.approx(82)
    assert quality.change.value == pytest.approx(-59 / 3)
    assert cost.change.value == pytest.approx(2.0)
    assert cost.change.low == pytest.approx(2 - 4.302653 * 0.5 / math.sqrt(3), abs=1e-5)
    assert cost.ratio.value == pytest.approx((1.2 * 13.5 / 11 * 13.5 / 12) ** (1 / 3))


def test_the_notes_name_missing_diverged_and_failed_runs_and_an_equal_time_budget() -> None:
    runs = make_runs({"base": [100.0, "diverged", None], "crop": [80.0, "failed", "running"]})
    found = answer(runs, make_plan(ONE, seconds=60)).notes
    assert found[0].startswith("2 of 6 planned runs are still missing")
    assert "base (seed 1)" in found[1]
    assert "crop (seed 1)" in found[2]
    assert "equal time" in found[3]


def simulated(studies: int, tricks: int, seeds: int, truth: float) -> list[tuple[Effect, ...]]:
    """Effects of studies whose runs share a seed effect and have noise of their own; `truth` is all tricks' effect."""
    rng = np.random.default_rng(11)
    names = [f"t{index}" for index in range(tricks)]
    plan = make_plan({name: [(name, "base")] for name in names}, range(seeds))
    found = []
    for _ in range(studies):
        common = rng.normal(100, 8, seeds)
        values = {"base": list(common + rng.normal(0, 3, seeds))}
        values |= {name: list(common + truth + rng.normal(0, 3, seeds)) for name in names}
        found.append(effects(make_runs(values), plan, "mifid"))  # type: ignore[arg-type]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
def test_2000_studies_without_any_effect_say_helps_or_hurts_in_at_most_5_percent(seeds: int) -> None:
    tables = simulated(2000, 6, seeds, 0.0)
    wrong = np.mean([any(e.verdict in (Verdict.HELPS, Verdict.HURTS) for e in table) for table in tables])
    assert wrong <= 0.05 + 1.64 * math.sqrt(0.05 * 0.95 / 2000)
    covered = np.mean([e.change.low <= 0 <= e.change.high for table in tables for e in table])
    assert 0.93 <= covered <= 0.97


@pytest.mark.slow
def test_intervals_of_2000_studies_with_an_effect_cover_it() -> None:
    tables = simulated(2000, 2, 4, -7.0)
    covered = np.mean([e.change.low <= -7 <= e.change.high for table in tables for e in table])
    assert 0.93 <= covered <= 0.97


def test_family_wise_error_of_holm_on_shared_controls_is_at_most_5_percent() -> None:
    """The same law as the slow test, on the statistics alone so that it is quick."""
    from harness.analysis.paired import holm

    rng = np.random.default_rng(2)
    base, treated = rng.normal(0, 1, (4000, 1, 4)), rng.normal(0, 1, (4000, 6, 4))
    p = stats.ttest_1samp(treated - base, 0, axis=2).pvalue
    wrong = np.mean([np.min(holm(row)) < 0.05 for row in p])
    assert wrong <= 0.05 + 1.64 * math.sqrt(0.05 * 0.95 / 4000)


def test_ten_thousand_runs_of_a_factorial_are_analysed_in_seconds() -> None:
    import itertools
    import time

    names = ["".join(map(str, levels)) for levels in itertools.product((0, 1), repeat=11)]
    rng = np.random.default_rng(0)
    runs = pd.DataFrame([{"cell": name, "seed": seed, "state": "complete"} for name in names for seed in range(5)])
    runs["mifid"] = 100 + rng.normal(0, 3, len(runs)) - 4.0 * runs["cell"].str[0].astype(int)
    runs["slots_per_device"] = 1
    pairs = {f"f{k}": [(name, name[:k] + "0" + name[k + 1 :]) for name in names if name[k] == "1"] for k in range(11)}
    plan = make_plan(pairs, range(5))
    began = time.monotonic()
    table = effects(runs, plan, "mifid")
    assert time.monotonic() - began < 5
    assert table[0].change.value == pytest.approx(-4, abs=0.3)
    assert table[0].reading == "helps, by less than the worth"  # 4 of 100, where 5 are worth having
