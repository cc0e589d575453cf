"""A Spec made into a Plan: the cells that can be run, the contrasts between them, and the runs that estimate them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from harness.design.layouts import ALL_ON, DESIGNS, Layout, baseline_levels
from harness.design.model import Cell, Dropped, Plan, PlannedRun
from harness.factors import Level, label
from harness.settings import DataSettings
from harness.spec import Spec


def plan(spec: Spec) -> Plan:
    """The runs that answer `spec`, in the order to run them: seed by seed, the control first.

    Raises SpecError where the control cell is impossible, or nothing is left to compare.
    """
    layout = DESIGNS[spec.design.kind](spec, spec.design)
    cells, dropped = _possible(spec, layout)
    kept = {cell.name for cell in cells}
    contrasts = []
    for contrast in layout.contrasts:
        if pairs := tuple(pair for pair in contrast.pairs if kept.issuperset(pair)):
            contrasts.append(replace(contrast, pairs=pairs))
    if layout.whole and dropped:
        text = (
            f"'{spec.design.kind}' needs every cell, and '{dropped[0].name}' cannot be run: {dropped[0].reason}; use "
            "one-at-a-time or full-factorial, or take away the factor's requires and exclude"
        )
        raise spec.refusal(("design", "kind"), text)
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
        confounding=layout.confounding,
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
    _, data, refusals = spec.settings(baseline_levels(spec))
    if data is None:
        raise spec.refusal(("data",), refusals[0].text)
    size = spec.evaluate.size or data.size
    return {crop: data.model_copy(update={"crop": crop, "size": size}) for crop in spec.evaluate.references}


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
