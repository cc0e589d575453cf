"""A Spec made into a Plan: the cells that can be run, the contrasts between them, and the runs that estimate them."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import replace
from typing import Any

from harness.design.layouts import ALL_ON, BASELINE, DESIGNS, Layout, Levels, baseline_levels, cell_name
from harness.design.model import Cell, Contrast, Dropped, Plan, PlannedRun, Search, Tried
from harness.spec import Spec
from harness.spec.factors import among, label, same

_COUNTED = 512  # cells of a search's space that are tried out for being possible


def plan(spec: Spec) -> Plan:
    """The runs that answer `spec`, in the order to run them: seed by seed, the control first.

    Raises SpecError where the control cell is impossible, or nothing is left to compare.
    """
    _, data, refusals = spec.settings(baseline_levels(spec))
    if data is None:
        raise spec.refusal(("data",), refusals[0].text)
    references = spec.references(data)
    shared = {
        "recipe": spec.recipe.name,
        "evaluate": spec.evaluate.model_dump(mode="json"),
        "references": {name: each.model_dump(mode="json") for name, each in references.items()},
        "budget": spec.budget.model_dump(mode="json"),
    }
    searching = _search(spec, shared) if spec.design.kind == "search" else None
    if searching is None:
        layout = DESIGNS[spec.design.kind](spec, spec.design)
    else:
        layout = Layout(cells={BASELINE: baseline_levels(spec)}, contrasts=())
    cells, dropped = _possible(spec, layout)
    kept = {cell.name for cell in cells}
    contrasts = []
    for contrast in layout.contrasts:
        if pairs := tuple(pair for pair in contrast.pairs if kept.issuperset(pair)):
            contrasts.append(replace(contrast, pairs=pairs))
    if searching is None:
        _refuse_empty(spec, layout, contrasts, dropped)
    identity = {
        **shared,
        "study": spec.study,
        "train": spec.train.model_dump(mode="json"),
        "data": spec.data.model_dump(mode="json"),
        "factors": {name: factor.model_dump(mode="json") for name, factor in spec.factors.items()},
        # What a sampler chose by its results must not pass for a design's runs, nor one sampler's for another's.
        **({"search": [searching.sampler, searching.prune]} if searching else {}),
    }
    seeds = spec.seeds[:1] if searching else spec.seeds
    return Plan(
        study=spec.study,
        recipe=spec.recipe.name,
        address=spec.address,
        unit=spec.recipe.unit,
        objective=spec.objective,
        worth=spec.worth,
        measures=spec.measures,
        design=spec.design.kind,
        cells=tuple(cells),
        contrasts=tuple(contrasts),
        runs=tuple(_run(cell, seed, shared) for seed in seeds for cell in cells),
        dropped=tuple(dropped),
        control=next(iter(layout.cells)),
        budget=spec.budget,
        evaluate=spec.evaluate,
        references=references,
        fingerprint=_digest(identity),
        confounding=layout.confounding,
        search=searching,
    )


def _refuse_empty(spec: Spec, layout: Layout, contrasts: list[Contrast], dropped: list[Dropped]) -> None:
    """Raises SpecError where a design that needs all of its cells has lost one, or nothing is left to compare."""
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


def _search(spec: Spec, shared: dict[str, Any]) -> Search:
    """The space of a search: cells are made when the sampler names them, since there may be far too many."""
    design = spec.design

    def make(levels: Levels, seed: int) -> Tried | str:
        cell = _cell(spec, cell_name(levels, spec), levels)
        return cell if isinstance(cell, str) else (cell, _run(cell, seed, shared))

    levels = {name: factor.every_level for name, factor in spec.factors.items()}
    cells = math.prod(map(len, levels.values()))
    if cells <= _COUNTED:  # a larger space is taken for wholly possible
        combinations = (dict(zip(levels, some, strict=True)) for some in itertools.product(*levels.values()))
        cells = len({made[1].key for some in combinations if not isinstance(made := make(some, spec.seeds[0]), str)})
    assert design.trials is not None, "checked with the spec"
    return Search(
        sampler=design.sampler or "tpe",
        trials=min(design.trials, cells * len(spec.seeds)),
        prune=design.prune,
        levels=levels,
        seeds=spec.seeds,
        make=make,
    )


def _run(cell: Cell, seed: int, shared: dict[str, Any]) -> PlannedRun:
    sections = {"train": cell.train.model_dump(mode="json"), "data": cell.data.model_dump(mode="json")}
    return PlannedRun(cell=cell.name, seed=seed, key=_digest({**shared, **sections, "seed": seed}))


def _cell(spec: Spec, name: str, levels: Levels) -> Cell | str:
    """The cell at `levels`, or why it is impossible."""
    train, data, refusals = spec.settings(levels)
    if (reason := _forbidden(spec, levels)) is not None:
        return reason
    if train is None or data is None:
        return "; ".join(f"{'.'.join(map(str, keys))}: {text}" if keys else text for keys, text in refusals)
    return Cell(name=name, levels=levels, train=train, data=data)


def _possible(spec: Spec, layout: Layout) -> tuple[list[Cell], list[Dropped]]:
    """The cells that can be run, and the others with the reason. Raises SpecError where the control is an other."""
    cells: list[Cell] = []
    dropped: list[Dropped] = []
    first: dict[tuple[str, str], str] = {}
    for name, levels in layout.cells.items():
        made = _cell(spec, name, levels)
        if isinstance(made, Cell):
            twin = first.setdefault((made.train.model_dump_json(), made.data.model_dump_json()), name)
            if twin == name:
                cells.append(made)
                continue
            made = f"its settings are those of '{twin}'"
        dropped.append(Dropped(name=name, levels=levels, reason=made))
        if len(dropped) == 1 and not cells:
            text = f"the control cell '{name}' of {spec.design.kind} is impossible: {made}"
            remedy = "choose other levels under design.on" if name == ALL_ON else "change the factors' baselines"
            raise spec.refusal(("design", "kind"), f"{text}; {remedy}, or another kind of design")
    return cells, dropped


def _forbidden(spec: Spec, levels: Levels) -> str | None:
    """Why `requires` or `exclude` of some factor rules out this combination."""
    for name, factor in spec.factors.items():
        if same(levels[name], factor.baseline):
            continue
        for other, allowed in factor.requires.items():
            if not among(levels[other], allowed):
                wanted, here = " or ".join(map(label, allowed)), label(levels[other])
                return f"{name}={label(levels[name])} requires {other} at {wanted}, here it is at {here}"
        for other, forbidden in factor.exclude.items():
            if among(levels[other], forbidden):
                return f"{name}={label(levels[name])} excludes {other} at {label(levels[other])}"
    return None


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
