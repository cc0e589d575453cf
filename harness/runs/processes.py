"""Slots as long-lived child processes: a crash, a hang or the system's out-of-memory killer costs one slot alone.

Each slot leads a session of its own and takes no signals: its coordinator alone answers those, and tells it. Where the
coordinator dies, `guard` ends the slots with all that they started.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event as Flag

from harness.machine import memory
from harness.recipes.address import Address
from harness.recipes.events import Cause, Event, Failed, Finished
from harness.runs import guard
from harness.runs.boundary import LOWER, fault, whose
from harness.runs.description import RunDescription
from harness.runs.execute import together
from harness.runs.inbox import Inbox, post
from harness.runs.liveness import BEAT, Limits, Watch

_SPAWN = multiprocessing.get_context("spawn")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BEAT = None  # what a slot sends where it has nothing else to say
_TAIL = 4000  # bytes of a slot's output that are remembered
_LONGEST = 1 << 16  # bytes of a line that are waited for

Order = tuple[int, Address, tuple[str, ...], bytes]
"""The how manieth order of the slot, a recipe's address, the folders of the runs that are trained together, and their
pickled descriptions, whose recipe may fail to load in a slot."""
Told = tuple[int, int, Event]
"""The order that an event belongs to, which of its runs, and the event."""


def _serve(connection: Connection, output: Connection, stop: Flag, threads: int | None, beat: float) -> None:
    """Train what comes down the pipe until it closes."""
    _stand_apart(output)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    sending, busy = threading.Lock(), threading.Event()

    def send(what: Told | None) -> None:
        try:
            with sending:
                post(connection, what)
        except OSError:
            # The coordinator is gone: its successor starts from the checkpoint, so nobody needs this process.
            os._exit(1)

    def give_signs() -> None:
        while busy.wait():
            send(_BEAT)
            time.sleep(beat)

    threading.Thread(target=give_signs, daemon=True).start()
    while True:
        try:
            order: Order | None = connection.recv()
        except (EOFError, OSError):
            return
        if order is None:
            return
        number, address, directories, pickled = order
        emits = [partial(_told, send, number, which) for which in range(len(directories))]
        busy.set()
        try:
            descriptions: list[RunDescription] = pickle.loads(pickled)
        except BaseException as error:  # the recipe cannot be loaded here: the end of these runs, not of the slot
            for emit, directory in zip(emits, directories, strict=True):
                emit(fault(error, address, directory))
        else:
            with contextlib.suppress(KeyboardInterrupt):  # raised by the recipe: the signal is ignored here
                together(list(zip(descriptions, emits, strict=True)), stop.is_set)
        busy.clear()


def _told(send: Callable[[Told | None], None], number: int, which: int, event: Event) -> None:
    """Send an event with whose it is: a thread that a recipe leaves behind may speak during the next run."""
    send((number, which, event))


def _stand_apart(output: Connection) -> None:
    """Lead a session, leave signals to the coordinator, and print through it, which remembers the last lines."""
    os.setsid()
    for each in _SIGNALS:
        # A handler rather than SIG_IGN: programs that a recipe starts have the usual behaviour again.
        signal.signal(each, lambda number, frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    os.register_at_fork(after_in_child=_as_usual)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        if isinstance(stream, io.TextIOWrapper):  # what is printed is seen when it is
            stream.reconfigure(line_buffering=True)
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()


def _as_usual() -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_DFL)


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """A process that is started inside takes no signals until it asks for them: it takes seconds to load."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    inbox: Inbox
    stop: Flag
    printed: _Printed
    killed_before: int  # processes that the system had killed for want of memory when this one was started
    orders: int = 0
    live: set[int] = field(default_factory=set)  # which runs of its order have not ended
    watch: Watch | None = None
    computed: float | None = None  # CPU time in seconds that it had used at the last look, since its last sign of life
    whose: str = ""

    @property
    def busy(self) -> bool:
        return self.watch is not None

    def take(self, address: Address, directories: tuple[str, ...], pickled: bytes, watch: Watch) -> bool:
        """Hand the process runs to train together; False where it has died since its last ones."""
        self.stop.clear()
        self.orders += 1
        order: Order = (self.orders, address, directories, pickled)
        try:
            self.connection.send(order)
        except OSError:
            return False
        self.watch, self.live = watch, set(range(len(directories)))
        return True

    def ended(self, which: int) -> None:
        """One of its runs has ended; with the last of them it is free."""
        self.live.discard(which)
        if not self.live:
            self.watch = None

    def end(self) -> None:
        """Kill the process and all that it started; at once, without an event."""
        assert self.process.pid is not None
        with contextlib.suppress(OSError):  # it leads no group yet, or all of it has ended
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join(5)  # one that waits in the kernel, for a disk or a driver, ends when it can
        self.connection.close()
        self.inbox.close()


class _Printed:
    """What a slot prints: said line by line with the name of its run, `whose`, and its end remembered."""

    def __init__(self, output: Connection, say: Callable[[str], None]) -> None:
        self.whose = ""
        self._say_line = say
        self._output, self._tail, self._line = output, b"", b""
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def tail(self) -> str:
        """The last lines, once the slot has died; a child of its may print on."""
        self._thread.join(0.5)
        lines = self._tail.decode("utf-8", "replace").splitlines()
        return "\n".join(lines[1:] if len(self._tail) >= _TAIL else lines).strip()

    def _pass_on(self) -> None:
        ours = self._output.fileno()
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 1 << 16):
                self._tail = (self._tail + chunk)[-_TAIL:]
                self._say(chunk)
        self._say(b"\n" if self._line else b"")
        self._output.close()

    def _say(self, chunk: bytes) -> None:
        *whole, line = (self._line + chunk).split(b"\n")
        # A bar that is drawn over itself is said as it was at last.
        self._line = line[line.rfind(b"\r", 0, -1) + 1 :]
        if len(self._line) > _LONGEST:
            whole, self._line = [*whole, self._line], b""
        for each in whole:
            text = each.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")
            with contextlib.suppress(OSError, ValueError):  # nobody reads what this process prints
                self._say_line(f"{self.whose}: {text}" if self.whose else text)


def to_stderr(line: str) -> None:
    """Print a line whole, wherever Python's own stream leads meanwhile."""
    os.write(2, f"{line}\n".encode())


@dataclass
class _Guard:
    """The process that ends slots where this one dies; it is told which live."""

    process: subprocess.Popen[bytes] = field(
        default_factory=lambda: subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__], stdin=subprocess.PIPE, start_new_session=True
        )
    )

    def tell(self, change: str, pid: int | None) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # someone killed it; slots that idle end by themselves even so
            self.process.stdin.write(f"{change}{pid}\n".encode())
            self.process.stdin.flush()

    def close(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.wait()


class ProcessLauncher:
    """`slots` child processes, each with its share of the CPU's cores where it trains there.

    `say` takes the lines that runs print, from threads of its own.
    """

    def __init__(
        self,
        slots: int,
        *,
        limits: Limits | None = None,
        beat: float = BEAT,
        say: Callable[[str], None] = to_stderr,
    ) -> None:
        if slots < 1:
            raise ValueError(f"slots must be at least 1, but got {slots}")
        self.slots = slots
        self._limits, self._beat, self._say = limits or Limits(), beat, say
        self._workers: dict[int, _Worker] = {}
        self._refused: list[tuple[int, Event]] = []
        self._guard: _Guard | None = None
        self._looked = time.monotonic()
        atexit.register(self._end_all)  # before Python waits for them for ever

    def submit(self, slot: int, description: RunDescription, *beside: RunDescription) -> None:
        runs = [description, *beside]
        try:
            pickled = pickle.dumps(runs)
        except Exception as error:  # settings that no other process can be told of
            for which, each in enumerate(runs):
                self._refused.append((slot + which, fault(error, each.address, each.directory)))
            return
        order = (description.address, tuple(each.directory for each in runs), pickled)
        worker = self._workers.get(slot)
        if worker is not None:
            worker.printed.whose = description.name
        if worker is None or not worker.process.is_alive() or not worker.take(*order, self._watch()):
            if worker is not None:
                self._drop(slot)
            worker = self._workers[slot] = self._start(description.threads)
            worker.printed.whose = description.name
            worker.take(*order, self._watch())
        worker.whose = whose(description.address)

    def _watch(self) -> Watch:
        return Watch(limits=self._limits, began=time.monotonic())

    def _start(self, threads: int | None) -> _Worker:
        ours, theirs = _SPAWN.Pipe()
        read, write = _SPAWN.Pipe(duplex=False)
        with _held_back():
            stop = _SPAWN.Event()  # starts multiprocessing's tracker of resources, which asks for signals here
        process = _SPAWN.Process(target=_serve, args=(theirs, write, stop, threads, self._beat))
        killed = memory.kills()
        with _held_back():
            process.start()
        theirs.close()
        write.close()
        self._guard = self._guard or _Guard()
        self._guard.tell("+", process.pid)
        return _Worker(process, ours, Inbox(ours), stop, _Printed(read, self._say), killed)

    def events(self, timeout: float) -> list[tuple[int, Event]]:
        if self._refused:
            refused, self._refused = self._refused, []
            return refused
        busy = {slot: worker for slot, worker in self._workers.items() if worker.busy}
        # A child of a slot's may hold its end of the pipe open: the process itself is waited for too.
        wait([each for worker in busy.values() for each in (worker.connection, worker.process.sentinel)], timeout)
        found = [each for slot in busy for each in self._read(slot)]
        now, last = time.monotonic(), self._looked
        self._looked = now
        # Where it was this process that stood still, the slots have not had their say yet.
        stood_still = now - last > self._limits.said
        return found + [each for slot in busy for each in self._late(slot, now, stood_still=stood_still)]

    def _read(self, slot: int) -> list[tuple[int, Event]]:
        worker = self._workers[slot]
        dead = not worker.process.is_alive()  # asked before the pipe is emptied: nothing comes after that
        found: list[tuple[int, Event]] = []
        for message in worker.inbox.take():
            if worker.watch is None:
                break
            if message is _BEAT:
                worker.watch.sign(time.monotonic())
                continue
            number, which, event = message
            if number == worker.orders and which in worker.live:
                found.append((slot + which, event))
                worker.watch.event(event, time.monotonic())
                if isinstance(event, Finished | Failed):
                    worker.ended(which)
        if worker.inbox.ended and not dead:
            worker.process.join(5)
            dead = True
        if dead and worker.watch is not None:
            end = self._died(slot)
            found += [(slot + which, end) for which in sorted(worker.live)]
        return found

    def _died(self, slot: int) -> Failed:
        worker = self._workers[slot]
        code = worker.process.exitcode
        self._drop(slot)
        tail = worker.printed.tail()
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        if code is None:
            how = "it closed its pipe to the coordinator"
        if code == -signal.SIGKILL and memory.kills() > worker.killed_before:
            reason = f"{worker.whose}: the system ran out of memory and killed the slot's process; {LOWER}"
            return Failed(kind=Cause.MEMORY, reason=reason, details=tail)
        last = f": {tail.splitlines()[-1][:200]}" if tail and code != -signal.SIGKILL else ""
        return Failed(kind=Cause.LOST, reason=f"{worker.whose}: the slot's process died ({how}){last}", details=tail)

    def _late(self, slot: int, now: float, *, stood_still: bool) -> list[tuple[int, Event]]:
        """What the watch has to say of a slot; one that is given up is killed with all that it started."""
        worker = self._workers.get(slot)
        if worker is None or worker.watch is None:
            return []
        if stood_still or self._computes(worker, worker.watch.silence(now)):
            worker.watch.sign(now)
        said, live = worker.watch.due(now), sorted(worker.live)
        if isinstance(said, Failed):
            self._drop(slot)
            end = Failed(kind=said.kind, reason=f"{worker.whose}: {said.reason}", details=worker.printed.tail())
            return [(slot + which, end) for which in live]
        return [(slot + live[0], said)] if said is not None else []

    def _computes(self, worker: _Worker, silence: float) -> bool:
        """Whether it uses CPU time, though silent: a long call into a library may let no thread of it speak."""
        before = worker.computed
        worker.computed = _cpu_seconds(worker.process.pid) if silence > self._limits.said / 2 else None
        return before is not None and worker.computed is not None and worker.computed > before

    def _drop(self, slot: int) -> None:
        worker = self._workers.pop(slot)
        worker.end()
        if self._guard is not None:
            self._guard.tell("-", worker.process.pid)

    def kill(self, slot: int) -> None:
        """End the run in `slot` at once, without an event."""
        self._drop(slot)

    def interrupt(self, slot: int | None = None) -> None:
        for first, worker in self._workers.items():
            if slot is None or worker.live == {slot - first}:
                worker.stop.set()

    def close(self) -> None:
        for worker in self._workers.values():
            worker.stop.set()
            with contextlib.suppress(OSError):
                worker.connection.send(None)
        until = time.monotonic() + 10
        for worker in self._workers.values():
            worker.process.join(max(0.0, until - time.monotonic()))
        self._end_all()

    def _end_all(self) -> None:
        atexit.unregister(self._end_all)
        for slot in list(self._workers):
            self._drop(slot)
        if self._guard is not None:
            self._guard.close()
            self._guard = None


def _cpu_seconds(pid: int | None) -> float:
    """CPU time that a process has used, 0 where the system does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return 0.0
