"""What a command prints, read: each line that is a JSON object with numbers is a report of its run."""

from __future__ import annotations

import json
import time
from typing import Any

from harness.errors import DivergedError
from harness.measures import COSTS
from harness.recipes.events import Progress, Scored
from harness.recipes.run import Run, number
from harness.settings import Budget

_EVERY = 0.5  # seconds between events of curves
_NO_CURVES = {each.name for each in COSTS}


class Printed:
    """Reports of a command as events of `run`; `last` holds each measure's last value.

    A line with the objective is a score, another one part of a curve. `step` is the line's step; without it a line
    counts one further. Scripts print `best: Infinity` before there is one: of what is not finite the objective alone
    ends the run, and any other measure is left out.
    """

    def __init__(self, run: Run) -> None:
        self.last: dict[str, float] = {}
        self.not_finite: set[str] = set()
        """Measures other than the objective that were left out, once or more, since they were not finite."""
        self._run = run
        self._curves: dict[str, list[tuple[int, float]]] = {}
        self._told = 0.0
        self._scored = -1

    def line(self, text: str) -> None:
        """Take one line. Raises RecipeError for an objective that is no number, DivergedError for one not finite."""
        found = _report(text)
        if found is None:
            return
        run = self._run
        step = _step(found.pop("step", None))
        step = run.step + 1 if step is None else step
        values: dict[str, float] = {}
        for name, value in found.items():
            if name == run.objective.name:
                values[name] = number(value, f"recipe '{run.recipe}': printed at step {step}: {name}")
            elif isinstance(value, int | float) and not isinstance(value, bool):
                try:
                    values[name] = number(value, name)
                except DivergedError:
                    self.not_finite.add(name)
                    self.last.pop(name, None)
        self.last |= values
        values = {name: value for name, value in values.items() if name not in _NO_CURVES}
        if not values:
            return
        run.step = step
        if run.objective.name in values:
            self.flush()
            # A step has one score: where it is scored again, or an earlier one, that counts one further.
            self._scored = run.step = max(step, self._scored + 1)
            run.emit(Scored(step=run.step, train_seconds=run.seconds, scores=values))
        else:
            for name, value in values.items():
                self._curves.setdefault(name, []).append((step, value))
        if time.monotonic() - self._told >= _EVERY:
            self.flush()

    def flush(self) -> None:
        """Tell of the curves that were kept back, and how far the run is."""
        self._told = time.monotonic()
        curves, self._curves = self._curves, {}
        run = self._run
        budget: Budget = run.budget
        if not curves and not budget.unit:
            return
        rate = run.step / run.seconds if run.seconds > 0 else 0.0
        done = run.seconds if budget.timed else run.step
        fraction = min(1.0, done / budget.amount) if budget.amount else 0.0
        run.emit(Progress(step=run.step, train_seconds=run.seconds, rate=rate, fraction=fraction, curves=curves))


def _report(text: str) -> dict[str, Any] | None:
    if not (text.startswith("{") and text.endswith("}")):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found else None


def _step(value: Any) -> int | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**31:
        return int(value)
    return None
