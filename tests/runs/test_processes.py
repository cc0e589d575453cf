"""What becomes of a slot and its children where one of them, or their coordinator, dies, hangs or is signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.recipes.events import Cause, Event, Failed, Finished, Noted, Scored
from harness.runs.description import RunDescription
from harness.runs.liveness import Limits
from harness.runs.processes import ProcessLauncher
from harness.runs.single import describe

RECIPE = """
import os, subprocess, sys, threading, time
from harness import Run, recipe
from harness.recipes.events import Noted

def haunt(run):
    time.sleep(1)
    while True:
        run.report(7, total=666.0)
        time.sleep(0.05)

@recipe(objective="total", maximize=True)
def odd(run: Run, mood: str = "well"):
    if mood == "child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], close_fds=False)
        run.directory.joinpath("child").write_text(str(child.pid))
    if mood == "hungry":
        raise MemoryError("4 TiB")
    if mood == "lengthy":
        while True:
            run.emit(Noted(text="x" * 2**24))
    if mood == "busy":
        sum(range(400_000_000))  # computes, and lets no other thread of the process run
    if mood == "haunted":
        threading.Thread(target=haunt, args=(run,), daemon=True).start()
        return {"total": 1.0}
    if mood == "chatty":
        print("one")
        sys.stderr.write("half")
        for percent in range(3):
            sys.stderr.write(f"\\r{percent} %")
            sys.stderr.flush()
        sys.stderr.write("\\n")
        os.write(1, "caf\u00e9 \\xff\\n".encode("latin-1"))
        subprocess.run([sys.executable, "-c", "print('of a child')"])
        print("no end", end="")
        return {"total": 1.0}
    if mood == "loud":
        print("the last words")
        os.abort()
    state = run.restore() or {"step": 0}
    run.report(1, total=1.0)
    while mood != "well" and state["step"] < 3000:
        time.sleep(0.1)
        state["step"] += 1
        run.checkpoint(state)
    return {"total": 1.0}
"""


def run_in(folder: Path, mood: str) -> RunDescription:
    (folder / "odd.py").write_text(RECIPE)
    return describe(f"{folder}/odd.py:odd", [f"mood={mood}"], seed=0, directory=folder / "run")


@pytest.fixture
def launcher() -> Iterator[ProcessLauncher]:
    made = ProcessLauncher(1, limits=Limits(said=1, lost=3), beat=0.2)
    yield made
    made.close()


def until(launcher: ProcessLauncher, reached: Callable[[list[Event]], bool], seconds: float = 60) -> list[Event]:
    found: list[Event] = []
    end = time.monotonic() + seconds
    while not reached(found):
        assert time.monotonic() < end, f"not within {seconds} s: {found}"
        found += [event for _, event in launcher.events(0.1)]
    return found


def ended(found: list[Event]) -> bool:
    return bool(found) and isinstance(found[-1], Finished | Failed)


def trains(found: list[Event]) -> bool:
    return any(isinstance(event, Scored) for event in found)


def training(launcher: ProcessLauncher) -> int:
    """The process of the slot, once its run trains."""
    until(launcher, trains)
    pid = launcher._workers[0].process.pid
    assert pid is not None
    return pid


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(alive, pids))


def test_a_slot_that_is_stopped_is_said_and_then_killed_and_its_place_is_free(
    tmp_path: Path, launcher: ProcessLauncher
) -> None:
    launcher.submit(0, run_in(tmp_path, "slow"))
    pid = training(launcher)
    os.kill(pid, signal.SIGSTOP)
    found = until(launcher, ended)
    assert isinstance(found[-2], Noted)
    assert "no sign of life" in found[-2].text
    assert isinstance(found[-1], Failed)
    assert found[-1].kind is Cause.HUNG
    assert gone([pid])
    launcher.submit(0, run_in(tmp_path, "well"))
    assert isinstance(until(launcher, ended)[-1], Finished)


@pytest.mark.slow
def test_a_slot_that_died_is_noticed_though_its_child_holds_its_pipe_and_the_child_goes_too(
    tmp_path: Path, launcher: ProcessLauncher
) -> None:
    launcher.submit(0, run_in(tmp_path, "child"))
    pid = training(launcher)
    os.kill(pid, signal.SIGKILL)
    found = until(launcher, ended, seconds=20)
    assert isinstance(found[-1], Failed)
    assert found[-1].kind is Cause.LOST
    assert "the slot's process died (signal 9)" in found[-1].reason
    assert gone([int((tmp_path / "run" / "child").read_text())])


@pytest.mark.slow
def test_a_slot_that_stops_in_the_middle_of_an_event_holds_nobody_up(tmp_path: Path, launcher: ProcessLauncher) -> None:
    launcher.submit(0, run_in(tmp_path, "lengthy"))
    until(launcher, lambda found: any(isinstance(event, Noted) and len(event.text) == 2**24 for event in found))
    pid = launcher._workers[0].process.pid
    assert pid is not None
    time.sleep(0.5)  # the next of its events is longer than what a pipe holds
    os.kill(pid, signal.SIGSTOP)
    last = until(launcher, ended)[-1]
    assert isinstance(last, Failed)
    assert last.kind is Cause.HUNG


@pytest.mark.slow
def test_a_long_call_that_computes_is_no_hang_though_it_keeps_the_slot_silent(
    tmp_path: Path, launcher: ProcessLauncher
) -> None:
    launcher.submit(0, run_in(tmp_path, "busy"))
    began = time.monotonic()
    found = until(launcher, lambda found: trains(found) or ended(found))
    assert trains(found), found
    assert time.monotonic() - began > 3  # longer than a slot may be silent


@pytest.mark.slow
def test_what_a_thread_of_an_earlier_run_tells_is_not_the_next_ones(tmp_path: Path, launcher: ProcessLauncher) -> None:
    launcher.submit(0, run_in(tmp_path, "haunted"))
    until(launcher, ended)
    pid = launcher._workers[0].process.pid
    launcher.submit(0, run_in(tmp_path, "slow"))
    end, found = time.monotonic() + 2.5, []
    while time.monotonic() < end:
        found += [event for _, event in launcher.events(0.1)]
    assert launcher._workers[0].process.pid == pid
    assert [event.scores["total"] for event in found if isinstance(event, Scored)] == [1.0]


@pytest.mark.slow
def test_the_last_words_of_a_slot_that_crashed_are_kept(tmp_path: Path, launcher: ProcessLauncher) -> None:
    launcher.submit(0, run_in(tmp_path, "loud"))
    last = until(launcher, ended)[-1]
    assert isinstance(last, Failed)
    assert last.kind is Cause.LOST
    assert "signal 6" in last.reason
    assert "the last words" in last.details


@pytest.mark.slow
def test_want_of_memory_is_called_so_and_what_to_lower(tmp_path: Path, launcher: ProcessLauncher) -> None:
    launcher.submit(0, run_in(tmp_path, "hungry"))
    last = until(launcher, ended)[-1]
    assert isinstance(last, Failed)
    assert last.kind is Cause.MEMORY
    assert "needs more memory than there is (4 TiB); lower the batch size" in last.reason


@pytest.mark.slow
def test_a_slot_takes_no_signals_and_its_programs_do(tmp_path: Path, launcher: ProcessLauncher) -> None:
    launcher.submit(0, run_in(tmp_path, "child"))
    pid = training(launcher)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    child = int((tmp_path / "run" / "child").read_text())
    os.kill(child, signal.SIGTERM)
    assert gone([child]) or not alive(child)
    launcher.interrupt(0)
    last = until(launcher, ended)[-1]
    assert isinstance(last, Failed)
    assert last.kind is Cause.INTERRUPTED
    assert "a checkpoint is saved" in last.reason


@pytest.mark.slow
def test_a_slot_takes_no_signals_while_it_loads(tmp_path: Path, launcher: ProcessLauncher) -> None:
    launcher.submit(0, run_in(tmp_path, "well"))
    pid = launcher._workers[0].process.pid
    assert pid is not None
    for _ in range(20):  # from before it has a handler of its own on
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        time.sleep(0.02)
    assert isinstance(until(launcher, ended)[-1], Finished)


COORDINATOR = """
import sys, time
from pathlib import Path
from harness.runs.processes import ProcessLauncher
from harness.runs.single import describe

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    launcher = ProcessLauncher(2)
    for slot in range(2):
        launcher.submit(slot, describe(f"{folder}/odd.py:odd", ["mood=child"], seed=0, directory=folder / f"run{slot}"))
    while len(list(folder.glob("run*/child"))) < 2:
        launcher.events(0.1)
    print(*(worker.process.pid for worker in launcher._workers.values()), flush=True)
    time.sleep(300)
"""


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.slow
def test_slots_and_their_children_end_with_a_coordinator_that_is_killed(tmp_path: Path, stopped: bool) -> None:
    run_in(tmp_path, "child")
    script = tmp_path / "coordinator.py"
    script.write_text(COORDINATOR)
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids = [int(each) for each in process.stdout.readline().split()]
    children = [int(path.read_text()) for path in tmp_path.glob("run*/child")]
    assert len(pids) == len(children) == 2
    if stopped:  # a slot that hangs cannot end itself
        os.kill(pids[0], signal.SIGSTOP)
    process.kill()
    process.wait()
    assert gone([*pids, *children])


@pytest.mark.slow
def test_what_a_run_prints_is_said_line_by_line_with_its_name_as_it_comes(tmp_path: Path) -> None:
    said: list[str] = []
    launcher = ProcessLauncher(1, say=said.append)
    description = run_in(tmp_path, "chatty")
    launcher.submit(0, description)
    until(launcher, lambda found: bool(found) and isinstance(found[-1], Finished))
    want = [f"{description.name}: {text}" for text in ("one", "2 %", "caf\ufffd \ufffd", "of a child")]
    end = time.monotonic() + 30
    while said != want and time.monotonic() < end:  # the slot lives on: nothing waits for its end
        time.sleep(0.05)
    assert said == want
    launcher.close()
    while len(said) == len(want) and time.monotonic() < end:
        time.sleep(0.05)
    assert said == [*want, f"{description.name}: no end"]


@pytest.mark.slow
def test_what_a_run_prints_goes_to_standard_error_where_nobody_takes_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    launcher = ProcessLauncher(1)
    launcher.submit(0, run_in(tmp_path, "chatty"))
    until(launcher, lambda found: bool(found) and isinstance(found[-1], Finished))
    launcher.close()
    end, said = time.monotonic() + 30, ""
    while "no end" not in said and time.monotonic() < end:
        said += capfd.readouterr().err
        time.sleep(0.05)
    assert "odd: one\nodd: 2 %\n" in said
