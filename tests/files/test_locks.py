"""One process works in a folder at a time, for as long as it or whoever has its lock lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
