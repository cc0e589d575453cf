"""Journals: what is written is read again, nothing is written twice, and what a crash has cut is taken away."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from harness.recipes.events import SOURCE, Artifact, Cause, DataUsed, Failed, Finished, Noted, Progress, Scored, Started
from harness.runs.folder import RUNS
from harness.study import journal as module
from harness.study.journal import Began, Journal, Kept

EVENTS: list[Kept] = [
    Began(attempt=1, trial=7, name="a · seed 0", parameters={"lr": "0.1"}, tags={"harness.key": "k"}),
    Started(facts={"device.name": "x"}, data=(DataUsed(name="d", digest="1", source="s", role="r"),), resumed_at=3),
    Progress(step=5, train_seconds=0.5, rate=10.0, fraction=0.5, curves={"loss": [(4, 0.25), (5, 0.125)]}),
    Scored(step=5, train_seconds=0.5, scores={"error": 0.1 + 0.2}),
    Artifact(step=5, path="runs/s/k/grid.png", kind="grid"),
    Noted(text="a disk is full\nin two lines"),
    Finished(step=5, summary={"error": 1e-300}, trained_from="other"),
]


def kept(journal: Journal, key: str = "k") -> list[Kept]:
    return [line.kept for line in journal.read(key)]


def test_what_is_written_is_read_again_bit_by_bit(project: Path) -> None:
    journal = Journal(RUNS / "s")
    for at, event in enumerate(EVENTS):
        assert journal.append("k", event, at)
    assert kept(journal) == EVENTS
    assert [line.at for line in journal.read("k")] == list(range(len(EVENTS)))
    assert (journal.keys(), journal.born("k"), journal.last("k")) == (["k"], 0, EVENTS[-1])
    ends = [line.end for line in journal.read("k")]
    assert ends[-1] == journal.size("k")
    assert [line.kept for line in journal.read("k", ends[2])] == EVENTS[3:]


def test_a_point_that_is_told_again_counts_once_and_the_first_time(project: Path) -> None:
    for journal in (Journal(RUNS / "s"), Journal(RUNS / "s")):  # the second has the points of the first from its file
        journal.append("k", Began(attempt=1, trial=0, name="n"), 0)
        journal.append("k", Progress(step=1, train_seconds=0.1, rate=5.0, curves={"loss": [(1, 0.5)]}), 0)
        journal.append("k", Scored(step=2, train_seconds=0.1, scores={"error": 1.0}), 0)
    again = Progress(step=1, train_seconds=9.0, rate=7.0, curves={"loss": [(1, 0.7), (2, 0.4)]})
    assert journal.append("k", again, 0)
    assert not journal.append("k", again, 0)
    assert journal.append("k", Scored(step=2, train_seconds=0.1, scores={"error": 1.5, "other": 2.0}), 0)
    told = [event for event in kept(journal) if isinstance(event, Progress | Scored)]
    assert told == [
        Progress(step=1, train_seconds=0.1, rate=5.0, curves={"loss": [(1, 0.5)]}),
        Scored(step=2, train_seconds=0.1, scores={"error": 1.0}),
        Progress(step=1, train_seconds=9.0, rate=0.0, curves={"loss": [(2, 0.4)]}),
        Scored(step=2, train_seconds=0.1, scores={"other": 2.0}),
    ]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_line_that_a_crash_has_cut_is_left_out_and_said(project: Path, cut: int) -> None:
    first = Journal(RUNS / "s")
    for event in EVENTS[:4]:
        first.append("k", event, 0)
    first.close()
    path = first.path("k")
    os.truncate(path, path.stat().st_size - cut)
    said: list[str] = []
    second = Journal(RUNS / "s", said.append)
    assert kept(second) == EVENTS[:3]
    second.append("k", EVENTS[3], 0)
    assert kept(second) == EVENTS[:4]
    assert len(said) == 1
    assert "its last line was cut by a crash" in said[0]
    assert str(path) in said[0]


def test_a_line_that_a_disk_has_damaged_costs_that_event_alone(project: Path) -> None:
    journal = Journal(RUNS / "s")
    for event in EVENTS:
        journal.append("k", event, 0)
    lines = journal.path("k").read_bytes().splitlines(keepends=True)
    lines[3] = b"\x00" + lines[3][1:]
    journal.path("k").write_bytes(b"".join(lines))
    assert kept(journal) == EVENTS[:3] + EVENTS[4:]


def test_a_full_disk_leaves_no_half_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(RUNS / "s")
    journal.append("k", EVENTS[0], 0)
    write, calls = os.write, []

    def full(file: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) % 2 == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[:10])

    monkeypatch.setattr(module.os, "write", full)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            journal.append("k", EVENTS[3], 1)
    monkeypatch.setattr(module.os, "write", write)
    assert journal.append("k", EVENTS[3], 1)
    assert kept(journal) == [EVENTS[0], EVENTS[3]]


def test_how_an_attempt_ended_is_known_by_its_number(project: Path) -> None:
    journal = Journal(RUNS / "s")
    lost = Failed(kind=Cause.LOST, reason="the machine is gone", details="its last words")
    for attempt, end in ((1, lost), (2, None), (3, EVENTS[-1])):
        journal.append("k", Began(attempt=attempt, trial=attempt + 10, name="n"), 0)
        journal.append("k", Scored(step=attempt, train_seconds=0, scores={"error": 1.0}), 0)
        if end is not None:
            journal.append("k", end, 0)
    assert [journal.ended("k", attempt) for attempt in (1, 2, 3, 4)] == [lost, None, EVENTS[-1], None]
    assert [[each.step for each in journal.scored("k", attempt)] for attempt in (1, 2, 3, 4)] == [[1], [2], [3], []]
    assert journal.ended("other", 1) is None


def test_a_run_whose_recipe_was_changed_tells_anew_what_the_old_one_told(project: Path) -> None:
    journal = Journal(RUNS / "s")
    old, new = ({SOURCE: each} for each in ("old", "new"))
    journal.append("k", Began(attempt=1, trial=0, name="n", tags=old), 1)
    assert journal.append("k", Scored(step=1, train_seconds=1, scores={"loss": 0.1}), 2)
    journal.append("k", Failed(kind=Cause.ERROR, reason="a bug"), 3)
    journal.append("k", Began(attempt=2, trial=1, name="n", tags=new), 4)
    assert journal.append("k", Scored(step=1, train_seconds=1, scores={"loss": 0.9}), 5)
    assert [each.scores for each in journal.scored("k", 2)] == [{"loss": 0.9}]
    assert journal.ended("k", 1) is None
    assert (journal.folder / "k.jsonl.1").exists()
    assert journal.keys() == ["k"]
    journal.append("k", Began(attempt=3, trial=2, name="n", tags=new), 6)
    assert not journal.append("k", Scored(step=1, train_seconds=1, scores={"loss": 0.9}), 7)


def test_no_bit_that_turns_makes_another_event_of_a_line_and_it_is_said(project: Path) -> None:
    first = Journal(RUNS / "s")
    for event in EVENTS[:4]:
        first.append("k", event, 0)
    first.close()
    path, said = first.path("k"), list[str]()
    whole = path.read_bytes()
    begin = len(whole) - len(whole.splitlines()[-1]) - 1  # the score's
    for place in range(begin, len(whole) - 1):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            assert kept(first) == EVENTS[:3], (place, bit)
    again = Journal(RUNS / "s", said.append)
    assert again.append("k", EVENTS[3], 0)  # what is told again takes its place
    assert kept(again) == EVENTS[:4]
    assert "1 line(s) are damaged" in said[0]
