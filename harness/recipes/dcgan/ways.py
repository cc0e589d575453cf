"""The ways in which replicates of a cell can train together, by name, and which is the quickest on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

One = TypeVar("One")

# The replicates -> those that make one program each. Their numbers are the same but for rounding.
WAYS: dict[str, Callable[[Sequence[One]], list[Sequence[One]]]] = {
    # One after another, a program each: nothing is shared but the data.
    "serial": lambda replicates: [(one,) for one in replicates],
    # One program with convolutions grouped by replicate: every operation is called once for all.
    "grouped": lambda replicates: [replicates],
}
_WARM, _ROUNDS, _STEPS = 3, 3, 4


def timed(steps: dict[str, Callable[[], None]], device: torch.device) -> dict[str, float]:
    """Way -> its seconds a step, the least of some rounds in alternation: a loaded machine only adds to them."""

    def seconds(step: Callable[[], None], count: int) -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        began = time.perf_counter()
        for _ in range(count):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - began) / count

    for step in steps.values():
        seconds(step, _WARM)
    found = dict.fromkeys(steps, float("inf"))
    for _ in range(_ROUNDS):
        for way, step in steps.items():
            found[way] = min(found[way], seconds(step, _STEPS))
    return found
