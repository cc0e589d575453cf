"""A slot's end on another machine answers in parts of a bounded size, files before the events that speak of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.recipes.events import Event, Failed, Finished, Progress, Scored
from harness.runs import station as stations
from harness.runs.description import RunDescription
from harness.runs.shipping import Part, crosses, parts, receive
from harness.runs.station import Station
from harness.runs.wire import order, read
from harness.study.journal import Journal

RECIPE = """
from harness import Run, recipe

@recipe(objective="total")
def mine(run: Run, size: int = 100_000):
    (run.directory / "weights.bin").write_bytes(bytes(range(256)) * (size // 256))
    (run.directory / "deep").mkdir()
    (run.directory / "deep" / "note.txt").write_text("deep")
    run.report(1, total=1.0)
    return {"total": 1.0}
"""


@pytest.fixture
def elsewhere() -> Iterator[Station]:
    before = Path.cwd()
    found = Station(most=1000)
    yield found
    found.close()
    os.chdir(before)


@pytest.mark.slow
def test_a_run_comes_back_in_small_parts_and_whole(
    elsewhere: Station, tmp_path: Path, described: Callable[..., RunDescription]
) -> None:
    (tmp_path / "mine.py").write_text(RECIPE, encoding="utf-8")
    description = described("./mine.py:mine", {})
    _, build, shared = elsewhere.arrive(str(tmp_path), "no such file")
    mirror = Path.cwd()
    assert not shared
    assert mirror != tmp_path
    assert build == stations.build()
    for part in parts(tmp_path, ["mine.py"]):
        elsewhere.receive(part)
    there = replace(description.address, folder=".")
    elsewhere.begin(order(description, directory="runs/s/k", address=there), shared=False)
    home, events, sizes = tmp_path / "home", [], []
    home.mkdir()
    while not (events and isinstance(events[-1], Finished | Failed)):
        answer = elsewhere.poll(1.0)
        sizes.append(sum(len(part.data) for part in answer.parts))
        for part in answer.parts:
            receive(home, part)
        events += [read(line, description) for line in answer.events]
        if any(isinstance(event, Finished) for event in events):
            assert (home / "run.json").exists()
    assert isinstance(events[-1], Finished), events
    assert max(sizes) < 2 * 1000
    assert len([size for size in sizes if size]) > 20
    assert (home / "weights.bin").read_bytes() == bytes(range(256)) * (100_000 // 256)
    assert (home / "deep" / "note.txt").read_text() == "deep"
    elsewhere.arrive(str(tmp_path), "no such file")  # before the next run nothing of this one is left
    assert list(mirror.iterdir()) == []


RESUMED = """
from harness import Run, recipe

@recipe(objective="total")
def mine(run: Run, steps: int = 4):
    before = run.restore()
    state = before or {"step": 0}
    while state["step"] < steps:
        state["step"] += 1
        run.report(state["step"], loss=1 / state["step"])
        run.report(state["step"], total=float(state["step"]))
        run.checkpoint(state)
        if state["step"] == 2 and not before:
            raise SystemExit
    return {"total": float(state["step"])}
"""


@pytest.mark.slow
def test_a_run_that_goes_on_on_another_machine_tells_there_what_it_told_on_the_first(
    tmp_path: Path, described: Callable[..., RunDescription]
) -> None:
    """The events of the first are lost, as with a coordinator that dies as soon as it has the files."""
    before = Path.cwd()
    (tmp_path / "mine.py").write_text(RESUMED, encoding="utf-8")
    home = tmp_path / "home"
    home.mkdir()
    description = described("./mine.py:mine", {})
    told: list[list[Event]] = []
    for _ in range(2):
        station = Station()
        try:
            station.arrive(str(tmp_path), "no such file")
            for part in parts(tmp_path, ["mine.py"]):
                station.receive(part)
            names = [path.relative_to(home).as_posix() for path in sorted(home.rglob("*")) if crosses(path)]
            for part in parts(home, names):
                station.receive(replace(part, name=f"runs/s/k/{part.name}"))
            there = replace(description.address, folder=".")
            station.begin(order(description, directory="runs/s/k", address=there), shared=False)
            events: list[Event] = []
            while not (events and isinstance(events[-1], Finished | Failed)):
                answer = station.poll(1.0)
                for part in answer.parts:
                    receive(home, part)
                events += [read(line, description) for line in answer.events]
            told.append(events)
        finally:
            station.close()
            os.chdir(before)
    assert isinstance(told[0][-1], Failed)
    assert isinstance(told[1][-1], Finished), told[1]
    scores = [(event.step, event.scores["total"]) for event in told[1] if isinstance(event, Scored)]
    assert scores == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    curve = [point for event in told[1] if isinstance(event, Progress) for point in event.curves.get("loss", [])]
    assert curve == [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25)]
    both = Journal(tmp_path / "kept")
    for event in (event for events in told for event in events[:-1]):
        both.append("k", event, at=1)
    kept = [line.kept for line in both.read("k")]
    assert [event.step for event in kept if isinstance(event, Scored)] == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_disk_that_takes_no_file_ends_the_run_before_it_begins(
    elsewhere: Station, tmp_path: Path, described: Callable[..., RunDescription]
) -> None:
    (tmp_path / "mine.py").write_text(RECIPE, encoding="utf-8")
    description = described("./mine.py:mine", {})
    elsewhere.arrive(str(tmp_path), "no such file")
    Path("mine.py").mkdir()  # in the way
    elsewhere.receive(Part(name="mine.py", data=b"x"))
    elsewhere.begin(order(description, directory="runs/s/k"), shared=False)
    (line,) = elsewhere.poll(0.1).events
    event = read(line, description)
    assert isinstance(event, Failed)
    assert event.kind == "lost"
    assert "cannot write mine.py: Is a directory" in event.reason
