"""How long a plan will take: each cell's recipe trained for a moment on the device at hand."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from harness.design import Cell, Plan
from harness.errors import StudyError
from harness.recipes.events import Event, Failed, Finished
from harness.runs.execute import execute
from harness.study.placement import Placement, describe

_SECONDS = 2.0
_LEAST, _FEW, _MANY = 16, 64, 320  # samples of a score
_SAMPLED = {"samples", "times", "interim_samples"}  # settings of an evaluation that draws samples


def calibrate(plan: Plan, *, placement: Placement) -> dict[str, dict[str, float]]:
    """Per cell: images/s, seconds of training and seconds of scoring that one run will take.

    Every cell is trained alone for two seconds, the control twice before that: what a score costs per image is the
    difference between scoring few images and many. Raises StudyError where a cell does not run.
    """
    control = plan.cell(plan.control)
    _trial(plan, control, 0.2, _FEW, placement)  # warms caches up: data, weights, reference features
    few, _ = _trial(plan, control, 0.2, _FEW, placement)
    many, _ = _trial(plan, control, 0.2, _MANY, placement)
    evaluate, scoring = plan.evaluate, few
    if type(evaluate).model_fields.keys() >= _SAMPLED:  # a recipe that scores otherwise is timed with its own scores
        samples = evaluate.samples + (evaluate.times - 1) * evaluate.interim_samples
        scoring += max(0.0, many - few) / (_MANY - _FEW) * samples
    estimates: dict[str, dict[str, float]] = {}
    for cell in plan.cells:
        _, rate = _trial(plan, cell, _SECONDS, _LEAST, placement)
        train = plan.budget.amount / (1 if plan.budget.timed else max(rate, 1e-9))
        estimates[cell.name] = {"images_per_second": rate, "train_seconds": train, "other_seconds": scoring}
    return estimates


def _trial(plan: Plan, cell: Cell, seconds: float, samples: int, placement: Placement) -> tuple[float, float]:
    """Seconds beside training, and images/s, of a short run with one score."""
    fewer = {"samples": samples, "times": 1, "grid": 4}
    own = type(plan.evaluate).model_fields
    evaluate = plan.evaluate.model_copy(update={name: value for name, value in fewer.items() if name in own})
    short = replace(plan, evaluate=evaluate, budget=type(plan.budget).model_validate({"seconds": seconds}))
    ended: list[Event] = []
    with tempfile.TemporaryDirectory() as folder:
        description = describe(short, cell, plan.runs[0], placement, slot=0, folder=Path(folder))
        began = time.monotonic()
        execute(description, ended.append)
        wall = time.monotonic() - began
    last = ended[-1]
    if isinstance(last, Failed):
        raise StudyError(f"calibration of cell '{cell.name}' failed: {last.reason}")
    assert isinstance(last, Finished)
    return max(0.0, wall - last.summary["train_seconds"]), last.summary["images_per_second"]
