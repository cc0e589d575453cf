"""Runs of a cell that are trained as one program are, in every store, as many runs, each once, whatever dies."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState

from harness.cli import main
from harness.errors import StudyError
from harness.recipes.events import Cause, Scored
from harness.report import Report
from harness.spec import load
from harness.study.ablate import ablate
from harness.study.coordinator import Outcome
from harness.study.journal import Journal
from harness.study.placement import Options

STORAGE = "sqlite:///optuna.db"
RECIPE = '''
import os
import time
from pathlib import Path

from harness import Measure, Run, recipe
from harness.errors import DivergedError
from harness.recipes import Interrupted, Recipe
from harness.recipes.models import AnyBudget
from harness.settings import Settings


class Knobs(Settings):
    """Its settings."""

    lr: float = 0.1


class Trio(Recipe):
    """Its error is a sum of draws of the seed's own stream; one of its runs diverges. Without a file `go` it waits."""

    name = "trio"
    objective = Measure(name="error", title="error")
    settings = Knobs
    budget = AnyBudget

    def replicates(self, settings, budget):
        return 3

    def train(self, settings, run):
        states = {each: each.restore() or {"step": 0, "sum": 0.0} for each in run.replicates}
        for each, state in states.items():
            with open(f"log-{each.seed}-{settings.lr}", "a") as log:
                print(state["step"], len(run.replicates), os.getpid(), file=log, flush=True)
        while states:
            while all(state["step"] == 6 for state in states.values()) and not Path("go").exists():
                time.sleep(0.02)
                if run.should_stop:
                    break
            for each, state in list(states.items()):
                try:
                    state["step"] += 1
                    state["sum"] += __import__("torch").rand((), generator=each.generator("noise")).item()
                    if (settings.lr, each.seed, state["step"]) == (0.2, 1, 5):
                        raise DivergedError("it left the numbers")
                    each.report(state["step"], error=settings.lr + state["sum"])
                    each.checkpoint(state)
                    if state["step"] < 12:
                        continue
                    each.end({"error": settings.lr + state["sum"], "train_seconds": 5.0, "peak_memory_mb": 1.0})
                except (DivergedError, Interrupted) as error:
                    each.end(error)
                del states[each]
        return {}


@recipe(objective="error")
def single(run: Run, lr: float = 0.1):
    return {"error": lr + run.seed}
'''
SPEC = """
study: together
recipe: ./trio.py:Trio
factors:
  lr: {baseline: 0.1, levels: [0.2]}
seeds: 4
"""
Begin = Callable[..., tuple[Outcome, Report]]


@pytest.fixture
def begin(project: Path, tracking: str) -> Begin:
    _lay_out(project)
    (project / "go").touch()

    def start(*overrides: str, **options: Any) -> tuple[Outcome, Report]:
        given = {"replicates": 3, "launch": "inline", **options}
        return ablate(load(Path("spec.yaml"), overrides), Options(storage=STORAGE, **given), lambda _: None)

    return start


def _lay_out(folder: Path) -> None:
    (folder / "trio.py").write_text(RECIPE)
    (folder / "spec.yaml").write_text(SPEC)


def logs() -> dict[str, list[list[int]]]:
    """What each training said as it began: the step, how many were trained together, its process."""
    return {path.name: [[*map(int, line.split())] for line in path.open()] for path in sorted(Path().glob("log-*"))}


def trials() -> list[optuna.trial.FrozenTrial]:
    (name,) = optuna.get_all_study_names(STORAGE)
    return optuna.load_study(study_name=name, storage=STORAGE).trials


def ends(found: Sequence[optuna.trial.FrozenTrial]) -> dict[str, list[Any]]:
    """How each run ended for good, with its whole curve, by its key."""
    curves: dict[str, dict[int, float]] = {}
    settled: dict[str, list[Any]] = {}
    for trial in found:
        assert trial.state not in (TrialState.RUNNING, TrialState.WAITING)
        key = trial.user_attrs["key"]
        curves.setdefault(key, {}).update(trial.intermediate_values)
        diverged = trial.user_attrs.get("failure", {}).get("kind") == Cause.DIVERGED
        if trial.state == TrialState.COMPLETE or diverged:
            settled.setdefault(key, []).append([trial.state.name, trial.values, trial.user_attrs["seed"]])
    assert all(len(each) == 1 for each in settled.values()), "a run is settled twice"
    return {key: [*settled[key][0], sorted(curves[key].items())] for key in curves}


def children(database: str) -> dict[str, tuple[str, list[Any], str]]:
    """MLflow's runs by their keys: how each ended, its points, and how many were trained together."""
    found: dict[str, tuple[str, list[Any], str]] = {}
    with sqlite3.connect(database) as connection:
        for run, status in connection.execute("SELECT run_uuid, status FROM runs WHERE lifecycle_stage = 'active'"):
            tags = dict(connection.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)).fetchall())
            if (key := tags.get("harness.key")) is None:
                continue
            assert key not in found, "a run is there twice"
            points = connection.execute("SELECT key, step, value FROM metrics WHERE run_uuid = ?", (run,)).fetchall()
            assert len({each[:2] for each in points}) == len(points), "a point is there twice"
            found[key] = status, sorted(each for each in points if each[0] == "error"), tags["replicates"]
    connection.close()
    return found


def test_each_run_of_a_program_is_one_trial_one_mlflow_run_one_journal_and_one_folder(
    begin: Begin, tracking: str
) -> None:
    outcome, report = begin()
    assert (outcome.complete, outcome.diverged, outcome.failed) == (7, 1, 0)
    found = logs()
    assert Counter(together for ((_, together, _),) in found.values()) == {3: 6, 1: 2}  # four seeds: three and one
    assert len(found) == 8
    ended = ends(trials())
    assert len(ended) == 8
    assert sorted(state for state, *_ in ended.values()) == ["COMPLETE"] * 7 + ["FAIL"]
    told = children(tracking.removeprefix("sqlite:///"))
    assert told.keys() == ended.keys()
    (runs,) = Path("runs").glob("together-*")
    journal = Journal(runs)
    for trial in trials():
        key = trial.user_attrs["key"]
        scores = {event.step: event.scores["error"] for event in journal.scored(key, 1) if isinstance(event, Scored)}
        assert scores == trial.intermediate_values
        assert told[key][2] == str(trial.user_attrs["replicates"])
        assert {step: value for _, step, value in told[key][1] if step in scores} == scores
        assert (runs / key / "run.json").exists() == (trial.state == TrialState.COMPLETE)
    costs = [note for note in report.notes if "trained together" in note]
    assert costs  # one of the six diverged: five complete runs have costs that are shares of a program's
    assert "5 of 7 complete runs were trained together with others and are left out" in costs[0]


@pytest.mark.slow
def test_their_numbers_are_those_of_runs_that_are_trained_alone(begin: Begin) -> None:
    _, together = begin()
    _, alone = begin("study=alone", replicates=1, reuse=False)
    columns = ["cell", "seed", "state", "error"]
    assert together.runs[columns].equals(alone.runs[columns])
    assert set(alone.runs["replicates"]) == {1}
    assert sorted(set(together.runs["replicates"])) == [1, 3]


@pytest.mark.parametrize(
    ("overrides", "options", "why"),
    [
        (["recipe=./trio.py:single"], {}, "recipe 'single' trains one run at a time; leave --replicates out"),
        (["budget.seconds=3"], {}, "with a budget in seconds"),
        ([], {"launch": "ray"}, "on this machine, and this is --launch ray"),
        ([], {"launch": "slurm"}, "on this machine, and this is --launch slurm"),
        (["design.kind=search", "design.trials=4"], {}, "the runs of a search are named one by one"),
    ],
)
@pytest.mark.slow
def test_where_runs_cannot_be_trained_together_it_is_said_before_anything_is_written(
    begin: Begin, overrides: list[str], options: dict[str, Any], why: str
) -> None:
    with pytest.raises(StudyError, match=r"--replicates 3: ") as refused:
        begin(*overrides, **options)
    assert why in str(refused.value)
    assert not Path("optuna.db").exists()


@pytest.mark.slow
def test_the_command_line_takes_it_and_says_what_it_does(begin: Begin) -> None:
    asked = CliRunner().invoke(main, ["ablate", "spec.yaml", "--launch", "inline", "--replicates", "2"])
    assert asked.exit_code == 0, asked.output
    assert "up to 2 runs of a cell together" in asked.output
    assert {together for ((_, together, _),) in logs().values()} == {2}


# ---------------------------------------------------------------------- deaths


def _command(*more: str) -> subprocess.Popen[str]:
    code = "from harness.cli import main; main()"
    command = [sys.executable, "-c", code, "ablate", "spec.yaml", "--slots", "1", "--replicates", "3", *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def _wait_for(reached: Callable[[], object], study: subprocess.Popen[str], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert study.poll() is None, study.stdout and study.stdout.read()
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


def _held(runs: int) -> bool:
    """Whether so many runs wait at the sixth step, all of which has come to their journals."""
    found = [path.read_text().count('"Artifact"') for path in Path().glob("runs/*/events/*.jsonl")]
    return sum(steps >= 6 for steps in found) == runs


@pytest.mark.slow
def test_a_coordinator_and_a_slot_that_are_killed_lose_nothing_and_double_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    calm, rough = project / "calm", project / "rough"
    found = {}
    for folder in (calm, rough):
        folder.mkdir()
        _lay_out(folder)
        monkeypatch.chdir(folder)
        if folder is calm:
            (folder / "go").touch()
        else:
            study = _command()
            _wait_for(lambda: _held(3), study)
            os.kill(study.pid, signal.SIGKILL)
            study.wait()
        study = _command()
        if folder is rough:
            _wait_for(lambda: _held(5), study)  # the other cell's, one of which has diverged before
            os.kill(logs()["log-0-0.2"][-1][2], signal.SIGKILL)  # the slot: its two runs are tried again in this start
            (folder / "go").touch()
        output, _ = study.communicate(timeout=240)
        assert study.returncode == 0, output
        found[folder] = ends(trials()), children("mlflow.db")
    assert found[rough][0] == found[calm][0]
    assert {key: each[:2] for key, each in found[rough][1].items()} == {
        key: each[:2] for key, each in found[calm][1].items()
    }
    began = logs()
    steps = {name: [[step, together] for step, together, _ in log] for name, log in began.items()}
    assert [steps[f"log-{seed}-0.1"] for seed in range(4)] == [[[0, 3], [6, 3]]] * 3 + [[[0, 1]]]
    assert [steps[f"log-{seed}-0.2"] for seed in (0, 2)] == [[[0, 3], [6, 2]]] * 2
    assert steps["log-1-0.2"] == [[0, 3]]  # diverged, which is an outcome: it is not tried again


@pytest.mark.slow
def test_an_interrupted_program_saves_every_run_and_goes_on_from_there(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    _lay_out(project)
    study = _command()
    _wait_for(lambda: _held(3), study)
    os.kill(study.pid, signal.SIGINT)
    output, _ = study.communicate(timeout=120)
    assert study.returncode == 130, output
    assert "3 run(s) save a checkpoint" in output
    (project / "go").touch()
    study = _command()
    output, _ = study.communicate(timeout=240)
    assert study.returncode == 0, output
    assert [[step, together] for step, together, _ in logs()["log-1-0.1"]] == [[0, 3], [7, 3]]
    assert len(ends(trials())) == 8


# ---------------------------------------------------------------------- the DCGAN

DOGS = """
study: dogs
recipe: dcgan
data: {source: synthetic-dogs, count: 64, size: 32}
train: {width: 4, depth: false, batch: 16, precision: fp32}
evaluate: {samples: 64, interim_samples: 32, times: 2, grid: 4}
factors:
  margin: {baseline: null, levels: [0.8]}
design: {kind: one-at-a-time}
seeds: 3
budget: {images: 640}
"""


@pytest.mark.slow
def test_the_dcgan_scores_seeds_that_were_trained_together_in_a_slot_as_it_scores_each_alone(
    project: Path, tracking: str
) -> None:
    (project / "spec.yaml").write_text(DOGS)
    found = {}
    for replicates in (3, 1):
        options = Options(storage=STORAGE, slots=2, replicates=replicates, reuse=False)
        outcome, report = ablate(load(Path("spec.yaml"), [f"study=dogs{replicates}"]), options, lambda _: None)
        assert (outcome.complete, outcome.failed) == (6, 0)
        assert set(report.runs["replicates"]) == {replicates}
        found[replicates] = report.runs.set_index(["cell", "seed"])[["mifid", "fid"]]
    apart = (found[3] - found[1]).abs() / found[1]
    # Rounding of float32 over 40 steps; another seed of the cell is further away than that.
    assert apart.to_numpy().max() < 0.02
    for _, cell in found[1].groupby("cell"):
        assert cell["mifid"].std() / cell["mifid"].mean() > 0.02
