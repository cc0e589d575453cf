"""Where runs diverge, tie, blow up or are missing: nothing firm is said by chance, and no odd run loses a report."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.analysis import Verdict, answer, compare
from harness.design import Alias, Plan
from harness.errors import StudyError
from harness.measures import Direction

_SPEC = importlib.util.spec_from_file_location("studies", Path(__file__).with_name("studies.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
studies = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(studies)

OFF: frozenset[str] = frozenset()
FIRM = {Verdict.HELPS, Verdict.HURTS}
Outcome = Callable[[frozenset[str], int], float | str]


def alone(tricks: str, outcome: Outcome, seeds: int) -> tuple[Plan, pd.DataFrame]:
    plan, runs = studies.study(tricks, [OFF, *map(frozenset, tricks)], outcome, seeds)
    return plan, runs


def test_a_trick_whose_runs_all_diverge_hurts_only_where_so_many_are_no_chance() -> None:
    def lost(on: frozenset[str], seed: int) -> float | str:
        return "diverged" if on else 100.0 + seed

    for seeds, verdict in ((2, Verdict.UNDECIDED), (3, Verdict.UNDECIDED), (4, Verdict.HURTS)):
        plan, runs = alone("A", lost, seeds)
        (effect,) = answer(runs, plan).effects
        assert effect.verdict is verdict, seeds
        words = f"diverged in all {seeds} runs"
        assert effect.reading == (words if verdict is Verdict.HURTS else f"undecided: {words}")
    # Fisher's exact test of 4 of 4 against 0 of 4: 2 / C(8, 4).
    assert effect.p == pytest.approx(2 / 70)


@pytest.mark.slow
def test_runs_that_diverge_by_chance_make_firm_claims_in_one_report_of_twenty_at_most() -> None:
    rng = np.random.default_rng(0)
    firm = 0
    for _ in range(150):
        plan, runs = alone("ABCDEF", lambda on, seed: "diverged" if rng.random() < 0.5 else rng.normal(100, 10), 2)
        firm += any(effect.verdict in FIRM for effect in answer(runs, plan).effects)
    assert firm / 150 <= 0.05 + 2 * (0.05 * 0.95 / 150) ** 0.5


def test_an_alias_may_be_what_makes_all_runs_diverge() -> None:
    plan, runs = alone("A", lambda on, seed: "diverged" if on else 100.0 + seed, 6)
    (contrast,) = plan.contrasts
    held = replace(contrast, aliases=(Alias(factors=("B", "C"), share=1.0),))
    (effect,) = answer(runs, replace(plan, contrasts=(held,))).effects
    assert (effect.verdict, effect.lean) == (Verdict.UNDECIDED, Verdict.HURTS)
    assert effect.reading == "undecided: diverged in all 6 runs, as an alias of it may do (B x C)"


def test_a_main_effects_number_is_that_of_the_contrast_whose_verdict_it_has() -> None:
    # A with B and C diverges in the first seeds; A alone is 30 better, and 5 worse in any company.
    rng = np.random.default_rng(1)

    def outcome(on: frozenset[str], seed: int) -> float | str:
        if len(on) == 3 and seed < 2:
            return "diverged"
        return 100 + seed + rng.normal(0, 0.1) + (-30 if on == {"A"} else 5 if "A" in on else 0)

    plan, runs = studies.study("ABC", studies.everything("ABC"), outcome, 5)
    found = answer(runs, plan)
    assert found.factorial is not None
    (effect,) = (effect for effect in found.effects if effect.contrast.factor == "A")
    (term,) = (term for term in found.factorial.terms if term.factors == ("A",))
    assert (term.estimate, term.reading) == (effect.change, effect.reading)
    assert effect.n == 5


def test_two_seeds_that_tie_are_no_proof_that_outcomes_do_not_vary() -> None:
    for seeds, verdict in ((2, Verdict.UNDECIDED), (3, Verdict.HELPS)):
        plan, runs = alone("A", lambda on, seed: 0.0 if on else 1.0, seeds)
        assert answer(runs, plan).effects[0].verdict is verdict, seeds
        same, runs = alone("A", lambda on, seed: 1.0, seeds)
        expected = Verdict.UNDECIDED if seeds == 2 else Verdict.NEGLIGIBLE
        assert answer(runs, same).effects[0].verdict is expected


def test_a_view_does_not_disagree_where_its_interaction_is_undecided() -> None:
    rng = np.random.default_rng(2)

    def outcome(on: frozenset[str], seed: int) -> float | str:
        if on == {"A"} and seed == 0:
            return "diverged"
        return 100 + rng.normal(0, 0.3) - 20 * (len(on) == 2)

    plan, runs = studies.study("AB", studies.everything("AB"), outcome, 6)
    found = answer(runs, plan)
    assert found.factorial is not None
    (interaction,) = (term for term in found.factorial.terms if len(term.factors) == 2)
    assert interaction.verdict is Verdict.UNDECIDED
    assert interaction.p_adjusted < 0.05
    assert not any(view.disagree for view in found.views)


def test_studies_of_a_negative_objective_are_compared_by_sign() -> None:
    plan, runs = alone("A", lambda on, seed: -100.0 - seed - 5 * bool(on) - 0.1 * seed * bool(on), 4)
    (trick,) = compare([("one", runs, plan), ("other", runs, plan)]).tricks
    assert trick.same_sign
    assert np.isnan(trick.ratio_of_ratios.value)
    with pytest.raises(StudyError, match="twice"):
        compare([("one", runs, plan), ("one", runs, plan)])


def test_a_yardstick_that_is_maximised_agrees_with_one_that_is_minimised() -> None:
    plan, runs = alone("ABCDEF", lambda on, seed: 100 + seed - 10.0 * sum(map(ord, on)) / 65, 3)
    mirror = replace(
        plan.objective, name="mirror", title="mirror", direction=Direction.MAXIMIZE, yardstick_of=plan.objective.name
    )
    found = answer(runs.assign(mirror=-runs["mifid"]), replace(plan, measures=(mirror,))).agreement
    assert found is not None
    assert not any(row.signs_differ for row in found.rows)
    assert found.ranks[0].tau == pytest.approx(1)


def test_no_odd_run_loses_the_report() -> None:
    plan, runs = alone("A", lambda on, seed: 100.0 + seed - 5 * bool(on) * (1 + 0.1 * seed), 4)
    curves = {(cell, seed): [(500, 120.0), (1000, 100.0)] for cell in ("baseline", "A") for seed in range(4)}
    foreign = pd.concat([runs, runs.iloc[:1].assign(cell="elsewhere")], ignore_index=True)
    assert answer(foreign, plan, curves).effects == answer(runs, plan, curves).effects
    assert answer(runs.assign(mifid_interim=None), plan, curves).effects[0].n == 4
    wild = runs.assign(mifid=runs["mifid"].mask((runs["cell"] == "A") & (runs["seed"] == 0), 1e200))
    assert answer(wild, plan).effects[0].n == 4
    assert answer(pd.DataFrame(), plan).effects[0].n == 0


def test_one_runs_blow_up_in_both_arms_does_not_hide_what_the_others_say() -> None:
    plan, runs = alone("A", lambda on, seed: 1e15 if seed == 0 else 100.0 + seed - 10 * bool(on) - 0.1 * seed, 6)
    (effect,) = answer(runs, plan).effects
    assert not effect.identical


def test_the_note_on_aliases_names_the_designs_that_have_them() -> None:
    plan, runs = alone("AB", lambda on, seed: 100.0 + seed, 3)
    first, second = plan.contrasts
    mixed = (
        replace(first, design="one-at-a-time"),
        replace(second, design="plackett-burman", aliases=(Alias(factors=("A", "C"), share=1 / 3),)),
    )
    notes = answer(runs, replace(plan, contrasts=mixed)).notes
    (said,) = (note for note in notes if "resolution IV" in note)
    assert "plackett-burman" in said
    assert "one-at-a-time" not in said
