"""One study in a folder of its own, started again and again; what each start came to is noted."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from injecting import held, planting, prepared, servers
from injecting.held import Held, Verdict
from injecting.planting import Kill

STUDIES = Path(__file__).resolve().parents[1] / "studies"
_LIMIT = 120.0  # seconds that a start may take
_ORPHANS = 12.0  # seconds after which what a start leaves running is an orphan
_MOST = 8  # starts without a fault until a study is done
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
SLOTS = 2


def adopt_orphans() -> None:
    """Let processes that lose their parent come to this one, so that they are seen."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


@dataclass
class Start:
    """One start that has ended: its exit code, negative by a signal, and the kills that came to pass."""

    code: int
    seconds: float
    fired: str = ""


@dataclass
class Study:
    """A study that faults are put into. `base` holds `study/`, its folder, and beside it what the test keeps."""

    base: Path
    spec: str = "stub.yaml"
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    truth: Held = field(default_factory=Held)
    wrong: list[str] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    addresses: tuple[str, ...] = ()  # of Optuna's and MLflow's databases, where they are PostgreSQL's
    real: bool = False  # whether the slots are real fresh interpreters
    before: Callable[[], None] = lambda: None  # called in every coordinator

    def __post_init__(self) -> None:
        for folder in (self.folder, self.base / "home", self.base / "tmp", self.base / "cache"):
            folder.mkdir(parents=True, exist_ok=True)
        for name in self.given:
            if not (self.folder / name).exists():
                shutil.copy(STUDIES / name, self.folder)

    @property
    def given(self) -> set[str]:
        """The files that a study begins with."""
        return {self.spec, "stub.py"}

    @property
    def folder(self) -> Path:
        return self.base / "study"

    @property
    def out(self) -> Path:
        """What all starts printed."""
        return self.base / "out.txt"

    @property
    def fired(self) -> Path:
        return self.base / "fired"

    def begin(self, kills: Sequence[Kill] = (), *, more: Sequence[str] = (), census: Path | None = None) -> Running:
        """Begin `harness ablate`."""
        self.fired.unlink(missing_ok=True)
        arguments = ["ablate", self.spec, "--slots", str(SLOTS), *self.options, *more]

        def in_slot() -> None:
            planting.plant("slot", kills, self.fired)
            if census:
                from injecting.points import POINTS

                planting.count("slot", POINTS, census)

        def before() -> None:
            self.before()
            planting.plant("coordinator", kills, self.fired)
            if census:
                from injecting.points import POINTS

                planting.count("coordinator", POINTS, census)

        with open(self.out, "a") as out:
            out.write(f"--- start {len(self.starts) + 1}: {'; '.join(map(str, kills)) or 'nothing planted'}\n")
        slots = 0 if self.real else SLOTS + 1
        began = time.monotonic()
        pid = prepared.start(
            self.folder,
            arguments,
            out=self.out,
            environment=self._around(),
            slots=slots,
            in_slot=in_slot,
            before=before,
        )
        return Running(self, pid, began)

    def _around(self) -> dict[str, str]:
        around = {
            "HOME": str(self.base / "home"),
            "TMPDIR": str(self.base / "tmp"),
            "HARNESS_CACHE": str(self.base / "cache"),
            "XDG_CACHE_HOME": str(self.base / "home"),
        }
        return {**around, **self.environment}

    def start(self, kills: Sequence[Kill] = (), *, more: Sequence[str] = (), census: Path | None = None) -> Start:
        """One start from its beginning to its end."""
        return self.begin(kills, more=more, census=census).end()

    def finish(self) -> None:
        """Start until the study is done."""
        retry = False
        for _ in range(_MOST):
            ended = self.start(more=["--retry"] if retry else [])
            if ended.code == 0:
                return
            retry = ended.code == 1
        self.wrong.append(
            f"the study is not done after {_MOST} starts without a fault; the last ended with {ended.code}"
        )

    def left(self) -> float:
        """The share of the study's runs that Optuna does not hold as complete."""
        trials = self.read({}).trials
        return 1 - sum("COMPLETE" in states for states in trials.values()) / max(1, len(trials))

    def held(self) -> Held:
        """What the study's stores hold now, and the tables that `harness report` makes of it."""
        storage = [each for each in self.options if each.startswith("--storage=")]
        command = ["report", self.spec, *storage, "--format", "csv"]
        tables = {name: self.base / f"{name}.csv" for name in ("effects", "runs")}
        for path in tables.values():
            path.unlink(missing_ok=True)
        out = self.base / "report.txt"
        commands = [
            [*command, "--output", str(tables["effects"])],
            [*command, "--table", "runs", "--output", str(tables["runs"])],
        ]
        pid = prepared.start(self.folder, *commands, out=out, environment=self._around())
        _, status = os.waitpid(pid, 0)
        if status:
            self.wrong.append(
                f"harness report ended with {os.waitstatus_to_exitcode(status)}: {out.read_text()[-300:]}"
            )
        texts = {name: path.read_text() if path.exists() else "" for name, path in tables.items()}
        return self.read(texts)

    def read(self, tables: dict[str, str]) -> Held:
        """What is in the study's databases, wherever they are."""
        if not self.addresses:
            return held.of_folder(self.folder, tables)
        with servers.opened(self.addresses[0]) as optuna, servers.opened(self.addresses[1]) as mlflow:
            return held.read(optuna, mlflow, tables)

    def judged(self, truth: Held) -> Verdict:
        """What is amiss with the study, by what an undisturbed one holds."""
        found = held.judge(truth, self.held())
        printed = self.out.read_text(errors="replace")
        if traces := printed.count("Traceback (most recent call last)"):
            found.wrong.append(f"{traces} tracebacks were printed")
        found.wrong += held.strange_files(self.folder, self.given)
        found.wrong += [f"'{path.name}' lies in the user's home" for path in (self.base / "home").iterdir()]
        found.wrong += self.wrong
        return found


@dataclass
class Running:
    """A start that goes on."""

    study: Study
    pid: int
    began: float
    _code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, None while it goes on."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def reaches(self, seconds: float = 60.0) -> bool:
        """Wait for what was planted to come to pass; whether it did while the start went on."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.study.fired.exists():
                return True
            if self.poll() is not None:
                return False
            time.sleep(0.01)
        return False

    def signal(self, number: int, *, group: bool = False) -> None:
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def slots(self) -> list[int]:
        """The processes below it that train or wait to: direct children that are forks, not the guard's interpreter."""
        found = []
        for pid in planting.descendants(self.pid):
            with suppress(OSError):
                if (
                    b"guard" not in (line := Path(f"/proc/{pid}/cmdline").read_bytes())
                    and b"resource_tracker" not in line
                ):
                    found.append(pid)
        return found

    def end(self, limit: float = _LIMIT) -> Start:
        """Wait for its end, and for that of all that it started."""
        until = self.began + limit
        while self.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        if self.poll() is None:
            self.study.wrong.append(f"start {len(self.study.starts) + 1} was not over after {limit:.0f} s")
            for pid in [*planting.descendants(self.pid), self.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
            self._code = os.waitstatus_to_exitcode(status)
        self._none_left()
        fired = self.study.fired.read_text() if self.study.fired.exists() else ""
        assert self._code is not None
        ended = Start(self._code, time.monotonic() - self.began, fired)
        self.study.starts.append(ended)
        with open(self.study.out, "a") as out:
            out.write(
                f"--- ended with {ended.code} after {ended.seconds:.1f} s; {ended.fired or 'nothing came to pass'}\n"
            )
        return ended

    def _none_left(self) -> None:
        until = time.monotonic() + _ORPHANS
        while _reap() and time.monotonic() < until:
            time.sleep(0.02)
        for pid in planting.descendants(os.getpid()):
            with suppress(OSError):
                what = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:120]
                self.study.wrong.append(f"process {pid} lived on after its coordinator: {what}")
                os.kill(pid, signal.SIGKILL)
        while _reap():
            time.sleep(0.01)


def _reap() -> bool:
    """Take leave of children that have ended; whether any are left."""
    try:
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return True
    except ChildProcessError:
        return False
