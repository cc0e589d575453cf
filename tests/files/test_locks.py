"""One process works in a folder at a time, for as long as it or whoever has its lock lives."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.files import room
from harness.files.locks import HeldError, held

HOLD = """
import subprocess, sys, time
from pathlib import Path
from harness.files.locks import handed_on, held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    if sys.argv[2]:
        print(eval(sys.argv[2]).pid, flush=True)
    time.sleep(60)
"""


def holder(folder: Path, child: str = "") -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), child], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_told_who_has_the_folder_and_gives_up(tmp_path: Path) -> None:
    other = holder(tmp_path / "run")
    try:
        words: list[str] = []
        waits = pytest.raises(HeldError, match=f"process {other.pid} works in .*run; wait for it")
        with waits, held(tmp_path / "run", words.append, patience=0.3):
            raise AssertionError("two at a time")
        assert words == [f"waits for process {other.pid}, which still has the run's folder"]
    finally:
        other.kill()
        other.wait()


def test_the_folder_of_a_process_that_was_killed_is_free_and_nothing_is_left_behind(tmp_path: Path) -> None:
    other = holder(tmp_path / "run")
    other.kill()
    other.wait()
    with held(tmp_path / "run", patience=0):
        pass
    assert list((tmp_path / "run").iterdir()) == []


def test_one_who_waits_gets_the_folder_when_it_is_free(tmp_path: Path) -> None:
    other = holder(tmp_path / "run")

    def end(text: str) -> None:
        other.kill()
        other.wait()

    with held(tmp_path / "run", end, patience=30):
        pass


def test_what_a_killed_holder_handed_its_lock_to_keeps_the_folder(tmp_path: Path) -> None:
    other = holder(tmp_path / "run", "subprocess.Popen(['sleep', '60'], pass_fds=handed_on())")
    assert other.stdout is not None
    child = int(other.stdout.readline())
    other.kill()
    other.wait()
    with pytest.raises(HeldError, match="works in"), held(tmp_path / "run", patience=0.3):
        raise AssertionError("two at a time")
    os.kill(child, signal.SIGKILL)
    with held(tmp_path / "run", patience=30):
        pass


def test_a_fault_inside_is_not_swallowed_and_frees_the_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="of the block"), held(tmp_path / "run"):
        raise OSError("of the block")
    began = time.monotonic()
    with held(tmp_path / "run"):
        assert time.monotonic() - began < 30


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_when_the_folder_is_made_is_waited_for_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    make, tries = Path.mkdir, 0

    def full(path: Path, *arguments: Any, **more: Any) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise OSError(code, os.strerror(code))
        make(path, *arguments, **more)

    monkeypatch.setattr(Path, "mkdir", full)
    monkeypatch.setattr(room, "_PAUSE", 0.01)
    words: list[str] = []
    with held(tmp_path / "run", words.append):
        assert (tmp_path / "run" / ".lock").exists()
    assert words == [f"{tmp_path / 'run'} cannot be made ({os.strerror(code)}): waiting"]
    tries = 0
    gives_up = pytest.raises(HeldError, match="stopped while it waited for a disk that is full")
    with gives_up, held(tmp_path / "another", words.append, lambda: tries > 1):
        raise AssertionError("there was no room")
    assert tries == 2


def test_a_folder_that_cannot_be_made_for_another_reason_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(FileExistsError), held(tmp_path / "run"):
        raise AssertionError("it is no folder")
