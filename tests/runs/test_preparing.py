"""Data are prepared once a machine and start, whoever comes first, and again where that failed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RecipeError, SpecError
from harness.recipes.address import Address
from harness.recipes.events import Event, Failed, Finished, Noted
from harness.runs.description import RunDescription
from harness.runs.execute import execute
from harness.runs.preparing import make_ready
from harness.runs.processes import ProcessLauncher

RECIPE = """
import os, time
from pathlib import Path
from harness import Run, recipe

def prepare():
    time.sleep(0.3)
    with open({log!r}, "a") as log:
        log.write("prepared\\n")
    if Path({broken!r}).exists():
        raise OSError("no room")

@recipe(objective="total", prepare=prepare)
def mine(run: Run, lr: float = 0.1):
    with open({log!r}, "a") as log:
        log.write("trained\\n")
    return {{"total": lr}}
"""


@pytest.fixture
def start(tmp_path: Path, described: Callable[..., RunDescription]) -> Callable[..., RunDescription]:
    """Describes a run of a start by its name, of a recipe that writes down what it does."""
    text = RECIPE.format(log=str(tmp_path / "log"), broken=str(tmp_path / "broken"))
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    return lambda name, **settings: replace(described("./mine.py:mine", settings), prepare=name)


@pytest.mark.slow
def test_the_first_of_several_processes_prepares_and_the_others_wait(
    start: Callable[..., RunDescription], tmp_path: Path
) -> None:
    launcher = ProcessLauncher(3)
    for slot in range(3):
        launcher.submit(slot, replace(start(f"{tmp_path.name}-1"), directory=str(tmp_path / f"run{slot}")))
    ends: list[Event] = []
    while len(ends) < 3:
        ends += [event for _, event in launcher.events(1) if isinstance(event, Finished | Failed)]
    launcher.close()
    assert all(isinstance(end, Finished) for end in ends), ends
    assert (tmp_path / "log").read_text().split() == ["prepared", "trained", "trained", "trained"]


@pytest.mark.slow
def test_another_start_prepares_anew_and_one_without_a_name_not_at_all(
    start: Callable[..., RunDescription], tmp_path: Path
) -> None:
    for name in (f"{tmp_path.name}-2", f"{tmp_path.name}-2", f"{tmp_path.name}-3", None):
        execute(start(name), lambda event: None)
    assert (tmp_path / "log").read_text().split() == [
        "prepared",
        "trained",
        "trained",
        "prepared",
        "trained",
        "trained",
    ]


@pytest.mark.slow
def test_what_failed_is_said_and_prepared_again_by_the_next(
    start: Callable[..., RunDescription], tmp_path: Path
) -> None:
    (tmp_path / "broken").touch()
    found: list[Event] = []
    execute(start(f"{tmp_path.name}-4"), found.append)
    assert isinstance(found[-1], Failed)
    assert "OSError: no room" in found[-1].reason
    (tmp_path / "broken").unlink()
    execute(start(f"{tmp_path.name}-4"), found.append)
    assert isinstance(found[-1], Finished)
    assert (tmp_path / "log").read_text().split() == ["prepared", "prepared", "trained"]
    assert not any(isinstance(event, Noted) for event in found)


LARGE = """
import os
import time
from pathlib import Path

from harness.errors import HarnessError, SpecError
from harness.measures import Measure
from harness.recipes import Recipe
from harness.settings import Nothing, Settings


class OwnError(HarnessError):
    pass


class Data(Settings):
    mood: str = "well"
    root: Path = Path("somewhere")


class Large(Recipe):
    name = "large"
    objective = Measure(name="loss", title="loss")
    settings = Nothing
    data = Data

    def check(self, data, evaluate):
        import decimal  # stands for what is large

        Path(LOG).write_text(f"checked {os.getpid()} {data[0].root!r}\\n")
        if data[0].mood == "refuses":
            raise SpecError("data.mood: refuses; give another")
        if data[0].mood == "own":
            raise OwnError("in words of its own")

    def prepare(self, data, evaluate, *, workers, note):
        note(f"prepared in {os.getpid()}")
        if data[0].mood == "fails":
            raise ZeroDivisionError("no room")
        if data[0].mood == "dies":
            os._exit(7)
        if data[0].mood == "lasts":
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            note(f"child {child}")
            time.sleep(60)

    def train(self, settings, run):
        return {"loss": 1.0}
"""


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Has the data of a recipe made ready, and gives what was said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "large.py").write_text(LARGE.replace("LOG", repr(str(tmp_path / "log"))), encoding="utf-8")
    address = Address.of("./large.py:Large", tmp_path)

    def ready(mood: str = "well", note: Callable[[str], None] | None = None, **options: Any) -> list[str]:
        recipe, said = address.load(), list[str]()
        data = recipe.data.model_validate({"mood": mood})
        options = {"prepare": True, **options}
        make_ready(address, [data], recipe.evaluate(), note=note or said.append, **options)
        return said

    return ready


@pytest.mark.slow
def test_data_are_checked_and_prepared_in_another_process_that_has_ended_then(
    large: Callable[..., list[str]], tmp_path: Path
) -> None:
    meanwhile: list[int] = []
    (said,) = large(meanwhile=lambda: meanwhile.append(1))
    other = int(said.rpartition(" ")[2])
    assert (tmp_path / "log").read_text() == f"checked {other} {Path('somewhere')!r}\n"
    assert other != os.getpid()
    assert meanwhile
    with pytest.raises(ProcessLookupError):
        os.kill(other, 0)


@pytest.mark.slow
def test_data_are_only_checked_where_other_machines_prepare_them(
    large: Callable[..., list[str]], tmp_path: Path
) -> None:
    assert large(prepare=False) == []
    assert (tmp_path / "log").read_text().startswith("checked")


def test_a_launch_in_this_process_prepares_in_this_process(large: Callable[..., list[str]]) -> None:
    assert large(apart=False) == [f"prepared in {os.getpid()}"]


@pytest.mark.parametrize(
    ("mood", "kind", "words"),
    [
        ("refuses", SpecError, "^data.mood: refuses; give another$"),
        ("own", RecipeError, "^in words of its own$"),
        ("fails", RecipeError, r"recipe './large.py:Large': ZeroDivisionError: no room \(large.py, line \d+\)"),
        ("dies", RecipeError, r"the process died that was to prepare its data \(exit code 7\)"),
    ],
)
@pytest.mark.slow
def test_what_goes_wrong_there_is_a_mistake_in_words_here(
    large: Callable[..., list[str]], mood: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words) as found:
        large(mood)
    assert type(found.value) is kind


@pytest.mark.slow
def test_who_stops_waiting_ends_the_process_and_all_that_it_started(large: Callable[..., list[str]]) -> None:
    seen: list[int] = []

    def stop(line: str) -> None:
        seen.append(int(line.rpartition(" ")[2]))
        if line.startswith("child"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        large("lasts", note=stop)
    until = time.monotonic() + 10
    while any(_lives(process) for process in seen) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(seen) == 2
    assert not any(_lives(process) for process in seen)


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
