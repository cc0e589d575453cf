"""Estimates of time are held to recipes of known pace: functions that sleep."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.design import plan as make_plan
from harness.spec import load
from harness.study.calibration import Estimate, calibrate
from harness.study.placement import Placement

RECIPES = '''
import time
from typing import Annotated

from harness import Run, recipe
from harness.settings import SAMPLING


@recipe(objective="error", budget={"epochs": 50})
def epochs(run: Run, pace: float = 0.2, end: float = 0.0, psi: Annotated[float, SAMPLING] = 1.0):
    for epoch in run.until_budget():
        time.sleep(pace)
    time.sleep(end)
    return {"error": 0.0}


@recipe(objective="error")
def steps(run: Run, pace: float = 0.02, end: float = 0.0):
    """Counts in its spec's unit, or its own."""
    time.sleep(1)
    for step in run.until_budget(steps=400):
        time.sleep(pace)
        if step % 50 == 0:
            with run.untimed():
                time.sleep(0.5)
            run.report(step, error=1.0)
    time.sleep(end)
    return {"error": 0.0}


@recipe(objective="error")
def loop(run: Run, pace: float = 0.02, end: float = 0.0):
    """Reads its budget, counts by itself, and does not stop when it is told to."""
    for step in range(run.budget.steps):
        time.sleep(pace)
        run.report(step + 1, loss=1.0)
    time.sleep(end)
    return {"error": 0.0}


@recipe(objective="error")
def silent(run: Run, pace: float = 4.0, end: float = 0.0):
    time.sleep(pace + end)
    return {"error": 0.0}


@recipe(objective="error")
def broken(run: Run, pace: float = 0.1, end: float = 0.0):
    if end:
        raise RuntimeError("no end")
    time.sleep(pace)
    return {"error": 0.0}
'''
SPEC = """
study: pace
recipe: ./paces.py:RECIPE
factors:
  end: {baseline: 0.0, levels: [4.0]}
seeds: 2
"""
HERE = Placement(devices=["cpu"], slots=1, threads=1)


@pytest.fixture
def estimates(project: Path):  # type: ignore[no-untyped-def]
    (project / "paces.py").write_text(RECIPES)

    def of(recipe: str, *overrides: str) -> dict[str, Estimate]:
        (project / "spec.yaml").write_text(SPEC.replace("RECIPE", recipe))
        return calibrate(make_plan(load(project / "spec.yaml", overrides)), placement=HERE)

    return of


@pytest.mark.parametrize(
    ("recipe", "overrides", "seconds", "rate"),
    [
        ("epochs", (), 50 * 0.2, 0),  # its own budget, in a unit that its steps do not count
        ("epochs", ("budget={epochs: 5}", "train={pace: 2.5}"), 5 * 2.5, 0),
        ("epochs", ("budget={seconds: 20}",), 20, 0),
        ("steps", (), 1 + 400 * 0.02 + 8 * 0.5, 0),
        ("steps", ("budget={steps: 1000}",), 1 + 1000 * 0.02 + 20 * 0.5, 50),
        ("steps", ("budget={seconds: 12}",), 1 + 12 + 12 * 0.5, 0),
        ("loop", ("budget={steps: 800}",), 800 * 0.02, 50),
        ("silent", (), 4.0, 0),
        ("silent", ("train={pace: 0.3}",), 0.3, 0),
    ],
)
def test_an_estimate_is_near_what_a_run_of_known_pace_takes(
    estimates,  # type: ignore[no-untyped-def]
    recipe: str,
    overrides: tuple[str, ...],
    seconds: float,
    rate: float,
) -> None:
    found = estimates(recipe, *overrides)
    assert found["baseline"].seconds == pytest.approx(seconds, rel=0.25)
    assert found["end=4.0"].seconds == pytest.approx(seconds + 4, rel=0.25)
    for each in found.values():
        assert not each.unknown
        if rate:
            assert each.rate == pytest.approx(rate, rel=0.25)
