"""The same trick in two studies: on other data, at another budget, under another extractor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from harness.analysis import paired
from harness.analysis.answer import asked_for
from harness.analysis.effects import log_ratios
from harness.analysis.outcomes import Outcomes
from harness.analysis.types import NAN, Effect, Estimate
from harness.analysis.verdicts import claims
from harness.design import Contrast, Plan
from harness.errors import StudyError
from harness.measures import Measure
from harness.spec import Level, label

Study = tuple[str, pd.DataFrame, Plan]
Logs = Mapping[int, float]
Key = tuple[str, str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One trick in several studies, its effect in each as a ratio; unknown without seeds in two of them.

    `held` names what the contrast holds fixed away from the other factors' baselines: on a ladder, the rungs below.
    `ratio_of_ratios` is that of the study farthest from the first, over the first. `p` is of the paired t test of their
    log-ratios over the seeds that two studies share, of Welch's where they share less than two; `p_adjusted` Holm's
    over the tricks, and `differ` says that it is below 0.05.
    """

    factor: str
    baseline: Level
    level: Level
    design: str
    held: str
    effects: Mapping[str, Effect]
    same_sign: bool
    ratio_of_ratios: Estimate
    p: float
    p_adjusted: float = NAN
    differ: bool = False


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The tricks that at least two studies have."""

    studies: tuple[str, ...]
    measure: Measure
    tricks: tuple[Compared, ...]


def compare(studies: Sequence[Study]) -> Comparison:
    """The tricks that at least two of the studies (name, runs, plan) have, side by side.

    Raises StudyError where the studies are about other measures, or two have one name.
    """
    first = studies[0][2].objective
    for name, _, plan in studies:
        if plan.objective.name != first.name:
            text = f"study '{name}' is about {plan.objective.title}, '{studies[0][0]}' about {first.title}"
            raise StudyError(f"{text}; compare studies of one objective")
    names = [name for name, *_ in studies]
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise StudyError(f"study '{repeated[0]}' is named twice; a comparison needs different ones")
    tables = {name: _by_trick(runs, plan) for name, runs, plan in studies}
    tricks = []
    for key in dict.fromkeys(key for table in tables.values() for key in table):
        found = {name: table[key] for name, table in tables.items() if key in table and table[key][0].n > 0}
        if len(found) > 1:
            tricks.append(_compared(key[-1], found))
    adjusted = paired.holm(np.array([trick.p for trick in tricks])).tolist()
    tricks = [replace(t, p_adjusted=p, differ=p < paired.ALPHA) for t, p in zip(tricks, adjusted, strict=True)]
    return Comparison(studies=tuple(tables), measure=first, tricks=tuple(tricks))


def _by_trick(runs: pd.DataFrame, plan: Plan) -> dict[Key, tuple[Effect, Logs]]:
    runs, plan, so_far = asked_for(runs, plan)
    outcomes = Outcomes.of(runs, plan, plan.objective)
    found: dict[Key, tuple[Effect, Logs]] = {}
    for effect in claims(outcomes, so_far).effects:
        contrast = effect.contrast
        key = contrast.factor, label(contrast.baseline), label(contrast.level), contrast.design, _held(contrast, plan)
        found[key] = effect, log_ratios(outcomes, contrast)
    return found


def _held(contrast: Contrast, plan: Plan) -> str:
    """The other factors that are off their baseline at one level in all pairs: `crop=square, width=2`."""
    off = {each.factor: label(each.baseline) for each in plan.contrasts}
    cells = [plan.cell(control).levels for _, control in contrast.pairs]
    levels = {factor: {label(cell[factor]) for cell in cells if factor in cell} for factor in off}
    return ", ".join(
        f"{factor}={min(several)}"
        for factor, several in sorted(levels.items())
        if factor != contrast.factor and len(several) == 1 and several != {off[factor]}
    )


def _compared(held: str, found: Mapping[str, tuple[Effect, Logs]]) -> Compared:
    several, logs = zip(*found.values(), strict=True)
    tests = [_change(logs[0], other) for other in logs[1:]]
    contrast = several[0].contrast
    farthest = max((change for change, _ in tests), key=lambda change: abs(change.value) if change.known else -1.0)
    p = [p for _, p in tests if not math.isnan(p)]
    return Compared(
        factor=contrast.factor,
        baseline=contrast.baseline,
        level=contrast.level,
        design=contrast.design,
        held=held,
        effects=dict(zip(found, several, strict=True)),
        same_sign=not {-1, 1} <= {np.sign(effect.change.value) for effect in several},
        ratio_of_ratios=Estimate(*np.exp((farthest.value, farthest.low, farthest.high)).tolist()),
        p=min(1.0, min(p) * len(p)) if p else NAN,  # of several studies Bonferroni's, against the first
    )


def _change(one: Logs, other: Logs) -> tuple[Estimate, float]:
    """Change of the mean log-ratio from one study to the other, and p: paired over seeds that both have, else Welch."""
    if len(shared := sorted(one.keys() & other.keys())) > 1:
        differences = paired.rounded(np.array([other[seed] - one[seed] for seed in shared]), 1.0)
        return paired.estimate(differences), paired.t_p(differences)
    a, b = np.array(list(one.values())), np.array(list(other.values()))
    change = paired.mean(b) - paired.mean(a)
    if min(len(a), len(b)) < 2:
        return Estimate(change), NAN
    from scipy import stats  # loads for most of a second, and only comparisons need it

    test = stats.ttest_ind(b, a, equal_var=False)
    interval = test.confidence_interval(1 - paired.ALPHA)
    return Estimate(change, float(interval.low), float(interval.high)), float(test.pvalue)
