"""The launchers by name, and the plainest of them, good for debugging: one slot in the coordinator's own process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from harness.recipes.events import Event
from harness.runs.description import Launcher, RunDescription
from harness.runs.execute import together
from harness.runs.liveness import limits
from harness.runs.processes import ProcessLauncher, to_stderr


class InlineLauncher:
    """Trains one run at a time in this process, or several of a cell together."""

    slots = 1

    def __init__(self) -> None:
        self._events: queue.Queue[tuple[int, Event]] = queue.Queue()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._alone = True  # whether its run is trained by itself

    def submit(self, slot: int, description: RunDescription, *beside: RunDescription) -> None:
        def emit(place: int, event: Event) -> None:
            self._events.put((place, event))

        runs = [(each, partial(emit, slot + index)) for index, each in enumerate((description, *beside))]

        def train() -> None:
            with suppress(KeyboardInterrupt):  # raised by the recipe: the signal goes to the main thread
                together(runs, self._stop.is_set)

        self._stop.clear()
        self._alone = not beside
        # A daemon, so that a second Ctrl-C ends the program even where a step hangs.
        self._thread = threading.Thread(target=train, daemon=True)
        self._thread.start()

    def events(self, timeout: float) -> list[tuple[int, Event]]:
        found: list[tuple[int, Event]] = []
        try:
            found.append(self._events.get(timeout=timeout))
            while True:
                found.append(self._events.get_nowait())
        except queue.Empty:
            return found

    def interrupt(self, slot: int | None = None) -> None:
        if slot is None or self._alone:
            self._stop.set()

    def close(self) -> None:
        self.interrupt()
        if self._thread is not None:
            self._thread.join(timeout=30)


@dataclass(frozen=True, kw_only=True)
class Seats:
    """What a launcher is made with: how many slots, and what a slot elsewhere has.

    `cpus` and `gpu` are a slot's share of its node on the Ray cluster at `cluster`; `slurm` is what a job asks for,
    None where slots are no jobs. `hung_after` are minutes without news after which a run is given up: see
    `harness.runs.liveness`. `say` takes the lines that runs print; None: they go to standard error.
    """

    slots: int
    cpus: int = 1
    gpu: float = 0
    cluster: str | None = None
    slurm: Mapping[str, str] | None = None
    hung_after: float | None = None
    say: Callable[[str], None] | None = None


def _processes(seats: Seats) -> Launcher:
    return ProcessLauncher(seats.slots, limits=limits(seats.hung_after), say=seats.say or to_stderr)


def _ray(seats: Seats) -> Launcher:
    from harness.runs.ray import RayLauncher

    return RayLauncher(seats.slots, cpus=seats.cpus, gpu=seats.gpu, address=seats.cluster, hung_after=seats.hung_after)


def _slurm(seats: Seats) -> Launcher:
    from harness.runs.slurm import SlurmLauncher

    return SlurmLauncher(seats.slots, options=seats.slurm or {})


LAUNCHERS: dict[str, Callable[[Seats], Launcher]] = {
    "inline": lambda seats: InlineLauncher(),
    "processes": _processes,
    "ray": _ray,
    "slurm": _slurm,
}
"""By name; `--launch` takes its values from here."""
