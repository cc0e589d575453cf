"""A dozen faults put into studies of a stub; the whole set is `make test-faults`. The injector itself is tested too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def injecting(folder: Path, *arguments: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    """The injector as a process of its own, which can fork: pytest's has threads."""
    path = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "injecting", "--keep", str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def sums(printed: str) -> dict[str, int]:
    """The last line of the table."""
    names = ("faults", "studies", "planned", "finished", "lost", "doubled", "wrong")
    found = re.search(r"^all((?:\s+\d+){7})$", printed, re.MULTILINE)
    assert found, printed
    return dict(zip(names, map(int, found[1].split()), strict=True))


@pytest.mark.timeout(300)
def test_a_dozen_faults_lose_double_and_falsify_nothing(tmp_path: Path) -> None:
    phases = ["training", "telling", "forwarding", "publishing", "bit flips"]
    ended = injecting(tmp_path, *(f"--phase={each}" for each in phases), "--kills=38", "--others=12", "--seed=7")
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    found = sums(ended.stdout)
    assert found["faults"] >= 10
    assert found["planned"] == found["finished"] > 0
    assert found["lost"] == found["doubled"] == found["wrong"] == 0


@pytest.mark.parametrize(("broken", "column"), [("loses", "lost"), ("doubles", "doubled"), ("falsifies", "wrong")])
@pytest.mark.slow
def test_a_product_that_is_broken_on_purpose_is_found_out(tmp_path: Path, broken: str, column: str) -> None:
    ended = injecting(tmp_path, "--phase=training", "--kills=29", f"--break={broken}")
    assert ended.returncode == 1, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert sums(ended.stdout)[column] > 0, ended.stdout[-3000:]


def test_a_name_that_is_gone_is_an_error_and_no_gap_in_the_table() -> None:
    sys.path.insert(0, str(HERE))
    try:
        from injecting.points import POINTS, resolve
    finally:
        sys.path.remove(str(HERE))
    for point in POINTS:
        resolve(point.place)
    with pytest.raises(LookupError, match="there is no such name any more"):
        resolve("harness.study.journal:Journal.ended_long_ago")
