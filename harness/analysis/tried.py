"""What a search tried: its cells by their mean objective, with how their runs ended. Rankings, not effects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from harness.analysis import paired
from harness.analysis.outcomes import Matrix, Outcomes
from harness.analysis.types import NAN, TriedCell
from harness.measures import RunState


def tried(quality: Outcomes, seconds: Outcomes) -> tuple[TriedCell, ...]:
    """Per cell the mean objective of its `n` complete runs with its t interval, mean training seconds, and endings.

    The best mean first, cells without a complete run last. `shrunk` is for the best of many, whose mean flatters it.
    """
    found = []
    shrunk = shrunken([values[~np.isnan(values)] for values in quality.values])
    for (cell, row), pulled in zip(quality.index.items(), shrunk, strict=True):
        scores, costs = (each.values[row][~np.isnan(each.values[row])] for each in (quality, seconds))
        states = Counter(map(RunState, quality.states[row].tolist()))
        found.append(
            TriedCell(
                cell=cell,
                n=len(scores),
                objective=paired.estimate(scores),
                shrunk=pulled,
                seconds=paired.mean(costs),
                states={state: count for state, count in states.items() if state != RunState.MISSING},
            )
        )
    sign = quality.measure.sign
    return tuple(sorted(found, key=lambda cell: -sign * cell.objective.value if cell.n else np.inf))


def shrunken(samples: Sequence[Matrix]) -> list[float]:
    """Each sample's mean pulled towards that of all by the share of their spread that is noise (empirical Bayes).

    Noise is the variance within samples, the rest the variance between them by the method of moments (Searle, Casella
    and McCulloch 1992, section 3.6). NaN where no sample has two values, so that the noise is unknown, or it is empty.
    """
    known = [sample for sample in samples if len(sample)]
    sizes, means = np.array([len(sample) for sample in known]), np.array([np.mean(sample) for sample in known])
    degrees = int(np.sum(sizes - 1))
    if not degrees or len(known) < 2:
        return [NAN for _ in samples]
    noise = sum(float(np.sum((sample - np.mean(sample)) ** 2)) for sample in known) / degrees
    total, middle = sizes.sum(), np.average(means, weights=sizes)
    apart = float(np.sum(sizes * (means - middle) ** 2)) / (len(known) - 1)
    between = max(0.0, (apart - noise) * (len(known) - 1) / (total - np.sum(sizes**2) / total))
    if between == 0:
        return [float(middle) if len(sample) else NAN for sample in samples]
    centre = np.average(means, weights=1 / (between + noise / sizes))
    return [
        float(centre + (np.mean(sample) - centre) * between / (between + noise / len(sample))) if len(sample) else NAN
        for sample in samples
    ]
