"""What slots leave in a machine's temporary folder goes with them, and what dead ones left with the next."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.runs.scratch import Scratch

HOLD = """
import sys, time
from harness.runs.scratch import Scratch
print(Scratch().path, flush=True)
time.sleep(60)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_the_folder_of_a_slot_that_was_killed_is_removed_by_the_next_and_that_of_a_living_one_is_not(
    temporary: Path,
) -> None:
    others = [subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        folders = [Path(other.stdout.readline().strip()) for other in others if other.stdout is not None]
        for folder in folders:
            (folder / "runs" / "key").mkdir(parents=True)
            (folder / "runs" / "key" / "checkpoint.pt").write_bytes(b"x")
        others[0].kill()
        others[0].wait()
        mine = Scratch()
        assert sorted(temporary.iterdir()) == sorted([folders[1], mine.path])
        assert (folders[1] / "runs" / "key" / "checkpoint.pt").exists()
        mine.remove()
        assert list(temporary.iterdir()) == [folders[1]]
    finally:
        for other in others:
            other.kill()
            other.wait()


def test_a_folder_is_cleared_without_following_links(temporary: Path) -> None:
    (temporary / "kept").mkdir()
    (temporary / "kept" / "file").write_text("x")
    mine = Scratch()
    (mine.path / "deep" / "er").mkdir(parents=True)
    (mine.path / "link").symlink_to(temporary / "kept")
    (mine.path / ".hidden").write_text("x")
    mine.clear()
    assert list(mine.path.iterdir()) == []
    assert (temporary / "kept" / "file").exists()
    mine.remove()


def test_files_and_links_of_such_a_name_are_left_alone(temporary: Path) -> None:
    (temporary / "harness-slot-file").write_text("x")
    (temporary / "mine").mkdir()
    os.symlink(temporary / "mine", temporary / "harness-slot-link")
    Scratch().remove()
    assert sorted(path.name for path in temporary.iterdir()) == ["harness-slot-file", "harness-slot-link", "mine"]
