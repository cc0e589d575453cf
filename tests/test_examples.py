"""The digits of examples/, as a function and as a command, from the spec to an answer that makes sense."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def harness(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments], capture_output=True, text=True, timeout=290, check=False
    )


@pytest.mark.parametrize(("spec", "seeds"), [("digits.yaml", 3), ("command.yaml", 2)])
def test_the_digits_are_ablated_in_both_forms_and_batch_norm_is_what_helps(
    project: Path, spec: str, seeds: int
) -> None:
    shutil.copytree(ROOT / "examples", project / "examples")
    done = harness("ablate", f"examples/digits/{spec}", "--set", f"seeds={seeds}")
    assert done.returncode == 0, done.stderr
    assert f"[{6 * seeds}/{6 * seeds}]" in done.stdout
    answer = json.loads(
        harness("report", f"examples/digits/{spec}", "--set", f"seeds={seeds}", "--format", "json").stdout
    )
    effects: dict[str, Any] = {each["factor"]: each for each in answer["effects"]}
    assert effects.keys() == {"dropout", "batch_norm", "shift", "smoothing", "cosine"}
    assert all(each["n"] == seeds for each in effects.values())
    values = {name: each["value"] for name, each in effects.items()}
    assert max(values, key=values.__getitem__) == "batch_norm"
    assert values["batch_norm"] > 0.02
    again = harness("ablate", f"examples/digits/{spec}", "--set", f"seeds={seeds}")
    assert "nothing to add" in again.stdout + again.stderr
