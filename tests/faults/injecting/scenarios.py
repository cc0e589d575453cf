"""Faults by phase: each scenario is one study that several faults hit, one after the other, and then its end."""

from __future__ import annotations

import json
import math
import os
import random
import re
import resource
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from injecting import servers
from injecting.held import Held, Verdict
from injecting.planting import Kill
from injecting.points import PHASES, POINTS, Point, Process, Victims
from injecting.starts import Running, Study

KILLS = 200
"""Kill points that have to come to pass, over all phases."""
_A_STUDY = 5  # kills that one study gets
_SLOTS_KILLED = 2  # that one study gets of slots alone: a run that is lost three times is given up, rightly


@dataclass
class Told:
    """What came of one scenario: how many faults of which phase came to pass, and what is amiss afterwards."""

    phase: str
    seed: int
    faults: int = 0
    verdict: Verdict = field(default_factory=lambda: Verdict(0, 0))
    faults_told: list[str] = field(default_factory=list)
    seconds: float = 0.0
    starts: int = 0

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Told:
        found = json.loads(text)
        return cls(**{**found, "verdict": Verdict(**found["verdict"])})


# ---------------------------------------------------------------------- kills


_WHOLE = ("start", "preparing", "publishing")  # phases that every start comes to anew


def kills_of(phase: str, seed: int, census: dict[str, int], left: Callable[[], float]) -> Iterator[Kill]:
    """The kills that one study gets, drawn by the seed; `left` is the share of its runs that is not done yet.

    They come early in what is left, so that there is something to kill after them.
    """
    drawn = random.Random(f"{phase}/{seed}")
    points = [point for point in POINTS if point.phase == phase]
    slots_killed = 0
    for turn in range(_A_STUDY * 2):
        point = drawn.choice(points)
        share = 1.0 if phase in _WHOLE else left() * (0.4 if turn else 0.8)
        calls = min(point.most, max(1, round(census[point.name] * share)))
        among: list[Victims] = ["coordinator", "coordinator", "both", "group"]
        if slots_killed < _SLOTS_KILLED and (
            point.process == "slot" or phase not in ("start", "preparing", "publishing")
        ):
            among += ["slot"] * (3 if point.process == "slot" else 1)
        victims = drawn.choice(among)
        slots_killed += victims == "slot"
        yield Kill(point=point, n=drawn.randint(1, calls), when=drawn.choice(point.when), victims=victims)


def killed(study: Study, phase: str, seed: int, census: dict[str, int], told: Told) -> None:
    """A study that is killed again and again in one phase, until it is done or has had its kills."""
    for kill in kills_of(phase, seed, census, study.left):
        ended = study.start([kill])
        if ended.fired:
            told.faults += 1
            told.faults_told.append(ended.fired)
        elif ended.code == 0:  # it came to its end before that call
            break
        if told.faults >= _A_STUDY:
            break
    study.finish()


def killed_twenty_times(study: Study, seed: int, census: dict[str, int], told: Told) -> None:
    """One study that is killed twenty times, by turns in every phase."""
    drawn = random.Random(f"twenty/{seed}")
    phases = [phase for phase in PHASES if phase != "publishing"]
    for turn in range(200):
        # Slow recipes make the study last through twenty kills: what is done is not done again.
        phase = "publishing" if turn >= 150 or told.faults >= 18 else phases[turn % len(phases)]
        point = drawn.choice([each for each in POINTS if each.phase == phase])
        most = max(1, math.ceil(census[point.name] / 10))
        victims: Victims = drawn.choice(["coordinator", "both", "group"])
        ended = study.start(
            [Kill(point=point, n=drawn.randint(1, most), when=drawn.choice(point.when), victims=victims)]
        )
        if ended.fired:
            told.faults += 1
            told.faults_told.append(ended.fired)
        if told.faults == 20:
            break
        if ended.code == 0 and not ended.fired:
            break
    study.finish()
    if told.faults < 20:
        study.wrong.append(f"the study was over after {told.faults} kills, though 20 were asked for")


# ---------------------------------------------------------------------- other faults

Fault = Callable[[Study, random.Random, Told], None]
_HERE = Point("", "coordinator", "harness.study.coordinator:Coordinator._note", ("before",))


def _marked(
    study: Study, drawn: random.Random, *, place: str = "", most: int = 60, process: Process = "coordinator"
) -> Running | None:
    """A start that has come to a place, some events into its training; None where it was over before."""
    point = replace(_HERE, place=place or _HERE.place, process=process)
    most = max(3, round(most * study.left()))
    running = study.begin([Kill(point=point, n=drawn.randint(1, most), when="before", victims="nobody")])
    if running.reaches():
        return running
    running.end()
    study.wrong.append(f"the start was over before it came to {point.name}")
    return None


def _went_on(running: Running, study: Study, told: Told, what: str, codes: tuple[int, ...] = (0,)) -> None:
    """The start must come to its end by itself."""
    ended = running.end()
    told.faults += 1
    told.faults_told.append(what)
    if ended.code not in codes:
        study.wrong.append(f"{what}: the start ended with {ended.code}, not {' or '.join(map(str, codes))}")


@contextmanager
def locked(paths: list[Path]) -> Iterator[None]:
    """Another program holds SQLite files exclusively, as a backup or a viewer may: a process of its own."""
    read, write = os.pipe()
    stop, go = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setsid()
            os.close(read)
            os.close(go)
            connections = [sqlite3.connect(path, timeout=30, isolation_level=None) for path in paths]
            for each in connections:
                each.execute("BEGIN EXCLUSIVE")
            os.write(write, b"locked")
            os.read(stop, 1)
            for each in connections:
                each.execute("ROLLBACK")
        finally:
            os._exit(0)
    os.close(write)
    os.close(stop)
    try:
        assert os.read(read, 6) == b"locked", "nobody could lock the databases"
        yield
    finally:
        os.close(go)
        os.close(read)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _lock(*names: str, most: int = 8) -> Fault:
    def fault(study: Study, drawn: random.Random, told: Told) -> None:
        running = _marked(study, drawn)
        if running is None:
            return
        seconds = drawn.uniform(2, most)
        with locked([study.folder / name for name in names]):
            time.sleep(seconds)
        _went_on(running, study, told, f"{' and '.join(names)} locked for {seconds:.1f} s")

    return fault


def _locked_and_killed(name: str) -> Fault:
    def fault(study: Study, drawn: random.Random, told: Told) -> None:
        running = _marked(study, drawn)
        if running is None:
            return
        with locked([study.folder / name]):
            time.sleep(1.5)
            running.signal(signal.SIGKILL)
            time.sleep(1.0)
        running.end()
        told.faults += 2
        told.faults_told.append(f"{name} locked, and the coordinator killed while it waits")

    return fault


def _full(seconds: float) -> Fault:
    """The disk is full for a while: the study's own where there is one, else no file of its processes may grow."""

    def fault(study: Study, drawn: random.Random, told: Told) -> None:
        running = _marked(study, drawn)
        if running is None:
            return
        if os.path.ismount(study.folder):
            filler = study.folder / "filler"
            for size in (65536, 512, 1):
                with open(filler, "ab", buffering=0) as file, suppress(OSError):
                    while True:
                        file.write(b"\0" * size)
            time.sleep(seconds)
            filler.unlink()
        else:
            limits = {pid: resource.getrlimit(resource.RLIMIT_FSIZE) for pid in [running.pid, *running.slots()]}
            for pid, (_, most) in limits.items():
                with suppress(ProcessLookupError):
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1024, most))
            time.sleep(seconds)
            for pid, before in limits.items():
                with suppress(ProcessLookupError):
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        _went_on(running, study, told, f"the disk full for {seconds:g} s", codes=(0, 1))

    return fault


def _signals(number: int, *, group: bool, times: int = 1, pause: float = 0.3) -> Fault:
    def fault(study: Study, drawn: random.Random, told: Told) -> None:
        running = _marked(study, drawn)
        if running is None:
            return
        for turn in range(times):
            if turn:
                time.sleep(pause)
            running.signal(number, group=group)
        whom, often = "the group" if group else "the process", f" {times} times" if times > 1 else ""
        what = f"{signal.Signals(number).name}{often} to {whom}"
        _went_on(running, study, told, what, codes=(130, 0))
        _none_running(study, what)

    return fault


def _none_running(study: Study, what: str) -> None:
    """After an orderly end no store shows anything as running."""
    from injecting import held

    now = held.of_folder(study.folder, {})
    if "RUNNING" in now.parents:
        study.wrong.append(f"{what}: the study's run in MLflow was left RUNNING")
    for states in (now.trials, now.children):
        for key, each in states.items():
            if "RUNNING" in each:
                study.wrong.append(f"{what}: a trial or child of {key} was left RUNNING")


def _hang(whom: str, seconds: float | None) -> Fault:
    def fault(study: Study, drawn: random.Random, told: Told) -> None:
        running = _marked(study, drawn)
        if running is None:
            return
        pid = running.pid
        if whom == "slot":
            slots = [each for each in running.slots() if each != pid]
            if not slots:
                running.end()
                study.wrong.append("there was no slot to stop")
                return
            pid = drawn.choice(slots)
        os.kill(pid, signal.SIGSTOP)
        if seconds is not None:
            time.sleep(seconds)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        how = f"for {seconds:g} s" if seconds is not None else "for good"
        _went_on(running, study, told, f"the {whom} stopped {how}")

    return fault


def _flip(which: str, where: str) -> Fault:
    """One bit of a file is turned, or it is cut, while nobody runs."""

    def fault(study: Study, drawn: random.Random, told: Told) -> None:
        running = _marked(study, drawn, most=50)
        if running is None:
            return
        running.signal(signal.SIGKILL)
        running.end()
        found = sorted(study.folder.glob(which))
        if "events" in which:  # of runs that are not told to their end: what they told is kept twice
            found = [path for path in found if (path.parents[1] / path.stem / ".told.jsonl").exists()]
        chosen = found if "both" in where else found[:1] if not found else [drawn.choice(found)]
        for path in chosen:
            damage(path, where, drawn)
        told.faults += 2 if chosen else 1
        told.faults_told.append(f"the coordinator killed, then {where} of {len(chosen)} of {len(found)} {which}")

    return fault


def _result_falsified(study: Study, drawn: random.Random, told: Told) -> None:
    """Killed when a run's end is in its journal and not yet in Optuna; then a digit of its result is another one."""
    point = next(each for each in POINTS if each.place.endswith("StudyStore.complete"))
    ended = study.start([Kill(point=point, n=drawn.randint(1, 2), when="before", victims="group")])
    told.faults += 2 if ended.fired else 0
    for path in study.folder.glob("runs/*/events/*.jsonl"):
        if not (path.parents[1] / path.stem / ".told.jsonl").exists():
            continue
        lines = path.read_bytes().splitlines(keepends=True)
        lines[-1] = re.sub(rb'("total": \d\.)(\d)', lambda at: at[1] + b"%d" % ((int(at[2]) + 1) % 10), lines[-1])
        path.write_bytes(b"".join(lines))
    told.faults_told.append("a digit of results in journals that Optuna was not told")


def damage(path: Path, how: str, drawn: random.Random) -> None:
    """Turn one bit of a file, cut it in two, or empty it."""
    data = bytearray(path.read_bytes())
    if "empty" in how:
        data = bytearray()
    elif "cut" in how:
        data = data[: drawn.randint(1, max(1, len(data) - 1))]
    elif data:
        place = drawn.randrange(len(data))
        data[place] ^= 1 << drawn.randrange(8)
    path.write_bytes(data)


def _gone(name: str, *, running: bool) -> Fault:
    """A store is deleted, while the study runs or after it was killed."""

    def fault(study: Study, drawn: random.Random, told: Told) -> None:
        start = _marked(study, drawn)
        if start is None:
            return
        if not running:
            start.signal(signal.SIGKILL)
            start.end()
        for path in study.folder.glob(f"{name}*"):
            path.unlink()
        told.faults_told.append(f"{name} deleted {'while the study ran' if running else 'after a kill'}")
        told.faults += 1 if running else 2
        if running:
            start.end()

    return fault


def _gone_when_done(study: Study, drawn: random.Random, told: Told) -> None:
    study.finish()
    (study.folder / "mlflow.db").unlink()
    told.faults += 1
    told.faults_told.append("mlflow.db deleted when the study was done")


def _moved(name: str, *, after_kill: bool) -> Fault:
    """A store is moved away, and back again."""

    def fault(study: Study, drawn: random.Random, told: Told) -> None:
        start = _marked(study, drawn)
        if start is None:
            return
        away = study.base / name
        path = study.folder / name
        if after_kill:
            start.signal(signal.SIGKILL)
            start.end()
            os.replace(path, away)
            if name == "mlflow.db":  # a start in between fills another one
                study.start()
            told.faults += 1
        else:
            os.replace(path, away)
            time.sleep(drawn.uniform(0.5, 2.0))
        os.replace(away, path)
        told.faults += 1
        told.faults_told.append(f"{name} moved away and back {'after a kill' if after_kill else 'while the study ran'}")
        if not after_kill:
            start.end()

    return fault


OTHERS: dict[str, tuple[Fault, ...]] = {
    "locks": (
        _lock("optuna.db"),
        _lock("mlflow.db"),
        _lock("optuna.db", "mlflow.db"),
        _locked_and_killed("optuna.db"),
        _locked_and_killed("mlflow.db"),
    ),
    "full disk": (_full(2.0), _full(4.0), _full(1.0)),
    "bit flips": (
        _flip("runs/*/*/checkpoint.pt", "a bit"),
        _flip("runs/*/*/checkpoint*.pt", "a bit"),
        _flip("runs/*/*/checkpoint*.pt", "a cut of both"),
        _flip("runs/*/*/checkpoint.pt", "an empty file"),
        _flip("runs/*/events/*.jsonl", "a bit"),
        _flip("runs/*/events/*.jsonl", "a cut"),
        _flip("runs/*/events/*.jsonl", "a bit of both"),
        _result_falsified,
    ),
    "signals": (
        _signals(signal.SIGTERM, group=False),
        _signals(signal.SIGTERM, group=True),
        _signals(signal.SIGINT, group=False),
        _signals(signal.SIGINT, group=True),
        _signals(signal.SIGHUP, group=False),
        _signals(signal.SIGTERM, group=True, times=3, pause=0.2),
        _signals(signal.SIGTERM, group=False, times=2, pause=1.5),
    ),
    "hangs": (_hang("slot", 3.0), _hang("slot", None), _hang("coordinator", 3.0)),
    "stores gone": (
        _gone("mlflow.db", running=False),
        _gone("mlflow.db", running=True),
        _gone_when_done,
        _moved("optuna.db", after_kill=False),
        _moved("optuna.db", after_kill=True),
        _moved("mlflow.db", after_kill=True),
    ),
}
"""Kind -> faults other than kills; a study gets three of a kind."""


def on_postgresql(study: Study, seed: int, census: dict[str, int], told: Told) -> None:
    """The same study with both stores on a PostgreSQL server, killed in three phases, the server gone in between."""
    with servers.postgres() as server:
        study.addresses = (server.address("optuna"), server.address("mlflow"))
        study.options = (f"--storage={study.addresses[0]}", f"--tracking-uri={study.addresses[1]}")
        drawn = random.Random(f"postgresql/{seed}")
        for phase in ("training", "forwarding", "telling"):
            point = drawn.choice([each for each in POINTS if each.phase == phase])
            calls = max(1, round(census[point.name] * 0.25))
            kill = Kill(point=point, n=drawn.randint(1, calls), when=drawn.choice(point.when), victims="coordinator")
            if (ended := study.start([kill])).fired:
                told.faults += 1
                told.faults_told.append(ended.fired)
        if not _is_done(study) and (running := _marked(study, drawn, most=20)) is not None:
            server.stop("immediate")
            time.sleep(drawn.uniform(1, 4))
            server.start()
            _went_on(running, study, told, "PostgreSQL stopped and started")
        study.finish()
        told.verdict = study.judged(study.truth)


def disturbed(study: Study, kind: str, seed: int, told: Told, most: int = 3) -> None:
    """A study that several faults of a kind hit, the next one where the scenario before stopped."""
    drawn = random.Random(f"{kind}/{seed}")
    faults = OTHERS[kind]
    for turn in range(most):
        before = told.faults
        faults[(seed * most + turn) % len(faults)](study, drawn, told)
        if told.faults == before or _is_done(study):
            break
    study.finish()


def _is_done(study: Study) -> bool:
    return bool(study.starts) and study.starts[-1].code == 0


def carried_out(
    phase: str, seed: int, base: Path, truth: Held, census: dict[str, int], prepare: Callable[[Study], Any]
) -> Told:
    """One scenario from an empty folder to the verdict."""
    began, told = time.monotonic(), Told(phase, seed)
    study = Study(base)
    prepare(study)
    if phase in OTHERS:
        disturbed(study, phase, seed, told)
    elif phase == "postgresql":
        study.truth = truth
        on_postgresql(study, seed, census, told)
    elif phase == "twenty":
        killed_twenty_times(study, seed, census, told)
    else:
        killed(study, phase, seed, census, told)
    if phase != "postgresql":  # its server is gone by now
        told.verdict = study.judged(truth)
    told.starts = len(study.starts)
    told.seconds = time.monotonic() - began
    return told
