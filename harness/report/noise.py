"""The noise floor in words: how much results differ where nothing does, and what that lets one show."""

from __future__ import annotations

import math

from harness.analysis.noise import Noise
from harness.analysis.types import Estimate
from harness.report import Report
from harness.report.numbers import decimals, interval, number, percent


def paragraph(report: Report) -> str:
    """The noise in a few sentences; "" where no cell has two complete runs."""
    noise, objective = report.answer.noise, report.plan.objective
    if noise is None:
        return ""
    if noise.sd.value == 0:
        return (
            f"Runs of one cell differ in nothing but their seed, and their {objective.title} is the same to the digit."
        )
    where = "the control" if noise.cells == 1 else f"a cell (pooled over {noise.cells} cells)"
    spread = _spread(noise, objective.unit)
    said = [f"From seed to seed the {objective.title} of {where} has a standard deviation of {spread}."]
    if not math.isnan(noise.sampling_share):
        words = f"{percent(noise.sampling_share, 0, signed=False)} of its variance is sampling: "
        said.append(words + "another draw for the same run's score would move it so; the rest is training anew.")
    if not math.isnan(noise.correlation):
        gain = (
            "pairing by seed gains little"
            if abs(noise.correlation) < 0.3
            else (
                "pairing by seed narrows differences" if noise.correlation > 0 else "pairing by seed widens differences"
            )
        )
        said.append(f"Two cells of one seed correlate by {number(noise.correlation, 2, signed=True)}: {gain}.")
    if own := next((each for each in noise.shown if each.own), None):
        tests = "one trick" if noise.tests == 1 else f"each of {noise.tests} contrasts"
        how = f"up to {own.seeds} seeds, looked at after each," if report.plan.waves else f"{own.seeds} seeds"
        said.append(f"With this noise {how} show with 80 % power an effect of {_size(noise, own.effect)} of {tests}.")
    elif report.plan.test == "ranks" and not report.plan.waves:
        said.append("Ranks of so few seeds can show no effect, however large.")
    return " ".join(said)


def _spread(noise: Noise, unit: str) -> str:
    """`5.3 [4.1, 7.6], 6.1 % [4.7, 8.8] of the control's mean`."""
    plain = f"{_estimate(noise.sd)} {unit}".rstrip()
    if not noise.relative.known:
        return plain
    shares = Estimate(*(100 * each for each in (noise.relative.value, noise.relative.low, noise.relative.high)))
    digits = decimals([shares.value], 2)
    share = f"{percent(noise.relative.value, digits, signed=False)} {interval(shares, digits, signed=False)}"
    return f"{plain}, which is {share} of the control’s mean"


def _estimate(estimate: Estimate) -> str:
    digits = decimals([estimate.value], 2)
    return f"{number(estimate.value, digits)} {interval(estimate, digits, signed=False)}"


def _size(noise: Noise, effect: float) -> str:
    plain = number(effect, decimals([effect], 2))
    return f"{plain} ({percent(effect / abs(noise.control), signed=False)})" if noise.relative.known else plain
