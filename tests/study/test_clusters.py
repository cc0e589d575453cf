"""A study on a cluster answers what it answers on this machine, to the last byte, a node killed on the way or not."""

from __future__ import annotations

import importlib.util
import io
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.design import plan as make_plan
from harness.errors import StudyError
from harness.recipes.checkpoint import NAME
from harness.report import Report
from harness.report.frames import csv
from harness.runs import ray as on_ray
from harness.runs.launchers import Seats
from harness.spec import load
from harness.study.ablate import ablate
from harness.study.calibration import calibrate
from harness.study.placement import Options, Placement, place

_SPEC = importlib.util.spec_from_file_location("clusters", Path(__file__).parents[1] / "runs" / "clusters.py")
assert _SPEC is not None
assert _SPEC.loader is not None
clusters = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(clusters)

HERE = Options(storage="sqlite:///here.db", slots=2)
JOBS = {"cluster": "local", "time": "10"}
QUICKLY = ("train.steps=12", "train.pause=0.15")


def told(line: str) -> None:
    print(line)


def effects(report: Report) -> str:
    """Effects and runs as CSV without what is a matter of time."""
    tables = csv(report)
    kept = []
    for name in ("effects", "statistics", "runs"):
        frame = pd.read_csv(io.StringIO(tables[name]), dtype=str, keep_default_na=False)
        if name == "statistics":
            frame = frame[frame["measure"] == "total"]
        if name == "runs":
            frame = frame[["key", "cell", "seed", "state", "total"]]
        words = ("seconds", "memory", "time", "device", "second")
        kept.append(frame[[each for each in frame if not any(word in each for word in words)]].to_csv(index=False))
    return "\n".join(kept)


def finish(options: Options, overrides: tuple[str, ...] = QUICKLY) -> tuple[str, int]:
    """The answer of the study, and how many starts it took."""
    for start in (1, 2):
        outcome, report = ablate(load(Path("slow.yaml"), overrides), options, told)
        if not outcome.failed:
            return effects(report), start
    raise AssertionError(f"not finished: {outcome.reasons}")


@pytest.fixture
def slow_study(project: Path, tracking: str) -> Path:
    clusters.write(project)
    return project


@pytest.mark.slow
@pytest.mark.parametrize("seen", [True, False], ids=["shared storage", "shipped"])
def test_a_node_of_a_ray_cluster_killed_mid_study_costs_an_attempt_and_changes_no_byte_of_the_effects(
    slow_study: Path, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    want, _ = finish(HERE)
    for folder in (slow_study / "runs").iterdir():
        folder.rename(slow_study / "trained-here")
    if not seen:
        monkeypatch.setattr(on_ray.RayLauncher, "_leave_token", lambda self: Path("nowhere"))
    with clusters.cluster(2) as made:
        killed: list[set[str]] = []

        def kill() -> None:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                over = {path.parent.name for path in (slow_study / "runs").glob("*/*/run.json")}
                under_way = {path.parent.name for path in (slow_study / "runs").glob(f"*/*/{NAME}")} - over
                if len(over) >= 2 and len(under_way) == 2:  # both slots are in the second lot
                    killed.append(under_way)
                    made.remove_node(sorted(made.worker_nodes, key=id)[0], allow_graceful=False)
                    return
                time.sleep(0.05)

        killer = threading.Thread(target=kill)
        killer.start()
        there = replace(HERE, storage="sqlite:///there.db", launch="ray", ray_address=made.address, slots=None)
        got, _ = finish(there)
        killer.join()
    assert killed
    assert got == want
    failures = pd.read_sql(
        "select value_json from trial_user_attributes where key = 'failure'", f"sqlite:///{slow_study}/there.db"
    )
    assert [json.loads(each)["kind"] for each in failures["value_json"]] == ["lost"]


@pytest.mark.slow
def test_a_study_as_jobs_of_submitits_local_executor_ends_in_the_same_effects(slow_study: Path) -> None:
    quick = ("train.steps=4", "train.pause=0", "seeds=2")
    want, _ = finish(HERE, quick)
    for folder in (slow_study / "runs").iterdir():
        folder.rename(slow_study / "trained-here")
    there = replace(HERE, storage="sqlite:///there.db", launch="slurm", slurm=JOBS)
    assert finish(there, quick)[0] == want


def test_options_of_one_way_to_launch_are_refused_in_another(slow_study: Path) -> None:
    plan = make_plan(load(Path("slow.yaml")))
    for options, reason in (
        (Options(storage="", ray_address="h:1"), "--ray-address h:1: is for --launch ray; this is --launch processes"),
        (Options(storage="", slots_per_gpu=2), "--slots-per-gpu 2: is for --launch ray"),
        (Options(storage="", launch="inline", hung_after=5.0), "--hung-after 5: is not for --launch inline"),
        (Options(storage="", launch="slurm", hung_after=5.0), "--hung-after 5: is not for --launch slurm: Slurm ends"),
        (Options(storage="", launch="ray", slurm={"time": "1"}), "--slurm time=1: is for --launch slurm"),
        (Options(storage="", launch="slurm"), "say how many jobs to keep in Slurm's queue at a time, like --slots 8"),
        (Options(storage="", launch="slurm", slots=1, slurm={**JOBS, "cpus-per-task": "x"}), "must be a whole number"),
    ):
        with pytest.raises(StudyError, match=reason):
            place(plan, options)


@pytest.mark.parametrize(
    ("nodes", "options", "found"),
    [
        ([(1, 0), (1, 0)], {}, (["cpu"] * 2, 2, 1, 1, 0)),
        ([(16, 0), (2, 0)], {}, (["cpu"] * 6, 6, 2, 2, 0)),  # 4 slots and 2: two cores each would leave no room
        ([(16, 0), (16, 0)], {}, (["cpu"] * 8, 8, 4, 4, 0)),
        ([(16, 0), (16, 0)], {"slots": 3}, (["cpu"] * 3, 3, 8, 8, 0)),
        ([(8, 2), (8, 2)], {}, (["cuda:0"] * 4, 4, None, 1, 1.0)),
        ([(8, 2), (8, 2)], {"slots_per_gpu": 4}, (["cuda:0"] * 4, 16, None, 1, 0.25)),
        ([(3, 2), (8, 0)], {"slots_per_gpu": 2}, (["cuda:0"] * 2, 3, None, 1, 0.5)),
        ([(8, 2)], {"slots": 3, "slots_per_gpu": 2}, (["cuda:0"] * 2, 3, None, 1, 0.5)),
    ],
)
@pytest.mark.slow
def test_slots_are_counted_over_the_nodes_of_a_ray_cluster(
    slow_study: Path, monkeypatch: pytest.MonkeyPatch, nodes: list[tuple[int, int]], options: dict[str, int], found: Any
) -> None:
    monkeypatch.setattr(on_ray, "nodes", lambda address: [{"CPU": cpu, "GPU": gpu} for cpu, gpu in nodes])
    made = place(make_plan(load(Path("slow.yaml"))), Options(storage="", launch="ray", **options))
    seats = made.seats
    devices, slots, threads, cpus, gpu = found
    assert (made.devices, made.slots, made.threads, seats.cpus, seats.gpu) == (devices, slots, threads, cpus, gpu)
    fits = sum(min(c // seats.cpus, int(g / seats.gpu) if seats.gpu else c) for c, g in nodes)
    assert fits >= slots
    assert "a Ray cluster of" in str(made)


@pytest.mark.parametrize(
    ("nodes", "options", "reason"),
    [
        ([(1, 0)], {"slots": 2}, r"--slots 2: a Ray cluster of 1 node has 1 CPUs"),
        ([(0, 0)], {}, "add nodes"),
        ([], {}, "a Ray cluster of 0 nodes"),
        ([(8, 2)], {"slots": 3}, "--slots 3: .* 2 GPUs .* which is 2 at --slots-per-gpu 1"),
        ([(4, 0)], {"slots_per_gpu": 2}, "has no GPU that runs could share"),
    ],
)
def test_more_slots_than_a_ray_cluster_has_are_refused(
    slow_study: Path,
    monkeypatch: pytest.MonkeyPatch,
    nodes: list[tuple[int, int]],
    options: dict[str, int],
    reason: str,
) -> None:
    monkeypatch.setattr(on_ray, "nodes", lambda address: [{"CPU": cpu, "GPU": gpu} for cpu, gpu in nodes])
    with pytest.raises(StudyError, match=reason):
        place(make_plan(load(Path("slow.yaml"))), Options(storage="", launch="ray", **options))


def test_jobs_have_the_device_and_threads_that_slurm_is_asked_for(slow_study: Path) -> None:
    plan = make_plan(load(Path("slow.yaml")))
    cpu = place(plan, Options(storage="", launch="slurm", slots=3, slurm={**JOBS, "cpus-per-task": "4"}))
    assert (cpu.devices, cpu.slots, cpu.threads) == (["cpu"] * 3, 3, 4)
    for asked in ({"gres": "gpu:a100:1"}, {"gpus-per-node": "1"}):
        gpu = place(plan, Options(storage="", launch="slurm", slots=3, slurm={**JOBS, **asked}))
        assert (gpu.devices, gpu.slots, gpu.threads) == (["cuda:0"] * 3, 3, None)


def test_jobs_are_not_timed_beforehand(slow_study: Path) -> None:
    plan = make_plan(load(Path("slow.yaml")))
    jobs = Placement(devices=["cpu"], slots=1, threads=1, there=Seats(slots=1, slurm={}))
    with pytest.raises(StudyError, match="runs cannot be timed before their jobs start"):
        calibrate(plan, placement=jobs)


def test_the_command_line_refuses_in_one_line_before_anything_is_written(slow_study: Path) -> None:
    for arguments, reason in (
        (["--slurm", "partition"], "--slurm partition: must be NAME=VALUE"),
        (["--launch", "slurm", "--slots", "2", "--slurm", "cluster=local"], "say how long a job may take"),
        (["--launch", "ray", "--ray-address", "127.0.0.1:1"], "there is no Ray cluster at 127.0.0.1:1"),
    ):
        done = CliRunner().invoke(main, ["ablate", "slow.yaml", *arguments])
        assert done.exit_code == 2
        assert reason in done.output
        assert "Traceback" not in done.output
        assert not Path("runs").exists()


@pytest.mark.slow
def test_runs_are_timed_on_the_cluster_that_they_will_run_on(slow_study: Path) -> None:
    plan = make_plan(load(Path("slow.yaml"), ("train.steps=200", "train.pause=0.05")))
    with clusters.cluster(1) as made:
        placement = place(plan, Options(storage="", launch="ray", ray_address=made.address))
        times = calibrate(plan, placement=placement)
    assert set(times) == {"baseline", "trick=on"}
    for found in times.values():
        assert not found.failed
        assert found.train_seconds > 8  # 200 pauses of 50 ms, of which a loaded machine may take longer
    assert not list(slow_study.glob("runs/*"))
