"""Jobs by submitit's local executor: a run is a job, told of by files, and goes on in another where it is cut short."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StudyError
from harness.files import room
from harness.recipes.checkpoint import NAME
from harness.recipes.events import Cause, Event, Failed, Finished, Noted, Scored
from harness.runs import slurm
from harness.runs.description import RunDescription
from harness.runs.slurm import SlurmLauncher, minutes, parameters

_SPEC = importlib.util.spec_from_file_location("clusters", Path(__file__).with_name("clusters.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
clusters = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(clusters)

pytest.importorskip("submitit")

LOCAL = {"cluster": "local", "time": "10"}


@pytest.fixture
def slow(
    tmp_path: Path, described: Callable[..., RunDescription], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., RunDescription]:
    monkeypatch.chdir(tmp_path)
    clusters.write(tmp_path)

    def describe(key: str, **settings: Any) -> RunDescription:
        found = described("./slow.py:slow", settings)
        return replace(found, key=key, directory=f"runs/study/{key}", identity=key)

    return describe


@pytest.fixture
def launcher(slow: Any) -> Iterator[SlurmLauncher]:
    made = SlurmLauncher(2, options=LOCAL)
    yield made
    made.close()
    assert not list(Path(".harness", "slurm").iterdir())


def until(launcher: SlurmLauncher, slot: int, *kinds: type[Event], seconds: float = 60) -> list[Event]:
    found: list[Event] = []
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        found += [event for which, event in launcher.events(0.5) if which == slot]
        if any(isinstance(event, kinds) for event in found):
            return found
    raise AssertionError(f"none of {kinds} within {seconds} s: {found}")


def processes_of(launcher: SlurmLauncher, slot: int) -> list[int]:
    """The job's own process, which submitit's controller starts."""
    controller = launcher._jobs[slot].job._process.pid
    return [int(child) for child in Path(f"/proc/{controller}/task/{controller}/children").read_text().split()]


def full(*arguments: object, **more: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.slow
def test_a_disk_that_takes_no_order_is_waited_for_and_costs_the_run_nothing(
    launcher: SlurmLauncher, slow: Callable[..., RunDescription], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(slurm, "write_text", full)
        launcher.submit(0, slow("a", steps=1, pause=0.0))
        launcher.submit(1, slow("b", steps=1, pause=0.0))
        said = [event for _ in range(5) for _, event in launcher.events(0.5)]
        assert said == [Noted(text=".harness/slurm cannot be written (No space left on device): its job waits")] * 2
        launcher.interrupt(1)
        ((slot, event),) = launcher.events(0.1)
        assert slot == 1
        assert isinstance(event, Failed)
        assert event.kind is Cause.INTERRUPTED
    found = until(launcher, 0, Finished, Failed)
    assert isinstance(found[-1], Finished), found


def test_an_event_that_a_full_disk_did_not_take_is_added_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_PAUSE", 0.01)
    sync, calls = os.fsync, []

    def full_at_first(file: int) -> None:
        calls.append(file)
        if len(calls) < 3:
            full()
        sync(file)

    monkeypatch.setattr(os, "fsync", full_at_first)
    with open(tmp_path / "events", "ab", buffering=0) as file:
        for step in (1, 2):
            slurm._append(file, Scored(step=step, train_seconds=0.0, scores={"total": 1.0}), lambda: False)
        calls.clear()
        with pytest.raises(OSError, match="No space"):
            slurm._append(file, Noted(text="lost"), lambda: len(calls) > 1)
    written = (tmp_path / "events").read_text().splitlines()
    assert [json.loads(line)["step"] for line in written] == [1, 2]


def test_a_sign_of_life_is_written_over_the_last_one(tmp_path: Path) -> None:
    for sign in (b"12345678", b"abcdefgh"):
        slurm._overwrite(tmp_path / "deep" / "alive", sign)
        assert (tmp_path / "deep" / "alive").read_bytes() == sign


@pytest.mark.slow
def test_a_job_trains_as_this_process_would_and_is_asked_to_stop_through_a_file(
    launcher: SlurmLauncher, slow: Callable[..., RunDescription], tmp_path: Path
) -> None:
    from harness.runs.execute import execute

    here: list[Event] = []
    execute(slow("here", steps=4, pause=0.0), here.append)
    launcher.submit(0, slow("a", steps=4, pause=0.0))
    launcher.submit(1, slow("b", steps=5000))
    found = until(launcher, 0, Finished, Failed)
    assert [e.scores for e in found if isinstance(e, Scored)] == [e.scores for e in here if isinstance(e, Scored)]
    assert isinstance(found[-1], Finished)
    until(launcher, 1, Scored)
    launcher.interrupt()
    last = until(launcher, 1, Finished, Failed)[-1]
    assert isinstance(last, Failed)
    assert last.kind is Cause.INTERRUPTED
    assert (tmp_path / "runs" / "study" / "b" / NAME).is_file()


@pytest.mark.slow
def test_a_job_that_slurm_ends_early_goes_on_in_another_from_its_checkpoint(
    launcher: SlurmLauncher, slow: Callable[..., RunDescription]
) -> None:
    launcher.submit(0, slow("a", steps=30))
    before = until(launcher, 0, Scored)
    os.kill(processes_of(launcher, 0)[0], signal.SIGUSR2)  # as sbatch's --signal has it, before the time is over
    after = until(launcher, 0, Finished, Failed)
    assert isinstance(after[-1], Finished)
    assert any(isinstance(event, Noted) and "goes on from its checkpoint" in event.text for event in after)
    steps = [event.step for event in [*before, *after] if isinstance(event, Scored)]
    first = len(steps) - 30
    assert first > 0
    # The next job tells those before its checkpoint again: a journal takes a point once.
    assert steps == [*range(1, first + 1), *range(1, 31)]


@pytest.mark.slow
def test_a_job_that_dies_is_a_lost_run_with_the_end_of_its_output(
    launcher: SlurmLauncher, slow: Callable[..., RunDescription], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "_LATE", 1.0)
    launcher.submit(0, slow("a", steps=5000))
    until(launcher, 0, Scored)
    os.kill(processes_of(launcher, 0)[0], signal.SIGKILL)
    last = until(launcher, 0, Failed)[-1]
    assert isinstance(last, Failed)
    assert last.kind is Cause.LOST
    assert "without a word" in last.reason
    assert "submitit" in last.details


@pytest.mark.slow
def test_a_job_whose_coordinator_is_gone_saves_and_ends(
    slow: Callable[..., RunDescription], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from harness.runs.wire import order

    monkeypatch.setattr(slurm, "_GONE", 2.0)
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "order.json").write_text(order(replace(slow("a", steps=5000), prepare="nobody")))
    handlers = {each: signal.getsignal(each) for each in slurm._END}
    try:
        began = time.monotonic()
        slurm.train(str(folder))
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
    assert time.monotonic() - began < 60
    assert threading.active_count() < 20
    last = (folder / "events.jsonl").read_text().splitlines()[-1]
    assert '"interrupted"' in last
    assert (tmp_path / "runs" / "study" / "a" / NAME).is_file()


def test_what_sbatch_is_asked_for(tmp_path: Path) -> None:
    import submitit
    from submitit.slurm import slurm as theirs

    asked = parameters(
        {"time": "1-12:30:00", "partition": "gpu", "gres": "gpu:1", "cpus-per-task": "4", "mail-user": "me"}
    )
    executor = submitit.AutoExecutor(folder=tmp_path, cluster="local")
    executor.update_parameters(**asked)
    text = theirs._make_sbatch_string(
        command="c",
        folder=tmp_path,
        **{name.removeprefix("slurm_"): value for name, value in asked.items() if name.startswith("slurm_")},
        time=asked["timeout_min"],
    )
    for line in ("--partition=gpu", "--gres=gpu:1", "--cpus-per-task=4", "--mail-user=me", f"--time={36 * 60 + 30}"):
        assert f"#SBATCH {line}\n" in text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90", 90),
        ("90:00", 90),
        ("90:30", 91),
        ("4:00:00", 240),
        ("2-00", 2880),
        ("1-12", 2160),
        ("1-12:30", 2190),
        ("1-00:00:01", 1441),
    ],
)
def test_limits_of_time_are_read_as_sbatch_reads_them(text: str, found: int) -> None:
    assert minutes(text) == found


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"cluster": "local"}, "say how long a job may take"),
        ({"cluster": "local", "time": "soon"}, "time=soon: is no time"),
        ({"cluster": "local", "time": "0"}, "is no time"),
        ({"cluster": "here", "time": "1"}, "cluster=here: allowed: local, slurm"),
        ({"cluster": "local", "time": "1", "array": "0-9"}, "a job is one task"),
    ],
)
def test_options_that_make_no_job_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=reason):
        SlurmLauncher(1, options=options)


def test_without_slurm_or_without_submitit_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StudyError, match="no srun on this machine"):
        SlurmLauncher(1, options={"time": "5"})
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(StudyError, match=r"pip install 'harness\[slurm\]'"):
        SlurmLauncher(1, options={"time": "5"})
