"""Slots on a Ray cluster: an actor a slot, each with its share of a node's CPUs or of a GPU.

Ray places the actors, tells of nodes that are gone, and carries what they answer. Nobody else imports it.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import StudyError
from harness.recipes.events import Artifact, Cause, Event, Failed, Finished, Noted, Started
from harness.runs import folder
from harness.runs.description import RunDescription
from harness.runs.shipping import crosses, parts, receive, sources
from harness.runs.station import Answer, Station, build
from harness.runs.wire import order, read

_POLL = 1.0  # seconds that a station waits for news before it answers
_QUIET = 30.0  # seconds after which one that waits is told of
_LOST = 300.0  # seconds without an answer after which a node is given up, where Ray has not done so before
_PATIENT = 5.0  # seconds that a run waits for a place before idle slots are given back
_WINDOW = 8  # parts that are on their way to a node
_AGAIN = 1.0  # seconds between two tries to write what a node sent

_ours = threading.Event()  # whether Ray was connected here, and not by a program that harness is part of

_START = """start one, then run harness on a machine of it:
  on the first machine:       ray start --head --port=6379
  on every further machine:   ray start --address=FIRST:6379"""


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray sets handlers of its own as it is loaded: a coordinator has its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def connected(address: str | None = None) -> Any:
    """Ray, connected to the cluster at `address`, else to that of $RAY_ADDRESS, else to the one of this machine.

    Raises StudyError where Ray is not installed, or no cluster is found.
    """
    with _signals_kept():
        # Ray prints whole logs of a node that died among the answer: what happened is said by events.
        os.environ.setdefault("RAY_DEDUP_LOGS", "1")
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", r"(?s).*")
        try:
            import ray
        except ImportError:
            raise StudyError("--launch ray: Ray is not installed; pip install 'harness[ray]'") from None
        if ray.is_initialized():
            return ray
        where = address or os.environ.get("RAY_ADDRESS") or "auto"
        _refuse_dead(where)
        _ours.set()
        try:
            ray.init(address=where, log_to_driver=False, logging_level=logging.CRITICAL, include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise _none(where, str(error).strip().partition("\n")[0][:200]) from None
    return ray


def _refuse_dead(where: str) -> None:
    """Raises StudyError where nobody answers: Ray itself would try for minutes."""
    if where == "auto":
        try:  # where `ray start` says which cluster this machine belongs to
            found = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster").read_text().strip()
        except OSError:
            return
    else:
        found = where
    host, colon, port = found.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536 or "/" in host:
        raise StudyError(
            f"--launch ray: {found} is no address of a cluster; give HOST:PORT of its first machine, as in ray start "
            "--address, and run harness on a machine of it"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise _none(found, error.strerror or str(error)) from None


def _none(where: str, why: str) -> StudyError:
    told = (
        f"at {where} ({why})"
        if where != "auto"
        else "on this machine, and neither --ray-address nor RAY_ADDRESS is given"
    )
    return StudyError(f"--launch ray: there is no Ray cluster {told}; {_START}")


def nodes(address: str | None = None) -> list[dict[str, float]]:
    """What each living node of the cluster has, `CPU` and `GPU` among them. Raises StudyError."""
    return [dict(each["Resources"]) for each in connected(address).nodes() if each["Alive"]]


@dataclass
class _Seat:
    """A run on its way to an actor, or in it. `where` is its folder as its node calls it."""

    actor: Any
    description: RunDescription
    awaited: Any
    where: str
    since: float
    fresh: bool  # whether the actor was made for this run
    node: str = ""  # "" until the actor has been placed
    shared: bool = False
    warned: bool = False
    kept: Answer | None = None  # what this machine's disk has not taken yet
    tried: float = 0.0  # when that was last tried


class RayLauncher:
    """`slots` actors, each with `cpus` of a node and the share `gpu` of one of its GPUs."""

    def __init__(
        self,
        slots: int,
        *,
        cpus: float = 1,
        gpu: float = 0,
        address: str | None = None,
        hung_after: float | None = None,
    ) -> None:
        self.slots = slots
        self._hung_after = hung_after
        self._ray = connected(address)
        self._class = self._ray.remote(max_restarts=0, num_cpus=cpus, num_gpus=gpu)(Station)
        self._needs = f"{gpu:g} of a GPU" if gpu else f"{cpus:g} CPU{'s' * (cpus != 1)}"
        self._start = secrets.token_hex(8)
        self._project = Path.cwd()
        self._token = self._leave_token()
        self._seats: dict[int, _Seat] = {}
        self._idle: dict[int, Any] = {}
        self._dismissed: list[Any] = []
        self._news: list[tuple[int, Event]] = []

    def _leave_token(self) -> Path:
        """A file in the project's folder: a node that sees it shares the folder."""
        token = Path(".harness", f"seen-{self._start}")
        token.parent.mkdir(exist_ok=True)
        token.write_text("A node that sees this file shares the folder.\n", encoding="utf-8")
        return token

    def submit(self, slot: int, description: RunDescription, *beside: RunDescription) -> None:
        assert not beside, "runs are trained together on this machine alone: study.placement refuses it"
        actor = self._idle.pop(slot, None)
        try:
            order(description)
        except Exception as error:  # settings that no other process can be told of
            from harness.runs.boundary import fault

            self._news.append((slot, fault(error, description.address, description.directory)))
            return
        self._seat(slot, replace(description, prepare=self._start), actor)

    def _seat(self, slot: int, description: RunDescription, actor: Any = None) -> None:
        """Ask the slot's actor, or a new one, where it is."""
        fresh = actor is None
        actor = self._class.remote(self._hung_after) if fresh else actor
        where = _within(description.directory)
        token = str(self._token) if where == description.directory else ""  # a folder elsewhere is not seen from there
        awaited = actor.arrive.remote(str(self._project), token)
        self._seats[slot] = _Seat(actor, description, awaited, where, time.monotonic(), fresh)

    def events(self, timeout: float) -> list[tuple[int, Event]]:
        if self._news:
            found, self._news = self._news, []
            return found
        found = [(slot, event) for slot in list(self._seats) for event in self._kept_before(slot)]
        by_answer = {seat.awaited: slot for slot, seat in self._seats.items() if seat.kept is None}
        if not by_answer:
            time.sleep(0 if found else timeout)
            return found
        every = list(by_answer)
        timeout = 0 if found else timeout
        if self._ray.wait(every, num_returns=1, timeout=timeout)[0]:
            for answer in self._ray.wait(every, num_returns=len(every), timeout=0)[0]:
                slot = by_answer[answer]
                found += [(slot, event) for event in self._answered(slot)]
        return found + self._overdue()

    def _answered(self, slot: int) -> list[Event]:
        seat = self._seats[slot]
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(seat.awaited)
            seat.since, seat.warned = time.monotonic(), False
            if not seat.node:
                return self._placed(slot, *answer)
            return self._told(slot, answer)
        except errors.RayActorError as error:
            if not seat.node and not seat.fresh:  # it died between two runs, and has lost none
                self._seat(slot, seat.description)
                return []
            where = seat.node or "a node of the cluster"
            return self._end(
                slot,
                Failed(
                    kind=Cause.LOST, reason=f"{where} was lost, or the slot's process on it died", details=str(error)
                ),
            )
        except (errors.RayError, OSError, ValueError) as error:
            why = str(error).strip().splitlines()[-1][:300]
            return self._end(
                slot, Failed(kind=Cause.LOST, reason=f"{seat.node or 'the cluster'}: {why}", details=str(error))
            )

    def _placed(self, slot: int, node: str, its: str, shared: bool) -> list[Event]:
        """The actor has a place: send what it lacks there, and begin."""
        seat = self._seats[slot]
        seat.node, seat.shared = node, shared
        if its != build():
            reason = f"{node} has {its}, and this machine {build()}: install the same on every node"
            return self._end(slot, Failed(kind=Cause.ERROR, reason=reason))
        description, actor = seat.description, seat.actor
        changed: dict[str, Any] = {"directory": seat.where}
        if not shared:
            changed |= self._ship(description, actor, seat.where)
        actor.begin.remote(order(description, **changed), shared=shared)
        seat.awaited = actor.poll.remote(_POLL)
        return []

    def _ship(self, description: RunDescription, actor: Any, where: str) -> dict[str, Any]:
        """Send a node that does not see the project's folder all that the run reads of it; what is called otherwise."""
        address = description.address
        files = [] if address.is_installed else [file for file in address.sources() if not _installed(file)]
        root, names = sources(files, Path(address.folder), self._project)
        sent = [parts(root, names)]
        lots = {where: description.directory}
        if description.trained:
            lots[_within(description.trained)] = description.trained
        for there, here in lots.items():
            found = [path.relative_to(here).as_posix() for path in sorted(Path(here).rglob("*")) if crosses(path)]
            sent.append(replace(part, name=f"{there}/{part.name}") for part in parts(Path(here), found))
        under_way: list[Any] = []
        for lot in sent:
            for part in lot:
                under_way.append(actor.receive.remote(part))
                if len(under_way) > _WINDOW:
                    _, under_way = self._ray.wait(under_way, num_returns=1)
        return {
            "address": replace(address, folder=Path(address.folder).resolve().relative_to(root).as_posix()),
            "trained": _within(description.trained) if description.trained else None,
        }

    def _kept_before(self, slot: int) -> list[Event]:
        """What a node has told whose files this machine's disk did not take, where it does so now."""
        seat = self._seats[slot]
        if seat.kept is None or time.monotonic() - seat.tried < _AGAIN:
            return []
        try:
            return self._told(slot, seat.kept)
        except ValueError as error:
            return self._end(slot, Failed(kind=Cause.LOST, reason=f"{seat.node}: {error}", details=str(error)))

    def _told(self, slot: int, answer: Answer) -> list[Event]:
        """Keep the files of an answer, then say what it tells; a disk that does not take them is waited for, and said.

        The run goes on meanwhile, and loses nothing by it: its node keeps what comes after.
        """
        seat = self._seats[slot]
        said, left = seat.kept is not None, list(answer.parts)
        try:
            while left:
                receive(Path(seat.description.directory), left[0])
                del left[0]
            events = [read(line, seat.description) for line in answer.events]
            if not seat.shared and any(isinstance(event, Finished) for event in events):
                folder.settle(Path(seat.description.directory), seat.description.address)
        except OSError as error:
            seat.kept, seat.tried = replace(answer, parts=left), time.monotonic()
            why = f"{seat.description.directory} cannot be written ({error.strerror or error})"
            return [] if said else [Noted(text=f"{why}: what {seat.node} sent waits; training goes on there")]
        seat.kept, seat.since = None, time.monotonic()
        found: list[Event] = []
        for event in (self._here(seat, event) for event in events):
            if isinstance(event, Finished | Failed):
                return [*found, *self._end(slot, event, well=True)]
            found.append(event)
        seat.awaited = seat.actor.poll.remote(_POLL)
        return found

    def _here(self, seat: _Seat, event: Event) -> Event:
        """An event with the places that its files have on this machine."""
        description = seat.description
        match event:
            case Started():
                return replace(event, facts={**event.facts, "node": seat.node})
            case Artifact():
                path = Path(event.path)
                if path.is_relative_to(seat.where):
                    return replace(event, path=str(Path(description.directory, path.relative_to(seat.where))))
                if not seat.shared:
                    return Noted(text=f"{path} stays on {seat.node}: files come back from the run's own folder")
        return event

    def _end(self, slot: int, event: Event, *, well: bool = False) -> list[Event]:
        """The slot is free; its actor is kept for the next run where it is `well`."""
        seat = self._seats.pop(slot)
        if well:
            self._idle[slot] = seat.actor
        elif seat.node and time.monotonic() - seat.since < _LOST:
            self._dismiss(seat.actor)
        else:  # it has no place, or hangs
            self._ray.kill(seat.actor)
        return [event]

    def _dismiss(self, actor: Any) -> None:
        """End an actor at once, with what its run has left on its node; what hangs is killed when this start ends."""
        self._dismissed.append(actor)
        actor.leave.remote()
        actor.__ray_terminate__.remote()

    def _overdue(self) -> list[tuple[int, Event]]:
        """A word about whoever waits for long; a node that says nothing is given up in the end."""
        found: list[tuple[int, Event]] = []
        for slot, seat in list(self._seats.items()):
            waited = time.monotonic() - seat.since
            if seat.kept is not None:  # it is not asked
                continue
            if not seat.node and waited > _PATIENT:
                for other in list(self._idle):  # the place that it waits for may be one that nobody uses
                    self._dismiss(self._idle.pop(other))
            if seat.node and waited > _LOST:
                lost = Failed(kind=Cause.LOST, reason=f"{seat.node} gave no sign of life for {waited:.0f} s")
                found += [(slot, event) for event in self._end(slot, lost)]
            elif waited > _QUIET and not seat.warned:
                seat.warned = True
                text = (
                    f"no sign of life from {seat.node} for {waited:.0f} s"
                    if seat.node
                    else (f"waits for a node of the cluster with {self._needs} free")
                )
                found.append((slot, Noted(text=text)))
        return found

    def interrupt(self, slot: int | None = None) -> None:
        for which, seat in list(self._seats.items()):
            if slot not in (None, which):
                continue
            if seat.node:
                seat.actor.stop.remote()
            else:
                stopped = Failed(kind=Cause.INTERRUPTED, reason="stopped before it had a place in the cluster")
                self._news += [(which, event) for event in self._end(which, stopped)]

    def kill(self, slot: int) -> None:
        """End the run in `slot` at once, without an event."""
        self._dismiss(self._seats.pop(slot).actor)

    def close(self) -> None:
        actors = [*self._idle.values(), *(seat.actor for seat in self._seats.values() if seat.node)]
        with suppress(Exception):  # a node may be gone, or the cluster
            self._ray.wait([actor.close.remote() for actor in actors], num_returns=len(actors), timeout=20)
        for actor in [*actors, *self._dismissed, *(seat.actor for seat in self._seats.values())]:
            with suppress(Exception):
                self._ray.kill(actor)
        self._seats.clear()
        self._idle.clear()
        if _ours.is_set():
            self._ray.shutdown()
        self._token.unlink(missing_ok=True)


def _within(path: str) -> str:
    """A run's folder as it is called in the project's folder, or in one like it."""
    inside = Path(path)
    return path if not inside.is_absolute() and ".." not in inside.parts else f"runs/{inside.name}"


def _installed(file: Path) -> bool:
    return bool({"site-packages", "dist-packages"} & set(file.parts))
