"""How long a plan will take: each cell's recipe trained for a moment on the device at hand."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness.design import Plan
from harness.errors import StudyError
from harness.events import Event, Failed, Finished
from harness.launch import RunDescription, execute

_SECONDS = 2.0
_SAMPLES = 64


def calibrate(
    plan: Plan, *, device: str | None, threads: int | None, note: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """Per cell: seconds of training and of everything else (scoring) that one run will take, and images/s.

    Every cell is trained alone for two seconds after one discarded warm-up run; scoring time is scaled from a score of
    few samples, so a first score's fixed cost (features of the reference set, cached from then on) is not counted.
    """
    evaluate = plan.evaluate.model_copy(update={"samples": _SAMPLES, "interim_samples": _SAMPLES, "times": 1})
    estimates: dict[str, dict[str, float]] = {}
    samples = plan.evaluate.samples + (plan.evaluate.times - 1) * plan.evaluate.interim_samples
    for position, cell in enumerate((plan.cells[0], *plan.cells)):
        ended: list[Event] = []
        with tempfile.TemporaryDirectory() as folder:
            description = RunDescription(
                key="calibration",
                name=cell.name,
                recipe=plan.recipe,
                seed=plan.runs[0].seed,
                train=cell.train,
                data=cell.data,
                evaluate=evaluate.model_dump(mode="json"),
                references={k: v.model_dump(mode="json") for k, v in plan.references.items()},
                budget={"seconds": 0.2 if position == 0 else _SECONDS},
                directory=str(Path(folder)),
                device=None if device == "auto" else device,
                threads=threads,
            )
            began = time.monotonic()
            execute(description, ended.append)
            wall = time.monotonic() - began
        if position == 0:
            continue
        last = ended[-1]
        if isinstance(last, Failed):
            raise StudyError(f"calibration of cell '{cell.name}' failed: {last.reason}")
        assert isinstance(last, Finished)
        rate = last.summary["images_per_second"]
        scoring = max(0.0, wall - last.summary["train_seconds"]) * samples / _SAMPLES
        train = plan.budget.seconds or (plan.budget.images or 0) / max(rate, 1e-9)
        estimates[cell.name] = {"images_per_second": rate, "train_seconds": train, "other_seconds": scoring}
        note(f"calibrated {cell.name}: {rate:,.0f} images/s")
    return estimates
