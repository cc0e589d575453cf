"""Slots as long-lived child processes: a crash, or the system's out-of-memory killer, costs one run, not the study."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event as Flag

from harness.recipes.address import Address
from harness.recipes.events import Cause, Event, Failed, Finished
from harness.runs.boundary import fault, whose
from harness.runs.description import RunDescription
from harness.runs.execute import execute

_SPAWN = multiprocessing.get_context("spawn")

Order = tuple[Address, str, bytes]
"""A recipe's address, the run's folder, and its pickled description, whose recipe may fail to load in a slot."""


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
            order: Order | None = connection.recv()
        except (EOFError, OSError):
            return
        if order is None:
            return
        address, directory, pickled = order
        try:
            description: RunDescription = pickle.loads(pickled)
        except BaseException as error:  # the recipe cannot be loaded here: the end of this run, not of the slot
            emit(fault(error, address, directory))
            continue
        with contextlib.suppress(KeyboardInterrupt):  # raised by the recipe: the signal is ignored here
            execute(description, emit, stop.is_set)


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    stop: Flag
    busy: bool = False
    whose: str = ""

    def take(self, order: Order) -> bool:
        """Hand the process a run; False where it has died since its last one."""
        self.stop.clear()
        try:
            self.connection.send(order)
        except OSError:
            return False
        self.busy = True
        return True


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
        self._refused: list[tuple[int, Event]] = []

    def submit(self, slot: int, description: RunDescription) -> None:
        try:
            pickled = pickle.dumps(description)
        except Exception as error:  # settings that no other process can be told of
            self._refused.append((slot, fault(error, description.address, description.directory)))
            return
        order = (description.address, description.directory, pickled)
        worker = self._workers.get(slot)
        if worker is None or not worker.process.is_alive() or not worker.take(order):
            worker = self._workers[slot] = _start(description.threads)
            worker.take(order)
        worker.whose = whose(description.address)

    def events(self, timeout: float) -> list[tuple[int, Event]]:
        if self._refused:
            refused, self._refused = self._refused, []
            return refused
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
            found.append(Failed(kind=Cause.ERROR, reason=f"{worker.whose}: the slot's process died ({how}{hint})"))
            del self._workers[slot]
        return found

    def kill(self, slot: int) -> None:
        """End the run in `slot` at once, without an event."""
        worker = self._workers.pop(slot)
        worker.process.kill()
        worker.process.join()
        worker.connection.close()

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
