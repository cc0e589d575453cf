"""Slots as long-lived child processes: a crash, or the system's out-of-memory killer, costs one run, not the study."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event as Flag

from harness.recipes.events import Cause, Event, Failed, Finished
from harness.runs.description import RunDescription
from harness.runs.execute import execute

_SPAWN = multiprocessing.get_context("spawn")


def _serve(connection: Connection, stop: Flag, threads: int | None) -> None:
    """Train what comes down the pipe until it closes. The coordinator alone answers Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)

    def emit(event: Event) -> None:
        try:
            connection.send(event)
        except OSError:
            # The coordinator is gone: its successor starts from the checkpoint, so nobody needs this process.
            os._exit(1)

    while True:
        try:
            description: RunDescription | None = connection.recv()
        except (EOFError, OSError):
            return
        except Exception as fault:  # the recipe cannot be loaded here: the end of this run, not of the slot
            emit(Failed(kind=Cause.ERROR, reason=str(fault), details=traceback.format_exc()))
            continue
        if description is None:
            return
        execute(description, emit, stop.is_set)


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    stop: Flag
    busy: bool = False


def _start(threads: int | None) -> _Worker:
    ours, theirs = _SPAWN.Pipe()
    stop = _SPAWN.Event()
    process = _SPAWN.Process(target=_serve, args=(theirs, stop, threads), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours, stop)


class ProcessLauncher:
    """`slots` child processes, each with its share of the CPU's cores where it trains there."""

    def __init__(self, slots: int) -> None:
        if slots < 1:
            raise ValueError(f"slots must be at least 1, but got {slots}")
        self.slots = slots
        self._workers: dict[int, _Worker] = {}

    def submit(self, slot: int, description: RunDescription) -> None:
        worker = self._workers.get(slot)
        if worker is None or not worker.process.is_alive():
            worker = self._workers[slot] = _start(description.threads)
        worker.busy = True
        worker.stop.clear()
        worker.connection.send(description)

    def events(self, timeout: float) -> list[tuple[int, Event]]:
        busy = {slot: worker.connection for slot, worker in self._workers.items() if worker.busy}
        ready = wait(list(busy.values()), timeout)
        return [(slot, event) for slot, ours in busy.items() if ours in ready for event in self._read(slot)]

    def _read(self, slot: int) -> list[Event]:
        worker = self._workers[slot]
        found: list[Event] = []
        try:
            while worker.busy and worker.connection.poll():
                event: Event = worker.connection.recv()
                found.append(event)
                worker.busy = not isinstance(event, Finished | Failed)
        except (EOFError, OSError):
            worker.process.join(5)
            code = worker.process.exitcode
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            hint = "; the system may have run out of memory" if code == -signal.SIGKILL else ""
            found.append(Failed(kind=Cause.ERROR, reason=f"the slot's process died ({how}{hint})"))
            del self._workers[slot]
        return found

    def interrupt(self, slot: int | None = None) -> None:
        for which, worker in self._workers.items():
            if slot in (None, which):
                worker.stop.set()

    def close(self) -> None:
        for worker in self._workers.values():
            worker.stop.set()
            with contextlib.suppress(OSError):
                worker.connection.send(None)
        for worker in self._workers.values():
            worker.process.join(10)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        self._workers.clear()
