"""What a search tried: its cells by their mean objective, with how their runs ended. Rankings, not effects."""

from __future__ import annotations

from collections import Counter

import numpy as np

from harness.analysis import paired
from harness.analysis.outcomes import Outcomes
from harness.analysis.types import NAN, TriedCell
from harness.measures import RunState


def tried(quality: Outcomes, seconds: Outcomes) -> tuple[TriedCell, ...]:
    """Per cell the mean objective of its `n` complete runs with its t interval, mean training seconds, and endings.

    The best mean first, cells without a complete run last.
    """
    found = []
    for cell, row in quality.index.items():
        scores, costs = (each.values[row][~np.isnan(each.values[row])] for each in (quality, seconds))
        states = Counter(quality.states[row].tolist())
        found.append(
            TriedCell(
                cell=cell,
                n=len(scores),
                objective=paired.estimate(scores),
                shrunk=NAN,
                seconds=paired.mean(costs),
                states={state: states[state] for state in RunState if states[state]},
            )
        )
    sign = quality.measure.sign
    return tuple(sorted(found, key=lambda cell: -sign * cell.objective.value if cell.n else np.inf))
