"""Runs one command in a process group of its own and ends it where the slot does; a script of Python's library alone.

    python supervisor.py RESULT GRACE COMMAND...

It stands between a slot and its command for two reasons. Where its standard input ends, since the slot closed it or
died by whatever signal, the command gets SIGTERM and, GRACE seconds later, SIGKILL. And the peak memory of a child
counts what its parent had when it was started: here that is next to nothing.

RESULT is a file descriptor; others may follow it, after commas, which are held until the command has ended. Lines of
JSON go to RESULT: at the start the `child`, whose process group it is, so that the slot can end it with its children
where this script is killed; at the end the `error` that kept the command from starting, or its exit `code` (a signal's,
negative) and its `peak` memory in MiB.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable


def main() -> None:
    """Run the command that the arguments name."""
    given, grace, command = [int(each) for each in sys.argv[1].split(",")], float(sys.argv[2]), sys.argv[3:]
    result = given[0]
    for each in given:
        os.set_inheritable(each, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the coordinator, which tells the slots
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    try:
        child = _start(command)
    except OSError as error:
        found: dict[str, object] = {"error": f"{command[0]}: {error.strerror}"}
    else:
        _tell(result, {"child": child})
        code, peak = _wait(child, wake, grace)
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)  # children that the command left behind
        found = {"code": code, "peak": peak / (2**20 if sys.platform == "darwin" else 2**10)}
    _tell(result, found)


def _start(command: list[str]) -> int:
    """The process that runs the command. On Linux it is killed where this one is. Raises OSError where it cannot start.

    The slot would do that too, but may be dead itself.
    """
    failed, fails = os.pipe()
    parent = os.getpid()
    bind = _binding()
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            bind()
            if os.getppid() != parent:  # it was killed before that
                os._exit(1)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execvp(command[0], command)
        except OSError as why:
            os.write(fails, str(why.errno).encode())
        finally:
            os._exit(127)
    os.close(fails)
    with contextlib.suppress(OSError):  # so that it leads its group before anyone is told of it
        os.setpgid(child, child)
    with open(failed, "rb") as file:
        error = file.read()
    if error:
        os.waitpid(child, 0)
        raise OSError(int(error), os.strerror(int(error)))
    return child


def _binding() -> Callable[[], object]:
    """What binds a process to its parent's life: PR_SET_PDEATHSIG of Linux's prctl(2)."""
    if sys.platform != "linux":
        return lambda: None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(1, int(signal.SIGKILL), 0, 0, 0)


def _tell(result: int, found: dict[str, object]) -> None:
    with contextlib.suppress(OSError):  # nobody is there to be told
        os.write(result, (json.dumps(found) + "\n").encode())


def _wait(child: int, wake: int, grace: float) -> tuple[int, int]:
    """The exit code of the child and its peak memory, in the system's unit."""
    watched, deadline = [0, wake], None
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(watched, [], [], left)
        if wake in ready:
            os.read(wake, 512)
        if 0 in ready and not os.read(0, 512):
            watched, deadline = [wake], time.monotonic() + grace
            _signal(child, signal.SIGTERM)
        elif deadline is not None and time.monotonic() >= deadline:
            _signal(child, signal.SIGKILL)
            deadline = None


def _signal(child: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        os.killpg(child, number)


if __name__ == "__main__":
    main()
