"""How long does one wait for the tool, and how much memory does it hold? Each figure beside its limit and its floor.

    python benchmarks/waiting.py                         about three minutes on two quiet cores
    python benchmarks/waiting.py --repeats 9 --runs 5000 --trials 5000     all that the limits are of; half an hour

The floor of a command is what it cannot do without: Python with the libraries that it must load, and nothing of ours.
Commands and floors take turns, and a figure is the median over the repeats. The study that has nothing to do is one of
`ablations/tricks.yaml` on few images. A start on a warm cache is timed to the first run's own word that its data and
scores are ready, which is where training starts; its slots are looked at when they have scored once. The overhead of a
run is what a run of a stub takes that computes nothing. Memory is what a process holds resident (RSS); of slots also
their share of what they hold together (PSS), which Linux alone tells.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from load import SPEC, STUB

from harness.machine.provenance import processor

ROOT = Path(__file__).resolve().parents[1]
HARNESS = [sys.executable, "-m", "harness"]
SMALL = ("budget.images=160", "seeds=2", "evaluate.samples=64", "evaluate.interim_samples=64")
_DONE = re.compile(r"^\[(\d+)/\d+\]", re.MULTILINE)
_MB = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="of every command")
    parser.add_argument("--starts", type=int, default=3, help="of a study on a warm cache")
    parser.add_argument("--runs", type=int, default=100, help="of the stub, an even number")
    parser.add_argument("--trials", type=int, default=500, help="of the long study that has nothing to do")
    parser.add_argument("--json", type=Path, help="the figures into this file")
    given = parser.parse_args()
    print(machine())
    print(f"\n{'':52} {'median':>9} {'limit':>8} {'floor':>8} {'x floor':>8}")
    figures: list[dict[str, Any]] = []

    def show(what: str, value: float, unit: str, limit: float | None = None, floor: float | None = None) -> None:
        figures.append({"what": what, "value": value, "unit": unit, "limit": limit, "floor": floor})
        shown = [f"{each:.4g}" if each is not None else "" for each in (limit, floor)]
        times = f"{value / floor:.2f}" if floor else ""
        print(f"{what:52} {f'{value:.3g} {unit}':>9} {shown[0]:>8} {shown[1]:>8} {times:>8}", flush=True)

    folder = Path(tempfile.mkdtemp(prefix="waiting-"))
    try:
        os.environ["HARNESS_CACHE"] = str(folder / "cache")
        commands(folder / "study", given.repeats, show)
        starts(folder, given.starts, show)
        stubs(folder / "stub", given.runs, show)
        long_study(folder / "long", given.trials, show)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.json is not None:
        given.json.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=2), encoding="utf-8")


def machine() -> str:
    return f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


# ---------------------------------------------------------------------- commands


def commands(folder: Path, repeats: int, show: Any) -> None:
    """Commands that train nothing, each in turn with the import of what it cannot do without."""
    spec = tricks(folder)
    run([*HARNESS, "ablate", *spec, "--slots", "2"], folder)
    reading = "import pandas, optuna, scipy.special, sqlalchemy.orm"
    asked = {
        "--help": ([*HARNESS, "--help"], 0.2, "import click"),
        "check": ([*HARNESS, "check", *spec], 1.0, "import click, pydantic, yaml, rich.console"),
        "report, as a table": ([*HARNESS, "report", *spec], 2.5, reading),
        "ablate, nothing to do": ([*HARNESS, "ablate", *spec], 4.0, reading),
    }
    took: dict[str, list[float]] = {name: [] for name in asked}
    floors: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(repeats):
        for name, (command, _, libraries) in asked.items():
            took[name].append(run(command, folder))
            floors[name].append(run([sys.executable, "-c", libraries], folder))
    for name, (_, limit, _) in asked.items():
        show(name, statistics.median(took[name]), "s", limit, statistics.median(floors[name]))
    again = []
    for _ in range(repeats):
        for mark in folder.glob("runs/*/.mirrored"):
            mark.unlink()
        again.append(run([*HARNESS, "ablate", *spec], folder))
    show("the same where MLflow is asked what it holds", statistics.median(again), "s")


def tricks(folder: Path, changed: Sequence[str] = SMALL) -> list[str]:
    """The arguments of a study of the five tricks in a folder of its own."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "ablations" / "tricks.yaml", folder)
    return ["tricks.yaml", *(word for each in changed for word in ("--set", each))]


def run(command: Sequence[str], folder: Path) -> float:
    """Seconds that a command takes, which must end well."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(
            f"{' '.join(command)} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return took


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    kept = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "HARNESS_STORAGE")}
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


# ---------------------------------------------------------------------- starts


def starts(folder: Path, count: int, show: Any) -> None:
    """From the command to the first training, and what the processes hold once they have scored."""
    waits, floors, coordinators, slots, shares = [], [], [], [], []
    for number in range(count):
        spec = tricks(folder / f"start-{number}", ())
        floors.append(run([sys.executable, "-c", "import torch, timm"], folder))
        began = time.time()
        with study(folder / f"start-{number}", [*spec, "--slots", "2"]) as process:
            waits.append(first(folder / f"start-{number}", "Started", process) - began)
            first(folder / f"start-{number}", "Scored", process, beyond=2)
            coordinators.append(held(process.pid, "Rss"))
            found = [pid for pid in children(process.pid) if held(pid, "Rss") > 100]
            slots.append(max(held(pid, "Rss") for pid in found))
            shares.append(max(held(pid, "Pss") for pid in found))
    show(
        "a study's first run starts training, warm cache", statistics.median(waits), "s", 15, statistics.median(floors)
    )
    bare = resident("import torch")
    show(
        "the coordinator while runs train",
        statistics.median(coordinators),
        "MB",
        400,
        resident("import mlflow, optuna"),
    )
    show("a slot of tricks.yaml that has scored", statistics.median(slots), "MB", 700, bare)
    show("its share of what the processes hold together", statistics.median(shares), "MB")


@contextmanager
def study(folder: Path, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A study that runs in a folder, stopped at the end without its checkpoints."""
    with (folder / "out.txt").open("w") as out:
        process = subprocess.Popen(
            [*HARNESS, "ablate", *arguments], cwd=folder, env=environment(), stdout=out, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(1.0)  # its slots are ended by their guard


def first(folder: Path, event: str, process: subprocess.Popen[bytes], beyond: int = 1) -> float:
    """When the journals of a study have so many events of a kind, in seconds since 1970: the time of the first."""
    until = time.monotonic() + 300
    while time.monotonic() < until and process.poll() is None:
        lines = [line for path in folder.glob("runs/*/events/*.jsonl") for line in path.read_text().splitlines()]
        told = [json.loads(line)["at"] for line in lines if f'"event": "{event}"' in line and line.endswith("}")]
        if len(told) >= beyond:
            return min(told) / 1000
        time.sleep(0.02)
    raise SystemExit(f"no {event}: {(folder / 'out.txt').read_text()[-2000:]}")


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def held(pid: int, what: str) -> float:
    """Rss or Pss of a process in MB, 0 of one that has ended."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) / _MB
    except OSError:
        pass
    return 0.0


def resident(code: str) -> float:
    """What a process holds that did only this, in MB."""
    script = f"{code}\nprint(next(l for l in open('/proc/self/smaps_rollup') if l.startswith('Rss:')).split()[1])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment())
    return int(done.stdout) / _MB


# ---------------------------------------------------------------------- many runs


def stubs(folder: Path, runs: int, show: Any) -> None:
    """What a run costs that computes nothing, at the beginning and at the end, and the coordinator's memory there."""
    folder.mkdir()
    (folder / "stub.py").write_text(STUB)
    (folder / "load.yaml").write_text(SPEC.format(seeds=runs // 2))
    runs, fifth = runs // 2 * 2, max(1, runs // 10 * 2)
    times: dict[int, float] = {}
    memory: dict[int, float] = {}
    with study(folder, ["load.yaml", "--slots", "2"]) as process:
        while process.poll() is None:
            done = max([0, *map(int, _DONE.findall((folder / "out.txt").read_text()))])
            for mark in (fifth, runs - fifth, runs):
                if done >= mark and mark not in times:
                    times[mark], memory[mark] = time.monotonic(), held(process.pid, "Rss")
            time.sleep(0.05)
    if process.returncode:
        raise SystemExit((folder / "out.txt").read_text()[-2000:])
    show(f"overhead of a run, {runs} runs of a stub", (times[runs] - times[fifth]) / (runs - fifth), "s", 0.25)
    show("of the last fifth of them", (times[runs] - times[runs - fifth]) / fifth, "s", 0.25)
    show("the coordinator after a fifth of them", memory[fifth], "MB", 400)
    show("after all but a fifth", memory[runs - fifth], "MB", 400)
    show(f"ablate, nothing to do at {runs} trials", run([*HARNESS, "ablate", "load.yaml"], folder), "s")


def long_study(folder: Path, trials: int, show: Any) -> None:
    """A start of a study of many trials that has nothing to do; they are put into the store as another study's."""
    folder.mkdir()
    (folder / "stub.py").write_text(STUB)
    (folder / "load.yaml").write_text(SPEC.format(seeds=trials // 2))
    fill(folder)
    run([*HARNESS, "ablate", "load.yaml"], folder)  # MLflow gets them, and the answer
    took = statistics.median(run([*HARNESS, "ablate", "load.yaml"], folder) for _ in range(3))
    show(f"ablate, nothing to do at {trials // 2 * 2} trials", took, "s", 8)
    took = statistics.median(run([*HARNESS, "report", "load.yaml"], folder) for _ in range(3))
    show(f"report at {trials // 2 * 2} trials", took, "s")


def fill(folder: Path) -> None:
    """Let every run of the stub's study in a folder be complete."""
    from harness.design import plan as make_plan
    from harness.measures import RunState
    from harness.spec import load
    from harness.study.answer import study_name
    from harness.study.store import Reusable, StudyStore, source_of

    before = Path.cwd()
    os.chdir(folder)
    try:
        spec = load(Path("load.yaml"))
        plan = make_plan(spec)
        store = StudyStore("sqlite:///optuna.db", study_name(spec, plan))
        store.create(spec, plan)
        for planned in plan.runs:
            stream = random.Random(planned.key)
            curve = {step: stream.random() for step in (1, 2, 3)}
            summary = {"total": sum(curve.values()), "train_seconds": 0.1, "peak_memory_mb": 1.0}
            attributes = {"summary": summary, "source": source_of(plan.address), "started": 1.7e9, "finished": 1.7e9}
            found = Reusable(
                study="another", state=RunState.COMPLETE, reason="", summary=summary, curve=curve, mlflow_run="",
                attributes=attributes,
            )  # fmt: skip
            store.adopt(plan, planned, found, "")
    finally:
        os.chdir(before)


if __name__ == "__main__":
    main()
