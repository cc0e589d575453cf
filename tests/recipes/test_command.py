"""A command as a recipe: what it is given, what it prints, how it ends and how it is stopped; what is refused."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DivergedError, HarnessError, KilledError, OutOfMemoryError, RecipeError, SpecError
from harness.measures import Direction, Measure
from harness.recipes import process
from harness.recipes.address import Address
from harness.recipes.command import OUTPUT, CommandRecipe
from harness.recipes.events import Event, Noted, Progress, Scored, Started
from harness.recipes.run import Interrupted, Run
from harness.spec import load

ACCURACY = Measure(name="accuracy", title="accuracy", direction=Direction.MAXIMIZE)


def script(folder: Path, text: str, name: str = "train.py") -> None:
    (folder / name).write_text(textwrap.dedent(text))


def run_of(
    folder: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
    events: list[Event] | None = None,
    budget: Any = None,
    **about: Any,
) -> Run:
    directory = folder / "run"
    directory.mkdir(exist_ok=True)
    emit = (events if events is not None else []).append
    return Run(
        seed=about.pop("seed", 7), directory=directory, objective=ACCURACY, emit=emit, stop=stop, budget=budget, **about
    )


def train(folder: Path, raw: Mapping[str, Any], run: Run | None = None, **settings: Any) -> Mapping[str, float]:
    recipe = CommandRecipe(raw, folder)
    recipe.check([], None)
    run = run or run_of(folder)
    run.recipe = recipe.name
    return recipe.train(recipe.settings.model_validate(settings), run)


ECHO = """
import json, os, sys
from pathlib import Path
found = {"arguments": sys.argv[1:], "cwd": os.getcwd(), "environment": dict(os.environ), "stdin": sys.stdin.read()}
Path(os.environ["HARNESS_DIRECTORY"], "found.json").write_text(json.dumps(found))
print(json.dumps({"accuracy": 1}))
"""


def given(folder: Path, raw: Mapping[str, Any], run: Run | None = None, **settings: Any) -> dict[str, Any]:
    """What a command with these arguments after its script was given."""
    script(folder, ECHO)
    train(folder, {**raw, "command": ["python", "train.py", *raw["command"]]}, run, **settings)
    found: dict[str, Any] = json.loads((folder / "run" / "found.json").read_text())
    return found


# ---------------------------------------------------------------------- what it is given


@pytest.mark.parametrize(
    ("value", "level", "words"),
    [
        (0.1, 1e-05, ["--x", "1e-05", "--x=1e-05"]),
        (1.0, 3, ["--x", "3.0", "--x=3.0"]),
        (3, 4, ["--x", "4", "--x=4"]),
        (True, False, ["--x", "false", "--x=false"]),
        ("a", "two words; $HOME `ls` *", ["--x", "two words; $HOME `ls` *", "--x=two words; $HOME `ls` *"]),
        ("a", "", ["--x", "", "--x="]),
        ([1, 2], [64, 32], ["--x", "64", "32", "--x=64,32"]),
        ([1, 2], [], []),
        (None, None, []),
        (None, 0.5, ["--x", "0.5", "--x=0.5"]),
        (None, True, ["--x", "true", "--x=true"]),
        (None, "text", ["--x", "text", "--x=text"]),
        (None, [1, "b"], ["--x", "1", "b", "--x=1,b"]),
    ],
)
def test_settings_are_written_as_arguments(tmp_path: Path, value: Any, level: Any, words: list[str]) -> None:
    found = given(tmp_path, {"command": ["--x", "{x}", "--x={x}"], "settings": {"x": value}}, x=level)
    assert found["arguments"] == words


def test_an_argument_that_depends_on_a_setting_is_given_where_that_is_neither_false_nor_null(tmp_path: Path) -> None:
    raw = {
        "command": [{"nesterov": "--nesterov"}, {"clip": "--clip={clip}"}, "--last"],
        "settings": {"nesterov": False, "clip": None},
    }
    assert given(tmp_path, raw)["arguments"] == ["--last"]
    assert given(tmp_path, raw, nesterov=True, clip=0)["arguments"] == ["--nesterov", "--clip=0", "--last"]


def test_null_takes_only_a_flag_that_is_written_right_before_it(tmp_path: Path) -> None:
    raw = {
        "command": ["--a", "{a}", "{b}", "word", "{b}", "--c={a}", "{b}"],
        "settings": {"a": 1, "b": None},
    }
    assert given(tmp_path, raw)["arguments"] == ["--a", "1", "word", "--c=1"]


def test_every_run_has_its_seed_folder_device_and_all_settings_and_braces_can_be_doubled(tmp_path: Path) -> None:
    raw = {
        "command": ["{seed}", "{directory}", "{device}", "{settings}", '{{"lr": {lr}}}', "{lr}{lr}"],
        "settings": {"lr": 0.1, "wd": 0.0},
    }
    found = given(tmp_path, raw, wd=0.5)["arguments"]
    settings = json.loads(found.pop(3))
    assert found == ["7", str(tmp_path / "run"), "cpu", '{"lr": 0.1}', "0.10.1"]
    assert settings == {"lr": 0.1, "wd": 0.5}


def test_its_environment_says_seed_folder_threads_and_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    raw = {"command": ["{device}"], "env": {"RATE": "{lr}", "MODE": "x"}, "settings": {"lr": 0.1}}
    found = given(tmp_path, raw, run_of(tmp_path, device="cuda:1", threads=3))
    environment = found["environment"]
    assert found["arguments"] == ["cuda"]
    assert found["stdin"] == ""
    assert found["cwd"] == str(tmp_path)
    assert {key: environment[key] for key in ("HARNESS_SEED", "HARNESS_DIRECTORY", "OMP_NUM_THREADS")} == {
        "HARNESS_SEED": "7",
        "HARNESS_DIRECTORY": str(tmp_path / "run"),
        "OMP_NUM_THREADS": "3",
    }
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["PYTHONUNBUFFERED"]) == ("6", "1")
    assert (environment["RATE"], environment["MODE"]) == ("0.1", "x")
    assert given(tmp_path, raw, run_of(tmp_path, device="cpu"))["environment"]["CUDA_VISIBLE_DEVICES"] == ""


def test_the_budget_fills_the_placeholder_of_its_unit_and_tells_how_far_the_run_is(tmp_path: Path) -> None:
    script(tmp_path, 'import sys\nprint(\'{"step": 5, "accuracy": 0.5}\', sys.argv[1:], flush=True)')
    script(tmp_path, "import sys\nprint('{\"step\": 5, \"accuracy\": 0.5}')\nassert sys.argv[1:] == ['10']")
    recipe = CommandRecipe({"command": ["python", "train.py", "{epochs}"], "budget": {"epochs": 20}}, tmp_path)
    events: list[Event] = []
    run = run_of(tmp_path, events=events, budget=recipe.budget.model_validate({"epochs": 10}))
    recipe.train(recipe.settings(), run)
    assert recipe.budget().amount == 20
    assert recipe.unit == "epochs"
    assert [event.fraction for event in events if isinstance(event, Progress)][-1] == 0.5


def test_of_two_units_the_one_that_is_given_fills_its_placeholder(tmp_path: Path) -> None:
    raw = {"command": ["--epochs", "{epochs}", "--steps", "{steps}"], "budget": {"epochs": 20, "steps": None}}
    recipe = CommandRecipe({**raw, "command": ["x", *raw["command"]]}, tmp_path)
    for budget, words in (({}, ["--epochs", "20"]), ({"steps": 5}, ["--steps", "5"])):
        run = run_of(tmp_path, budget=recipe.budget.model_validate(budget))
        assert given(tmp_path, raw, run)["arguments"] == words


def test_the_device_may_be_a_setting_that_no_argument_names(tmp_path: Path) -> None:
    found = given(tmp_path, {"command": [], "settings": {"device": "cpu"}}, device="cpu")
    assert found["environment"]["CUDA_VISIBLE_DEVICES"] == ""


def test_a_command_runs_in_the_folder_that_it_names_relative_to_the_specs(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    script(tmp_path / "inner", ECHO)
    (tmp_path / "run").mkdir()
    train(tmp_path, {"command": ["python3", "train.py"], "cwd": "inner"})
    assert json.loads((tmp_path / "run" / "found.json").read_text())["cwd"] == str(tmp_path / "inner")


def test_python_is_the_one_that_runs_the_harness_and_other_programs_are_found_on_the_path(tmp_path: Path) -> None:
    script(tmp_path, "import sys, json\nprint(json.dumps({'accuracy': 1}), sys.executable, sep='\\n')")
    train(tmp_path, {"command": ["python", "train.py"]})
    assert sys.executable in (tmp_path / "run" / OUTPUT).read_text()
    assert train(tmp_path, {"command": ["echo", '{{"accuracy": {x}}}'], "settings": {"x": 2}})["accuracy"] == 2


# ---------------------------------------------------------------------- what it prints


def test_lines_of_json_with_numbers_are_reports_and_the_last_value_of_each_measure_is_the_result(
    tmp_path: Path,
) -> None:
    script(
        tmp_path,
        """
        import sys
        print("epoch 1 of 3")
        print('{"step": 100, "loss": 2.5}')
        print('{"step": 100, "accuracy": 0.5, "note": "text", "flag": true, "nested": {"a": 1}, "none": null}')
        print('{"broken": ', '[1, 2]', '{}', '"text"', sep="\\n")
        print('{"step": 200, "accuracy": 0.7, "loss": 1.5}')
        print('{"accuracy": 0.9}', end="")
        print("a warning", file=sys.stderr)
        """,
    )
    events: list[Event] = []
    found = train(tmp_path, {"command": ["python", "train.py"]}, run_of(tmp_path, events=events))
    costs = {"peak_memory_mb": found["peak_memory_mb"], "train_seconds": found["train_seconds"]}
    assert found == {"accuracy": 0.9, "loss": 1.5, **costs}
    assert isinstance(events[0], Started)
    curves = [point for event in events if isinstance(event, Progress) for point in event.curves.items()]
    assert curves == [("loss", [(100, 2.5)])]
    assert [(event.step, event.scores) for event in events if isinstance(event, Scored)] == [
        (100, {"accuracy": 0.5}),
        (200, {"accuracy": 0.7, "loss": 1.5}),
        (201, {"accuracy": 0.9}),
    ]
    kept = (tmp_path / "run" / OUTPUT).read_text()
    assert "epoch 1 of 3" in kept
    assert "a warning" in kept


def test_lines_without_a_step_are_counted(tmp_path: Path) -> None:
    script(tmp_path, "for i in range(3): print('{\"accuracy\": 0.%d}' % i)")
    events: list[Event] = []
    train(tmp_path, {"command": ["python", "train.py"]}, run_of(tmp_path, events=events))
    assert [event.step for event in events if isinstance(event, Scored)] == [1, 2, 3]


def test_a_step_that_is_scored_again_counts_one_further(tmp_path: Path) -> None:
    script(tmp_path, 'for step in (5, 5, 5, 2, 9): print(\'{"step": %d, "accuracy": 1}\' % step)')
    events: list[Event] = []
    train(tmp_path, {"command": ["python", "train.py"]}, run_of(tmp_path, events=events))
    assert [event.step for event in events if isinstance(event, Scored)] == [5, 6, 7, 8, 9]


def test_costs_that_it_prints_stand_for_those_measured(tmp_path: Path) -> None:
    script(tmp_path, 'print(\'{"accuracy": 1, "train_seconds": 12.5, "peak_memory_mb": 3}\')')
    found = train(tmp_path, {"command": ["python", "train.py"]})
    assert (found["train_seconds"], found["peak_memory_mb"]) == (12.5, 3)


def test_the_peak_memory_is_the_commands_own_and_not_that_of_who_starts_it(tmp_path: Path) -> None:
    held = bytearray(400 << 20)  # this process is large
    held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])
    script(tmp_path, "print('{\"accuracy\": 1}')")
    small = train(tmp_path, {"command": ["python", "-S", "train.py"]})["peak_memory_mb"]
    script(tmp_path, 'x = bytearray(200 << 20); x[::4096] = b"x" * len(x[::4096]); print(\'{"accuracy": 1}\')')
    large = train(tmp_path, {"command": ["python", "-S", "train.py"]})["peak_memory_mb"]
    assert small < 100
    assert 200 < large < 300
    assert len(held)


def test_the_time_is_that_of_the_process(tmp_path: Path) -> None:
    script(tmp_path, "import time; time.sleep(0.5); print('{\"accuracy\": 1}')")
    assert 0.5 <= train(tmp_path, {"command": ["python", "train.py"]})["train_seconds"] < 3


@pytest.mark.parametrize(
    ("line", "error", "text"),
    [
        ('{"step": 3, "accuracy": NaN}', DivergedError, "printed at step 3: accuracy is nan"),
        ('{"step": 3, "accuracy": -Infinity}', DivergedError, "accuracy is -inf"),
        ('{"step": 3, "accuracy": 1' + "0" * 400 + "}", DivergedError, "accuracy is inf"),
        ('{"step": 3, "accuracy": "0.9"}', RecipeError, "accuracy is '0.9'; must be a finite number"),
        ('{"step": 3, "accuracy": null}', RecipeError, "accuracy is None; must be a finite number"),
        ('{"step": 3, "accuracy": [1]}', RecipeError, "accuracy is a list; must be a finite number"),
        ('{"step": 3, "accuracy": true}', RecipeError, "accuracy is True; must be a finite number"),
    ],
)
def test_what_is_no_finite_number_ends_the_run_and_its_command(
    tmp_path: Path, line: str, error: type[Exception], text: str
) -> None:
    script(tmp_path, f"import time\nprint({line!r}, flush=True)\ntime.sleep(60)")
    began = time.monotonic()
    with pytest.raises(error) as caught:
        train(tmp_path, {"command": ["python", "train.py"]})
    assert text in str(caught.value)
    assert time.monotonic() - began < 10


def test_another_measure_that_is_not_finite_is_left_out_and_said(tmp_path: Path) -> None:
    script(
        tmp_path,
        """
        print('{"step": 1, "best": Infinity, "loss": 2, "accuracy": 0.5}')
        print('{"step": 2, "best": 0.25, "loss": NaN}')
        print('{"step": 3, "huge": 1%s, "accuracy": 0.75}' % ("0" * 400))
        """,
    )
    events: list[Event] = []
    found = train(tmp_path, {"command": ["python", "train.py"]}, run_of(tmp_path, events=events))
    assert {name: found[name] for name in ("accuracy", "best")} == {"accuracy": 0.75, "best": 0.25}
    assert not found.keys() & {"loss", "huge"}  # what it was before is no longer so
    assert [each.scores for each in events if isinstance(each, Scored)] == [
        {"loss": 2, "accuracy": 0.5},
        {"accuracy": 0.75},
    ]
    said = (tmp_path / "run" / OUTPUT).read_text().splitlines()[-1]
    assert said == "[harness left out, where they were not finite: best, huge, loss]"


def test_garbage_endless_lines_and_deep_nesting_do_no_harm(tmp_path: Path) -> None:
    script(
        tmp_path,
        """
        import sys
        out = sys.stdout.buffer
        out.write(bytes(range(256)) * 100)
        for _ in range(100):
            out.write(b"x" * (1 << 20))
        out.write(b"\\n" + b'{"a":' * 20_000 + b"\\n{" + b"9" * 5000 + b"}\\n")
        out.write(b'{"step": 1e400, "n": ' + b"9" * 5000 + b"}\\n")
        out.write(b'{"step": ' + b"9" * 400 + b', "loss": 1}\\n')
        out.write(b'\\xff\\xfe\\n{"accuracy": 0.5}\\r\\n')
        """,
    )
    before = _resident()
    assert train(tmp_path, {"command": ["python", "train.py"]})["accuracy"] == 0.5
    assert _resident() - before < 50
    assert (tmp_path / "run" / OUTPUT).stat().st_size < 17 << 20


def _resident() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError


def test_many_lines_are_read_fast_and_told_in_few_events(tmp_path: Path) -> None:
    script(tmp_path, 'for i in range(100_000): print(\'{"step": %d, "loss": 1}\' % i)\nprint(\'{"accuracy": 1}\')')
    events: list[Event] = []
    began = time.monotonic()
    train(tmp_path, {"command": ["python", "train.py"]}, run_of(tmp_path, events=events))
    assert time.monotonic() - began < 20
    told = [event.curves for event in events if isinstance(event, Progress)]
    assert sum(len(curves.get("loss", [])) for curves in told) == 100_000
    assert len(events) < 100


# ---------------------------------------------------------------------- how it ends


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            "print(1); raise ValueError('too wide')",
            "ended with exit code 1: ValueError: too wide; all it printed is in",
        ),
        ("import sys; sys.exit(3)", "ended with exit code 3; all it printed is in"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended with SIGSEGV;"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "ended with SIGKILL; the system may have run out of memory;",
        ),
    ],
)
def test_a_command_that_fails_says_how_and_the_last_line_of_its_errors(tmp_path: Path, body: str, text: str) -> None:
    script(tmp_path, body)
    with pytest.raises(RecipeError) as caught:
        train(tmp_path, {"command": ["python", "train.py"]})
    assert f"the command 'python train.py' {text}" in str(caught.value)


def test_the_last_lines_of_standard_error_are_in_the_details(tmp_path: Path) -> None:
    script(tmp_path, "import sys\nfor i in range(100): print('line', i, file=sys.stderr)\nsys.exit(1)")
    with pytest.raises(RecipeError) as caught:
        train(tmp_path, {"command": ["python", "train.py"]})
    assert "line 80" in caught.value.__notes__[0]
    assert "line 79" not in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("print('all done')", "it printed no line of JSON with a number; print a line like"),
        ("print('{\"acuracy\": 1}')", "it printed acuracy; print a line like"),
        ("print('all done')", "its last line is 'all done'"),
        ("pass", '"accuracy": 0.9}; all it printed'),
    ],
)
def test_a_command_that_never_says_its_objective_fails_and_says_so(tmp_path: Path, body: str, text: str) -> None:
    script(tmp_path, body)
    with pytest.raises(RecipeError) as caught:
        train(tmp_path, {"command": ["python", "train.py"]})
    assert "never said its 'accuracy'" in str(caught.value)
    assert text in str(caught.value)


def test_what_a_command_leaves_behind_ends_with_it_and_holds_nothing_up(tmp_path: Path) -> None:
    script(
        tmp_path,
        """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print('{"accuracy": %d}' % child.pid)
        """,
    )
    began = time.monotonic()
    child = int(train(tmp_path, {"command": ["python", "train.py"]})["accuracy"])
    assert time.monotonic() - began < 10
    _gone(child)


def test_a_child_in_a_session_of_its_own_that_prints_for_ever_holds_nothing_up(tmp_path: Path) -> None:
    script(
        tmp_path,
        """
        import subprocess
        child = subprocess.Popen(["sh", "-c", "sleep 1; exec yes"], start_new_session=True)
        print('\\n{"accuracy": %d}' % child.pid, flush=True)
        """,
    )
    found: list[Mapping[str, float]] = []
    run = run_of(tmp_path)
    thread = threading.Thread(
        target=lambda: found.append(train(tmp_path, {"command": ["python", "train.py"]}, run)), daemon=True
    )
    thread.start()
    thread.join(10)
    alive = thread.is_alive()
    for pid in [int(each["accuracy"]) for each in found]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not alive
    assert found


def test_a_command_ends_where_its_supervisor_is_killed(tmp_path: Path) -> None:
    script(
        tmp_path,
        """
        import os, signal, time
        print('{"accuracy": %d}' % os.getpid(), flush=True)
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
        """,
    )
    events: list[Event] = []
    with pytest.raises(RecipeError, match="its supervisor was killed"):
        train(tmp_path, {"command": ["python", "train.py"]}, run_of(tmp_path, events=events))
    (pid,) = [int(each.scores["accuracy"]) for each in events if isinstance(each, Scored)]
    _gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing binds a process to its parent's life")
def test_a_command_ends_where_its_supervisor_and_its_slot_are_killed(tmp_path: Path) -> None:
    script(tmp_path, "import os, time; print(os.getpid(), os.getppid(), flush=True); time.sleep(60)")
    output = tmp_path / OUTPUT
    slot = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, sys; from pathlib import Path; from harness.recipes.process import run_command;"
            "run_command([sys.executable, 'train.py'], folder=Path(), environment=os.environ,"
            f" output=Path({str(output)!r}), tell=print, stop=lambda: False)",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert slot.stdout is not None
    command, supervisor = map(int, slot.stdout.readline().split())
    slot.send_signal(signal.SIGSTOP)  # it cannot do it
    os.kill(supervisor, signal.SIGKILL)
    slot.kill()
    slot.communicate()
    _gone(command)


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", OutOfMemoryError, "SIGKILL; the system ran out of"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", KilledError, "SIGSEGV"),
        ("raise MemoryError('4 TiB')", OutOfMemoryError, "exit code 1: MemoryError: 4 TiB"),
        ("import sys; sys.exit('a memory of old times')", RecipeError, "exit code 1: a memory of old times"),
    ],
)
def test_want_of_memory_and_a_killed_command_are_told_from_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, kind: type[Exception], text: str
) -> None:
    counts = itertools.count()
    monkeypatch.setattr(process.memory, "kills", lambda: next(counts))  # the system kills one meanwhile
    script(tmp_path, body)
    with pytest.raises(RecipeError) as caught:
        train(tmp_path, {"command": ["python", "train.py"]})
    assert type(caught.value) is kind
    assert f"ended with {text}" in str(caught.value)


def _gone(pid: int, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.02)
    raise AssertionError(f"{pid} is still there")


# ---------------------------------------------------------------------- how it is stopped


TRAPS = """
import os, signal, sys, time
from pathlib import Path
kept = Path(sys.argv[1], "kept")
def save(number, frame):
    kept.write_text("6")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
first = int(kept.read_text()) if kept.exists() else 0
print('{"step": %d, "loss": 1}' % first, flush=True)
if not first:
    time.sleep(60)
print('{"step": 10, "accuracy": %d}' % (first + 1))
"""


def test_a_command_that_saves_on_sigterm_goes_on_where_it_is_started_again(tmp_path: Path) -> None:
    script(tmp_path, TRAPS)
    raw = {"command": ["python", "train.py", "{directory}"]}
    events: list[Event] = []
    run = run_of(tmp_path, events=events)
    run._stop = lambda: "loss" in (tmp_path / "run" / OUTPUT).read_text()
    with pytest.raises(Interrupted):
        train(tmp_path, raw, run)
    spent = json.loads((tmp_path / "run" / "earlier.json").read_text())["seconds"]
    again = train(tmp_path, raw, run_of(tmp_path))
    assert again["accuracy"] == 7
    assert again["train_seconds"] > spent > 0
    assert not (tmp_path / "run" / "earlier.json").exists()
    assert (tmp_path / "run" / OUTPUT).read_text().count("loss") == 2  # both attempts' output is kept


@pytest.mark.parametrize(
    "damaged",
    ['{"seconds": 7.5, "sha256": "0"}', '{"seconds": 7.5}', "", "[1", '"x"', "\xff", '{"seconds": NaN}', "[" * 100_000],
)
def test_seconds_of_earlier_attempts_that_are_damaged_are_not_counted_and_it_is_said(
    tmp_path: Path, damaged: str
) -> None:
    script(tmp_path, """print('{"step": 1, "accuracy": 1}')""")
    events: list[Event] = []
    run = run_of(tmp_path, events=events)
    (tmp_path / "run" / "earlier.json").write_bytes(damaged.encode("latin-1"))
    assert train(tmp_path, {"command": ["python", "train.py"]}, run)["train_seconds"] < 7
    (noted,) = [event.text for event in events if isinstance(event, Noted)]
    assert noted == "earlier.json is damaged: the seconds of training before this start are not counted"


def test_the_time_of_an_attempt_that_saved_nothing_is_not_counted(tmp_path: Path) -> None:
    script(tmp_path, "import time; print('ready', flush=True); time.sleep(60)")
    run = run_of(tmp_path)
    run._stop = lambda: "ready" in (tmp_path / "run" / OUTPUT).read_text()
    with pytest.raises(Interrupted):
        train(tmp_path, {"command": ["python", "train.py"]}, run)
    assert not (tmp_path / "run" / "earlier.json").exists()


def test_a_command_that_ignores_sigterm_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(
        tmp_path,
        """
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(os.getpid(), child.pid, flush=True)
        time.sleep(60)
        """,
    )
    pids: list[int] = []

    def stop() -> bool:
        pids[:] = map(int, (tmp_path / "run" / OUTPUT).read_text().split())
        return len(pids) == 2

    began = time.monotonic()
    ended = process.run_command(
        [sys.executable, "train.py"],
        folder=tmp_path,
        environment=os.environ,
        output=run_of(tmp_path).directory / OUTPUT,
        tell=lambda line: None,
        stop=stop,
        grace=0.5,
    )
    assert ended.stopped
    assert ended.how == "SIGKILL"
    assert 0.5 <= time.monotonic() - began < 10
    for pid in pids:
        _gone(pid)


def test_a_command_ends_where_its_slot_is_killed(tmp_path: Path) -> None:
    script(tmp_path, "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)")
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from harness.measures import Measure
from harness.recipes.command import CommandRecipe
from harness.recipes.run import Run
recipe = CommandRecipe({{"command": ["python", "train.py"]}}, Path("."))
run = Run(seed=0, directory=Path("."), objective=Measure(name="a", title="a"), emit=lambda event: None)
recipe.train(recipe.settings(), run)
"""
    slot = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    until = time.monotonic() + 20
    while not (tmp_path / OUTPUT).exists() or not (tmp_path / OUTPUT).read_text().strip():
        assert time.monotonic() < until
        time.sleep(0.02)
    slot.send_signal(signal.SIGKILL)
    slot.wait()
    _gone(int((tmp_path / OUTPUT).read_text()))


def test_a_command_can_be_run_in_a_thread_as_the_inline_slot_does(tmp_path: Path) -> None:
    script(tmp_path, "print('{\"accuracy\": 1}')")
    found: list[Mapping[str, float]] = []
    thread = threading.Thread(target=lambda: found.append(train(tmp_path, {"command": ["python", "train.py"]})))
    thread.start()
    thread.join(30)
    assert found[0]["accuracy"] == 1


@pytest.mark.slow
def test_fifty_runs_of_a_small_command_take_no_time(tmp_path: Path) -> None:
    began = time.monotonic()
    for _ in range(50):
        train(tmp_path, {"command": ["echo", '{{"accuracy": 1}}']})
    assert time.monotonic() - began < 15


def test_a_slot_of_a_command_loads_no_torch(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from harness.measures import Measure
from harness.recipes.address import Address
from harness.runs.description import RunDescription
from harness.runs.execute import execute
address = Address.of({"command": ["echo", '{{"a": 1}}']})
recipe = address.load()
ended = []
execute(RunDescription(key="k", name="n", address=address, objective=Measure(name="a", title="a"), seed=0,
    train=recipe.settings(), data=recipe.data(), evaluate=recipe.evaluate(), references={}, budget=recipe.budget(),
    directory="run", device="cpu", threads=1), ended.append)
assert ended[-1].summary["a"] == 1, ended
assert not {"torch", "numpy", "pandas"} & set(sys.modules)
"""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, check=False, timeout=60
    )
    assert done.returncode == 0


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({}, "command: is missing; give a list of arguments, like [python, train.py, --lr, '{lr}']"),
        ({"command": "python train.py"}, 'command: "python train.py" is not allowed; give a list of arguments'),
        ({"command": []}, "command: [] is not allowed"),
        ({"command": ["x", None]}, "command[1]: null is not allowed: must be text, in quotes where it has braces"),
        ({"command": [{"a": "x"}]}, "the first word must be the program"),
        ({"command": ["x", {"a": "x"}]}, '{"a": "x"}: a is no setting'),
        (
            {"command": ["x", "{l}"], "settings": {"lr": 1}},
            "'{l}' names {l}, which is no setting; allowed: device, dir",
        ),
        ({"command": ["x", "{lrr}"], "settings": {"lr": 1}}, "did you mean 'lr'?"),
        ({"command": ["x", "{lr"], "settings": {"lr": 1}}, "'{lr' has a brace that opens or closes nothing; write {{"),
        ({"command": ["x", '{"a": 1}']}, "is no placeholder; write {{ and }} for braces as they are"),
        ({"command": ["x"], "settings": {"lr": 1}}, "lr could have no effect, since no argument names it; write {lr}"),
        ({"command": ["x"], "budget": {"epochs": 1}}, "epochs could have no effect"),
        ({"command": ["x", "{epochs}"], "budget": {"epochs": "1"}}, 'budget: epochs: "1" is not allowed'),
        ({"command": ["x", "{n}"], "budget": {"n": 1}, "settings": {"n": 1}}, "budget: n is a setting too"),
        ({"command": ["x"], "settings": {"seed": 1}}, "a setting cannot be called 'seed': every run has it"),
        ({"command": ["x"], "settings": {"a-b": 1}}, "a setting cannot be called 'a-b': must be letters"),
        ({"command": ["x", "{a}"], "settings": {"a": {"b": 1}}}, "settings.a: {"),
        ({"command": ["x"], "settings": [1]}, "settings: [1] is not allowed: must be a mapping"),
        ({"command": ["x"], "setings": {}}, "setings: unknown key of a command; allowed: budget"),
        ({"command": ["x"], "version": "new"}, "version: 'new' is not allowed"),
        ({"command": ["x", "a\0b"]}, "no argument holds a zero byte"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(tmp_path: Path, raw: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError) as caught:
        Address.of(raw, tmp_path).load()
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"command": ["no-such-program"]}, "command: no-such-program is not found; install it"),
        ({"command": ["./train.sh"]}, "./train.sh is not executable; chmod +x it"),
        ({"command": ["python", "tran.py"]}, "there is no file"),
        ({"command": ["echo"], "cwd": "elsewhere"}, "there is no folder"),
    ],
)
def test_a_command_that_is_not_there_is_refused_before_anything_runs(
    tmp_path: Path, raw: dict[str, Any], text: str
) -> None:
    script(tmp_path, "exit 0", "train.sh")
    with pytest.raises(HarnessError) as caught:
        Address.of(raw, tmp_path).load().check([], None)
    assert text in str(caught.value)


SPEC = """
study: sweep
recipe: {command: [python, train.py, --lr, "{lr}", --opt, "{opt}"], settings: {lr: 0.1, opt: sgd}}
objective: {metric: accuracy, direction: maximize}
seeds: 2
factors:
  lr: {baseline: 0.1, levels: [0.2]}
"""


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("train.lr=fast", "train.lr: 'fast' is not allowed: must be a number; the default is 0.1"),
        ("train.opt=[1]", "train.opt: [1] is not allowed: must be text"),
        ("factors.lr.levels=[high]", "'high' is not allowed"),
        ("train.momentum=1", "momentum: unknown key; allowed: lr, opt"),
        ("objective.direction=null", "say which way is better, direction: minimize or maximize"),
        ("budget={epochs: 3}", "budget: has no meaning: recipe 'command' has no settings there; leave it out"),
        ("recipe.command=5", "recipe: command: 5 is not allowed; give a list of arguments"),
    ],
)
def test_a_spec_of_a_command_is_refused_by_the_types_of_its_settings(tmp_path: Path, override: str, text: str) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    assert load(tmp_path / "spec.yaml").train.model_dump() == {"lr": 0.1, "opt": "sgd"}
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "spec.yaml", [override])
    assert text in str(caught.value)
    assert not str(caught.value).endswith("; ")


def test_a_command_needs_an_objective_in_its_spec(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC.replace("objective:", "# objective:"))
    with pytest.raises(SpecError, match=r"objective: is missing; name what the command prints"):
        load(tmp_path / "spec.yaml")


def test_the_files_that_a_command_names_are_its_sources(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    script(tmp_path / "inner", "import net")
    script(tmp_path / "inner", "", "net.py")
    (tmp_path / "inner" / "data.bin").write_bytes(bytes(1 << 21))
    words = ["python", "train.py", "data.bin", {"a": "--a"}, "x" * 5000]
    address = Address.of({"command": words, "cwd": "inner"}, tmp_path)
    before = address.digest()
    assert [file.name for file in address.sources()] == ["net.py", "train.py"]
    script(tmp_path / "inner", "print(2)")
    assert address.digest() != before
