"""Data are prepared once a machine and start, whoever comes first, and again where that failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.recipes.events import Event, Failed, Finished, Noted
from harness.runs.description import RunDescription
from harness.runs.execute import execute
from harness.runs.processes import ProcessLauncher

RECIPE = """
import os, time
from pathlib import Path
from harness import Run, recipe

def prepare():
    time.sleep(0.3)
    with open({log!r}, "a") as log:
        log.write("prepared\\n")
    if Path({broken!r}).exists():
        raise OSError("no room")

@recipe(objective="total", prepare=prepare)
def mine(run: Run, lr: float = 0.1):
    with open({log!r}, "a") as log:
        log.write("trained\\n")
    return {{"total": lr}}
"""


@pytest.fixture
def start(tmp_path: Path, described: Callable[..., RunDescription]) -> Callable[..., RunDescription]:
    """Describes a run of a start by its name, of a recipe that writes down what it does."""
    text = RECIPE.format(log=str(tmp_path / "log"), broken=str(tmp_path / "broken"))
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    return lambda name, **settings: replace(described("./mine.py:mine", settings), prepare=name)


def test_the_first_of_several_processes_prepares_and_the_others_wait(
    start: Callable[..., RunDescription], tmp_path: Path
) -> None:
    launcher = ProcessLauncher(3)
    for slot in range(3):
        launcher.submit(slot, replace(start(f"{tmp_path.name}-1"), directory=str(tmp_path / f"run{slot}")))
    ends: list[Event] = []
    while len(ends) < 3:
        ends += [event for _, event in launcher.events(1) if isinstance(event, Finished | Failed)]
    launcher.close()
    assert all(isinstance(end, Finished) for end in ends), ends
    assert (tmp_path / "log").read_text().split() == ["prepared", "trained", "trained", "trained"]


def test_another_start_prepares_anew_and_one_without_a_name_not_at_all(
    start: Callable[..., RunDescription], tmp_path: Path
) -> None:
    for name in (f"{tmp_path.name}-2", f"{tmp_path.name}-2", f"{tmp_path.name}-3", None):
        execute(start(name), lambda event: None)
    assert (tmp_path / "log").read_text().split() == [
        "prepared",
        "trained",
        "trained",
        "prepared",
        "trained",
        "trained",
    ]


def test_what_failed_is_said_and_prepared_again_by_the_next(
    start: Callable[..., RunDescription], tmp_path: Path
) -> None:
    (tmp_path / "broken").touch()
    found: list[Event] = []
    execute(start(f"{tmp_path.name}-4"), found.append)
    assert isinstance(found[-1], Failed)
    assert "OSError: no room" in found[-1].reason
    (tmp_path / "broken").unlink()
    execute(start(f"{tmp_path.name}-4"), found.append)
    assert isinstance(found[-1], Finished)
    assert (tmp_path / "log").read_text().split() == ["prepared", "prepared", "trained"]
    assert not any(isinstance(event, Noted) for event in found)
