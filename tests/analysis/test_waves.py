"""The effects of a study in waves: against the sequential rule by hand, its looks, and by simulation."""

from __future__ import annotations

import importlib.util
import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.analysis import answer, paired, sequential
from harness.analysis.answer import effects
from harness.analysis.standing import Frozen, Standing
from harness.analysis.types import Answer, Verdict
from harness.design import Alias, Plan
from harness.spec.seeds import Waves
from harness.spec.worth import Worth

_SPEC = importlib.util.spec_from_file_location("studies", Path(__file__).with_name("studies.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
studies = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(studies)

RULE = sequential.Declared(first=3, most=12)
WAVES = Waves(first=3, most=12)
ALPHA = paired.ALPHA


def in_waves(
    effects: dict[str, float], seed: int = 1, sd: float = 4.0, waves: Waves = WAVES
) -> tuple[Plan, pd.DataFrame]:
    """MiFIDs around 100, lower is better, of every trick alone; a trick with the effect nan diverges in all runs."""
    most = waves.most or 30
    noise = np.random.default_rng(seed).normal(0, sd, (len(effects) + 1, most))
    names = ["", *effects]

    def outcome(on: frozenset[str], seed: int) -> float | str:
        (trick,) = on or {""}
        value = 100 + effects.get(trick, 0.0) + noise[names.index(trick), seed]
        return "diverged" if math.isnan(value) else value

    plan, runs = studies.study("".join(effects), map(frozenset, names), outcome, seeds=most)
    return replace(plan, waves=waves, worth=Worth(amount=8.0), design="one-at-a-time"), runs


def grown(plan: Plan, runs: pd.DataFrame) -> Answer:
    """The answer of a study that runs what its looks ask for and nothing else, at its end."""
    done: set[tuple[str, int]] = set()
    while True:
        pairs = [*zip(runs["cell"], runs["seed"], strict=True)]
        found = answer(runs.assign(state=runs["state"].where([pair in done for pair in pairs], "missing")), plan)
        assert found.course is not None
        if found.course.over:
            return found
        done |= {(run.cell, run.seed) for run in found.course.asked}


def test_estimate_interval_and_p_are_the_rules_on_the_differences_that_the_looks_used() -> None:
    plan, runs = in_waves({"a": -30, "b": 0.5, "c": 12, "d": -4})
    found = grown(plan, runs)
    assert found.course is not None
    last = found.course.last
    assert last is not None
    table = runs.pivot_table(index="seed", columns="cell", values="mifid")
    raw: dict[str, list[float]] = {"p": [], "within": []}
    for place, effect in enumerate(found.effects):
        n = last.seeds[place]
        change = (table[effect.contrast.factor] - table["baseline"]).to_numpy()[:n]
        assert effect.n == n
        assert effect.change == sequential.interval(change, RULE)
        assert effect.change.value == pytest.approx(change.mean())
        assert effect.control_mean == pytest.approx(table["baseline"].to_numpy()[:n].mean())
        assert effect.p == pytest.approx(sequential.p_value(change, RULE))
        assert effect.treated.planned == effect.control.planned == n
        raw["p"].append(sequential.p_value(change, RULE))
        raw["within"].append(sequential.p_negligible(change, np.full(n, 8.0), RULE))
    assert [e.p_adjusted for e in found.effects] == pytest.approx(paired.holm(np.array(raw["p"])).tolist())
    assert [e.p_within for e in found.effects] == pytest.approx(paired.holm(np.array(raw["within"])).tolist())
    assert len({effect.n for effect in found.effects}) > 1


def test_an_interval_of_all_looks_is_wider_than_students_and_costs_keep_students() -> None:
    plan, runs = in_waves({"a": -30, "b": 0.5})
    runs["train_seconds"] += np.random.default_rng(0).normal(0, 1, len(runs))
    found = grown(plan, runs)
    table = runs.pivot_table(index="seed", columns="cell", values=["mifid", "train_seconds"])
    for effect, cost in zip(found.effects, found.costs["train_seconds"], strict=True):
        own = {
            m: (table[m][effect.contrast.factor] - table[m]["baseline"])[: effect.n] for m in ("mifid", "train_seconds")
        }
        plain = paired.estimate(own["mifid"].to_numpy())
        assert effect.change.low < plain.low
        assert effect.change.high > plain.high
        assert cost.change == paired.estimate(own["train_seconds"].to_numpy())


@pytest.mark.parametrize("seed", range(8))
def test_verdicts_are_those_of_the_last_look_and_so_is_the_corrected_p(seed: int) -> None:
    plan, runs = in_waves({"a": -12, "b": 0.0, "c": 9, "d": -2}, seed)
    found = grown(plan, runs)
    assert found.course is not None
    assert found.course.last is not None
    verdicts = found.course.last.verdicts
    assert tuple(effect.verdict for effect in found.effects) == verdicts
    for effect, verdict in zip(found.effects, verdicts, strict=True):
        assert effect.reading.startswith(verdict)
        assert (effect.p_within < ALPHA) == (verdict is Verdict.NEGLIGIBLE)
        if verdict is not Verdict.NEGLIGIBLE:
            assert (effect.p_adjusted < ALPHA) == (verdict in (Verdict.HELPS, Verdict.HURTS))
        assert (effect.standing is None) == (verdict is not Verdict.UNDECIDED)


def test_runs_beyond_the_last_look_are_not_in_the_numbers() -> None:
    plan, runs = in_waves({"a": -3, "b": 3})
    looked = answer(runs.assign(state=runs["state"].where(runs["seed"] < 4, "missing")), plan)
    half = (runs["seed"] < 4) | ((runs["seed"] == 4) & (runs["cell"] != "b"))
    more = answer(runs.assign(state=runs["state"].where(half, "missing")), plan)
    assert [effect.change for effect in more.effects] == [effect.change for effect in looked.effects]
    assert [effect.treated for effect in more.effects] == [effect.treated for effect in looked.effects]


def test_before_the_first_look_nothing_is_tested_and_no_interval_is_bounded() -> None:
    plan, runs = in_waves({"a": -30, "b": 0.5})
    (a, _) = answer(runs.assign(state=runs["state"].where(runs["seed"] < 2, "missing")), plan).effects
    assert a.n == 2
    assert a.change.known
    assert not a.change.bounded
    assert all(math.isnan(p) for p in (a.p, a.p_adjusted, a.p_within, a.p_beyond))
    assert a.reading == "undecided; the first look is after 3 seeds"
    (fresh, _) = answer(runs.assign(state="missing"), plan).effects
    assert fresh.n == 0
    assert fresh.reading == "no paired runs yet; the first look is after 3 seeds"


def readings(plan: Plan, runs: pd.DataFrame) -> list[str]:
    """What is said at the end of a study of which all runs are there: those that nobody asked for change nothing."""
    return [effect.reading for effect in effects(runs, plan, "mifid")]


def test_an_undecided_trick_says_what_it_may_still_get() -> None:
    plan, runs = in_waves({"a": -30, "b": 4})
    early = answer(runs.assign(state=runs["state"].where(runs["seed"] < 4, "missing")), plan).effects[1]
    assert early.standing == Standing(seeds=4, first=3, most=12)
    assert early.reading == "undecided; at most 8 more seeds"
    assert early.seeds_needed is not None
    assert all(n is None or 4 < n <= 12 for n in (early.seeds_needed.typical, early.seeds_needed.low))
    ends = {reading for seed in range(6) for reading in readings(*in_waves({"a": 7.9, "b": 5}, seed, 6.0))}
    assert "undecided; at its most, 12 seeds" in ends
    assert any("dropped as unlikely to be decided after " in reading for reading in ends)
    for waves, words in (
        (Waves(first=3, most=None), "open after 4 seeds, without a maximum"),
        (WAVES, "at most 8 more"),
    ):
        plan, runs = in_waves({"a": 0.0}, 5, waves=waves)
        (effect,) = answer(runs[runs["seed"] < 4], plan).effects
        assert words in effect.reading


def test_the_seeds_to_expect_are_those_at_which_such_a_study_ends() -> None:
    pattern = np.array([-6.0, -2.0])  # mean -4, so that every even n has the same mean and spread but for n - 1
    values = np.tile(pattern, 15)
    plan, runs = studies.study(
        "a", [frozenset(), frozenset("a")], lambda on, seed: 100.0 + (values[seed] if on else 0.0), seeds=12
    )
    plan = replace(plan, waves=WAVES, worth=Worth(amount=0.001))
    early = answer(runs[runs["seed"] < 4], plan).effects[0]
    ended = next(
        n for n in range(5, 13) if 4 / np.std(values[:4], ddof=1) * math.sqrt(n) >= RULE.limits(ALPHA, np.array([n]))[0]
    )
    assert early.seeds_needed is not None
    assert early.seeds_needed.typical == ended
    assert early.seeds_needed.low is not None
    assert early.seeds_needed.low <= ended


def test_runs_that_diverged_leave_a_claim_of_the_looks_under_its_condition() -> None:
    plan, runs = in_waves({"a": -30, "b": 30})
    lost = (runs["cell"] == "a") & (runs["seed"] == 1)
    found = grown(plan, runs.assign(state=runs["state"].mask(lost, "diverged"), mifid=runs["mifid"].mask(lost)))
    a, b = found.effects
    assert found.course is not None
    assert found.course.last is not None
    assert found.course.last.verdicts == (Verdict.HELPS, Verdict.HURTS)
    assert (a.verdict, a.lean) == (Verdict.UNDECIDED, Verdict.HELPS)
    assert a.standing is not None
    assert a.standing.left == 0
    assert a.reading == f"helps where it trains; 1 of {a.treated.ended} diverged; {a.standing}"
    assert str(a.standing) == f"stopped after {a.treated.ended} seeds, since more would not decide it"
    assert b.standing is None
    assert b.verdict is Verdict.HURTS


@pytest.mark.parametrize("others", [1, 6])
def test_a_trick_whose_runs_all_diverge_hurts_once_it_is_dropped_where_so_many_are_no_chance(others: int) -> None:
    names = "bcdefg"[:others]
    plan, runs = in_waves({"a": math.nan, **dict.fromkeys(names, 4.0)})
    early = answer(runs.assign(state=runs["state"].where(runs["seed"] < 4, "missing")), plan).effects[0]
    assert (early.verdict, early.lean) == (Verdict.UNDECIDED, Verdict.HURTS)
    assert early.reading == "undecided: diverged in all 4 runs; at most 8 more seeds"
    found = grown(plan, runs)
    effect = found.effects[0]
    p = stats.fisher_exact([[5, 0], [0, 5]]).pvalue
    assert effect.p == pytest.approx(p)
    assert effect.p_adjusted == pytest.approx((others + 1) * p)
    if p < ALPHA / (others + 1):
        assert (effect.verdict, effect.standing, effect.reading) == (Verdict.HURTS, None, "diverged in all 5 runs")
    else:
        assert (effect.verdict, effect.lean) == (Verdict.UNDECIDED, Verdict.HURTS)
        words = "undecided: diverged in all 5 runs; dropped as unlikely to be decided after 5 seeds"
        assert effect.reading == words


@pytest.mark.parametrize("change", [-60.0, 60.0])
def test_where_so_many_runs_diverge_that_they_may_be_all_of_one_side_the_looks_alone_claim_nothing(
    change: float,
) -> None:
    """Every split of diverged runs between both sides of five seeds, of a change that is plain in each pair."""
    ways, by_fisher = 0, 0
    for lost in itertools.combinations_with_replacement(itertools.product((False, True), repeat=2), 5):
        if sum(map(sum, lost)) < 5:
            continue
        plan, runs = in_waves({"a": change}, waves=Waves(first=3, most=5))
        gone = [lost[seed][cell == "a"] for cell, seed in zip(runs["cell"], runs["seed"], strict=True)]
        (effect,) = grown(plan, runs.assign(state=runs["state"].mask(gone, "diverged"))).effects
        firm = effect.verdict is not Verdict.UNDECIDED
        own, control = (sum(each[side] for each in lost) for side in (1, 0))
        by_fisher += firm
        ways += 1
        p = stats.fisher_exact([[own, 5 - own], [control, 5 - control]]).pvalue
        assert firm == (own == 5 and p < ALPHA), lost
    assert by_fisher == 2  # 5 of 5 against none, and against 1 of 5
    assert ways > 20


def test_a_trick_that_goes_on_beside_a_frozen_factor_says_so_and_is_the_mean_over_what_was_run() -> None:
    noise = np.random.default_rng(2)
    plan, runs = studies.study(
        "ab",
        studies.everything("ab"),
        lambda on, seed: 100.0 - 40 * ("a" in on) + 6 * ("b" in on) * (1 + ("a" in on)) + noise.normal(0, 4),
        seeds=12,
    )
    plan = replace(plan, waves=WAVES, worth=Worth(amount=1.0))
    found = grown(plan, runs)
    a, b = found.effects
    assert b.n > a.n
    assert (a.verdict, a.frozen, a.reading) == (Verdict.HELPS, (), "helps by more than the worth")
    assert b.frozen == (Frozen(design="", factor="a", level="on", after=a.n),)
    assert b.reading.endswith(f"; from the {a.n + 1}th seed on with a at on")
    table = runs.pivot_table(index="seed", columns="cell", values="mifid").to_numpy()
    cells = sorted(runs["cell"].unique())
    beside, off = (
        table[:, cells.index(one)] - table[:, cells.index(other)] for one, other in (("ab", "a"), ("b", "baseline"))
    )
    waves = [*((beside + off) / 2)[: a.n], *beside[a.n : b.n]]
    assert b.change.value == pytest.approx(np.mean(waves))
    assert any(f"a was decided after {a.n} seeds" in note and "weighted to a at on" in note for note in found.notes)
    early = answer(runs[runs["seed"] < a.n], plan)
    assert not early.effects[1].frozen


def test_a_control_that_diverged_after_a_trick_was_decided_is_none_of_its_business() -> None:
    plan, runs = in_waves({"a": 40, "b": 3.5})
    late = (runs["cell"] == "baseline") & (runs["seed"] > 8)
    found = grown(plan, runs.assign(state=runs["state"].mask(late, "diverged"), mifid=runs["mifid"].mask(late)))
    assert found.effects[0].verdict is Verdict.HURTS
    assert found.effects[0].control.diverged == 0


def test_an_alias_keeps_a_claim_of_the_looks_open() -> None:
    plan, runs = in_waves({"a": -30, "b": 30})
    held = tuple(replace(each, aliases=(Alias(factors=("c", "d"), share=1.0),)) for each in plan.contrasts)
    for effect in grown(replace(plan, contrasts=held), runs).effects:
        assert effect.verdict is Verdict.UNDECIDED
        assert "or an alias of it does (c x d); stopped after " in effect.reading


def test_beyond_the_worth_is_of_all_looks_too() -> None:
    plan, runs = in_waves({"a": -30, "b": 0.5})
    found = grown(plan, runs)
    n = found.effects[0].n
    table = runs.pivot_table(index="seed", columns="cell", values="mifid")
    gains = (table["baseline"] - table["a"]).to_numpy()[:n]
    t, counts = RULE.path(gains - 8.0)
    assert found.effects[0].p_beyond == pytest.approx(min(1.0, 2 * RULE.p(np.maximum(t, 0), counts)))
    assert found.effects[0].reading == "helps by more than the worth"


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_interactions_and_views_of_a_study_in_waves_are_estimated_and_not_tested(share: float) -> None:
    noise = np.random.default_rng(3)
    cells = studies.everything("AB")
    plan, runs = studies.study(
        "AB", cells, lambda on, seed: 100.0 - 9 * len(on) + 20 * share * (len(on) == 2) + noise.normal(0, 1), 6
    )
    found = answer(runs, replace(plan, waves=Waves(first=3, most=6)))
    assert found.factorial is not None
    (term,) = (term for term in found.factorial.terms if len(term.factors) == 2)
    assert term.estimate.known
    assert math.isnan(term.p_adjusted)
    assert term.reading == "not tested"
    assert not any(view.disagree for view in found.views)
    mains = [term.reading for term in found.factorial.terms if len(term.factors) == 1]
    assert mains == [effect.reading for effect in found.effects]
    assert any("interactions" in note for note in found.notes)


def test_effects_of_one_measure_are_those_of_the_answer() -> None:
    plan, runs = in_waves({"a": -30, "b": 0.5})
    assert effects(runs, plan, "mifid") == answer(runs, plan).effects
    costs = [cost.change for cost in answer(runs, plan).costs["train_seconds"]]
    assert [cost.change for cost in effects(runs, plan, "train_seconds")] == costs


def test_what_pairing_gained_is_the_ratio_of_variances() -> None:
    random = np.random.default_rng(7)
    luck, own = random.normal(0, 5, 9), random.normal(0, 1, (2, 9))
    plan, runs = studies.study(
        "a", [frozenset(), frozenset("a")], lambda on, seed: 100 + luck[seed] + own[len(on), seed], 9
    )
    (effect,) = answer(runs, plan).effects
    one, other = luck + own[0], luck + own[1]
    gain = (one.var(ddof=1) + other.var(ddof=1)) / (one - other).var(ddof=1)
    assert effect.pairing_gain == pytest.approx(gain)
    assert effect.pairing == pytest.approx(np.corrcoef(one, other)[0, 1])
    assert effect.pairing_gain > 5


def errors(studies_: int, start: int = 0) -> float:
    """The share of whole reports on four tricks that do nothing in which any is said to help or to hurt."""
    false = 0
    for seed in range(start, start + studies_):
        plan, runs = in_waves(dict.fromkeys("abcd", 0.0), seed, waves=Waves(first=3, most=8))
        found = effects(runs, replace(plan, worth=Worth(amount=3.0)), "mifid")
        false += any(effect.verdict in (Verdict.HELPS, Verdict.HURTS) for effect in found)
    return false / studies_


def test_at_most_one_report_of_twenty_on_tricks_that_do_nothing_claims_anything() -> None:
    studies_ = 120
    assert errors(studies_) <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / studies_)


@pytest.mark.slow
def test_at_most_one_report_of_twenty_on_tricks_that_do_nothing_claims_anything_in_many() -> None:
    studies_ = 1500
    assert errors(studies_, 1000) <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / studies_)
