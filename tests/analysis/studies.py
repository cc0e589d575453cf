"""Studies made up for tests: two-level factors, every run's outcome a function of its levels and seed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from harness.design import Cell, Contrast, Plan, PlannedRun
from harness.recipes.dcgan.measures import MIFID, SPEED
from harness.recipes.dcgan.settings import DcganBudget as Budget
from harness.recipes.dcgan.settings import EvaluateSettings

On = frozenset[str]


def everything(factors: str) -> list[On]:
    """All 2^k combinations of one-letter factors, from all off to all on."""
    return [frozenset(some) for size in range(len(factors) + 1) for some in itertools.combinations(factors, size)]


def name(on: On) -> str:
    return "".join(sorted(on)) or "baseline"


def study(
    factors: Sequence[str],
    cells: Iterable[On],
    outcome: Callable[[On, int], float | str],
    seeds: int = 3,
    **columns: Any,
) -> tuple[Plan, pd.DataFrame]:
    """A plan over `cells` (the first is the control) and its runs; an outcome that is a text is a state without one."""
    cells = list(cells)
    present = set(cells)
    contrasts = [
        Contrast(
            name=f"{factor}: off -> on",
            factor=factor,
            level="on",
            baseline="off",
            pairs=tuple(
                (name(cell), name(cell - {factor})) for cell in cells if factor in cell and cell - {factor} in present
            ),
        )
        for factor in factors
    ]
    plan = Plan(
        objective=MIFID,
        study="made-up",
        recipe="dcgan",
        design="full-factorial",
        cells=tuple(
            Cell(name=name(cell), levels={f: "on" if f in cell else "off" for f in factors}, train={}, data={})
            for cell in cells
        ),
        contrasts=tuple(contrast for contrast in contrasts if contrast.pairs),
        runs=tuple(
            PlannedRun(cell=name(cell), seed=seed, key=f"{name(cell)}-{seed}")
            for seed in range(seeds)
            for cell in cells
        ),
        dropped=(),
        control=name(cells[0]),
        budget=Budget(images=1000),
        evaluate=EvaluateSettings(samples=500, interim_samples=500),
        references={},
        fingerprint="",
        measures=(SPEED,),
    )
    rows = []
    for seed in range(seeds):
        for cell in cells:
            value = outcome(cell, seed)
            done = not isinstance(value, str)
            rows.append(
                {
                    "cell": name(cell),
                    "seed": seed,
                    "state": "complete" if done else value,
                    "mifid": value if done else float("nan"),
                    "train_seconds": 10.0 + len(cell),
                    "images_per_second": 1000 / (10.0 + len(cell)),
                    "slots_per_device": 1,
                    **{key: make(cell, seed) for key, make in columns.items()},
                }
            )
    return plan, pd.DataFrame(rows)
