"""A recipe that trains in a fraction of a second: sums of draws, with a checkpoint after every one."""

from __future__ import annotations

import os
import random
import time

import torch

from harness import Run, recipe

STEPS = 5


@recipe(objective="total", maximize=False)
def stub(run: Run, trick: bool = False, weight: int = 0) -> dict[str, float]:
    state = run.restore() or {"step": 0, "sum": 0.0, "filler": torch.zeros(4096)}
    stream = random.Random(f"{run.seed}/{trick}/{weight}")
    draws = [stream.random() for _ in range(STEPS)]
    while state["step"] < STEPS:
        state["sum"] += draws[state["step"]]
        state["filler"] = state["filler"] + draws[state["step"]]
        state["step"] += 1
        time.sleep(float(os.environ.get("STUB_SECONDS", "0.06")))
        run.report(state["step"], total=state["sum"], other=state["sum"] / 2)
        run.report(state["step"], loss=1.0 / state["step"])
        run.checkpoint(state)
    return {"total": state["sum"] + 0.0 * float(state["filler"].sum()), "other": float(state["filler"][-1])}
