"""The same trick in two studies: on other data, at another budget, under another extractor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from harness.analysis import paired
from harness.analysis.answer import effects
from harness.analysis.effects import log_ratios
from harness.analysis.outcomes import Outcomes
from harness.analysis.types import NAN, Effect, Estimate
from harness.design import Contrast, Plan
from harness.errors import StudyError
from harness.measures import Measure
from harness.spec import Level, label

Study = tuple[str, pd.DataFrame, Plan]
Logs = Mapping[int, float]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One trick in several studies, its effect in each as a ratio; unknown without seeds in two of them.

    `ratio_of_ratios` is that of the study farthest from the first, over the first. `differ` says whether the log-ratios
    of some study and the first differ by more than chance.
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
    p_adjusted: float
    differ: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The tricks that at least two studies have."""

    studies: tuple[str, ...]
    measure: Measure
    tricks: tuple[Compared, ...]


def compare(studies: Sequence[Study]) -> Comparison:
    """The tricks that at least two of the studies (name, runs, plan) have, side by side.

    Raises StudyError where the studies are about other measures.
    """
    first = studies[0][2].objective
    for name, _, plan in studies:
        if plan.objective.name != first.name:
            text = f"study '{name}' is about {plan.objective.title}, '{studies[0][0]}' about {first.title}"
            raise StudyError(f"{text}; compare studies of one objective")
    tables = {name: _by_trick(runs, plan) for name, runs, plan in studies}
    tricks = []
    for key in dict.fromkeys(key for table in tables.values() for key in table):
        found = {name: table[key] for name, table in tables.items() if key in table and table[key][0].n > 0}
        if len(found) > 1:
            tricks.append(_compared(key, found))
    return Comparison(studies=tuple(tables), measure=first, tricks=tuple(tricks))


def _by_trick(runs: pd.DataFrame, plan: Plan) -> dict[tuple[str, ...], tuple[Effect, Logs]]:
    outcomes = Outcomes.of(runs, plan, plan.objective)
    return {
        _key(effect.contrast): (effect, log_ratios(outcomes, effect.contrast))
        for effect in effects(runs, plan, plan.objective.name)
    }


def _key(contrast: Contrast) -> tuple[str, ...]:
    return contrast.factor, label(contrast.baseline), label(contrast.level), contrast.design, ""


def _compared(key: tuple[str, ...], found: Mapping[str, tuple[Effect, Logs]]) -> Compared:
    (first, first_logs), *others = found.values()
    logs = [math.log(effect.ratio.value) for effect, _ in found.values()]
    tests = [_change(first_logs, other) for _, other in others]
    farthest = max((change for change, _ in tests), key=lambda change: abs(change.value))
    p = min((p for _, p in tests if not math.isnan(p)), default=NAN)
    return Compared(
        factor=first.contrast.factor,
        baseline=first.contrast.baseline,
        level=first.contrast.level,
        design=key[3],
        held=key[4],
        effects={name: effect for name, (effect, _) in found.items()},
        same_sign=min(logs) > 0 or max(logs) < 0 or min(logs) == max(logs),
        ratio_of_ratios=Estimate(*np.exp((farthest.value, farthest.low, farthest.high)).tolist()),
        p=p,
        p_adjusted=NAN,
        differ=p < paired.ALPHA,
    )


def _change(one: Logs, other: Logs) -> tuple[Estimate, float]:
    """Change of the mean log-ratio from one study to the other, and p, by Welch's test."""
    a, b = np.array(list(one.values())), np.array(list(other.values()))
    change = paired.mean(b) - paired.mean(a)
    if min(len(a), len(b)) < 2:
        return Estimate(change), NAN
    if np.ptp(a) == np.ptp(b) == 0:
        return Estimate(change, change, change), float(change == 0)
    test = stats.ttest_ind(b, a, equal_var=False)
    interval = test.confidence_interval(1 - paired.ALPHA)
    return Estimate(change, float(interval.low), float(interval.high)), float(test.pvalue)
