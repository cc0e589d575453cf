"""Whatever a recipe of one's own does, it is the end of that run alone, with a reason that helps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState

from harness.cli import main

STORAGE = "sqlite:///optuna.db"
BAD = """
import os
import sys
from pathlib import Path
from typing import Literal

import torch

from harness import Run, recipe

WAYS = Literal[
    "well", "none", "text", "lacks", "nan", "inf", "tensor", "rows", "far", "rubbish", "negative", "raises", "exits",
    "interrupts", "unlike", "dies", "scalar",
]


class Unlike(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@recipe(objective="accuracy", maximize=True)
def bad(run: Run, way: WAYS = "well"):
    run.report(1, accuracy=0.5)
    run.report(1, accuracy=0.5)
    good = {"accuracy": 0.5 + run.seed / 10}
    match way:
        case "none":
            return None
        case "text":
            return "accuracy 0.9"
        case "lacks":
            return {"error": 0.1}
        case "nan":
            return {"accuracy": float("nan")}
        case "inf":
            return {"accuracy": 0.5, "loss": float("inf")}
        case "tensor":
            return torch.zeros(3)
        case "rows":
            return {"accuracy": torch.zeros(3)}
        case "far":
            run.report(2**40, accuracy=0.5)
        case "rubbish":
            run.report(2, accuracy="high")
        case "negative":
            run.report(-1, accuracy=0.5)
        case "raises":
            raise ZeroDivisionError("a fault\\nin two lines")
        case "exits":
            sys.exit(3)
        case "interrupts":
            raise KeyboardInterrupt
        case "unlike":
            raise Unlike
        case "dies":
            os._exit(7)
        case "scalar":
            return {"accuracy": torch.tensor(0.7), "../odd name*": 1}
    return good
"""
SPEC = """
study: bad
recipe: ./bad.py:bad
factors:
  way: {baseline: well, levels: [LEVELS]}
seeds: 1
"""


def line(text: str) -> int:
    """The line of the recipe's file that begins so."""
    return [each.strip().startswith(text) for each in BAD.splitlines()].index(True) + 1


REASONS = {
    "none": "recipe 'bad' returned None; it must return its measures by name, like {'accuracy': 0.9}",
    "text": "recipe 'bad' returned a str; it must return its measures by name",
    "lacks": "recipe 'bad' returned no 'accuracy', which is the objective; it returned error",
    "nan": "recipe 'bad': accuracy is nan; must be a finite number",
    "inf": "recipe 'bad': loss is inf; must be a finite number",
    "tensor": "recipe 'bad' returned a Tensor",
    "rows": "recipe 'bad': accuracy is a Tensor; must be a finite number",
    "far": "step 1099511627776",
    "rubbish": "recipe 'bad': report at step 2: accuracy is 'high'; must be a finite number",
    "negative": "recipe 'bad': report(-1, ...): the step must be a whole number of at least 0",
    "raises": (
        f"recipe './bad.py:bad': ZeroDivisionError: a fault (bad.py, line {line('raise Zero')}); the whole "
        "traceback is in runs/"
    ),
    "exits": "recipe './bad.py:bad': SystemExit: 3: a recipe returns its measures or raises, and ends no process",
    "interrupts": f"recipe './bad.py:bad': KeyboardInterrupt (bad.py, line {line('raise Keyboard')})",
    "unlike": f"recipe './bad.py:bad': Unlike (bad.py, line {line('raise Unlike')})",
    "dies": "recipe './bad.py:bad': the slot's process died (exit code 7)",
}
DIVERGED = {"nan", "inf"}


@pytest.fixture
def written(project: Path, tracking: str) -> Path:
    (project / "bad.py").write_text(BAD)
    return project


def ablate(*options: str) -> Any:
    return CliRunner().invoke(main, ["ablate", "bad.yaml", *options])


def trials() -> list[optuna.trial.FrozenTrial]:
    (name,) = optuna.get_all_study_names(STORAGE)
    return optuna.load_study(study_name=name, storage=STORAGE).trials


@pytest.mark.parametrize("launch", ["inline", "processes"])
@pytest.mark.slow
def test_every_bad_end_is_that_of_its_run_alone(written: Path, launch: str) -> None:
    reasons = {way: reason for way, reason in REASONS.items() if (way, launch) != ("dies", "inline")}
    (written / "bad.yaml").write_text(SPEC.replace("LEVELS", ", ".join([*reasons, "scalar"])))
    done = ablate("--launch", launch)
    assert done.exit_code == 1, done.output
    assert f"error: {len(reasons) - len(DIVERGED)} run(s) failed: " in done.stderr  # and the first to end's reason
    assert "Traceback" not in done.output
    found = {trial.user_attrs["levels"]["way"]: trial for trial in trials()}
    assert {way for way, trial in found.items() if trial.state == TrialState.COMPLETE} == {"well", "scalar"}
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    for way, reason in reasons.items():
        trial = found[way]
        assert trial.state == TrialState.FAIL
        assert reason in trial.user_attrs["failure"]["reason"], way
        kind = "diverged" if way in DIVERGED else "lost" if way == "dies" else "error"
        assert trial.user_attrs["failure"]["kind"] == kind, way
        run = client.get_run(trial.user_attrs["mlflow_run_id"])
        assert run.info.status == "FAILED"
        assert reason in run.data.tags["harness.reason"]
        if way not in {*DIVERGED, "dies"}:
            (text,) = Path("runs").glob(f"*/{trial.user_attrs['key']}/traceback.txt")
            kept = client.download_artifacts(run.info.run_id, "traceback.txt", str(written))
            assert Path(kept).read_text() == text.read_text()
            assert "bad.py" in text.read_text() or way in {"none", "text", "lacks", "tensor", "rows"}


@pytest.mark.slow
def test_a_recipe_that_loads_here_but_in_no_slot_fails_its_runs_with_the_place(written: Path) -> None:
    (written / "bad.yaml").write_text(SPEC.replace("LEVELS", "scalar"))
    only_here = "import multiprocessing\nassert multiprocessing.parent_process() is None, 'not in a slot'\n"
    (written / "bad.py").write_text(only_here + BAD)
    done = ablate()
    assert done.exit_code == 2
    assert (
        "the first 2 runs all failed: ./bad.py:bad cannot be imported: AssertionError: not in a slot (bad.py, line 2)"
        in (done.stderr)
    )
    assert [trial.user_attrs["failure"]["kind"] for trial in trials()] == ["error", "error"]
    assert list(Path("runs").glob("*/*/traceback.txt"))


@pytest.mark.slow
def test_settings_that_no_json_can_hold_are_refused_with_the_place(written: Path) -> None:
    (written / "bad.py").write_text(
        "from typing import Any\nfrom harness import recipe\n\n\n@recipe(objective='a')\n"
        "def bad(run, way: Any = 'well', what: Any = object()):\n    return {'a': 1}\n"
    )
    (written / "bad.yaml").write_text(SPEC.replace("LEVELS", "scalar"))
    done = ablate()
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("error: bad.yaml")
    assert "train.what: " in done.stderr
    assert "cannot be written as JSON; settings are numbers, text and lists" in done.stderr


@pytest.mark.slow
def test_a_study_of_which_no_run_is_complete_ends_with_an_error_each_time(written: Path) -> None:
    (written / "bad.yaml").write_text(
        SPEC.replace("baseline: well", "baseline: nan").replace("LEVELS", "inf").replace("seeds: 1", "seeds: 2")
    )
    for _ in range(2):
        done = ablate("--launch", "inline")
        assert done.exit_code == 2
        assert "no run is complete (4 diverged): recipe 'bad': accuracy is nan; must be a finite number" in done.stderr
    assert len(trials()) == 4
