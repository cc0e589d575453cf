"""Many scenarios, two at a time, until every phase had its faults; then the table that says what is amiss."""

from __future__ import annotations

import atexit
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from injecting import planting, prepared, servers
from injecting.broken import BROKEN
from injecting.held import Held
from injecting.points import PHASES, POINTS, resolve
from injecting.scenarios import OTHERS, Told, carried_out
from injecting.starts import Study, adopt_orphans

_TRIES = 4  # how many times the scenarios that a phase should need are run where kills come too late
_DISK = "40m"
_ROOM = 2**30  # bytes


@dataclass
class Campaign:
    """What is to be done; `run` does it and prints."""

    seed: int = 0
    phases: list[str] = field(default_factory=list)
    kills: int = 207
    others: int = 57
    at_once: int = 2
    keep: Path | None = None
    told: list[Told] = field(default_factory=list)
    skipped: str = ""
    broken: str | None = None  # how the product is, to test the test

    def run(self) -> int:
        """Carry out all scenarios; 0 where nothing is amiss."""
        began = time.monotonic()
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
        for point in POINTS:
            resolve(point.place)
        # In memory where there is room: a kill leaves there what it leaves on a disk, and nobody waits for the disk.
        memory = Path("/dev/shm")
        roomy = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
        made = tempfile.mkdtemp(prefix="faults-", dir=memory if roomy else None) if self.keep is None else self.keep
        self.base = Path(made)
        self.base.mkdir(parents=True, exist_ok=True)
        _quiet_environment(self.base)
        prepared.load()
        adopt_orphans()
        self._say(f"loaded after {time.monotonic() - began:.0f} s")
        self.truth, self.census = self._undisturbed()
        self._say(f"undisturbed: {len(self.truth.trials)} runs, after {time.monotonic() - began:.0f} s in all")
        try:
            self._all()
        finally:
            self._end_all()
        code = self._summary(time.monotonic() - began)
        if code == 0 and self.keep is None:
            shutil.rmtree(self.base, ignore_errors=True)
        elif code:
            self._say(f"studies with something amiss are left in {self.base}")
        return code

    # ------------------------------------------------------------------ the truth

    def _undisturbed(self) -> tuple[Held, dict[str, int]]:
        """The study without a fault, its calls counted; it must say what the recipe's own sums say."""
        study = Study(self.base / "undisturbed")
        loaded = study.base / "loaded"

        def note_loaded() -> None:
            loaded.write_text("\n".join(sys.modules))

        study.before = lambda: atexit.register(note_loaded) and None
        ended = study.start(census=study.base / "counts")
        prepared.load_too(loaded.read_text().split("\n"))
        truth = study.held()
        found = study.judged(truth)
        if ended.code != 0 or not found.well:
            raise SystemExit(f"the undisturbed study is amiss: {ended}, {found}\n{study.out.read_text()[-2000:]}")
        _refuse_untrue(truth)
        census = planting.counted(study.base / "counts")
        if missing := [point.name for point in POINTS if not census.get(point.name)]:
            raise SystemExit(f"an undisturbed study never comes to {', '.join(missing)}; mend the table of points")
        template = self.base / "template"
        template.mkdir(exist_ok=True)
        pid = os.fork()
        if not pid:
            code = 1
            try:
                os.chdir(template)
                _make_empty_stores()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0, "the empty stores could not be made"
        return truth, census

    # ------------------------------------------------------------------ scenarios

    def _all(self) -> None:
        asked = self._asked()
        turns = dict.fromkeys(asked, 0)
        running: dict[int, tuple[str, Path]] = {}
        expected = dict.fromkeys(asked, 0)
        while True:
            while len(running) < self.at_once and (phase := self._next(asked, turns, expected)) is not None:
                seed = self.seed * 1000 + turns[phase]
                turns[phase] += 1
                expected[phase] += _EXPECTED.get(phase, 3)
                base = self.base / f"{phase.replace(' ', '-')}-{seed}"
                shutil.rmtree(base, ignore_errors=True)
                base.mkdir()
                running[self._fork(phase, seed, base)] = phase, base
            if not running:
                return
            pid, status = os.waitpid(-1, 0)
            if pid not in running:
                continue
            phase, base = running.pop(pid)
            expected[phase] -= _EXPECTED.get(phase, 3)
            self._take(phase, base, status)

    def _end_all(self) -> None:
        """Leave nothing behind where this is cut short."""
        for pid in planting.descendants(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for disk in self.base.glob("*/study"):
            if os.path.ismount(disk):
                subprocess.run(["umount", "-l", str(disk)], stderr=subprocess.DEVNULL, check=False)

    def _asked(self) -> dict[str, int]:
        """Phase or kind -> faults that have to come to pass."""
        missing = servers.why_no_postgres()
        asked = {phase: math.ceil((self.kills - 20) / len(PHASES)) for phase in PHASES} | {"twenty": 20}
        asked |= {kind: math.ceil(self.others / len(OTHERS)) for kind in OTHERS}
        asked |= {} if missing else {"postgresql": 3}
        if missing and not self.skipped:
            self.skipped = f"postgresql is skipped: {missing}"
            self._say(self.skipped)
        return {phase: number for phase, number in asked.items() if not self.phases or phase in self.phases}

    def _next(self, asked: dict[str, int], turns: dict[str, int], expected: dict[str, int]) -> str | None:
        """The phase that lacks most of what it is to have, counting what runs now."""
        came = {phase: sum(told.faults for told in self.told if told.phase == phase) for phase in asked}
        most = {phase: _TRIES * math.ceil(asked[phase] / _EXPECTED.get(phase, 3)) for phase in asked}
        lacking = {
            phase: (asked[phase] - came[phase] - expected[phase]) / asked[phase]
            for phase in asked
            if turns[phase] < most[phase] and came[phase] + expected[phase] < asked[phase]
        }
        return max(lacking, key=lambda phase: lacking[phase]) if lacking else None

    def _fork(self, phase: str, seed: int, base: Path) -> int:
        sys.stdout.flush()
        if pid := os.fork():
            return pid
        code = 1
        try:
            adopt_orphans()
            told = carried_out(phase, seed, base, self.truth, self.census, self._prepared(phase, seed))
            (base / "told.json").write_text(told.to_text())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _prepared(self, phase: str, seed: int) -> Callable[[Study], None]:
        def prepare(study: Study) -> None:
            if phase == "full disk":
                mount(study)
            if seed % (2 if phase == "start" else 5) or phase == "twenty":  # else the study itself makes the databases
                for path in (self.base / "template").iterdir():
                    shutil.copy(path, study.folder)
            if phase == "hangs":
                study.before = _impatient
            if phase == "twenty":
                study.environment["STUB_SECONDS"] = "0.2"
            if self.broken:
                study.before = BROKEN[self.broken]

        return prepare

    def _take(self, phase: str, base: Path, status: int) -> None:
        with suppress(OSError):
            subprocess.run(["umount", "-l", str(base / "study")], stderr=subprocess.DEVNULL, check=False)
        try:
            told = Told.from_text((base / "told.json").read_text())
        except (OSError, ValueError):
            told = Told(phase, -1)
            told.verdict.wrong.append(f"the scenario in {base} itself failed (status {status})")
        self.told.append(told)
        found = told.verdict
        amiss = [*found.lost, *found.doubled, *found.wrong]
        self._say(
            f"{phase} {told.seed}: {told.faults} faults, {told.starts} starts, {told.seconds:.0f} s: "
            f"{found.finished} of {found.planned} finished{f'; {len(amiss)} amiss' if amiss else ''}"
        )
        if found.well:
            shutil.rmtree(base, ignore_errors=True)
        else:
            for each in amiss[:6]:
                self._say(f"    {each[:300]}")

    # ------------------------------------------------------------------ the table

    def _summary(self, seconds: float) -> int:
        asked = self._asked()
        print(
            f"\n{'phase or kind':28}{'faults':>8}{'studies':>9}{'planned':>9}{'finished':>10}{'lost':>6}"
            f"{'doubled':>9}{'wrong':>7}"
        )
        sums = [0] * 7
        short = []
        for phase, wanted in asked.items():
            told = [each for each in self.told if each.phase == phase]
            verdicts = [each.verdict for each in told]
            row = [
                sum(each.faults for each in told),
                len(told),
                sum(each.planned for each in verdicts),
                sum(each.finished for each in verdicts),
                sum(len(each.lost) for each in verdicts),
                sum(len(each.doubled) for each in verdicts),
                sum(len(each.wrong) for each in verdicts),
            ]
            sums = [one + other for one, other in zip(sums, row, strict=True)]
            print(_row(phase, row))
            if row[0] < wanted:
                short.append(f"{phase}: {row[0]} of {wanted} faults came to pass")
        print(_row("all", sums))
        starts = sum(each.starts for each in self.told)
        print(
            f"{starts} starts in {seconds:.0f} s, {self.at_once} studies at a time, {os.cpu_count()} cores, "
            f"seed {self.seed}"
        )
        for each in short:
            print(each)
        well = not any(sums[4:]) and sums[2] == sums[3] and not short
        print("nothing was lost, doubled or wrong" if well else "SOMETHING IS AMISS")
        sys.stdout.flush()
        return 0 if well else 1

    def _say(self, text: str) -> None:
        print(text, flush=True)


_EXPECTED = {**dict.fromkeys(PHASES, 4), "twenty": 20, "full disk": 1, "hangs": 1}


def _row(name: str, row: list[int]) -> str:
    faults, studies, planned, finished, lost, doubled, wrong = row
    return f"{name:28}{faults:>8}{studies:>9}{planned:>9}{finished:>10}{lost:>6}{doubled:>9}{wrong:>7}"


def mount(study: Study) -> bool:
    """Give the study a small disk of its own, where that is allowed; whether it has one."""
    given = {path.name: path.read_bytes() for path in study.folder.iterdir()}
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "faults", str(study.folder)],
        stderr=subprocess.DEVNULL,
        check=False,
    )
    for name, data in given.items():
        (study.folder / name).write_bytes(data)
    return done.returncode == 0


def _impatient() -> None:
    """Slots give signs of life, and are given up, after fewer seconds: the logic is the same, the test is shorter."""
    from harness.runs.liveness import Limits
    from harness.runs.processes import ProcessLauncher

    limits, launcher = Limits.__init__.__kwdefaults__, ProcessLauncher.__init__.__kwdefaults__
    assert limits is not None
    assert launcher is not None
    limits.update(said=1.0, lost=5.0)
    launcher.update(beat=0.5)


def _make_empty_stores() -> None:
    from mlflow import MlflowClient
    from optuna.storages import RDBStorage

    RDBStorage("sqlite:///optuna.db")
    MlflowClient("sqlite:///mlflow.db").search_experiments(max_results=1)


def _quiet_environment(base: Path) -> None:
    """Nothing of the user's is read or written by what is tested."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["MPLCONFIGDIR"] = str(base / "matplotlib")
    for name in ("MLFLOW_TRACKING_URI", "HARNESS_STORAGE"):
        os.environ.pop(name, None)
    os.environ["DISABLE_MLFLOW_TELEMETRY"] = "true"


def _refuse_untrue(truth: Held) -> None:
    """The undisturbed study holds the sums that its recipe defines, computed here once more."""
    import csv
    import io
    import random

    steps = 5
    for row in csv.DictReader(io.StringIO(truth.tables["runs"])):
        stream = random.Random(f"{row['seed']}/{row['cell'] != 'baseline'}/0")
        total, sums = 0.0, []
        for _ in range(steps):
            total += stream.random()
            sums.append(total)
        key = row["key"]
        assert truth.values[key] == total, f"{key}: {truth.values[key]!r} is not {total!r}"
        assert truth.curves[key] == dict(enumerate(sums, 1)), f"{key}: the curve is not that of its sums"
        for step, value in enumerate(sums, 1):
            assert truth.points[key, "total", step, value] == 1, f"{key}: MLflow lacks the sum at step {step}"
