"""Estimates of time are held to recipes of known pace: functions that sleep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.design import plan as make_plan
from harness.errors import StudyError
from harness.recipes.dcgan.recipe import Dcgan
from harness.recipes.dcgan.settings import EvaluateSettings
from harness.spec import load
from harness.study import calibration
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
def keeping(run: Run, pace: float = 0.2, psi: Annotated[float, SAMPLING] = 1.0):
    """Others of its training go on from its checkpoint."""
    run.restore()
    for epoch in run.until_budget(epochs=10):
        time.sleep(pace)
        run.checkpoint({})
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
SLOW = """
import signal, sys, time

def end(number, frame):
    time.sleep(1.5)
    with open("log.txt", "a") as log:
        log.write(" ended")
    sys.exit(1)

signal.signal(signal.SIGTERM, end)
with open("log.txt", "a") as log:
    log.write("started")
time.sleep(60)
"""
COMMAND = """
study: slow
recipe: {command: [python, slow.py, "{x}"], settings: {x: 0.0}}
objective: {metric: error, direction: minimize}
factors:
  x: {baseline: 0.0, levels: [1.0]}
seeds: 2
"""
Estimates = Callable[..., dict[str, Estimate]]
HERE = Placement(devices=["cpu"], slots=1, threads=1)


@pytest.fixture
def estimates(project: Path) -> Estimates:
    (project / "paces.py").write_text(RECIPES)

    def of(recipe: str, *overrides: str) -> dict[str, Estimate]:
        (project / "spec.yaml").write_text(SPEC.replace("RECIPE", recipe))
        return calibrate(make_plan(load(project / "spec.yaml", overrides)), placement=HERE)

    return of


@pytest.mark.parametrize(
    ("recipe", "overrides", "seconds", "rate"),
    [
        ("epochs", (), 50 * 0.2, 0),  # its own budget, in a unit that its steps do not count
        pytest.param("epochs", ("budget={epochs: 5}", "train={pace: 2.5}"), 5 * 2.5, 0, marks=pytest.mark.slow),
        pytest.param("epochs", ("budget={seconds: 20}",), 20, 0, marks=pytest.mark.slow),
        ("steps", (), 1 + 400 * 0.02 + 8 * 0.5, 0),
        pytest.param("steps", ("budget={steps: 1000}",), 1 + 1000 * 0.02 + 20 * 0.5, 50, marks=pytest.mark.slow),
        pytest.param("steps", ("budget={seconds: 12}",), 1 + 12 + 12 * 0.5, 0, marks=pytest.mark.slow),
        pytest.param("loop", ("budget={steps: 800}",), 800 * 0.02, 50, marks=pytest.mark.slow),
        pytest.param("silent", (), 4.0, 0, marks=pytest.mark.slow),
        ("silent", ("train={pace: 0.3}",), 0.3, 0),
    ],
)
@pytest.mark.slow
@pytest.mark.slow
def test_an_estimate_is_near_what_a_run_of_known_pace_takes(
    estimates: Estimates,
    recipe: str,
    overrides: tuple[str, ...],
    seconds: float,
    rate: float,
) -> None:
    found = estimates(recipe, *overrides)
    plain, ending = found.values()
    assert plain.seconds == pytest.approx(seconds, rel=0.25, abs=0.5)  # a run's own start and end take a moment
    assert ending.seconds == pytest.approx(seconds + 4, rel=0.25)
    for each in found.values():
        assert not each.unknown
        if rate:
            assert each.rate == pytest.approx(rate, rel=0.25)


@pytest.mark.slow
def test_a_recipe_that_tells_nothing_in_time_is_said_to_be_unknown_and_no_cap_is_put_on_it(
    estimates: Estimates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibration, "LIMIT", 2.0)
    monkeypatch.setattr(calibration, "_GRACE", 0.2)

    found = estimates("silent", "train={pace: 60.0}")
    assert all(each.unknown and each.seconds >= 2 for each in found.values())
    done = CliRunner().invoke(main, ["ablate", "spec.yaml", "--dry-run", "--set", "train.pace=60.0"])
    assert done.exit_code == 0, done.output
    assert "no progress in" in done.stdout
    assert "4 runs, more than" in done.stdout
    assert "/s" not in done.stdout
    asked = ["--set", "train.pace=60.0", "--set", "design.max_hours=1"]
    done = CliRunner().invoke(main, ["ablate", "spec.yaml", "--launch", "inline", *asked])
    assert done.exit_code == 2
    assert "design.max_hours: nobody knows how long 'baseline' takes: no progress in" in done.stderr


@pytest.mark.slow
def test_a_cell_that_fails_is_said_and_the_others_are_timed(
    estimates: Estimates,
) -> None:
    plain, ending = estimates("broken").values()
    assert plain.seconds == pytest.approx(0.1, abs=0.5)
    assert "RuntimeError: no end" in ending.failed
    done = CliRunner().invoke(main, ["ablate", "spec.yaml", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "end=4 fails: recipe './paces.py:broken': RuntimeError: no end" in done.stdout
    with pytest.raises(StudyError, match=r"timing the control cell 'baseline' failed: .*no end"):
        estimates("broken", "factors.end={baseline: 1.0, levels: [4.0]}")


@pytest.mark.slow
def test_a_run_that_shares_a_training_takes_none_of_its_own(
    estimates: Estimates,
) -> None:
    factors = "factors={end: null, psi: {baseline: 1.0, levels: [0.5, 0.7]}}"
    leader, *followers = estimates("keeping", "budget={epochs: 10}", factors).values()
    assert leader.train_seconds == pytest.approx(2, rel=0.25)
    assert [each.train_seconds for each in followers] == [0, 0]
    done = CliRunner().invoke(
        main, ["ablate", "spec.yaml", "--dry-run", "--set", "budget={epochs: 10}", "--set", factors]
    )
    assert "6 runs, 2 trainings (psi plays a part at sampling only), about" in done.stdout
    assert "left no checkpoint" not in done.stdout


@pytest.mark.slow
def test_a_run_whose_recipe_leaves_no_checkpoint_takes_a_whole_training_though_it_could_share_one(
    estimates: Estimates,
) -> None:
    factors = "factors={end: null, psi: {baseline: 1.0, levels: [0.5]}}"
    leader, follower = estimates("epochs", "budget={epochs: 5}", factors).values()
    assert follower == leader
    assert follower.train_seconds == pytest.approx(1, rel=0.25)
    done = CliRunner().invoke(
        main, ["ablate", "spec.yaml", "--dry-run", "--set", "budget={epochs: 5}", "--set", factors]
    )
    assert "'baseline' left no checkpoint for others to go on from" in done.stdout


@pytest.mark.slow
def test_a_command_that_is_slow_to_stop_is_gone_before_the_next_is_timed(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, seconds in (("LIMIT", 2.0), ("_FIRST", 2.0), ("_GRACE", 0.2)):
        monkeypatch.setattr(calibration, name, seconds)
    (project / "slow.py").write_text(SLOW)
    (project / "spec.yaml").write_text(COMMAND)
    assert all(each.unknown for each in calibrate(make_plan(load(project / "spec.yaml")), placement=HERE).values())
    assert (project / "log.txt").read_text() == "started ended"


def test_what_the_scores_of_the_dcgan_cost_is_that_of_all_their_images() -> None:
    settings = EvaluateSettings(samples=1000, interim_samples=500, times=4)
    rehearsal = Dcgan().rehearsal(settings)
    assert rehearsal is not None
    few, more, factor = rehearsal

    def cost(evaluate: EvaluateSettings) -> float:
        """3 s whatever it scores, and a hundredth a second for each image."""
        images = evaluate.samples + (evaluate.times - 1) * evaluate.interim_samples
        return 3 + 0.01 * images

    assert cost(few) + factor * (cost(more) - cost(few)) == pytest.approx(cost(settings))
    assert cost(settings) == 3 + 25
    assert Dcgan().rehearsal(EvaluateSettings(samples=64, interim_samples=32, times=1)) is None
