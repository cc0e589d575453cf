"""Numbers as a reader sees them."""

from __future__ import annotations

import math

import pytest

from harness.analysis.types import Estimate
from harness.report.numbers import decimals, number, p_value, percent, places, spread


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"),
    [
        (-3.14159, 2, False, "−3.14"),
        (1234.5, 0, True, "+1,234"),
        (-0.004, 2, True, "0.00"),
        (math.nan, 2, False, "–"),
        (math.inf, 2, False, "–"),
        (None, 1, False, "–"),
    ],
)
def test_numbers_have_true_minus_signs_separators_and_dashes(
    value: float | None, digits: int, signed: bool, text: str
) -> None:
    assert number(value, digits, signed=signed) == text


def test_a_column_has_the_digits_that_its_typical_size_deserves() -> None:
    assert decimals([0.0123, 0.0456]) == 4
    assert decimals([123.0, 4.5, 456.0]) == 0
    assert decimals([math.nan, 0.0]) == 1
    assert places([Estimate(12.3, 10.1, 14.2)]) == 1  # one at least below 100
    assert places([Estimate(1234.0, 1100.0, 1300.0)]) == 0


def test_an_estimate_has_its_interval_where_there_is_one() -> None:
    assert str(spread(Estimate(-3.14, -4.0, -2.2), 1)) == "−3.1 [−4.0,\u00a0−2.2]"
    assert str(spread(Estimate(-3.14), 1)) == "−3.1"
    assert str(spread(Estimate(), 1)) == str(spread(None, 1)) == "–"
    assert str(spread(Estimate(1.02, 1.0, 1.04), 2, signed=False, times=True)) == "×\u00a01.02 [1.00,\u00a01.04]"


def test_small_p_values_and_shares() -> None:
    assert (p_value(0.0004), p_value(0.0304), p_value(math.nan)) == ("<\u00a00.001", "0.030", "–")
    assert (percent(-0.236), percent(0.5, 0, signed=False), percent(math.nan)) == ("−23.6\u00a0%", "50\u00a0%", "–")
