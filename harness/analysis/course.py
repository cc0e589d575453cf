"""Where a sequential study stands: the looks so far, the runs that they have asked for, and what is frozen.

A pure function of the run table and the plan: however often a study was killed, it has the same looks and asks for the
same runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from harness.analysis import worth as worths
from harness.analysis.grain import Grain
from harness.analysis.outcomes import Outcomes, column, settled
from harness.analysis.paired import Vector
from harness.analysis.ranks import Ranks
from harness.analysis.rules import Anytime, Declared, Rule
from harness.analysis.sequential import Look, looks
from harness.analysis.standing import Frozen
from harness.analysis.types import Verdict
from harness.design import Plan, PlannedRun, fractions
from harness.measures import RunState
from harness.spec.designs import Test
from harness.spec.factors import same
from harness.spec.seeds import Waves

Pairs = tuple[tuple[str, str], ...]
"""(treated cell, control cell)"""

_ENDED = (RunState.COMPLETE, RunState.DIVERGED, RunState.PRUNED)


@dataclass(frozen=True, kw_only=True)
class Course:
    """Where a sequential study stands. Tricks are named by their place among the plan's contrasts.

    `asked` are the runs that the looks so far have asked for, done or not, in the plan's order; the numbers of the
    answer are those of these runs alone. `over`: no more are asked for.
    """

    looks: tuple[Look, ...]
    asked: tuple[PlannedRun, ...]
    over: bool
    frozen: Mapping[str, Frozen]
    """Designs of crossed factors: a decided factor -> the level that the rest of the study keeps it at, and since when.

    What another trick of that design changes is from then on measured beside this level alone.
    """
    differences: tuple[Vector, ...]
    """[trick][wave], treated - control over the waves that it took part in, NaN where a run ended without a number."""
    controls: tuple[Vector, ...]
    """[trick][wave], the control's means in the same pairs."""
    grain: Grain
    """Of the outcomes of the waves so far."""

    @property
    def last(self) -> Look | None:
        """The last look; None before the first."""
        return self.looks[-1] if self.looks else None


def rule_of(waves: Waves, test: Test = "t") -> Rule:
    """The rule by which the looks after waves are judged."""
    if waves.most is None:
        return Anytime(first=waves.first)
    return (Ranks if test == "ranks" else Declared)(first=waves.first, most=waves.most)


def has_ended(runs: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of a run table are of runs that have ended: complete, diverged, or given up."""
    ended: pd.Series[bool] = runs["state"].isin(_ENDED)
    ended |= column(runs, "given_up", 0.0) == 1
    return ended


def course(runs: pd.DataFrame, plan: Plan) -> Course:
    """The course of a plan with waves, by its run table (a row a run that it may come to).

    A wave is one seed of every cell that a trick which goes on is compared in. A run has ended where it is complete or
    diverged, or where its row says `given_up`: it failed too often to be tried again.
    """
    assert plan.waves is not None, "a plan of fixed size has no course"
    rule = rule_of(plan.waves, plan.test)
    table = settled(runs, plan)
    there = table[has_ended(table)]
    ended = set(zip(there["cell"], there["seed"], strict=True))
    waves: dict[int, list[PlannedRun]] = {}
    for run in plan.runs:
        waves.setdefault(run.seed, []).append(run)
    outcomes = _Outcomes(Outcomes.of(table, plan, plan.objective))
    pairs = {position: contrast.pairs for position, contrast in enumerate(plan.contrasts)}
    going_on: tuple[int, ...] = tuple(pairs)
    asked: list[PlannedRun] = []
    frozen: dict[str, Frozen] = {}
    found: list[Look] = []
    whole = True
    for wave, (seed, several) in enumerate(waves.items(), 1):
        cells = {cell for position in going_on for pair in pairs[position] for cell in pair}
        now = [run for run in several if run.cell in cells]
        asked += now
        whole = whole and all((run.cell, run.seed) in ended for run in now)
        if not whole:
            if wave >= rule.first:
                break
            continue
        outcomes.begin(now)
        for position in going_on:
            outcomes.take(position, pairs[position], seed)
        if wave < rule.first:
            continue
        found = looks(outcomes.gains(), outcomes.margins(), rule, grain=outcomes.grain)
        going_on = found[-1].going_on
        if not going_on:
            break
        pairs, frozen = _frozen(plan, pairs, found[-1], frozen, outcomes)
    return Course(
        looks=tuple(found),
        asked=tuple(asked),
        over=whole and bool(found) and (not going_on or len(found) == len(waves) - rule.first + 1),
        frozen=frozen,
        differences=tuple(map(np.array, outcomes.differences)),
        controls=tuple(map(np.array, outcomes.controls)),
        grain=outcomes.grain,
    )


class _Outcomes:
    """What the tricks did so far, wave by wave: differences from the control and the control's means, NaN for none."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes
        self._values = np.full((len(outcomes.index), 0), np.nan)
        self._column = {seed: column for column, seed in enumerate(outcomes.seeds)}
        self.differences: list[list[float]] = [[] for _ in outcomes.plan.contrasts]
        self.controls: list[list[float]] = [[] for _ in outcomes.plan.contrasts]

    def take(self, position: int, pairs: Pairs, seed: int) -> None:
        """One wave more of a trick: the mean over the pairs in which both runs are complete.

        Of a fraction all must be, since a gap would let other tricks in.
        """
        contrast = self._outcomes.plan.contrasts[position]
        with_it, without = (
            side[:, self._column[seed]] for side in self._outcomes.sides(replace(contrast, pairs=pairs))
        )
        known = ~np.isnan(with_it - without)
        if not (known.any() if contrast.matched else known.all()):
            self.differences[position].append(np.nan)
            self.controls[position].append(np.nan)
            return
        self.differences[position].append(float((with_it - without)[known].mean()))
        self.controls[position].append(float(without[known].mean()))

    def begin(self, runs: Iterable[PlannedRun]) -> None:
        """A wave of these runs, before its tricks are taken."""
        new = np.full((len(self._values), 1), np.nan)
        for run in runs:
            row = self._outcomes.index[run.cell]
            new[row, 0] = self._outcomes.values[row, self._column[run.seed]]
        self._values = np.hstack([self._values, new])

    @property
    def grain(self) -> Grain:
        """The steps that the outcomes come in which were asked for."""
        return Grain(self._values)

    def gains(self) -> list[Vector]:
        """[trick][wave], positive where it is for the better."""
        return [self._outcomes.measure.sign * np.array(each) for each in self.differences]

    def margins(self) -> list[Vector]:
        """[trick][wave], the worth."""
        found = []
        for controls in map(np.array, self.controls):
            margin = np.full(len(controls), np.nan)
            known = ~np.isnan(controls)
            margin[known] = worths.margins(self._outcomes.plan.worth, controls[known])
            found.append(margin)
        return found

    def mean(self, position: int) -> float:
        """The mean gain of a trick so far."""
        return float(np.nanmean(self._outcomes.measure.sign * np.array(self.differences[position])))


def _frozen(
    plan: Plan, pairs: Mapping[int, Pairs], look: Look, before: Mapping[str, Frozen], outcomes: _Outcomes
) -> tuple[dict[int, Pairs], dict[str, Frozen]]:
    """The pairs that are still compared, and the factors at the level that the rest of the study keeps them at.

    Where factors are crossed, one that is decided at all of its levels stays at its best from then on, its baseline
    where none helps: the cells at its other levels are not run any more. A fraction whose rest would confound a main
    effect with an interaction of two others is run whole.
    """
    left, levels = dict(pairs), dict(before)
    crossed: dict[tuple[str, str], list[int]] = {}
    for position, contrast in enumerate(plan.contrasts):
        if len(contrast.pairs) > 1:
            crossed.setdefault((contrast.design, contrast.factor), []).append(position)
    cells = {cell.name: cell.levels for cell in plan.cells}
    for (design, factor), own in crossed.items():
        if factor in levels or any(look.verdicts[position] is Verdict.UNDECIDED for position in own):
            continue
        helping = [position for position in own if look.verdicts[position] is Verdict.HELPS]
        best = max(helping, key=outcomes.mean, default=None)
        level = plan.contrasts[own[0]].baseline if best is None else plan.contrasts[best].level
        rest = {
            position: tuple(pair for pair in left[position] if all(same(cells[cell][factor], level) for cell in pair))
            if plan.contrasts[position].matched
            else _halves(left[position], {cell for cell, at in cells.items() if same(at[factor], level)})
            for (other, name), several in crossed.items()
            if other == design and name != factor and name not in levels
            for position in several
        }
        going_on = [position for position in rest if position in look.going_on]
        if all(rest[position] for position in going_on) and _clear(plan, rest, going_on):
            left |= rest
            levels[factor] = Frozen(design=design, factor=factor, level=level, after=look.wave)
    return left, levels


def _halves(pairs: Pairs, kept: Collection[str]) -> Pairs:
    """The treated and the control half of the cells that are kept, side by side; none where one is larger."""
    treated, control = ([cell for cell in dict.fromkeys(side) if cell in kept] for side in zip(*pairs, strict=True))
    return tuple(zip(treated, control, strict=True)) if len(treated) == len(control) else ()


def _clear(plan: Plan, pairs: Mapping[int, Pairs], going_on: Collection[int]) -> bool:
    """Whether no main effect that goes on is confounded with an interaction of two others in the rest of a fraction."""
    fraction = [position for position in pairs if not plan.contrasts[position].matched]
    if not fraction:
        return True
    cells = sorted({cell for position in fraction for pair in pairs[position] for cell in pair})
    signs = np.array([[1 if cell in dict(pairs[position]) else -1 for position in fraction] for cell in cells])
    held = zip(fraction, fractions.aliases(signs), strict=True)
    return not any(interactions for position, interactions in held if position in going_on)
