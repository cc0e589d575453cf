"""A study undisturbed, killed twenty times, on PostgreSQL, and under Ray with a node killed: the same bytes as CSV."""

from __future__ import annotations

import importlib.util
import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.recipes.checkpoint import NAME
from harness.report import Report, frames
from harness.spec import load
from harness.study.ablate import ablate
from harness.study.answer import load_study
from harness.study.placement import Options
from harness.study.store import StudyStore

_SPEC = importlib.util.spec_from_file_location("clusters", Path(__file__).parents[1] / "runs" / "clusters.py")
assert _SPEC is not None
assert _SPEC.loader is not None
clusters = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(clusters)

PLAN = """
study: four
recipe: ./slow.py:slow
factors: {trick: {baseline: false, levels: [true]}}
seeds: 6
train: {steps: 30, pause: 0.1}
"""
RUNS, KILLS = 12, 20
TIMES = ("seconds", "memory", "time", "device")  # what the machine decides
START = "from harness.cli import main; main()"


def bytes_of(report: Report) -> bytes:
    """Effects, statistics of the objective, and runs as CSV, without the columns that time and memory are in."""
    found = []
    for name in ("effects", "statistics", "runs"):
        table = pd.read_csv(io.StringIO(frames.csv(report)[name]), dtype=str, keep_default_na=False)
        if name == "runs":
            table = table[["key", "cell", "seed", "state", "total"]]
        if name == "statistics":
            table = table[table["measure"] == "total"]
        kept = [column for column in table.columns if not any(each in column for each in TIMES)]
        found.append(f"{name}\n{table[kept].to_csv(index=False)}")
    return "\n".join(found).encode()


@contextmanager
def inside(folder: Path) -> Iterator[Path]:
    """A folder of the study's own, with its recipe."""
    clusters.write(folder)
    (folder / "four.yaml").write_text(PLAN, encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


def options(folder: Path, **more: Any) -> Options:
    given = {"storage": f"sqlite:///{folder}/optuna.db", "tracking_uri": f"sqlite:///{folder}/mlflow.db", "slots": 2}
    return Options(**{**given, **more})


def whole(asked: Options) -> bytes:
    """Start until nothing is missing; what the answer is then."""
    for _ in range(3):
        outcome, report = ablate(load(Path("four.yaml")), asked, print)
        if not outcome.failed:
            assert (report.runs["state"] == "complete").sum() == RUNS
            return bytes_of(report)
    raise AssertionError(outcome.reasons)


def under_way(folder: Path) -> tuple[int, set[str]]:
    """How many runs have ended well, and the keys of those that have a checkpoint and have not."""
    over = {path.parent.name for path in folder.glob("runs/*/*/run.json")}
    return len(over), {path.parent.name for path in folder.glob(f"runs/*/*/{NAME}")} - over


def killed_often(folder: Path) -> None:
    """Start and SIGKILL the coordinator twenty times, at moments that a seed decides."""
    draw = random.Random(14)
    command = [sys.executable, "-c", START, "ablate", "four.yaml", "--slots", "2"]
    command += ["--storage", f"sqlite:///{folder}/optuna.db", "--tracking-uri", f"sqlite:///{folder}/mlflow.db"]
    for kill in range(KILLS):
        with open(folder / "said.txt", "a") as said:
            process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
        # A third of them at the start, the others once the study has come so many steps further.
        seconds = draw.uniform(0.5, 4.0) if kill % 3 == 0 else 90.0
        until, steps = time.monotonic() + seconds, told(folder) + draw.randint(1, 30)
        while time.monotonic() < until and told(folder) < steps and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None, f"none was left to kill at the {kill + 1}th: {(folder / 'said.txt').read_text()}"
        os.killpg(process.pid, signal.SIGKILL)  # slots lead sessions of their own: their guard ends them
        process.wait()


def told(folder: Path) -> int:
    """How many scores the journals of a study hold."""
    return sum(path.read_bytes().count(b'"event": "Scored"') for path in folder.glob("runs/*/events/*.jsonl"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_undisturbed_killed_twenty_times_on_postgresql_and_under_ray_with_a_node_killed_is_the_same_in_bytes(
    tmp_path: Path, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, bytes] = {}
    with inside(tmp_path / "undisturbed") as folder:
        found["undisturbed"] = whole(options(folder))

    with inside(tmp_path / "killed") as folder:
        killed_often(folder)
        so_far, _ = under_way(folder)
        assert 0 < so_far < RUNS
        found["killed 20 times"] = whole(options(folder))
        store = StudyStore.find(f"sqlite:///{folder}/optuna.db", "four")
        assert len(store.study.trials) > RUNS  # attempts that were lost are there, each beside the one that ended

    with inside(tmp_path / "postgresql"):
        addresses = {"storage": postgres.address("four_optuna"), "tracking_uri": postgres.address("four_mlflow")}
        found["on PostgreSQL"] = whole(options(tmp_path, **addresses))

    with inside(tmp_path / "ray") as folder, clusters.cluster(2) as made:
        killed: list[set[str]] = []

        def kill() -> None:
            until = time.monotonic() + 120
            while time.monotonic() < until:
                over, running = under_way(folder)
                if over >= 2 and len(running) == 2:
                    killed.append(running)
                    made.remove_node(sorted(made.worker_nodes, key=id)[0], allow_graceful=False)
                    return
                time.sleep(0.05)

        killer = threading.Thread(target=kill)
        killer.start()
        there = replace(options(folder), launch="ray", ray_address=made.address, slots=None)
        found["under Ray, a node killed"] = whole(there)
        killer.join()
        assert killed
        store = StudyStore.find(there.storage, "four")
        kinds = [trial.user_attrs["failure"]["kind"] for trial in store.study.trials if "failure" in trial.user_attrs]
        assert kinds == ["lost"]

    want = found["undisturbed"]
    assert b"trick" in want
    assert want.count(b",complete,") == RUNS
    for way, got in found.items():
        assert got.decode().splitlines() == want.decode().splitlines(), way  # where they differ is shown
        assert got == want, way
    for folder in ("undisturbed", "killed", "ray"):  # and as a reader of the storage has it
        with inside(tmp_path / folder):
            assert bytes_of(load_study(f"sqlite:///{tmp_path / folder}/optuna.db", "four")[1]) == want, folder
