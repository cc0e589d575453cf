"""A Ray cluster's slots train what this machine's would, ship what it lacks, and lose one run with a node."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StudyError
from harness.measures import Measure
from harness.recipes.address import Address
from harness.recipes.checkpoint import NAME
from harness.recipes.events import Artifact, Cause, Event, Failed, Finished, Noted, Scored, Started
from harness.runs import ray as launching
from harness.runs.description import RunDescription
from harness.runs.ray import RayLauncher, connected, nodes
from harness.runs.shipping import Part

_SPEC = importlib.util.spec_from_file_location("clusters", Path(__file__).with_name("clusters.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
clusters = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(clusters)

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    with clusters.cluster(2) as found:
        yield found


@pytest.fixture
def launcher(two_nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayLauncher]:
    monkeypatch.chdir(tmp_path)
    clusters.write(tmp_path)
    made = RayLauncher(2, cpus=1, address=two_nodes.address)
    yield made
    made.close()


@pytest.fixture
def slow(tmp_path: Path, described: Callable[..., RunDescription]) -> Callable[..., RunDescription]:
    """Describes a run of the slow recipe, in a folder as a study has it."""

    def describe(key: str, **settings: Any) -> RunDescription:
        from dataclasses import replace

        found = described("./slow.py:slow", settings)
        return replace(found, key=key, directory=f"runs/study/{key}", identity=key)

    return describe


def until_end(launcher: RayLauncher, *slots: int, seconds: float = 90) -> dict[int, list[Event]]:
    found: dict[int, list[Event]] = {slot: [] for slot in slots}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for slot, event in launcher.events(0.5):
            if slot in found:
                found[slot].append(event)
        if all(events and isinstance(events[-1], Finished | Failed) for events in found.values()):
            return found
    raise AssertionError(f"no end within {seconds} s: {found}")


def until(launcher: RayLauncher, slot: int, kind: type[Event], seconds: float = 60) -> Event:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        for which, event in launcher.events(0.2):
            if which == slot and isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} within {seconds} s")


@pytest.mark.parametrize(
    "seen", [pytest.param(True, id="shared storage", marks=pytest.mark.slow), pytest.param(False, id="shipped")]
)
@pytest.mark.slow
@pytest.mark.slow
def test_runs_end_with_the_same_numbers_and_files_as_in_this_process(
    launcher: RayLauncher, slow: Callable[..., RunDescription], tmp_path: Path, seen: bool
) -> None:
    from harness.runs.execute import execute

    here: list[Event] = []
    execute(slow("here", steps=4, pause=0.0), here.append)
    if not seen:
        launcher._token = Path("nowhere")
    launcher.submit(0, slow("a", steps=4, pause=0.0))
    launcher.submit(1, slow("b", steps=4, pause=0.0))
    found = until_end(launcher, 0, 1)
    scores = [event.scores for event in here if isinstance(event, Scored)]
    for key, events in zip("ab", found.values(), strict=True):
        assert [event.scores for event in events if isinstance(event, Scored)] == scores
        assert isinstance(events[0], Started)
        assert events[0].facts["node"]
        last = events[-1]
        assert isinstance(last, Finished)
        assert last.summary["total"] == here[-1].summary["total"]  # type: ignore[union-attr]
        folder = tmp_path / "runs" / "study" / key
        assert (folder / NAME).is_file()
        assert json.loads((folder / "run.json").read_text())["folder"] == str(tmp_path)
        assert [event.path for event in events if isinstance(event, Artifact)] == [f"runs/study/{key}/{NAME}"] * 4
    # An actor is kept for the next run, which goes on from what came back, and tells again what it told.
    launcher.submit(0, slow("a", steps=6, pause=0.0, trick=True))
    again = until_end(launcher, 0)[0]
    assert [event.step for event in again if isinstance(event, Scored)] == [1, 2, 3, 4, 5, 6]
    assert [event.scores for event in again if isinstance(event, Scored)][:4] == scores  # those of no trick


@pytest.mark.slow
def test_a_full_disk_of_the_coordinators_is_waited_for_and_costs_the_run_nothing(
    launcher: RayLauncher, slow: Callable[..., RunDescription], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, tries = launching.receive, 0

    def full(folder: Path, part: Part) -> None:
        nonlocal tries
        tries += 1
        if tries <= 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(folder, part)

    monkeypatch.setattr(launching, "receive", full)
    monkeypatch.setattr(launching, "_LOST", 2.5)  # that the node is not asked meanwhile is not its silence
    launcher._token = Path("nowhere")
    launcher.submit(0, slow("a", steps=6, pause=0.0))
    found = until_end(launcher, 0)[0]
    assert tries > 4
    assert [event.step for event in found if isinstance(event, Scored)] == [1, 2, 3, 4, 5, 6]
    assert isinstance(found[-1], Finished)
    (said,) = [event.text for event in found if isinstance(event, Noted)]
    assert said.startswith("runs/study/a cannot be written (No space left on device): what ")
    assert (tmp_path / "runs" / "study" / "a" / NAME).is_file()
    assert json.loads((tmp_path / "runs" / "study" / "a" / "run.json").read_text())["folder"] == str(tmp_path)


@pytest.mark.slow
def test_a_slot_that_is_given_up_or_closed_leaves_nothing_in_its_nodes_temporary_folder(
    launcher: RayLauncher, slow: Callable[..., RunDescription]
) -> None:
    def left() -> set[Path]:
        return set(Path(tempfile.gettempdir()).glob("harness-slot-*"))

    before = left()
    launcher._token = Path("nowhere")
    for slot in (0, 1):
        launcher.submit(slot, slow(f"{slot}", steps=500))
        until(launcher, slot, Scored)
    assert len(left() - before) == 2
    launcher.kill(0)
    until_gone = time.monotonic() + 30
    while len(left() - before) > 1 and time.monotonic() < until_gone:
        time.sleep(0.1)
    assert len(left() - before) == 1
    launcher.submit(0, slow("2", steps=1))  # the place of the one that was killed is free again
    assert isinstance(until_end(launcher, 0)[0][-1], Finished)
    launcher.close()
    assert left() <= before


@pytest.mark.slow
def test_an_interrupted_run_saves_a_checkpoint_that_comes_back_and_one_without_a_place_just_ends(
    launcher: RayLauncher, slow: Callable[..., RunDescription], tmp_path: Path
) -> None:
    launcher._token = Path("nowhere")
    launcher.submit(0, slow("a", steps=500))
    until(launcher, 0, Scored)
    launcher.interrupt(0)
    last = until_end(launcher, 0)[0][-1]
    assert isinstance(last, Failed)
    assert last.kind is Cause.INTERRUPTED
    assert (tmp_path / "runs" / "study" / "a" / NAME).is_file()
    launcher.submit(1, slow("b"))
    launcher.interrupt()
    ((slot, event),) = launcher.events(0)
    assert slot == 1
    assert isinstance(event, Failed)
    assert event.kind is Cause.INTERRUPTED


@pytest.mark.slow
def test_a_fault_of_the_recipe_comes_back_with_its_traceback(
    launcher: RayLauncher, slow: Callable[..., RunDescription], tmp_path: Path
) -> None:
    recipe = tmp_path / "slow.py"
    description = slow("a")
    recipe.write_text(recipe.read_text().replace("time.sleep(pause)", "raise OSError('broken')"), encoding="utf-8")
    launcher._token = Path("nowhere")
    launcher.submit(0, description)
    last = until_end(launcher, 0)[0][-1]
    assert isinstance(last, Failed)
    assert last.kind is Cause.ERROR
    assert "OSError: broken (slow.py, line" in last.reason
    assert "OSError: broken" in (tmp_path / "runs" / "study" / "a" / "traceback.txt").read_text()


@pytest.mark.slow
def test_a_run_waits_where_no_place_is_free_and_gets_that_of_a_slot_that_idles(
    two_nodes: Any, launcher: RayLauncher, slow: Callable[..., RunDescription], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "_QUIET", 1.0)
    monkeypatch.setattr(launching, "_PATIENT", 1.0)
    for slot, steps in ((0, 1), (1, 40)):
        launcher.submit(slot, slow(f"{slot}", steps=steps))
    until(launcher, 0, Finished)
    launcher.slots = 3
    launcher.submit(2, slow("2", steps=1))
    found = until_end(launcher, 2)[2]
    assert isinstance(found[-1], Finished)
    assert any(isinstance(event, Noted) and "1 CPU free" in event.text for event in found) or isinstance(
        found[0], Started
    )


COMMAND = """
import json, os, sys, time
print(json.dumps({"step": 1, "total": 1.0}), flush=True)
time.sleep(float(sys.argv[1]))
print(json.dumps({"total": float(os.environ["CUDA_VISIBLE_DEVICES"])}))
"""


@pytest.mark.slow
def test_runs_share_a_gpu_as_many_as_the_share_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray counts GPUs that are not there; what a run may see of them is theirs to say."""
    ray.shutdown()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seen.py").write_text(COMMAND, encoding="utf-8")
    address = Address.of({"command": [sys.executable, "seen.py", "{pause}"], "settings": {"pause": 8.0}}, tmp_path)
    recipe = address.load()

    def describe(key: str) -> RunDescription:
        return RunDescription(
            key=key,
            name=key,
            address=address,
            objective=Measure(name="total", title="total"),
            seed=0,
            train=recipe.settings(),
            data=recipe.data(),
            evaluate=recipe.evaluate(),
            references={},
            budget=recipe.budget(),
            directory=f"runs/study/{key}",
            device="cuda:0",
        )

    with clusters.cluster(1, num_cpus=5, num_gpus=2) as made:
        launcher = RayLauncher(5, cpus=1, gpu=0.5, address=made.address)
        for slot in range(5):
            launcher.submit(slot, describe(f"{slot}"))
        told: list[Event] = []
        seen: list[float] = []
        while len(seen) < 5:
            for _, event in launcher.events(0.5):
                told.append(event)
                assert not isinstance(event, Failed), event
                if isinstance(event, Finished):
                    seen.append(event.summary["total"])
        launcher.close()
    assert sorted(map(seen.count, (0.0, 1.0))) == [2, 3]
    kinds = [type(event) for event in told if isinstance(event, Started | Finished)]
    assert kinds.index(Finished) == 4  # the fifth had to wait for a place
    assert len(kinds) == 10


def test_the_nodes_of_a_cluster_are_counted(two_nodes: Any) -> None:
    found = nodes(two_nodes.address)
    assert sorted(node.get("CPU", 0) for node in found) == [0, 1, 1]


@pytest.mark.slow
def test_a_node_with_another_harness_is_refused(
    launcher: RayLauncher, slow: Callable[..., RunDescription], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "build", lambda: "harness 0000, torch 1")
    launcher.submit(0, slow("a"))
    last = until_end(launcher, 0)[0][-1]
    assert isinstance(last, Failed)
    assert last.kind is Cause.ERROR
    assert "harness 0000, torch 1: install the same on every node" in last.reason


@pytest.mark.slow
def test_a_node_that_dies_costs_one_attempt_of_its_run_which_goes_on_from_what_came_back(
    tmp_path: Path, slow: Callable[..., RunDescription], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray.shutdown()
    monkeypatch.chdir(tmp_path)
    clusters.write(tmp_path)
    with clusters.cluster(2) as made:
        launcher = RayLauncher(2, cpus=1, address=made.address)
        launcher._token = Path("nowhere")
        for slot in (0, 1):
            launcher.submit(slot, slow(f"{slot}", steps=60))
        steps, first = {0: 0, 1: 0}, {}
        while min(steps.values()) < 5:
            for slot, event in launcher.events(0.5):
                assert not isinstance(event, Finished | Failed), event
                if isinstance(event, Scored):
                    steps[slot] = event.step
                    first.setdefault(slot, event)
        made.remove_node(next(iter(made.worker_nodes)), allow_graceful=False)
        found = until_end(launcher, 0, 1)
        ends = {slot: events[-1] for slot, events in found.items()}
        (lost,) = [slot for slot, event in ends.items() if isinstance(event, Failed)]
        last = ends[lost]
        assert isinstance(last, Failed)
        assert last.kind is Cause.LOST
        assert isinstance(ends[1 - lost], Finished)
        launcher.submit(lost, slow(f"{lost}", steps=60, trick=True))  # the other slot's node takes it
        again = until_end(launcher, lost)[lost]
        assert isinstance(again[-1], Finished)
        told = [event for event in again if isinstance(event, Scored)]
        assert [event.step for event in told] == list(range(1, 61))
        assert told[0].scores == first[lost].scores  # which it would not be with the trick, had it begun anew
        launcher.close()


def test_without_a_cluster_or_without_ray_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray.shutdown()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(StudyError, match=r"(?s)no Ray cluster at 127.0.0.1:1 .*ray start --head"):
        connected("127.0.0.1:1")
    for wrong in ("ray://127.0.0.1:10001", "local", "127.0.0.1", "h:99999"):
        monkeypatch.setenv("RAY_ADDRESS", wrong)
        with pytest.raises(StudyError, match=f"{wrong} is no address of a cluster; give HOST:PORT"):
            connected()
    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")  # stopped without a word
    with pytest.raises(StudyError, match=r"no Ray cluster at 127\.0\.0\.1:1"):
        connected()
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(StudyError, match=r"pip install 'harness\[ray\]'"):
        connected()
