"""The worth in a spec: a share of the control's mean, an amount of the objective, or the usual; all else is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from harness import design
from harness.errors import SpecError
from harness.spec.load import KEYS, Spec, load
from harness.spec.worth import USUAL, Worth, worth_of

SPEC = """
study: small
recipe: dcgan
factors:
  crop: {baseline: resize, levels: [square]}
seeds: 2
budget: {images: 100}
"""


def spec(tmp_path: Path, line: str = "", *overrides: str) -> Spec:
    path = tmp_path / "small.yaml"
    path.write_text(f"{SPEC}{line}\n", encoding="utf-8")
    return load(path, overrides)


@pytest.mark.parametrize(
    ("line", "worth"),
    [
        ("", Worth(share=0.05)),
        ("worth: null", Worth(share=0.05)),
        ("worth: 5%", Worth(share=0.05)),
        ("worth: 2.5 %", Worth(share=0.025)),
        ("worth: '100%'", Worth(share=1.0)),
        ("worth: {mifid: 10}", Worth(amount=10.0)),
        ("worth: {mifid: 0.25}", Worth(amount=0.25)),
        ("objective: {metric: fid}\nworth: {fid: 3}", Worth(amount=3.0)),
    ],
)
def test_a_worth_is_a_share_or_an_amount_and_five_percent_where_nothing_is_said(
    tmp_path: Path, line: str, worth: Worth
) -> None:
    found = spec(tmp_path, line)
    assert found.worth == worth
    assert design.plan(found).worth == worth


def test_a_worth_can_be_set_from_the_command_line(tmp_path: Path) -> None:
    assert spec(tmp_path, "worth: 5%", "worth=8%").worth == Worth(share=0.08)


def test_the_worth_changes_no_run_and_no_study(tmp_path: Path) -> None:
    one, other = (design.plan(spec(tmp_path, line)) for line in ("", "worth: {mifid: 10}"))
    assert one.fingerprint == other.fingerprint
    assert one.runs == other.runs
    assert replace(one, worth=other.worth) == other


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("worth: 0.05", "0.05 is not allowed; write a share of the control's mean, like 5%, or an amount"),
        ("worth: 5", "like {mifid: 10}"),
        ("worth: true", "is not allowed; write a share"),
        ("worth: a little", "'a little' is not allowed; write a share"),
        ("worth: [5%]", "is not allowed; write a share"),
        ("worth: 0%", "0% is not allowed: above 0% and up to 100%"),
        ("worth: 101%", "101% is not allowed: above 0% and up to 100%"),
        ("worth: -5%", "'-5%' is not allowed; write a share"),
        ("worth: {}", "is not allowed; write a share"),
        ("worth: {mifid: 10, fid: 3}", "is not allowed; write a share"),
        ("worth: {fid: 10}", "'fid' is not what the study is about"),
        ("worth: {mifd: 10}", "did you mean 'mifid'?"),
        ("worth: {mifid: 0}", "0 is not allowed: the least mifid worth having must be a number above 0"),
        ("worth: {mifid: -1}", "must be a number above 0"),
        ("worth: {mifid: true}", "must be a number above 0"),
        ("worth: {mifid: .inf}", "must be a number above 0"),
        ("worth: {mifid: 5%}", "must be a number above 0"),
        ("worths: 5%", "train, worth; did you mean 'worth'?"),
    ],
)
def test_a_worth_that_is_none_is_refused_with_its_place_and_the_ways_to_say_it(
    tmp_path: Path, line: str, said: str
) -> None:
    with pytest.raises(SpecError) as error:
        spec(tmp_path, line)
    (message,) = str(error.value).splitlines()
    assert "small.yaml:8" in message
    assert f"{line.partition(':')[0]}: " in message
    assert said in message


def test_a_refused_objective_refuses_no_worth(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as error:
        spec(tmp_path, "objective: {metric: fid, direction: sideways}\nworth: {fid: 10}")
    assert "worth" not in str(error.value)


@pytest.mark.parametrize("given", [{}, {"share": 0.1, "amount": 1.0}, {"share": 0.0}, {"amount": float("nan")}])
def test_a_worth_is_one_number_above_0(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give one of share and amount"):
        Worth(**given)


def test_the_key_is_among_those_of_a_spec() -> None:
    assert "worth" in KEYS
    assert worth_of(yaml.safe_load("5%"), "mifid") == USUAL
