"""One command as a child process: what it prints, line by line in bounded memory, and how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from harness.files import locks
from harness.machine import memory
from harness.recipes import supervisor

GRACE = 30.0
"""Seconds that a command has between SIGTERM and SIGKILL."""
_LONGEST = 1 << 16  # bytes of a line that are looked at: far above any report
_KEPT = 1 << 24  # bytes of output that are kept in a file
_CUT = b"\n[harness keeps no more of the output than this]\n"
_TAIL = 20  # last lines of standard error that are remembered
_POLL = 0.1  # seconds between looks at whether to stop
_DRAINED = 1 << 20  # bytes that are read after the end: far above what a pipe holds


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: its exit code (a signal's, negative) and peak memory in MiB; or the error of its start.

    `stopped` says that it was asked to stop, `killed` that a signal ended it or its supervisor, `starved` that this was
    the system's, for want of memory. `last` is its last line, `errors` are the last lines of standard error.
    """

    code: int | None
    error: str
    peak_memory_mb: float
    stopped: bool
    killed: bool
    starved: bool
    last: str
    errors: tuple[str, ...]

    @property
    def how(self) -> str:
        """The end in words: `exit code 3`, `SIGKILL; the system may have run out of memory`."""
        if self.code is None:
            return self.error
        if self.code >= 0:
            return f"exit code {self.code}"
        names = {number.value: number.name for number in signal.Signals}
        hint = "; the system may have run out of memory" if self.code == -signal.SIGKILL and not self.stopped else ""
        hint = "; the system ran out of memory" if self.starved else hint
        return f"{names.get(-self.code, f'signal {-self.code}')}{hint}"


class _Lines:
    """Bytes as they come, told as lines of text; what is longer than a line may be is dropped to its end."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._open = b""
        self._too_long = False

    def feed(self, chunk: bytes) -> None:
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            self._add(piece)
            self.end()
        self._add(rest)

    def end(self) -> None:
        """The line is whole."""
        line, self._open = self._open, b""
        if not self._too_long and line.strip():
            self._tell(line.decode("utf-8", "replace").strip())
        self._too_long = False

    def _add(self, piece: bytes) -> None:
        if self._too_long:
            return
        self._open += piece
        if len(self._open) > _LONGEST:
            self._open, self._too_long = b"", True


def run_command(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    output: Path,
    tell: Callable[[str], None],
    stop: Callable[[], bool],
    grace: float = GRACE,
) -> Ended:
    """Run `command` in `folder` to its end; `tell` gets each line of its standard output, the file `output` everything.

    Where `stop` says so the command, with all that it started, gets SIGTERM and `grace` seconds later SIGKILL; so it
    does where `tell` raises, and where this process dies.
    """
    killed = memory.kills()
    told, result = os.pipe()
    ours = (result, *locks.handed_on())  # while the command saves at its end, nobody else works in the run's folder
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, ",".join(map(str, ours)), str(grace), *command],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=ours,
            start_new_session=True,
        )
    finally:
        os.close(result)
    last: deque[str] = deque(maxlen=1)
    errors: deque[str] = deque(maxlen=_TAIL)

    def printed(line: str) -> None:
        last.append(line)
        tell(line)

    def complained(line: str) -> None:
        last.append(line)
        errors.append(line)

    assert process.stdin
    assert process.stdout
    assert process.stderr
    streams = {process.stdout.fileno(): _Lines(printed), process.stderr.fileno(): _Lines(complained)}
    stopped, found = False, b""
    try:
        with output.open("ab") as file, selectors.DefaultSelector() as selector:
            for each in (*streams, told):
                os.set_blocking(each, False)
                selector.register(each, selectors.EVENT_READ)
            while told in selector.get_map():
                ready = [key.fd for key, _ in selector.select(_POLL)]
                for each in ready:
                    if each != told and _read(each, streams[each], file) == 0:
                        selector.unregister(each)
                if told in ready:
                    chunk = os.read(told, 1 << 16)
                    found += chunk
                    if not chunk:
                        selector.unregister(told)
                if not stopped and stop():
                    stopped = True
                    process.stdin.close()
            # All that it wrote before its end is in the pipes; a daemon of its own may hold them open, and print, for
            # ever.
            for each, lines in streams.items():
                left = _DRAINED
                while left > 0 and (got := _read(each, lines, file)):
                    left -= got
                lines.end()
    finally:
        _finish(process, grace)
        os.close(told)
        how: dict[str, Any] = {}
        for line in found.splitlines():
            how |= json.loads(line)
        if "child" in how and process.returncode < 0:  # the supervisor was killed, and the command still runs
            with contextlib.suppress(OSError):
                os.killpg(how["child"], signal.SIGKILL)
    code = how.get("code")
    return Ended(
        code=code,
        error=how.get("error", "" if "code" in how else "its supervisor was killed"),
        peak_memory_mb=how.get("peak", 0.0),
        stopped=stopped,
        killed=code < 0 if code is not None else "error" not in how,
        starved=code in (-signal.SIGKILL, 128 + signal.SIGKILL) and memory.kills() > killed,  # so a shell says it
        last=last[0] if last else "",
        errors=tuple(errors),
    )


def _read(ours: int, lines: _Lines, file: BinaryIO) -> int | None:
    """Bytes that were read, 0 at the end of the stream, None where there is nothing yet."""
    try:
        chunk = os.read(ours, 1 << 16)
    except BlockingIOError:
        return None
    _keep(file, chunk)
    lines.feed(chunk)
    return len(chunk)


def _keep(file: BinaryIO, chunk: bytes) -> None:
    at = file.tell()
    if at < _KEPT:
        file.write(chunk[: _KEPT - at] + (_CUT if at + len(chunk) >= _KEPT else b""))
        file.flush()


def _finish(process: subprocess.Popen[bytes], grace: float) -> None:
    """Wait for the supervisor, which ends the command where it still runs, while its output is thrown away."""
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdin.close()
    until = time.monotonic() + grace + 5
    while process.poll() is None and time.monotonic() < until:
        for pipe in (process.stdout, process.stderr):
            with contextlib.suppress(BlockingIOError):
                for _ in range(16):  # a daemon of the command's may print for ever
                    os.read(pipe.fileno(), 1 << 16)
        time.sleep(0.02)
    if process.poll() is None:
        process.kill()
        process.wait()
    process.stdout.close()
    process.stderr.close()
