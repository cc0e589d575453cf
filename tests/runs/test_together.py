"""Runs that are trained as one program: each tells, fails and ends by itself; a slot that dies takes all of them."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.recipes.events import Cause, Event, Failed, Finished, Scored, Started
from harness.runs.description import Launcher, RunDescription
from harness.runs.execute import execute, together
from harness.runs.launchers import InlineLauncher
from harness.runs.processes import ProcessLauncher
from harness.runs.single import describe

RECIPE = '''
import time
from harness import Measure
from harness.errors import DivergedError
from harness.recipes import Interrupted, Recipe
from harness.settings import Settings

class Odd(Settings):
    """Its settings."""
    diverges: int = -1  # the seed that does
    breaks: int = -1
    forgets: int = -1
    patience: float = 0.0

class Pair(Recipe):
    """The total is 100 times the seed, and a step more at every step."""
    name = "pair"
    objective = Measure(name="total", title="total")
    settings = Odd

    def replicates(self, settings, budget):
        return 3

    def train(self, settings, run):
        going = list(run.replicates)
        states = {each: each.restore() or {"total": 100.0 * each.seed} for each in going}
        for each in going:
            each.start({"together": str(len(run.replicates))})
        for step in range(1, 5):
            for each in list(going):
                states[each]["total"] += 1
                if each.seed == settings.diverges and step == 2:
                    each.end(DivergedError("it left the numbers"))
                    going.remove(each)
                elif each.seed == settings.breaks and step == 3:
                    each.end(RuntimeError("a fault of its own"))
                    going.remove(each)
                else:
                    each.report(step, total=states[each]["total"])
            time.sleep(settings.patience * (step > 1))
            if run.should_stop:
                for each in going:
                    each.end(Interrupted("stopped, and saved"))
                return {}
        for each in going:
            if each.seed != settings.forgets:
                each.end({"total": states[each]["total"]})
                each.report(9, total=0.0)  # of which nobody hears any more
        return {}
'''


def runs_in(folder: Path, *settings: str, seeds: tuple[int, ...] = (0, 1, 2)) -> list[RunDescription]:
    (folder / "pair.py").write_text(RECIPE)
    first = describe(f"{folder}/pair.py:Pair", settings, seed=seeds[0], directory=folder)
    return [replace(first, seed=seed, key=f"k{seed}", directory=str(folder / f"run{seed}")) for seed in seeds]


def executed(runs: list[RunDescription]) -> dict[int, list[Event]]:
    """What each run told, by its seed."""
    found: dict[int, list[Event]] = {run.seed: [] for run in runs}
    together([(run, found[run.seed].append) for run in runs])
    return found


def ends_of(found: dict[int, list[Event]]) -> dict[int, str]:
    """How each ended; that it did so once, with its last event."""
    for events in found.values():
        assert [isinstance(event, Finished | Failed) for event in events].index(True) == len(events) - 1
    return {seed: getattr(events[-1], "kind", "finished") for seed, events in found.items()}


def test_runs_that_are_trained_together_tell_what_each_tells_alone(tmp_path: Path) -> None:
    for folder in ("together", "alone"):
        (tmp_path / folder).mkdir()
    found = executed(runs_in(tmp_path / "together"))
    for run in runs_in(tmp_path / "alone"):
        alone: list[Event] = []
        execute(run, alone.append)
        scores = [event.scores for event in alone if isinstance(event, Scored)]
        assert [event.scores for event in found[run.seed] if isinstance(event, Scored)] == scores
        last, by_itself = found[run.seed][-1], alone[-1]
        assert isinstance(last, Finished)
        assert isinstance(by_itself, Finished)
        assert last.summary["total"] == by_itself.summary["total"] == 100 * run.seed + 4
        assert [e.facts["together"] for e in (*found[run.seed], *alone) if isinstance(e, Started)] == ["3", "1"]
        assert (tmp_path / "together" / f"run{run.seed}" / "run.json").exists()


@pytest.mark.slow
def test_one_that_diverges_and_one_that_breaks_end_alone(tmp_path: Path) -> None:
    found = executed(runs_in(tmp_path, "diverges=0", "breaks=1"))
    assert ends_of(found) == {0: Cause.DIVERGED, 1: Cause.ERROR, 2: "finished"}
    assert "a fault of its own" in (tmp_path / "run1" / "traceback.txt").read_text()
    assert not (tmp_path / "run2" / "traceback.txt").exists()
    assert [len([e for e in found[seed] if isinstance(e, Scored)]) for seed in (0, 1, 2)] == [1, 2, 4]


@pytest.mark.slow
def test_one_that_the_recipe_does_not_end_is_an_error_of_the_recipe(tmp_path: Path) -> None:
    found = executed(runs_in(tmp_path, "forgets=1"))
    assert ends_of(found) == {0: "finished", 1: Cause.ERROR, 2: "finished"}
    assert "returned before it ended the run of seed 1" in str(found[1][-1])


@pytest.mark.slow
def test_what_is_raised_ends_all_that_go_on(tmp_path: Path) -> None:
    runs = runs_in(tmp_path)
    (tmp_path / "pair.py").write_text(
        RECIPE.replace("for step in range(1, 5):", "raise MemoryError('4 TiB')\n        for step in ():")
    )
    found = executed(runs)
    assert ends_of(found) == dict.fromkeys((0, 1, 2), Cause.MEMORY)


@pytest.mark.slow
def test_one_whose_folder_another_has_ends_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.files import locks

    runs = runs_in(tmp_path)
    held = locks.held
    monkeypatch.setattr(locks, "held", lambda *args: held(*args, patience=0.1))
    with held(tmp_path / "run1"):
        found = executed(runs)
    assert ends_of(found) == {0: "finished", 1: Cause.LOST, 2: "finished"}


# ---------------------------------------------------------------------- in slots


@pytest.fixture(params=[InlineLauncher, lambda: ProcessLauncher(2)], ids=["inline", "processes"])
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    made = request.param()
    yield made
    made.close()


def told(launcher: Launcher, ends: int, seconds: float = 60) -> dict[int, list[Event]]:
    """What slots tell until so many runs have ended."""
    found: dict[int, list[Event]] = defaultdict(list)
    until = time.monotonic() + seconds
    while sum(isinstance(event, Finished | Failed) for events in found.values() for event in events) < ends:
        assert time.monotonic() < until, found
        for place, event in launcher.events(0.1):
            found[place].append(event)
    return found


@pytest.mark.slow
def test_a_slot_tells_of_its_runs_by_the_places_after_its_own(tmp_path: Path, launcher: Launcher) -> None:
    launcher.submit(3, *runs_in(tmp_path, "breaks=1"))
    found = told(launcher, 3)
    assert ends_of(found) == {3: "finished", 4: Cause.ERROR, 5: "finished"}
    launcher.submit(3, runs_in(tmp_path, seeds=(7,))[0])
    (last,) = [event for event in told(launcher, 1)[3] if isinstance(event, Finished)]
    assert last.summary["total"] == 704


@pytest.mark.slow
def test_a_wish_to_stop_saves_all_and_one_for_a_single_run_of_several_stops_none(
    tmp_path: Path, launcher: Launcher
) -> None:
    launcher.submit(0, *runs_in(tmp_path, "patience=0.2"))
    launcher.interrupt(1)
    assert ends_of(told(launcher, 3)) == dict.fromkeys((0, 1, 2), "finished")
    launcher.submit(0, *runs_in(tmp_path, "patience=0.2"))
    launcher.interrupt()
    assert ends_of(told(launcher, 3)) == dict.fromkeys((0, 1, 2), Cause.INTERRUPTED)


@pytest.mark.slow
def test_the_death_of_a_slot_is_that_of_all_its_runs_that_have_not_ended(tmp_path: Path) -> None:
    launcher = ProcessLauncher(1)
    try:
        launcher.submit(0, *runs_in(tmp_path, "patience=20", "diverges=1"))
        before = told(launcher, 1)
        assert ends_of({1: before[1]}) == {1: Cause.DIVERGED}
        pid = launcher._workers[0].process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        found = told(launcher, 2)
        assert ends_of(found) == dict.fromkeys((0, 2), Cause.LOST)
    finally:
        launcher.close()
