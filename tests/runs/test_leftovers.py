"""What a run sets in its process outside itself does not reach the next run of its slot."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.recipes.events import Event, Failed, Finished
from harness.runs.description import RunDescription
from harness.runs.execute import execute
from harness.runs.leftovers import put_back

SOURCE = """
import os
import torch
from harness import Run, recipe

@recipe(objective="loss")
def fit(run: Run, crash: bool = False):
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_float32_matmul_precision("medium")
    torch.backends.cuda.matmul.allow_tf32 = not torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = not torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
    torch.backends.cudnn.deterministic = not torch.backends.cudnn.deterministic
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_grad_enabled(False)
    torch.set_num_threads(torch.get_num_threads() + 1)
    os.environ["ADDED"] = "1"
    os.environ["CHANGED"] = "after"
    del os.environ["REMOVED"]
    os.chdir("/")
    if crash:
        raise ValueError
    return {"loss": 1.0}
"""


def state() -> dict[str, Any]:
    return {
        "dtype": torch.empty(()).dtype,
        "device": torch.empty(()).device,
        "precision": torch.get_float32_matmul_precision(),
        "matmul": torch.backends.cuda.matmul.allow_tf32,
        "cudnn": torch.backends.cudnn.allow_tf32,
        "benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.backends.cudnn.deterministic,
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "grad": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.slow
def test_what_a_run_sets_in_its_process_is_put_back_however_it_ends(
    described: Callable[..., RunDescription], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash: bool
) -> None:
    (tmp_path / "fit.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHANGED", "before")
    monkeypatch.setenv("REMOVED", "here")
    before, events = state(), list[Event]()
    execute(described("./fit.py:fit", {"crash": crash}), events.append)
    assert isinstance(events[-1], Failed if crash else Finished)
    assert state() == before


def test_torchs_newer_switch_of_precision_is_put_back_too() -> None:
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("a torch that has the older switch alone")
    before = state()
    with put_back():
        torch.backends.cuda.matmul.fp32_precision = "tf32"
    assert state() == before
