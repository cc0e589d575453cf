"""The course of a sequential study: what it asks for, in which order, and when it is over."""

from __future__ import annotations

import importlib.util
import itertools
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.analysis.course import course
from harness.analysis.standing import Frozen
from harness.analysis.types import Verdict
from harness.design import Plan
from harness.spec.seeds import Waves
from harness.spec.worth import Worth

_spec = importlib.util.spec_from_file_location("studies", Path(__file__).with_name("studies.py"))
assert _spec is not None
assert _spec.loader is not None
studies = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(studies)

WAVES = Waves(first=3, most=12)


def alone(factors: str) -> list[frozenset[str]]:
    return [frozenset(), *map(frozenset, factors)]


def sequential(factors, cells, outcome, waves: Waves = WAVES, **more) -> tuple[Plan, pd.DataFrame]:
    plan, runs = studies.study(factors, cells, outcome, seeds=waves.most)
    runs["key"] = runs["cell"] + "-" + runs["seed"].astype(str)
    return replace(plan, waves=waves, worth=Worth(share=0.05), **more), runs


def noisy(effects: dict[str, float], sd: float = 4.0):
    """MiFIDs around 100: lower is better."""

    def outcome(on: frozenset[str], seed: int) -> float:
        noise = random.Random(f"{sorted(on)}/{seed}").gauss(0, sd)
        return 100 + sum(effects[factor] for factor in on) + noise

    return outcome


def grown(plan: Plan, runs: pd.DataFrame, order: random.Random | None = None) -> list[pd.DataFrame]:
    """The run tables of a study that runs only what its course asks for, some runs at a time."""
    tables = []
    done: set[str] = set()
    while True:
        table = runs.assign(state=runs["state"].where(runs["key"].isin(done), "missing"))
        tables.append(table)
        waiting = [run.key for run in course(table, plan).asked if run.key not in done]
        if not waiting:
            return tables
        take = len(waiting) if order is None else order.randint(1, len(waiting))
        done |= set((order or random.Random(0)).sample(waiting, take))


def test_a_fresh_study_asks_for_its_first_seeds_of_every_cell() -> None:
    plan, runs = sequential("ab", alone("ab"), noisy({"a": -30, "b": 0}))
    found = course(runs.assign(state="missing"), plan)
    assert not found.looks
    assert not found.over
    assert [(run.cell, run.seed) for run in found.asked] == [
        (cell, seed) for seed in range(3) for cell in ("baseline", "a", "b")
    ]


def test_after_a_trick_is_decided_its_cell_is_asked_for_no_more() -> None:
    plan, runs = sequential("ab", alone("ab"), noisy({"a": -30, "b": 1}))
    last = course(grown(plan, runs)[-1], plan)
    assert last.over
    assert last.last is not None
    assert last.last.verdicts[0] is Verdict.HELPS
    seeds = {cell: [run.seed for run in last.asked if run.cell == cell] for cell in ("baseline", "a", "b")}
    assert len(seeds["a"]) < len(seeds["b"]) == len(seeds["baseline"])
    assert len(seeds["a"]) == last.last.seeds[0]


def test_runs_that_nobody_asked_for_change_nothing() -> None:
    plan, runs = sequential("ab", alone("ab"), noisy({"a": -30, "b": 1}))
    asked = course(grown(plan, runs)[-1], plan)
    everything = course(runs, plan)
    assert everything.looks == asked.looks
    assert everything.asked == asked.asked


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_point_it_has_the_same_looks_and_the_same_runs(seed: int) -> None:
    plan, runs = sequential("abc", alone("abc"), noisy({"a": -30, "b": 1, "c": 12}))
    straight = grown(plan, runs)
    broken = grown(plan, runs, random.Random(seed))
    whole = course(straight[-1], plan)
    assert course(broken[-1], plan).looks == whole.looks
    assert course(broken[-1], plan).asked == whole.asked
    for table in broken:
        some = course(table, plan)
        assert some.looks == whole.looks[: len(some.looks)]
        assert set(some.asked) <= set(whole.asked)


def test_a_run_that_failed_holds_the_look_back_until_it_is_given_up() -> None:
    plan, runs = sequential("a", alone("a"), noisy({"a": -30}))
    failed = runs["key"] == next(run.key for run in plan.runs if (run.cell, run.seed) == ("a", 1))
    waiting = runs.assign(state=runs["state"].mask(failed, "failed"))
    assert not course(waiting, plan).looks
    given_up = course(waiting.assign(given_up=failed), plan)
    assert given_up.looks
    assert np.isnan(given_up.differences[0][1])


def test_a_diverged_run_has_ended_without_a_number() -> None:
    plan, runs = sequential("a", alone("a"), noisy({"a": -30}))
    diverged = runs["key"] == next(run.key for run in plan.runs if (run.cell, run.seed) == ("a", 0))
    found = course(runs.assign(state=runs["state"].mask(diverged, "diverged")), plan)
    assert found.last is not None
    assert np.isnan(found.differences[0][0])
    assert np.isfinite(found.differences[0][1:]).all()


def test_at_the_most_seeds_it_is_over_with_what_it_has() -> None:
    plan, runs = sequential("a", alone("a"), noisy({"a": -2}, sd=6.0), Waves(first=3, most=4))
    found = course(runs, plan)
    assert found.over
    assert [look.wave for look in found.looks] == [3, 4]


def test_a_full_factorial_keeps_a_decided_factor_at_its_better_level() -> None:
    plan, runs = sequential("ab", studies.everything("ab"), noisy({"a": -40, "b": 3}))
    tables = grown(plan, runs)
    found = course(tables[-1], plan)
    decided = found.last.seeds[0]
    assert found.frozen == {"a": Frozen(design="", factor="a", level="on", after=decided)}
    later = {run.cell for run in found.asked if run.seed >= decided}
    assert later <= {"a", "ab"}
    # What is left of b is its effect beside a.
    by_cell = runs.set_index(["cell", "seed"])["mifid"]
    for wave, difference in enumerate(found.differences[1]):
        pairs = [("ab", "a")] if wave >= decided else [("ab", "a"), ("b", "baseline")]
        assert difference == pytest.approx(np.mean([by_cell[one, wave] - by_cell[other, wave] for one, other in pairs]))


def test_a_factor_that_hurts_is_kept_at_its_baseline() -> None:
    plan, runs = sequential("ab", studies.everything("ab"), noisy({"a": 40, "b": 3}))
    found = course(grown(plan, runs)[-1], plan)
    assert found.frozen["a"].level == "off"


def fraction(factors: str, cells: list[frozenset[str]], outcome) -> tuple[Plan, pd.DataFrame]:
    """The cells as a two-level fraction: contrasts of its halves."""
    plan, runs = sequential(factors, cells, outcome)
    names = {cell: studies.name(cell) for cell in cells}
    contrasts = tuple(
        replace(
            contrast,
            matched=False,
            pairs=tuple(
                zip(
                    [names[cell] for cell in cells if contrast.factor in cell],
                    [names[cell] for cell in cells if contrast.factor not in cell],
                    strict=True,
                )
            ),
        )
        for contrast in plan.contrasts
    )
    return replace(plan, contrasts=contrasts), runs


def test_a_fraction_whose_rest_would_confound_is_run_whole() -> None:
    # Resolution IV, d = abc: with a kept on, b = cd.
    half = [cell for cell in studies.everything("abcd") if len(cell) % 2 == 0]
    plan, runs = sequential("abcd", studies.everything("abcd"), noisy({"a": -60, "b": 3, "c": 0, "d": 0}))
    kept = runs[runs["cell"].isin([studies.name(cell) for cell in half])]
    whole, _ = fraction("abcd", studies.everything("abcd"), noisy({"a": -60, "b": 3, "c": 0, "d": 0}))
    contrasts = tuple(
        replace(
            contrast,
            pairs=tuple(
                zip(
                    [studies.name(cell) for cell in half if contrast.factor in cell],
                    [studies.name(cell) for cell in half if contrast.factor not in cell],
                    strict=True,
                )
            ),
        )
        for contrast in whole.contrasts
    )
    names = {studies.name(cell) for cell in half}
    plan = replace(
        plan,
        contrasts=contrasts,
        cells=tuple(cell for cell in plan.cells if cell.name in names),
        runs=tuple(run for run in plan.runs if run.cell in names),
    )
    found = course(grown(plan, kept)[-1], plan)
    assert found.last.verdicts[0] is Verdict.HELPS
    assert not found.frozen
    assert {run.cell for run in found.asked if run.seed == found.last.wave - 1} == names


def test_the_rest_of_a_fraction_that_stays_clear_is_run_alone() -> None:
    # All 2^4 cells as a fraction of no generator: with a kept on the rest is a full factorial of b, c and d.
    plan, runs = fraction("abcd", studies.everything("abcd"), noisy({"a": -60, "b": 3, "c": 0, "d": 0}))
    found = course(grown(plan, runs)[-1], plan)
    assert found.frozen["a"].level == "on"
    assert all("a" in run.cell for run in found.asked if run.seed >= found.last.seeds[0])


def test_a_ladder_asks_for_the_rung_below_as_long_as_the_rung_above_needs_it() -> None:
    rungs = [frozenset(), frozenset("a"), frozenset("ab")]
    plan, runs = sequential("ab", rungs, noisy({"a": -60, "b": 2}))
    contrasts = [("a", "baseline"), ("ab", "a")]
    plan = replace(
        plan,
        contrasts=tuple(
            replace(plan.contrasts[0], name=f"{one}", factor=one[-1], pairs=((one, other),)) for one, other in contrasts
        ),
    )
    found = course(grown(plan, runs)[-1], plan)
    first, second = found.last.seeds
    assert first < second
    assert {run.cell for run in found.asked if run.seed >= first} == {"a", "ab"}


def test_without_a_maximum_it_goes_on() -> None:
    waves = Waves(first=3, most=None)
    plan, runs = studies.study("a", alone("a"), noisy({"a": -2}, sd=6.0), seeds=30)
    found = course(runs, replace(plan, waves=waves))
    assert [look.wave for look in found.looks][:3] == [3, 4, 5]
    assert list(itertools.pairwise([look.wave for look in found.looks]))
