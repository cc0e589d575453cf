"""Factorial effects and Shapley shares against textbooks, statsmodels' formulas, brute force and known truths."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as formulas
from scipy import stats

from harness.analysis import answer
from harness.analysis.outcomes import Outcomes
from harness.analysis.types import Factorial
from harness.analysis.verdicts import claims
from harness.design import Plan

_SPEC = importlib.util.spec_from_file_location("studies", Path(__file__).with_name("studies.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
studies = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(studies)
study, everything, name = studies.study, studies.everything, studies.name


def factorial(runs: pd.DataFrame, plan: Plan) -> Factorial:
    quality = Outcomes.of(runs, plan, plan.objective)
    found = claims(quality).factorial
    assert found is not None
    return found


def test_the_pilot_plant_of_box_hunter_and_hunter() -> None:
    # Statistics for Experimenters, 2nd edition, chapter 5: yields of a 2^3 in T, C and K, one run a cell.
    yields = {"": 60, "T": 72, "C": 54, "CT": 68, "K": 52, "KT": 83, "CK": 45, "CKT": 80}
    plan, runs = study("TCK", everything("TCK"), lambda on, seed: float(yields["".join(sorted(on))]), seeds=1)
    table = factorial(runs, plan)
    found = {term.name: term.estimate.value for term in table.terms}
    main = {"T": 23.0, "C": -5.0, "K": 1.5}
    interactions = {"T x C": 1.5, "T x K": 10.0, "C x K": 0.0}
    assert found == pytest.approx(main | interactions)


@pytest.mark.parametrize("missing", [(), (("AB", 1), ("C", 0))])
def test_every_seed_is_fitted_as_statsmodels_formulas_do(missing: tuple[tuple[str, int], ...]) -> None:
    random = np.random.default_rng(3)

    def outcome(on: frozenset[str], seed: int) -> float | str:
        drawn = float(100 + 5 * seed - 9 * ("A" in on) + 4 * ({"A", "B"} <= on) + random.normal(0, 2))
        return "failed" if (name(on), seed) in missing else drawn

    plan, runs = study("ABC", everything("ABC"), outcome, seeds=4)
    table = factorial(runs, plan)
    data = runs[runs["state"] == "complete"].copy()
    for factor in "ABC":
        data[factor] = [0.5 if factor in cell and cell != "baseline" else -0.5 for cell in data["cell"]]
    model = "mifid ~ A + B + C + A:B + A:C + B:C"
    fits = [formulas.ols(model, part).fit() for _, part in data.groupby("seed")]
    whole = formulas.ols(f"{model} + block", data.assign(block=data["seed"].map("seed {}".format))).fit()
    for row in table.terms:
        term = row.name.replace(" x ", ":")
        scale = 1 if len(row.factors) == 1 else 0.5  # its product of codes is half the book's
        several = [scale * fit.params[term] for fit in fits]
        expected = stats.ttest_1samp(several, 0)
        interval = expected.confidence_interval()
        if missing and len(row.factors) == 1:
            continue  # a main effect is its contrast's, of the pairs that a seed has
        assert row.estimate.value == pytest.approx(np.mean(several))
        assert missing or row.estimate.value == pytest.approx(scale * whole.params[term])
        assert (row.estimate.low, row.estimate.high) == pytest.approx((interval.low, interval.high))
        if len(row.factors) == 2:  # a main effect has the p of its contrast
            assert row.p == pytest.approx(expected.pvalue)
        assert table.runs == len(data)


def test_a_trick_that_varies_from_seed_to_seed_is_no_effect() -> None:
    random = np.random.default_rng(2)
    claims, made = 0, 60
    for _ in range(made):
        swing = random.normal(0, 3, (4, 3))  # what each trick does under each seed
        plan, runs = study(
            "ABC",
            everything("ABC"),
            lambda on, seed, swing=swing: float(
                100 + sum(swing[seed]["ABC".index(each)] for each in on) + random.normal(0, 1)
            ),
            seeds=4,
        )
        table = factorial(runs, plan)
        claims += any(term.p_adjusted < 0.05 for term in table.terms)
    assert claims <= 9  # 5 % of 60, give or take more than three standard deviations of a binomial


def test_one_seed_says_nothing() -> None:
    plan, runs = study("AB", everything("AB"), lambda on, seed: 10.0 * len(on), seeds=1)
    table = factorial(runs, plan)
    assert not any(term.estimate.bounded for term in table.terms)
    assert np.isnan([(term.p, term.p_adjusted) for term in table.terms]).all()


def test_a_known_interaction_is_recovered_with_intervals_that_cover_it() -> None:
    random = np.random.default_rng(0)
    covered, studies_made = 0, 200
    for _ in range(studies_made):
        plan, runs = study(
            "ABC",
            everything("ABC"),
            lambda on, seed: float(100 + 10 * seed - 6 * ("A" in on) - 8 * ({"B", "C"} <= on) + random.normal(0, 3)),
            seeds=3,
        )
        table = factorial(runs, plan)
        (row,) = (term for term in table.terms if term.name == "B x C")
        covered += row.estimate.low <= -4 <= row.estimate.high
    # 95 % of 200, give or take three standard deviations of a binomial.
    assert 0.904 <= covered / studies_made <= 0.997


def test_terms_that_a_fraction_confounds_are_named_together() -> None:
    half = [on for on in everything("ABCD") if len(on) % 2 == 0]  # I = ABCD
    plan, runs = study("ABCD", half, lambda on, seed: float(10 * ("A" in on) + seed), seeds=2)
    plan = _with_contrasts(plan, "ABCD")
    table = factorial(runs, plan)
    aliased = {term.name: [" x ".join(word) for word in term.aliases] for term in table.terms}
    assert aliased["A x B"] == ["C x D"]
    assert aliased["A x C"] == ["B x D"]
    assert aliased["A x D"] == ["B x C"]
    assert aliased["A"] == []
    assert len(table.terms) == 7
    assert {term.name: term.estimate.value for term in table.terms}["A"] == pytest.approx(10)


def _with_contrasts(plan: object, factors: str) -> object:
    from dataclasses import replace

    from harness.design import Contrast

    pair = ((plan.cells[-1].name, plan.cells[0].name),)  # type: ignore[attr-defined]
    contrasts = tuple(
        Contrast(name=factor, factor=factor, level="on", baseline="off", pairs=pair) for factor in factors
    )
    return replace(plan, contrasts=contrasts)  # type: ignore[type-var]


def test_one_at_a_time_has_no_factorial_structure() -> None:
    plan, runs = study("ABC", [frozenset(), *map(frozenset, "ABC")], lambda on, seed: 1.0 * len(on) + seed)
    assert answer(runs, plan).factorial is None
    assert answer(runs, plan).shapley is None


def _brute_force(value: dict[frozenset[str], float], factors: str) -> dict[str, float]:
    orders = list(itertools.permutations(factors))
    shares = dict.fromkeys(factors, 0.0)
    for order in orders:
        for position, factor in enumerate(order):
            before = frozenset(order[:position])
            shares[factor] += (value[before | {factor}] - value[before]) / len(orders)
    return shares


@pytest.mark.parametrize("factors", ["AB", "ABCD", "ABCDE"])
def test_shapley_shares_are_the_mean_over_all_orders_and_add_up(factors: str) -> None:
    random = np.random.default_rng(len(factors))
    values = [{on: float(random.normal(100, 20)) for on in everything(factors)} for _ in range(3)]
    plan, runs = study(factors, everything(factors), lambda on, seed: values[seed][on])
    table = answer(runs, plan).shapley
    assert table is not None
    expected = [_brute_force(value, factors) for value in values]
    assert table.n == 3
    for share in table.shares:
        assert share.estimate.value == pytest.approx(np.mean([shares[share.factor] for shares in expected]))
        assert share.estimate.low < share.estimate.value < share.estimate.high
    assert sum(share.estimate.value for share in table.shares) == pytest.approx(table.total.value, rel=1e-12)
    total = np.mean([value[frozenset(factors)] - value[frozenset()] for value in values])
    assert table.total.value == pytest.approx(total)


def test_the_airport_game_has_its_known_solution() -> None:
    # Littlechild and Owen 1973: a runway costs as much as its largest user needs; each segment is shared by its users.
    needs = {"A": 8.0, "B": 11.0, "C": 13.0, "D": 18.0}
    plan, runs = study("ABCD", everything("ABCD"), lambda on, seed: max((needs[f] for f in on), default=0.0), seeds=1)
    table = answer(runs, plan).shapley
    assert table is not None
    assert {share.factor: share.estimate.value for share in table.shares} == pytest.approx(
        {"A": 2, "B": 3, "C": 4, "D": 9}
    )


def test_a_seed_that_lacks_a_cell_takes_no_part_in_shapley() -> None:
    plan, runs = study(
        "AB",
        everything("AB"),
        lambda on, seed: "diverged" if (seed, name(on)) == (1, "A") else float(len(on) * (1 + seed)),
    )
    table = answer(runs, plan).shapley
    assert table is not None
    assert table.n == 2
    assert [share.estimate.value for share in table.shares] == pytest.approx(
        [2.0, 2.0]
    )  # the mean of seeds 0 and 2: (1 + 3) / 2
