"""Starts of the command line without its seconds of imports: a forked process, whose slots are forked before.

The first process imports all that a study needs, once. A start is a fork of it, a session of its own, with the command
line's `main` in it. Slots are children of that process as ever, but forked while it is still clean (one thread, no
database open), and waiting: what `multiprocessing` would send to a fresh interpreter is sent to one of them. Where none
is left a real one is spawned.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import pkgutil
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import context, popen_fork, popen_spawn_posix, reduction, spawn, util
from pathlib import Path
from typing import Any, ClassVar

_FEW = 8  # descriptors that one prepared slot can be handed


def load() -> None:
    """Import what a start and its slots need. Opens nothing and begins no thread."""
    import mlflow.store.artifact.local_artifact_repo
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import torch  # noqa: F401

    import harness

    skipped = ("harness.integrations", "harness.runs.ray", "harness.runs.slurm")
    for module in pkgutil.walk_packages(harness.__path__, "harness."):
        if not module.name.startswith(skipped) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    _settle()


def load_too(names: Sequence[str]) -> None:
    """Import what a start had imported when it ended."""
    for name in names:
        if name not in sys.modules and not name.startswith(("__", "stub", "_harness")):
            with suppress(Exception):
                importlib.import_module(name)
    _settle()


def _settle() -> None:
    gc.collect()
    gc.freeze()  # pages that forks share stay shared
    alive = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    assert not alive, f"forks need a process of one thread, but there are {alive}"


class _Waiting:
    """A forked process that will be a slot, once it is sent one."""

    def __init__(self, others: Sequence[_Waiting], begin: Callable[[], None]) -> None:
        ours, theirs = os.pipe()  # the process's end is seen by its closing
        read, self.order = util_socketpair()
        self.pid = os.fork()
        if self.pid:
            os.close(theirs)
            read.close()
            self.sentinel = ours
            return
        code = 1
        try:
            os.close(ours)
            self.order.close()
            for other in others:
                os.close(other.sentinel)
                other.order.close()
            begin()
            code = _become(read)
        except BaseException:
            traceback.print_exc()
        finally:
            _flush()
            os._exit(code)


def util_socketpair() -> tuple[Any, Any]:
    import socket

    return socket.socketpair()


def _become(channel: Any) -> int:
    """Wait for what a slot is to be, and be it."""
    import socket
    from multiprocessing import forkserver

    taken = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    length, fds, _, _ = socket.recv_fds(channel, 8, _FEW)
    for each, before in taken.items():
        signal.signal(each, before)
    if not length:  # nobody needs it
        return 0
    channel.close()
    data, parent, *passed = fds
    forkserver._forkserver._inherited_fds = passed  # type: ignore[attr-defined]
    from multiprocessing import resource_tracker

    tracker = resource_tracker._resource_tracker
    tracker._fd = passed.pop()  # type: ignore[attr-defined]
    random.seed()
    return spawn._main(data, parent)  # type: ignore[attr-defined,no-any-return]


class _Popen(popen_fork.Popen):
    """What `multiprocessing` starts a process with: a waiting one is sent what a spawned one would be."""

    method = "spawn"
    DupFd = None
    waiting: ClassVar[list[_Waiting]] = []

    def __init__(self, process_obj: Any) -> None:
        self._fds: list[int] = []
        super().__init__(process_obj)

    def duplicate_for_child(self, fd: int) -> int:
        self._fds.append(fd)
        return len(self._fds) - 1

    def _launch(self, process_obj: Any) -> None:
        import socket
        from multiprocessing import resource_tracker

        tracker = resource_tracker.getfd()
        chosen = self.waiting.pop(0)
        about = spawn.get_preparation_data(process_obj._name)
        memory = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            reduction.dump(about, memory)
            reduction.dump(process_obj, memory)
        finally:
            context.set_spawning_popen(None)
        data_read, data_write = os.pipe()
        parent_read, parent_write = os.pipe()
        self.pid, self.sentinel = chosen.pid, chosen.sentinel
        socket.send_fds(chosen.order, [b"go"], [data_read, parent_read, *self._fds, tracker])
        chosen.order.close()
        for each in (data_read, parent_read):
            os.close(each)
        self.finalizer = util.Finalize(self, util.close_fds, (self.sentinel, parent_write))
        with open(data_write, "wb") as file:
            file.write(memory.getbuffer())


class _Duplicate:
    """A descriptor on its way to a prepared slot; forkserver's own class does the same."""


class _Process(context.SpawnProcess):
    _start_method = "spawn"

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 - multiprocessing's name
        if not _Popen.waiting:
            return popen_spawn_posix.Popen(process_obj)
        from multiprocessing import forkserver, popen_forkserver

        assert forkserver
        _Popen.DupFd = popen_forkserver._DupFd  # type: ignore[attr-defined]
        return _Popen(process_obj)


def slots_from(waiting: list[_Waiting]) -> None:
    """Let this process's slots be those that wait."""
    import harness.runs.processes as processes

    class Context(context.SpawnContext):
        Process = _Process

    _Popen.waiting = waiting
    processes._SPAWN = Context()  # type: ignore[assignment]


def start(
    folder: Path,
    *commands: Sequence[str],
    out: Path,
    environment: dict[str, str],
    slots: int = 0,
    in_slot: Callable[[], None] = lambda: None,
    before: Callable[[], None] = lambda: None,
) -> int:
    """Fork a process that runs `harness` in `folder`, once with each list of arguments; its process number.

    `slots` are prepared, in each of which `in_slot` is called first; `before` is called in the process itself, when
    they are.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    code = 70
    try:
        os.setsid()
        _redirect(out)
        os.chdir(folder)
        os.environ.update(environment)
        for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM):
            signal.signal(each, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["harness", *commands[0]]
        random.seed()
        waiting: ClassVar[list[_Waiting]] = []
        for _ in range(slots):
            waiting.append(_Waiting(waiting, in_slot))
        if slots:
            slots_from(waiting)
        before()
        code = max(map(_command_line, commands))
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]
        with suppress(BaseException):
            atexit._run_exitfuncs()
        _flush()
        os._exit(code)


def _command_line(arguments: Sequence[str]) -> int:
    from harness.cli import main

    try:
        main(list(arguments), prog_name="harness")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


def _redirect(out: Path) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(nothing, 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    for each in (nothing, file):
        if each > 2:
            os.close(each)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
