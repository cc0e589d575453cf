"""The digits of examples/, as a function and as a command, from the spec to an answer that makes sense."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def harness(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments], capture_output=True, text=True, timeout=290, check=False
    )


@pytest.mark.parametrize(
    ("spec", "left_out"),
    [
        ("digits.yaml", ("shift", "smoothing", "cosine")),
        pytest.param("digits.yaml", (), marks=pytest.mark.slow),
        ("command.yaml", ("dropout", "shift", "smoothing")),
        pytest.param("command.yaml", (), marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
@pytest.mark.slow
def test_the_digits_are_ablated_in_both_forms_and_batch_norm_is_what_helps(
    project: Path, spec: str, left_out: tuple[str, ...]
) -> None:
    shutil.copytree(ROOT / "examples", project / "examples")
    changes = ["seeds=2", *(f"factors.{name}=null" for name in left_out)]
    study = (f"examples/digits/{spec}", *(word for change in changes for word in ("--set", change)))
    tricks = {"dropout", "batch_norm", "shift", "smoothing", "cosine"} - set(left_out)
    done = harness("ablate", *study)
    assert done.returncode == 0, done.stderr
    runs = 2 * (len(tricks) + 1)
    assert f"[{runs}/{runs}]" in done.stdout
    answer = json.loads(harness("report", *study, "--format", "json").stdout)
    effects: dict[str, Any] = {each["factor"]: each for each in answer["effects"]}
    assert effects.keys() == tricks
    assert all(each["n"] == 2 for each in effects.values())
    values = {name: each["value"] for name, each in effects.items()}
    assert max(values, key=values.__getitem__) == "batch_norm"
    assert values["batch_norm"] > 0.02
    again = harness("ablate", *study)
    assert "nothing to add" in again.stdout + again.stderr


SLEEPER = """
import json, os, signal, sys, time
from pathlib import Path

folder = Path(os.environ["HARNESS_DIRECTORY"])
def save(number, frame):
    (folder / "saved").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
if not (folder / "saved").exists():
    Path("pids").open("a").write(f"{os.getpid()}\\n")
    time.sleep(120)
print(json.dumps({"accuracy": float(sys.argv[1]) + int(os.environ["HARNESS_SEED"])}))
"""
WAITS = """
study: waits
recipe: {command: [python, sleeper.py, "{x}"], settings: {x: 0.0}}
objective: {metric: accuracy, direction: maximize}
factors: {x: {baseline: 0.0, levels: [1.0]}}
seeds: 1
"""


@pytest.mark.slow
def test_ctrl_c_lets_commands_save_and_the_next_start_goes_on_with_them(project: Path) -> None:
    Path("sleeper.py").write_text(SLEEPER)
    Path("waits.yaml").write_text(WAITS)
    study = subprocess.Popen(
        [sys.executable, "-m", "harness", "ablate", "waits.yaml", "--slots", "2"], stdout=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 120
    while not Path("pids").exists() or len(Path("pids").read_text().splitlines()) < 2:
        assert time.monotonic() < until
        time.sleep(0.1)
    study.send_signal(signal.SIGINT)
    study.communicate(timeout=60)
    for pid in Path("pids").read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
    done = harness("ablate", "waits.yaml", "--slots", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[2/2]" in done.stdout
    assert len(Path("pids").read_text().splitlines()) == 2
