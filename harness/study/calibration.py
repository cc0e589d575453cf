"""How long a plan will take: each cell's recipe trained for a moment on the device at hand."""

from __future__ import annotations

import tempfile
import time

from harness.design import Cell, Plan
from harness.errors import StudyError
from harness.recipes.events import Event, Failed, Finished
from harness.runs.description import RunDescription
from harness.runs.execute import execute
from harness.settings import Budget

_SECONDS = 2.0
_LEAST, _FEW, _MANY = 16, 64, 320  # samples of a score


def calibrate(plan: Plan, *, device: str | None, threads: int | None) -> dict[str, dict[str, float]]:
    """Per cell: images/s, seconds of training and seconds of scoring that one run will take.

    Every cell is trained alone for two seconds, the control twice before that: what a score costs per image is the
    difference between scoring few images and many. Raises StudyError where a cell does not run.
    """
    control = plan.cell(plan.control)
    _trial(plan, control, 0.2, _FEW, device, threads)  # warms caches up: data, weights, reference features
    few, _ = _trial(plan, control, 0.2, _FEW, device, threads)
    many, _ = _trial(plan, control, 0.2, _MANY, device, threads)
    samples = plan.evaluate.samples + (plan.evaluate.times - 1) * plan.evaluate.interim_samples
    scoring = few + max(0.0, many - few) / (_MANY - _FEW) * samples
    estimates: dict[str, dict[str, float]] = {}
    for cell in plan.cells:
        _, rate = _trial(plan, cell, _SECONDS, _LEAST, device, threads)
        train = plan.budget.seconds or (plan.budget.images or 0) / max(rate, 1e-9)
        estimates[cell.name] = {"images_per_second": rate, "train_seconds": train, "other_seconds": scoring}
    return estimates


def _trial(
    plan: Plan, cell: Cell, seconds: float, samples: int, device: str | None, threads: int | None
) -> tuple[float, float]:
    """Seconds beside training, and images/s, of a short run with one score."""
    evaluate = plan.evaluate.model_copy(update={"samples": samples, "times": 1, "grid": 4})
    ended: list[Event] = []
    with tempfile.TemporaryDirectory() as folder:
        description = RunDescription(
            key="calibration",
            name=cell.name,
            recipe=plan.recipe,
            seed=plan.runs[0].seed,
            train=cell.train,
            data=cell.data,
            evaluate=evaluate,
            references=plan.references,
            budget=Budget(seconds=seconds),
            directory=folder,
            device=None if device == "auto" else device,
            threads=threads,
        )
        began = time.monotonic()
        execute(description, ended.append)
        wall = time.monotonic() - began
    last = ended[-1]
    if isinstance(last, Failed):
        raise StudyError(f"calibration of cell '{cell.name}' failed: {last.reason}")
    assert isinstance(last, Finished)
    return max(0.0, wall - last.summary["train_seconds"]), last.summary["images_per_second"]
