"""Studies as processes of their own: what signals, as batch systems send them, and hung slots leave of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

RECIPE = """
import os, time
from pathlib import Path
from harness import Run, recipe

@recipe(objective="error")
def slow(run: Run, lr: float = 0.1):
    state = run.restore() or {"step": 0}
    with open(f"log-{run.seed}-{lr}", "a") as log:
        print("began", state["step"], os.getpid(), file=log, flush=True)
    if Path("hang").exists():
        Path("hang").unlink()
        state["step"] = 1
        run.checkpoint(state)
        time.sleep(600)
    while not Path("go").exists():
        state["step"] += 1
        run.checkpoint(state)
        time.sleep(0.05)
    return {"error": lr + run.seed}
"""
SPEC = """
study: signals
recipe: ./slow.py:slow
factors:
  lr: {baseline: 0.1, levels: [0.2]}
seeds: 2
"""


@pytest.fixture
def start(project: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts the study in a process group of its own."""
    (project / "slow.py").write_text(RECIPE)
    (project / "spec.yaml").write_text(SPEC)

    def begin(*more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from harness.cli import main; main()", "ablate", "spec.yaml", "--slots", "2"]
        return subprocess.Popen(
            [*command, *more],
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return begin


def logs(project: Path) -> dict[str, list[list[str]]]:
    return {path.name: [line.split() for line in path.open()] for path in sorted(project.glob("log-*"))}


def wait_for(reached: Callable[[], object], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_several_signals_to_the_whole_group_at_once_save_every_checkpoint(
    project: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    study = start()
    wait_for(lambda: len(logs(project)) == 2)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        os.killpg(study.pid, number)
    output, _ = study.communicate(timeout=120)
    assert study.returncode == 130, output
    assert "stopped before it could save" not in output, output
    for log in logs(project).values():
        assert not alive(int(log[0][2]))
    (project / "go").touch()
    study = start()
    output, _ = study.communicate(timeout=240)
    assert study.returncode == 0, output
    found = logs(project)
    assert len(found) == 4
    assert [int(log[-1][1]) > 0 for log in found.values()].count(True) == 2, found  # those that were stopped went on


@pytest.mark.slow
def test_a_run_that_tells_nothing_is_given_up_and_tried_again_where_the_user_says_so(
    project: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    (project / "hang").touch()
    (project / "go").touch()
    study = start("--slots", "1", "--hung-after", "0.3")
    output, _ = study.communicate(timeout=240)
    assert study.returncode == 0, output
    assert "it told nothing for" in output
    begun = [[int(step) for _, step, _ in log] for log in logs(project).values()]
    assert sorted(begun) == [[0], [0], [0], [0, 1]]  # killed, and gone on with from its checkpoint
    assert not any(alive(int(pid)) for log in logs(project).values() for *_, pid in log)
