"""Functions that kill: the n-th call of a point, counted or fatal. For processes of a test's own alone."""

from __future__ import annotations

import functools
import inspect
import os
import random
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from injecting.points import Point, Process, Victims, When, resolve


@dataclass(frozen=True, kw_only=True)
class Kill:
    """The n-th call of a point in one process of its kind is the end of the victims; in one start, once."""

    point: Point
    n: int
    when: When
    victims: Victims

    def __str__(self) -> str:
        return f"{self.point.phase}: {self.victims} killed {self.when} call {self.n} of {self.point.name}"


def plant(process: Process, kills: Sequence[Kill], fired: Path) -> None:
    """Let these calls kill in this process, which is of that kind; `fired` is written just before."""
    for kill in kills:
        if kill.point.process == process:
            _wrap(kill.point, _Fatal(kill, fired))


def count(process: Process, points: Sequence[Point], into: Path) -> None:
    """Count the calls of each point in this process; the counts so far are in the file at every moment."""
    for point in points:
        if point.process == process:
            _wrap(point, _Counted(point, into))


class _Counted:
    def __init__(self, point: Point, into: Path) -> None:
        self.point, self.into = point, into

    def __call__(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        # A line a call, as an append: several processes count.
        with open(self.into, "a") as file:
            file.write(f"{os.getpid()} {self.point.name}\n")
        return call(*arguments, **named)


def counted(into: Path) -> dict[str, int]:
    """Point -> the most calls that one process made of it."""
    each: Counter[tuple[str, str]] = Counter()
    with suppress(FileNotFoundError):
        for line in into.read_text().splitlines():
            pid, _, name = line.partition(" ")
            each[pid, name] += 1
    most: dict[str, int] = {}
    for (_, name), number in each.items():
        most[name] = max(most.get(name, 0), number)
    return most


class _Fatal:
    def __init__(self, kill: Kill, fired: Path) -> None:
        self.kill, self.fired = kill, fired
        self.calls = 0
        self.point = kill.point

    def __call__(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls != self.kill.n or not self._first():
            return call(*arguments, **named)
        if self.kill.when == "half":
            _half(call, arguments)
        result = call(*arguments, **named) if self.kill.when == "after" else None
        if not self._die():  # there was nobody to kill yet: at the next call
            self.fired.unlink()
            self.calls -= 1
        return result if self.kill.when == "after" else call(*arguments, **named)

    def _first(self) -> bool:
        """Whether no other process of this start was before."""
        try:
            with open(self.fired, "x") as file:
                file.write(str(self.kill))
        except FileExistsError:
            return False
        return True

    def _die(self) -> bool:
        me, victims = os.getpid(), self.kill.victims
        if victims == "nobody":  # whoever waits for this place does what is to be done
            return True
        leader = me if self.point.process == "coordinator" else os.getppid()
        if self.point.process == "slot":
            slots = [me]
        else:
            slots = slots_of(leader)
            if not slots and victims != "coordinator" and victims != "group" and victims == "slot":
                return False
        if victims == "slot":
            _end([random.choice(slots)])
        elif victims == "coordinator":
            _end([leader])
        elif victims == "both":
            _end([leader, *slots[:1]])
        else:
            _end([each for each in descendants(leader) if each != me] + [leader, me])
        return True


def _end(pids: Sequence[int]) -> None:
    for pid in sorted(pids, key=lambda pid: pid == os.getpid()):  # this one last
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _half(call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Let half of what is written be written: the last argument is bytes."""
    *before, data = arguments
    whole = bytes(data)
    call(*before, whole[: max(1, len(whole) // 2)])


def descendants(pid: int) -> list[int]:
    """All processes below one, by what the system says now."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError, IndexError, ValueError):
                fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    children.setdefault(int(fields[1]), []).append(int(entry))
    found, look = [], [pid]
    while look:
        below = children.get(look.pop(), [])
        found += below
        look += below
    return found


def slots_of(pid: int) -> list[int]:
    """The processes in which the coordinator of that number trains: those that were given work."""
    import multiprocessing

    if pid == os.getpid():
        return [each.pid for each in multiprocessing.active_children() if each.pid is not None]
    return []


def _wrap(point: Point, around: Callable[..., Any]) -> None:
    owner, name, original = resolve(point.place)
    raw = inspect.getattr_static(owner, name)
    assert not isinstance(raw, property), f"{point.place} is a property"

    @functools.wraps(original)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        if point.thread and threading.current_thread().name != point.thread:
            return original(*arguments, **named)
        return around(original, *arguments, **named)

    setattr(owner, name, staticmethod(wrapped) if isinstance(raw, staticmethod) else wrapped)
    if inspect.ismodule(owner):  # whoever imported it by name has it too
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("harness") and module is not owner:
                for known, value in list(vars(module).items()):
                    if value is original:
                        setattr(module, known, wrapped)
