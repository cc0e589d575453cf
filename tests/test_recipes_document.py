"""docs/recipes.md: its files written into an empty folder and its commands run, word for word."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", TEXT, re.DOTALL))
COMMANDS = [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)]
NEEDS = {"lit.yaml": "pytorch_lightning", "hf.yaml": "accelerate"}


def test_the_document_has_files_and_commands() -> None:
    assert {"line.py", "train.py", "lit.py", "hf.py", "whole.py", "seeds.py"} <= FILES.keys()
    assert len(COMMANDS) == 6


@pytest.mark.parametrize(
    "commands",
    # The callbacks have tests of their own, and load their libraries in every slot here.
    [
        pytest.param(each, marks=pytest.mark.slow) if set(shlex.split(each[0])) & set(NEEDS) else each
        for each in COMMANDS
    ],
    ids=lambda lines: lines[0].split()[-1],
)
@pytest.mark.slow
@pytest.mark.slow
def test_its_commands_do_what_it_says_in_an_empty_folder(project: Path, commands: list[str]) -> None:
    spec = shlex.split(commands[0])[2]
    if (package := NEEDS.get(spec)) and find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    for name, text in FILES.items():
        (project / name).write_text(text)
    for line in commands:
        program, *arguments = shlex.split(line)
        assert program == "harness"
        done = subprocess.run(
            [sys.executable, "-m", "harness", *arguments], capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "failed" not in done.stdout
