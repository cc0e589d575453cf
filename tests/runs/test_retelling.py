"""A run that is gone on with tells again what it had told, for a coordinator that was killed before it was kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.recipes.events import Event, Finished, Progress, Scored, Started
from harness.runs.description import RunDescription
from harness.runs.execute import execute
from harness.runs.retelling import Retelling, remove

SOURCE = """
from harness import Run, recipe

@recipe(objective="total", maximize=False)
def stub(run: Run, weight: float = 1.0):
    state = run.restore() or {"step": 0}
    while state["step"] < 4:
        state["step"] += 1
        run.report(state["step"], total=weight * state["step"])
        run.report(state["step"], loss=1 / state["step"])
        run.checkpoint(state)
        if run.directory.joinpath("end").exists() and state["step"] == 2:
            raise SystemExit
    return {"total": weight * state["step"]}
"""
Describe = Callable[..., RunDescription]


def points(events: list[Event]) -> list[tuple[str, int, float]]:
    found = []
    for event in events:
        if isinstance(event, Scored):
            found += [(name, event.step, value) for name, value in event.scores.items()]
        elif isinstance(event, Progress):
            found += [(name, *point) for name, told in event.curves.items() for point in told]
    return found


def trained(description: RunDescription) -> list[Event]:
    told: list[Event] = []
    execute(description, told.append)
    return told


def test_the_next_attempt_tells_the_steps_before_its_checkpoint_too(tmp_path: Path, described: Describe) -> None:
    (tmp_path / "own.py").write_text(SOURCE)
    description = described("./own.py:stub", {})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "end").touch()
    assert not isinstance(trained(description)[-1], Finished)  # what it told is lost with its coordinator
    (tmp_path / "run" / "end").unlink()
    second = trained(description)
    assert isinstance(second[0], Started)
    assert second[-1] == Finished(step=4, summary=second[-1].summary)  # type: ignore[union-attr]
    assert sorted(points(second)) == sorted(
        [("total", step, float(step)) for step in (1, 2, 3, 4)] + [("loss", step, 1 / step) for step in (1, 2, 3, 4)]
    )


def test_what_other_settings_told_is_forgotten_and_so_are_damaged_and_cut_lines(
    tmp_path: Path, described: Describe
) -> None:
    (tmp_path / "own.py").write_text(SOURCE)
    description = described("./own.py:stub", {})
    (tmp_path / "run").mkdir()
    first = Retelling(description, "this", lambda event: None)
    for step in (1, 2, 3):
        first(Scored(step=step, train_seconds=0.0, scores={"total": float(step)}))
    path = tmp_path / "run" / ".told.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"2.0", b"7.0")  # a disk turned it
    path.write_bytes(b"".join(lines)[:-10])  # a crash cut it
    told: list[Event] = []
    again = Retelling(description, "this", told.append)
    again.since = lambda resumed: None
    again.tell_again()
    assert [event.step for event in told if isinstance(event, Scored)] == [1]
    told.clear()
    Retelling(description, "another", told.append).tell_again()
    assert told == []
    Retelling(description, "this", told.append).tell_again()
    assert told == []
    remove(tmp_path / "run")
    assert not path.exists()


def score(step: int, value: float) -> Scored:
    return Scored(step=step, train_seconds=1.0, scores={"total": value})


def attempt(description: RunDescription, resumed: int, own: list[Scored], identity: str = "i") -> list[Event]:
    found: list[Event] = []
    tell = Retelling(description, identity, found.append)
    for event in (Started(facts={}, resumed_at=resumed), *own):
        tell(event)
    tell.tell_again()
    return found[1:]


def test_what_lies_before_the_checkpoint_is_told_again_and_what_lies_beyond_is_not(
    tmp_path: Path, described: Describe
) -> None:
    (tmp_path / "own.py").write_text(SOURCE)
    description = described("./own.py:stub", {})
    (tmp_path / "run").mkdir()
    assert attempt(description, 0, [score(step, 0.1) for step in (1, 2, 3)]) == [score(s, 0.1) for s in (1, 2, 3)]
    again = attempt(description, 2, [score(3, 0.9)])
    assert again == [score(1, 0.1), score(2, 0.1), score(3, 0.9)]
    assert attempt(description, 3, []) == [score(1, 0.1), score(2, 0.1), score(3, 0.9)]


def test_a_run_that_starts_anew_is_told_nothing_of_before(tmp_path: Path, described: Describe) -> None:
    (tmp_path / "own.py").write_text(SOURCE)
    description = described("./own.py:stub", {})
    (tmp_path / "run").mkdir()
    attempt(description, 0, [score(1, 0.1)])
    assert attempt(description, 0, [score(1, 0.9)]) == [score(1, 0.9)]
    assert attempt(description, 1, []) == [score(1, 0.9)]


def test_what_another_source_told_and_what_was_removed_is_forgotten(tmp_path: Path, described: Describe) -> None:
    (tmp_path / "own.py").write_text(SOURCE)
    description = described("./own.py:stub", {})
    (tmp_path / "run").mkdir()
    attempt(description, 0, [score(1, 0.1)])
    assert attempt(description, 1, [], identity="another") == []
    attempt(description, 0, [score(1, 0.1)])
    remove(tmp_path / "run")
    assert attempt(description, 1, []) == []
