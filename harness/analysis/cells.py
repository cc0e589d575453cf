"""Cells one by one: the price of each, what a search tried, and how often runs fail at a level."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from harness.analysis import paired
from harness.analysis.outcomes import Matrix, Outcomes
from harness.analysis.types import NAN, CellPrice, Estimate, FailureRate, TriedCell
from harness.design import Cell
from harness.measures import RunState
from harness.spec import label


def prices(quality: Outcomes, seconds: Outcomes) -> tuple[CellPrice, ...]:
    """Per cell the objective and the training seconds, from complete runs alone on their device.

    Both are held against the control over the `n` seeds that both have; in a search, where cells are tried with seeds
    of their own, they are plain means. `on_front` cells are beaten by no other in both. `gain` is NaN where the cell is
    not shown to cost more (the 95 % interval of the extra seconds holds 0, or there is one seed alone), and for the
    control.
    """
    sign, control = quality.measure.sign, quality.index[quality.plan.control]
    scores = np.where(np.isnan(seconds.values), np.nan, quality.values)
    costs = np.where(np.isnan(quality.values), np.nan, seconds.values)
    both = [paired.means_beside(values, quality.control) for values in (scores, costs)]
    points = np.array([(-sign * score.value, cost.value) for (score, _), (cost, _) in zip(*both, strict=True)])
    found = []
    for (cell, row), (score, n), (cost, _) in zip(quality.index.items(), *both, strict=True):
        if not score.known:
            continue
        gained, extra = sign * (scores[row] - scores[control]), costs[row] - costs[control]
        common = ~np.isnan(extra)
        dearer = paired.estimate(extra[common]).low > 0
        found.append(
            CellPrice(
                cell=cell,
                n=n,
                objective=score,
                seconds=cost,
                on_front=not ((points <= points[row]).all(axis=1) & (points < points[row]).any(axis=1)).any(),
                gain=float(np.mean(gained[common]) / np.mean(extra[common])) if dearer else NAN,
                endings=quality.endings([cell]),
            )
        )
    return tuple(found)


def tried(quality: Outcomes, seconds: Outcomes) -> tuple[TriedCell, ...]:
    """Per cell the mean objective of its `n` complete runs with its t interval, mean training seconds, and endings.

    The best mean first, cells without a complete run last. `shrunk` is for the best of many, whose mean flatters it.
    """
    found = []
    shrunk = shrunken(list(map(paired.known, quality.values)))
    for (cell, row), pulled in zip(quality.index.items(), shrunk, strict=True):
        scores = paired.known(quality.values[row])
        states = Counter(map(RunState, quality.states[row].tolist()))
        found.append(
            TriedCell(
                cell=cell,
                n=len(scores),
                objective=paired.estimate(scores),
                shrunk=pulled,
                seconds=paired.mean(paired.known(seconds.values[row])),
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


def failure_rates(quality: Outcomes) -> tuple[FailureRate, ...]:
    """Per factor and level, over every run that ended at this level; empty where no run diverged or failed.

    The interval is Clopper and Pearson's exact 95 % one.
    """
    if not {RunState.DIVERGED, RunState.FAILED} & set(quality.states.flat):
        return ()
    here: dict[str, dict[str, list[Cell]]] = {}  # by factor and level
    for cell in quality.plan.cells:
        for factor, level in cell.levels.items():
            here.setdefault(factor, {}).setdefault(label(level), []).append(cell)
    found = []
    for factor, cells in ((factor, cells) for factor, levels in here.items() for cells in levels.values()):
        endings = quality.endings(cell.name for cell in cells)
        if endings.ended:
            bad = endings.diverged + endings.failed
            from scipy import stats  # loads for most of a second, which a report without failures does without

            sure = stats.binomtest(bad, endings.ended).proportion_ci(0.95)
            rate = Estimate(bad / endings.ended, float(sure.low), float(sure.high))
            found.append(FailureRate(factor=factor, level=cells[-1].levels[factor], endings=endings, rate=rate))
    return tuple(found)
