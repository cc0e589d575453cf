"""What a look says as a line and as data: a claim that holds under a condition is never said without it."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd

from harness.analysis import answer
from harness.analysis.course import Course
from harness.analysis.types import Answer, Verdict
from harness.design import Alias, Plan
from harness.spec.seeds import Waves
from harness.spec.worth import Worth
from harness.study.looks import document, words

_SPEC = importlib.util.spec_from_file_location("studies", Path(__file__).parents[1] / "analysis" / "studies.py")
assert _SPEC is not None
assert _SPEC.loader is not None
studies = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(studies)


def looked(outcomes: dict[str, list[float]], **held: tuple[Alias, ...]) -> tuple[Plan, Answer, Course]:
    """The answer of a study in waves of tricks alone beside a baseline of 100; nan is a run that diverged."""

    def outcome(on: frozenset[str], seed: int) -> float | str:
        (trick,) = on or {""}
        value = outcomes[trick][seed] if trick else 100.0 + seed % 2
        return "diverged" if math.isnan(value) else value

    seeds = len(next(iter(outcomes.values())))
    plan, runs = studies.study("".join(outcomes), map(frozenset, ["", *outcomes]), outcome, seeds)
    contrasts = tuple(replace(each, aliases=held.get(each.factor, ())) for each in plan.contrasts)
    plan = replace(plan, contrasts=contrasts, waves=Waves(first=3, most=seeds), worth=Worth(amount=2.0))
    found = answer(pd.DataFrame(runs), plan)
    assert found.course is not None
    assert found.course.last is not None
    return plan, found, found.course


def test_a_line_says_what_the_report_says_of_claims_under_a_condition() -> None:
    lost = math.nan
    plan, found, course = looked(
        {
            "a": [60.1, lost, 60.3, 60.2, 59.8, 60.0],  # helps where it trains
            "b": [150.2, 150.0, 150.1, 149.9, 150.3, 150.2],  # an alias may be to blame
            "c": [lost] * 6,
            "d": [40.1, 40.3, 40.2, 39.8, 40.0, 40.2],
        },
        b=(Alias(factors=("c", "d"), share=1.0),),
    )
    look = course.last
    assert look is not None
    a, _, c, d = found.effects
    assert look.verdicts == (Verdict.HELPS, Verdict.HURTS, Verdict.UNDECIDED, Verdict.HELPS)
    assert [each.verdict for each in found.effects[:2]] == [Verdict.UNDECIDED] * 2
    line = words(look, plan, found.effects)
    assert f"a: helps where it trains, 1 of {a.treated.ended} diverged, stopped after {a.treated.ended} seeds" in line
    assert "b: hurts, or an alias of it does (c x d), stopped after" in line
    assert c.verdict is Verdict.HURTS
    assert "c hurts: diverged in all 5 runs; " in line
    assert f"d helps after {d.n} seeds" in line
    bare = words(look, plan)
    assert "a helps after" in bare
    assert "c is dropped as unlikely to be decided after 5 seeds" in bare
    *before, last = document(course, plan, found.effects)
    assert [each["reading"] for each in last["tricks"].values()] == [effect.reading for effect in found.effects]
    assert all(each["reading"] is None for one in before for each in one["tricks"].values())
    assert [each["unlikely"] for each in last["tricks"].values()] == [False, False, True, False]
