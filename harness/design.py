"""A Spec made into a Plan: the cells, the contrasts between them, and the runs that estimate them."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.factors import Level, label
from harness.settings import Budget, DataSettings, EvaluateSettings
from harness.spec import Spec

BASELINE = "baseline"
ALL_ON = "all on"
MOST_CELLS = 4096


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination of levels, with its complete settings as plain JSON values."""

    name: str
    levels: dict[str, Level]
    train: dict[str, Any]
    data: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A factor's level against its baseline, over pairs of (treated cell, control cell) that differ in nothing else."""

    name: str
    factor: str
    level: Level
    baseline: Level
    pairs: tuple[tuple[str, str], ...]
    design: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A cell trained with a seed. `key` is the run's identity: equal keys mean equal runs, in whatever study."""

    cell: str
    seed: int
    key: str


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A cell of the design that cannot be run, and why."""

    name: str
    levels: dict[str, Level]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a study will run. `control` names the cell that the others are held against."""

    study: str
    recipe: str
    design: str
    cells: tuple[Cell, ...]
    contrasts: tuple[Contrast, ...]
    runs: tuple[PlannedRun, ...]
    dropped: tuple[Dropped, ...]
    control: str
    budget: Budget
    evaluate: EvaluateSettings
    references: dict[str, DataSettings]
    fingerprint: str
    confounding: tuple[str, ...] = ()

    def cell(self, name: str) -> Cell:
        """The cell called `name`. Raises KeyError where there is none."""
        for cell in self.cells:
            if cell.name == name:
                return cell
        raise KeyError(name)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a design wants, possible or not: cells by name, the control first, and contrasts between them."""

    cells: dict[str, dict[str, Level]]
    contrasts: tuple[Contrast, ...]


def one_at_a_time(spec: Spec) -> Layout:
    """Every level alone against the baseline: what does each trick add to the plain recipe?"""
    baseline = _baseline(spec)
    cells = {BASELINE: baseline}
    contrasts = []
    for name, factor in spec.factors.items():
        for level in factor.levels:
            cell = _name({name: level}, spec)
            cells[cell] = {**baseline, name: level}
            contrasts.append(_contrast(spec, name, level, ((cell, BASELINE),)))
    return Layout(cells=cells, contrasts=tuple(contrasts))


def leave_one_out(spec: Spec) -> Layout:
    """All tricks on against all but one: what does each trick still add to the full recipe?

    A contrast is all on (treated) against without (control), so that its sign means what it means elsewhere.
    """
    on = {name: factor.levels[0] for name, factor in spec.factors.items()}
    for name, wanted in spec.design.on.items():
        on[name] = next(level for level in spec.factors[name].levels if label(level) == label(wanted))
    cells = {ALL_ON: on}
    contrasts = []
    for name, factor in spec.factors.items():
        cells[f"without {name}"] = {**on, name: factor.baseline}
        contrasts.append(_contrast(spec, name, on[name], ((ALL_ON, f"without {name}"),)))
    return Layout(cells=cells, contrasts=tuple(contrasts))


def full_factorial(spec: Spec) -> Layout:
    """Every combination of levels: what does each trick add on average over all settings of the others?"""
    count = math.prod(len(factor.every_level) for factor in spec.factors.values())
    if count > MOST_CELLS:
        text = f"'full-factorial' makes {count} cells, at most {MOST_CELLS} are planned; take away factors or levels"
        raise spec.refusal(("design", "kind"), text)
    combinations = itertools.product(*(factor.every_level for factor in spec.factors.values()))
    cells = {}
    for combination in combinations:
        levels = dict(zip(spec.factors, combination, strict=True))
        cells[_name(levels, spec)] = levels
    contrasts = []
    for name, factor in spec.factors.items():
        for level in factor.levels:
            treated = {cell: levels for cell, levels in cells.items() if label(levels[name]) == label(level)}
            pairs = tuple((cell, _name({**levels, name: factor.baseline}, spec)) for cell, levels in treated.items())
            contrasts.append(_contrast(spec, name, level, pairs))
    return Layout(cells=cells, contrasts=tuple(contrasts))


DESIGNS: dict[str, Callable[[Spec], Layout]] = {
    "one-at-a-time": one_at_a_time,
    "leave-one-out": leave_one_out,
    "full-factorial": full_factorial,
}


def plan(spec: Spec) -> Plan:
    """The runs that answer `spec`, in the order to run them: seed by seed, the control first.

    Raises SpecError where the control cell is impossible, or nothing is left to compare.
    """
    layout = DESIGNS[spec.design.kind](spec)
    cells, dropped = _possible(spec, layout)
    kept = {cell.name for cell in cells}
    contrasts = []
    for contrast in layout.contrasts:
        if pairs := tuple(pair for pair in contrast.pairs if kept.issuperset(pair)):
            contrasts.append(_contrast(spec, contrast.factor, contrast.level, pairs))
    if not contrasts:
        reason = dropped[0].reason if dropped else "it has no levels"
        text = f"'{spec.design.kind}' leaves nothing to compare: {dropped[0].name if dropped else 'the plan'}: {reason}"
        raise spec.refusal(("design", "kind"), f"{text}; change the design, or the factor's requires and exclude")
    references = _references(spec)
    shared = {
        "recipe": spec.recipe,
        "evaluate": spec.evaluate.model_dump(mode="json"),
        "references": {name: data.model_dump(mode="json") for name, data in references.items()},
        "budget": spec.budget.model_dump(mode="json"),
    }
    runs = [
        PlannedRun(
            cell=cell.name, seed=seed, key=_digest({**shared, "train": cell.train, "data": cell.data, "seed": seed})
        )
        for seed in spec.seeds
        for cell in cells
    ]
    identity = {
        **shared,
        "study": spec.study,
        "train": spec.train.model_dump(mode="json"),
        "data": spec.data.model_dump(mode="json"),
        "factors": {name: factor.model_dump(mode="json") for name, factor in spec.factors.items()},
    }
    return Plan(
        study=spec.study,
        recipe=spec.recipe,
        design=spec.design.kind,
        cells=tuple(cells),
        contrasts=tuple(contrasts),
        runs=tuple(runs),
        dropped=tuple(dropped),
        control=next(iter(layout.cells)),
        budget=spec.budget,
        evaluate=spec.evaluate,
        references=references,
        fingerprint=_digest(identity),
    )


def _possible(spec: Spec, layout: Layout) -> tuple[list[Cell], list[Dropped]]:
    """The cells that can be run, and the others with the reason. Raises SpecError where the control is an other."""
    cells: list[Cell] = []
    dropped: list[Dropped] = []
    same: dict[str, str] = {}
    for name, levels in layout.cells.items():
        train, data, refusals = spec.settings(levels)
        reason = _forbidden(spec, levels)
        if reason is None and refusals:
            reason = "; ".join(f"{'.'.join(map(str, keys))}: {text}" if keys else text for keys, text in refusals)
        if train is not None and data is not None and reason is None:
            cell = Cell(
                name=name, levels=levels, train=train.model_dump(mode="json"), data=data.model_dump(mode="json")
            )
            twin = same.setdefault(_digest([cell.train, cell.data]), name)
            if twin == name:
                cells.append(cell)
                continue
            reason = f"its settings are those of '{twin}'"
        dropped.append(Dropped(name=name, levels=levels, reason=str(reason)))
        if len(dropped) == 1 and not cells:
            text = f"the control cell '{name}' of {spec.design.kind} is impossible: {reason}"
            remedy = "choose other levels under design.on" if name == ALL_ON else "change the factors' baselines"
            raise spec.refusal(("design", "kind"), f"{text}; {remedy}, or another kind of design")
    return cells, dropped


def _forbidden(spec: Spec, levels: dict[str, Level]) -> str | None:
    """Why `requires` or `exclude` of some factor rules out this combination."""
    for name, factor in spec.factors.items():
        if label(levels[name]) == label(factor.baseline):
            continue
        for other, allowed in factor.requires.items():
            here = label(levels[other])
            if here not in map(label, allowed):
                wanted = " or ".join(map(label, allowed))
                return f"{name}={label(levels[name])} requires {other} at {wanted}, here it is at {here}"
        for other, forbidden in factor.exclude.items():
            if (here := label(levels[other])) in map(label, forbidden):
                return f"{name}={label(levels[name])} excludes {other} at {here}"
    return None


def _references(spec: Spec) -> dict[str, DataSettings]:
    """Name -> the fixed real images of a reference set: the data of the baseline, in the reference's own crop."""
    _, data, refusals = spec.settings(_baseline(spec))
    if data is None:
        raise spec.refusal(("data",), refusals[0].text)
    size = spec.evaluate.size or data.size
    return {crop: data.model_copy(update={"crop": crop, "size": size}) for crop in spec.evaluate.references}


def _baseline(spec: Spec) -> dict[str, Level]:
    return {name: factor.baseline for name, factor in spec.factors.items()}


def _name(levels: dict[str, Level], spec: Spec) -> str:
    """A cell's name: the levels that are not the baseline's."""
    moved = [
        f"{name}={label(level)}" for name, level in levels.items() if label(level) != label(spec.factors[name].baseline)
    ]
    return ", ".join(moved) or BASELINE


def _contrast(spec: Spec, factor: str, level: Level, pairs: tuple[tuple[str, str], ...]) -> Contrast:
    baseline = spec.factors[factor].baseline
    name = f"{factor}: {label(baseline)} -> {label(level)}"
    return Contrast(name=name, factor=factor, level=level, baseline=baseline, pairs=pairs)


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
