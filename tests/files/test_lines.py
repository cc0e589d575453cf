"""Files of lines hold whole lines alone, whatever a disk or a crash has made of the last one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.files import lines


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\n")
    return path


def opened(path: Path, use: Callable[[int], object]) -> object:
    file = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        return use(file)
    finally:
        os.close(file)


def test_lines_are_read_with_their_ends_and_one_in_the_writing_is_left_out(log: Path, tmp_path: Path) -> None:
    with open(log, "ab") as file:
        file.write(b"thr")
    assert list(lines.read(log)) == [(b"one\n", 4), (b"two\n", 8)]
    assert list(lines.read(log, 4)) == [(b"two\n", 8)]
    assert list(lines.read(log, 8)) == []
    assert list(lines.read(tmp_path / "nothing")) == []


@pytest.mark.parametrize("rest", [b"", b"x", b"cut" * 100_000])
def test_what_was_cut_is_taken_away_however_long_it_is(log: Path, rest: bytes) -> None:
    with open(log, "ab") as file:
        file.write(rest)
    assert opened(log, lines.mend) == (8, len(rest))
    assert log.read_bytes() == b"one\ntwo\n"


def test_a_file_that_is_but_a_cut_line_is_empty_then(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"c" * 70_000)
    assert opened(path, lines.mend) == (0, 70_000)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("taken", [0, 1, 4])
def test_a_line_that_a_full_disk_takes_a_part_of_is_not_there(
    log: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    write, calls = os.write, []

    def full(file: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) == 1 and taken:
            return write(file, data[:taken])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        opened(log, lambda file: lines.add(file, 8, b"three\n"))
    assert log.read_bytes() == b"one\ntwo\n"
    monkeypatch.undo()
    assert opened(log, lambda file: lines.add(file, 8, b"three\n")) == 14
    assert log.read_bytes() == b"one\ntwo\nthree\n"


def test_what_another_program_wrote_before_it_failed_is_taken_away(log: Path, tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        with lines.whole_or_not(path):
            path.write_bytes(b"one\ntwo\nthr")
            raise OSError("full")

    for path, left in ((log, b"one\ntwo\n"), (tmp_path / "new", b"")):
        with pytest.raises(OSError, match="full"):
            fail(path)
        assert path.read_bytes() == left
