"""Both launchers turn a run description into the same events, and a dead process into a failed run."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from harness.data.settings import DataSettings
from harness.recipes.address import Address
from harness.recipes.dcgan.measures import MIFID
from harness.recipes.dcgan.settings import DcganBudget as Budget
from harness.recipes.dcgan.settings import DcganSettings, EvaluateSettings
from harness.recipes.events import Event, Failed, Finished
from harness.runs.description import Launcher, RunDescription
from harness.runs.execute import execute
from harness.runs.launchers import InlineLauncher
from harness.runs.processes import ProcessLauncher


def description(folder: Path, settings: BaseModel) -> RunDescription:
    return RunDescription(
        key="k",
        name="n",
        address=Address("fake"),
        objective=MIFID,
        seed=1,
        train=settings,
        data=DataSettings(count=16, size=32),
        evaluate=EvaluateSettings(),
        references={},
        budget=Budget(images=100),
        directory=str(folder / "run"),
    )


def collect(launcher: Launcher, slot: int = 0) -> list[Event]:
    found: list[Event] = []
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found += [event for which, event in launcher.events(0.2) if which == slot]
        if found and isinstance(found[-1], Finished | Failed):
            return found
    raise AssertionError(f"no end within 60 s: {found}")


@pytest.mark.parametrize(
    ("train", "kind", "reason"),
    [
        ({"mood": "diverge"}, "diverged", "the generator's loss is nan"),
        ({"mood": "crash"}, "error", "RuntimeError: a fault of the recipe"),
    ],
)
def test_every_bad_end_is_a_failed_event_with_its_reason(
    tmp_path: Path, fake_recipe: Any, train: dict[str, object], kind: str, reason: str
) -> None:
    found: list[Event] = []
    execute(description(tmp_path, fake_recipe.settings(**train)), found.append)
    assert isinstance(found[-1], Failed)
    assert found[-1].kind == kind
    assert reason in found[-1].reason


def test_inline_runs_in_this_process_and_ends_with_the_summary(tmp_path: Path, fake_recipe: Any) -> None:
    launcher = InlineLauncher()
    launcher.submit(0, description(tmp_path, fake_recipe.settings()))
    last = collect(launcher)[-1]
    launcher.close()
    assert isinstance(last, Finished)
    assert last.summary["images"] == 100


def test_an_interrupted_run_ends_as_interrupted(tmp_path: Path, fake_recipe: Any) -> None:
    launcher = InlineLauncher()
    launcher.submit(0, description(tmp_path, fake_recipe.settings(mood="wait")))
    launcher.interrupt(0)
    last = collect(launcher)[-1]
    assert isinstance(last, Failed)
    assert last.kind == "interrupted"
    launcher.submit(0, description(tmp_path, fake_recipe.settings()))  # an interrupt is for the run that it met
    assert isinstance(collect(launcher)[-1], Finished)


def test_a_fault_in_a_child_process_comes_back_and_the_slot_goes_on(tmp_path: Path) -> None:
    launcher = ProcessLauncher(1)
    try:
        for _ in range(2):
            launcher.submit(0, description(tmp_path, DcganSettings()))  # recipe 'fake' is not known in a fresh process
            last = collect(launcher)[-1]
            assert isinstance(last, Failed)
            assert "recipe 'fake' is not installed" in last.reason
    finally:
        launcher.close()


def test_a_killed_child_process_is_a_failed_run_and_the_next_run_gets_a_new_one(tmp_path: Path) -> None:
    launcher = ProcessLauncher(2)
    try:
        launcher.submit(1, description(tmp_path, DcganSettings()))
        victim = launcher._workers[1].process
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        last = collect(launcher, slot=1)[-1]
        assert isinstance(last, Failed)
        assert "signal 9" in last.reason
        launcher.submit(1, description(tmp_path, DcganSettings()))
        assert "is not installed" in collect(launcher, slot=1)[-1].reason  # type: ignore[union-attr]
    finally:
        launcher.close()
    assert not victim.is_alive()


def test_no_slots_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, but got 0"):
        ProcessLauncher(0)


def test_a_killed_run_leaves_its_slot_free_for_the_next(tmp_path: Path) -> None:
    launcher = ProcessLauncher(1)
    try:
        launcher.submit(0, description(tmp_path, DcganSettings()))
        launcher.kill(0)
        assert launcher.events(0.1) == []
        launcher.submit(0, description(tmp_path, DcganSettings()))
        assert isinstance(collect(launcher)[-1], Failed)
    finally:
        launcher.close()


def test_settings_that_cannot_cross_processes_fail_their_run_alone(tmp_path: Path) -> None:
    class Odd(BaseModel):
        thing: Any = object()

    launcher = ProcessLauncher(1)
    launcher.submit(0, description(tmp_path, Odd()))
    ((slot, last),) = launcher.events(0.1)
    assert slot == 0
    assert isinstance(last, Failed)
    assert "PydanticSerializationError" in last.reason
    assert (tmp_path / "run" / "traceback.txt").exists()
    launcher.close()
