"""Slots as jobs of Slurm, a job a run, sent by submitit; nobody else imports it.

Job and coordinator speak through files of a folder on shared storage: the order, events as lines of JSON that are only
appended, a file that asks the job to stop, and one each by which they see that the other lives.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import IO, Any, cast

from harness.errors import StudyError, nearest
from harness.files import lines, room
from harness.files.atomic import write_text
from harness.recipes.events import Cause, Event, Failed, Finished, Noted, Progress, Scored
from harness.runs.boundary import fault
from harness.runs.description import RunDescription
from harness.runs.processes import ProcessLauncher
from harness.runs.wire import order, ordered, read, written

_ORDER, _EVENTS, _STOP, _JOB = "order.json", "events.jsonl", "stop", "alive"
_IN_A_ROW = 5  # jobs of a run that end early without its coming any further, after which it is given up
_PLACE = Path(".harness", "slurm")  # of the folders that jobs and coordinators speak through
_AGAIN = 1.0  # seconds between two tries to write what a full disk has not taken
_BEAT = 5.0  # seconds between signs of life
_QUIET = 60.0  # seconds after which one that says nothing, or waits, is told of
_GONE = 180.0  # seconds without a sign of life after which the other is given up: shared storage may be slow to tell
_LATE = 10.0  # seconds that a job's last words may take to be seen after its end
_LAST_WORDS = 20  # lines of a job's output that are kept where it was lost
_NOW = ("RUNNING", "COMPLETING")
_WAITS = ("PENDING", "READY", "REQUEUED", "CONFIGURING", "SUSPENDED")
_END = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""What Slurm sends before the time is over, or where another job takes the place: save, and end."""


# ---------------------------------------------------------------------- in the job


def train(folder: str) -> None:
    """Train what is ordered in `folder` in a process of its own and write its events there, as a job."""
    place = Path(folder)
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    for each in _END:
        signal.signal(each, ask)
    # Slurm signals every process of a job: the one that trains is told by this one alone, and inherits this mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, _END)
    launcher = ProcessLauncher(1)
    order = ordered((place / _ORDER).read_text(encoding="utf-8"))
    with open(place / _EVENTS, "ab", buffering=0) as events, _beating(place / _JOB):
        launcher.submit(0, cast(RunDescription, order))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _END)
        coordinator, stopped = _Signs(place.parent / order.prepare), False
        try:
            while True:
                for _, event in launcher.events(timeout=0.5):
                    _append(events, event, lambda: coordinator.quiet() > _GONE)
                    if isinstance(event, Finished | Failed):
                        return
                if not stopped and (asked or (place / _STOP).exists() or coordinator.quiet() > _GONE):
                    stopped = True
                    launcher.interrupt(0)
        finally:
            launcher.close()


def _append(file: IO[bytes], event: Event, give_up: Callable[[], bool]) -> None:
    """Add an event to a file without a buffer; a full disk is waited for. Raises OSError where that is given up."""

    def add() -> None:
        with lines.whole_or_not(Path(file.name)):
            lines.add(file.fileno(), os.fstat(file.fileno()).st_size, written(event).encode() + b"\n")
            os.fsync(file.fileno())

    room.awaited(add, print, give_up)


class _Signs:
    """How long a file has not changed, by this machine's own clock: those of two machines may differ."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = b""
        self._since = time.monotonic()

    def quiet(self) -> float:
        """Seconds."""
        with contextlib.suppress(OSError):
            if (now := self._path.read_bytes()) != self._last:
                self._last, self._since = now, time.monotonic()
        return time.monotonic() - self._since


@contextlib.contextmanager
def _beating(path: Path) -> Iterator[None]:
    """Inside, the file at `path` changes every few seconds: a sign of life."""
    over = threading.Event()

    def beat() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):  # storage that is away for a moment
                _overwrite(path, secrets.token_bytes(8))
            over.wait(_BEAT)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _overwrite(path: Path, sign: bytes) -> None:
    """Write in place what is as long as what is there: a disk that is full takes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(file, sign, 0)
        os.fsync(file)
    finally:
        os.close(file)


# ---------------------------------------------------------------------- in the coordinator


@dataclass
class _Job:
    job: Any
    description: RunDescription
    folder: Path
    signs: _Signs
    at: int = 0  # bytes of events that are read
    asked: bool = False  # to stop, by the coordinator
    began: bool = False
    warned: bool = False
    over: float | None = None  # when it was first seen to have ended


class SlurmLauncher:
    """At most `slots` jobs at a time, with what `options` ask Slurm for: partition, gres, time and the like.

    `cluster: local` runs them as processes of this machine, to try things out.
    """

    def __init__(self, slots: int, *, options: Mapping[str, str]) -> None:
        self.slots = slots
        self._submitit, self._cluster, self._asked = asked(options)
        self._start = secrets.token_hex(8)
        self._jobs: dict[int, _Job] = {}
        self._again_since: Counter[str] = Counter()  # jobs in a row that ended before their run had come any further
        self._ended: list[_Job] = []  # whose folders are still to be deleted
        self._unsent: dict[int, tuple[RunDescription, float]] = {}  # of runs that the disk took no order of; when
        self._news: list[tuple[int, Event]] = []
        self._alive = contextlib.ExitStack()
        self._alive.enter_context(_beating(_PLACE.resolve() / self._start))

    def submit(self, slot: int, description: RunDescription, *beside: RunDescription) -> None:
        assert not beside, "runs are trained together on this machine alone: study.placement refuses it"
        runs = Path(description.directory)  # studies that share a run do not share its jobs
        folder = (_PLACE / runs.parent.name / f"{runs.name}-{secrets.token_hex(4)}").resolve()
        said = self._unsent.pop(slot, None) is not None
        try:
            text = order(replace(description, prepare=self._start))
            folder.mkdir(parents=True)
            write_text(folder / _ORDER, text)
            for other in _others(folder):  # of a coordinator that died: its job is to let go of the run's folder
                (other / _STOP).touch()
        except Exception as error:  # settings that no other process can be told of
            if not room.is_missing(error):
                self._news.append((slot, fault(error, description.address, description.directory)))
                return
            shutil.rmtree(folder, ignore_errors=True)
            self._unsent[slot] = description, time.monotonic()
            if not said:
                text = f"{_PLACE} cannot be written ({getattr(error, 'strerror', error)}): its job waits"
                self._news.append((slot, Noted(text=text)))
            return
        try:
            executor = self._submitit.AutoExecutor(folder=folder, cluster=self._cluster)
            executor.update_parameters(**self._asked)
            job = executor.submit(train, str(folder))
        except Exception as error:  # whatever sbatch says
            why = str(error).strip().splitlines()[-1][:300]
            self._news.append((slot, Failed(kind=Cause.LOST, reason=f"Slurm took no job: {why}", details=str(error))))
            return
        self._jobs[slot] = _Job(job, description, folder, _Signs(folder / _JOB))

    def events(self, timeout: float) -> list[tuple[int, Event]]:
        until = time.monotonic() + timeout
        while True:
            self._write_again()
            found, self._news = self._news, []
            self._sweep()
            for slot in list(self._jobs):
                found += [(slot, event) for event in self._look(slot)]
            if found or time.monotonic() >= until:
                return found
            time.sleep(min(0.2, max(0.0, until - time.monotonic())))

    def _write_again(self) -> None:
        """Write what a full disk has not taken: orders, and that jobs are to stop."""
        for slot, (description, tried) in list(self._unsent.items()):
            if time.monotonic() - tried >= _AGAIN:
                self.submit(slot, description)
        for job in self._jobs.values():
            if job.asked:
                _ask_to_stop(job.folder)

    def _look(self, slot: int) -> list[Event]:
        job = self._jobs[slot]
        found: list[Event] = []
        for line in self._lines(job):
            try:
                event = read(line, job.description)
            except ValueError as error:
                return [*found, self._lost(slot, f"its events cannot be read: {error}")]
            if isinstance(event, Failed) and event.kind is Cause.INTERRUPTED and not job.asked:
                return [*found, *self._again(slot)]
            found.append(event)
            if isinstance(event, Progress | Scored | Finished | Failed):
                self._again_since.pop(job.description.key, None)
            if isinstance(event, Finished | Failed):
                self._let_go(slot)
                return found
            job.began = True
        return found or self._state(slot)

    def _lines(self, job: _Job) -> list[bytes]:
        """Whole lines that were added since; what is being written is read later."""
        found = []
        with contextlib.suppress(OSError):
            for line, end in lines.read(job.folder / _EVENTS, job.at):
                found.append(line)
                job.at = end
        return found

    def _state(self, slot: int) -> list[Event]:
        """What the job's state says where it has told nothing."""
        job = self._jobs[slot]
        quiet = job.signs.quiet()
        if job.job.done():
            job.over = job.over or time.monotonic()
            if time.monotonic() - job.over < _LATE:
                return []
            state = str(job.job.state)
            if "OUT_OF_ME" in state:
                return [
                    self._lost(
                        slot,
                        "Slurm ended it for want of memory: give --slurm mem=..., or lower what a step takes",
                        Cause.MEMORY,
                    )
                ]
            return [self._lost(slot, f"ended as {state} without a word")]
        if not job.began and quiet > _QUIET and not job.warned:
            job.warned = True
            return [Noted(text=f"job {job.job.job_id} is {job.job.state}")]
        if quiet > _GONE and (job.began or str(job.job.state) in _NOW):
            with contextlib.suppress(Exception):
                job.job.cancel(check=False)
            return [self._lost(slot, f"gave no sign of life for {quiet:.0f} s and was cancelled")]
        if job.began and quiet > _QUIET and not job.warned:
            job.warned = True
            return [Noted(text=f"no sign of life from job {job.job.job_id} for {quiet:.0f} s")]
        if quiet <= _QUIET:
            job.warned = False
        return []

    def _again(self, slot: int) -> list[Event]:
        """Slurm wants the job to end before its run has: another goes on from the checkpoint."""
        job = self._jobs[slot]
        self._again_since[job.description.key] += 1
        if self._again_since[job.description.key] >= _IN_A_ROW:
            self._again_since.pop(job.description.key)
            what = f"is the {_IN_A_ROW}th in a row that Slurm ended before its run came further: give jobs more time"
            return [self._lost(slot, what)]
        self._let_go(slot)
        text = f"Slurm ended job {job.job.job_id} before the run's end: another job goes on from its checkpoint"
        self.submit(slot, job.description)
        return [Noted(text=text)]

    def _lost(self, slot: int, what: str, cause: Cause = Cause.LOST) -> Failed:
        job = self._jobs[slot]
        tail: list[str] = []
        for path in (job.job.paths.stdout, job.job.paths.stderr):
            with contextlib.suppress(OSError):
                tail += path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_WORDS:]
        reason = f"job {job.job.job_id} {what}"
        self._let_go(slot)
        return Failed(kind=cause, reason=reason, details="\n".join(tail))

    def _let_go(self, slot: int) -> None:
        job = self._jobs.pop(slot)
        job.over = time.monotonic()
        self._ended.append(job)

    def _sweep(self, *, wait: bool = False) -> None:
        """Delete the folders of jobs that have ended, and of earlier jobs of the same runs; `wait` for those to end."""
        for job in list(self._ended):
            assert job.over is not None
            while not (over := job.job.done() or time.monotonic() - job.over > _LATE) and wait:
                time.sleep(0.05)
            if over:
                self._ended.remove(job)
                mine = {other.folder for other in self._jobs.values()}
                for folder in {job.folder, *_others(job.folder)} - mine:
                    shutil.rmtree(folder, ignore_errors=True)
                with contextlib.suppress(OSError):  # others of the study are there still
                    job.folder.parent.rmdir()

    def interrupt(self, slot: int | None = None) -> None:
        for which in [each for each in self._unsent if slot in (None, each)]:
            del self._unsent[which]
            stopped = Failed(kind=Cause.INTERRUPTED, reason="stopped while it waited for a disk that is full")
            self._news.append((which, stopped))
        for which, job in list(self._jobs.items()):
            if slot not in (None, which):
                continue
            job.asked = True
            _ask_to_stop(job.folder)
            if not job.began and str(job.job.state) in _WAITS:
                job.job.cancel(check=False)
                self._let_go(which)
                reason = "stopped before its job had begun"
                self._news.append((which, Failed(kind=Cause.INTERRUPTED, reason=reason)))

    def kill(self, slot: int) -> None:
        """End the run in `slot` at once, without an event."""
        if self._unsent.pop(slot, None) is not None:
            return
        self._jobs[slot].job.cancel(check=False)
        self._let_go(slot)

    def close(self) -> None:
        for slot, job in list(self._jobs.items()):
            _ask_to_stop(job.folder)
            job.job.cancel(check=False)
            self._let_go(slot)
        self._sweep(wait=True)
        self._alive.close()
        (_PLACE / self._start).unlink(missing_ok=True)


def _ask_to_stop(folder: Path) -> None:
    with contextlib.suppress(OSError):  # a full disk: it is tried again
        (folder / _STOP).touch()


def _others(folder: Path) -> list[Path]:
    """The folders of other jobs of the same run."""
    return [other for other in folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*") if other != folder]


def asked(options: Mapping[str, str]) -> tuple[Any, str, dict[str, Any]]:
    """submitit, the executor of its that is meant, and the parameters of a job. Raises StudyError."""
    found = _submitit()
    rest = dict(options)
    cluster = rest.pop("cluster", "slurm")
    if cluster not in ("slurm", "local"):
        raise StudyError(f"--slurm cluster={cluster}: {nearest(cluster, ('slurm', 'local'))}")
    if cluster == "slurm" and shutil.which("srun") is None:
        raise StudyError(
            "--launch slurm: there is no srun on this machine; start it where sbatch and srun are, on a login node "
            "for instance, or try it out with --slurm cluster=local"
        )
    return found, cluster, parameters(rest)


_KNOWN = (
    *("account", "comment", "constraint", "cpus_per_gpu", "cpus_per_task", "exclude", "exclusive", "gpus_per_node"),
    *("gres", "mem", "mem_per_cpu", "mem_per_gpu", "nodelist", "partition", "qos", "signal_delay_s"),
)
"""Options of sbatch that submitit has a parameter for."""
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d+))?(?::(?P<third>\d+))?")


def parameters(options: Mapping[str, str]) -> dict[str, Any]:
    """What submitit is told for options of sbatch by their names. Raises StudyError."""
    found: dict[str, Any] = {"timeout_min": minutes(options.get("time", ""))}
    others: dict[str, Any] = {}
    for name, value in options.items():
        known = name.replace("-", "_")
        if known in ("array", "nodes", "ntasks", "output", "error", "signal", "job_name", "requeue"):
            raise StudyError(f"--slurm {name}={value}: a job is one task, and harness names and watches it")
        if known in _KNOWN:
            found[f"slurm_{known}"] = int(value) if value.isdigit() else value
        elif known != "time":
            others[name.replace("_", "-")] = value
    return found | ({"slurm_additional_parameters": others} if others else {})


def minutes(text: str) -> int:
    """A limit of time as sbatch has it, in whole minutes: 90, 90:00, 1:30:00, 1-12, 1-12:30:00. Raises StudyError."""
    found = _TIME.fullmatch(text.strip())
    given = [int(part) for part in found.group("first", "second", "third") if part] if found else []
    seconds = 0
    if found and found["days"]:
        weights = (3600, 60, 1)
        seconds = 86_400 * int(found["days"])
    else:
        weights = {1: (60, 1, 1), 2: (60, 1, 1), 3: (3600, 60, 1)}.get(len(given), (0, 0, 0))
    seconds += sum(part * weight for part, weight in zip(given, weights, strict=False))
    if seconds <= 0:
        said = f"--slurm time={text}: is no time" if text else "--launch slurm: say how long a job may take"
        raise StudyError(f"{said}; give minutes or HOURS:MINUTES:SECONDS, like --slurm time=4:00:00")
    return -(-seconds // 60)


def _submitit() -> Any:
    """The module. Raises StudyError where it is not installed."""
    try:
        import submitit
    except ImportError:
        raise StudyError("--launch slurm: submitit is not installed; pip install 'harness[slurm]'") from None
    return submitit
