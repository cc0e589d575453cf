"""A Spec made into a Plan: the cells that can be run, the contrasts between them, and the runs that estimate them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from harness.design.layouts import ALL_ON, BASELINE, DESIGNS, Layout, baseline_levels, cell_name
from harness.design.model import Cell, Contrast, Dropped, Plan, PlannedRun, Search, Tried
from harness.spec import Spec, nesting
from harness.spec.factors import among, label, same, spelled
from harness.spec.identity import differing, digest, effective, trained
from harness.spec.idle import sleepers, wakes_under
from harness.spec.nesting import Levels

MOST_RUNS = 200_000
"""That a plan may have: far above what any study trains."""
_COUNTED = 512  # cells of a search's space that are tried out for being possible


def plan(spec: Spec) -> Plan:
    """The runs that answer `spec`, in the order to run them: seed by seed, the control first.

    Raises SpecError where the control cell is impossible, or nothing is left to compare.
    """
    train, data, refusals = spec.settings(baseline_levels(spec))
    if data is None:
        raise spec.refusal(("data",), refusals[0].text)
    references = spec.references(data)
    shared = {
        "recipe": [spec.recipe.name, spec.recipe.version],
        "evaluate": effective(spec.evaluate),
        "references": {name: effective(each) for name, each in references.items()},
        # As given: of a recipe's default budget another release may think otherwise.
        "budget": spec.budget.model_dump(mode="json", exclude_none=True),
        **({"identity": dict(spec.recipe.identity)} if spec.recipe.identity else {}),
    }
    searching = _search(spec, shared) if spec.design.kind == "search" else None
    if searching is None:
        layout = DESIGNS[spec.design.kind](spec, spec.design)
    else:
        layout = Layout(cells={BASELINE: baseline_levels(spec)}, contrasts=())
    cells, dropped, idle = _possible(spec, layout)
    kept = {cell.name for cell in cells}
    contrasts = []
    for contrast in layout.contrasts:
        if pairs := tuple(pair for pair in contrast.pairs if kept.issuperset(pair)):
            contrasts.append(replace(contrast, pairs=pairs))
    contrasts = _once(contrasts)
    if searching is None:
        _refuse_idle(spec, layout, contrasts, idle)
        _refuse_empty(spec, layout, contrasts, dropped)
    identity = {
        **shared,
        "study": spec.study,
        "objective": [spec.objective.name, spec.objective.direction.value],
        # Idle ones too: what plays no part here may in a cell where a factor sets the others.
        # Of defaults that the spec itself writes, those that a factor's baseline replaces are never run with.
        "train": differing(train if spec.recipe.identity and train is not None else spec.train),
        "data": differing(spec.data),
        "factors": {name: differing(factor) for name, factor in spec.factors.items()},
        # What a sampler chose by its results must not pass for a design's runs, nor one sampler's for another's.
        **({"search": [searching.sampler, searching.prune]} if searching else {}),
    }
    seeds = spec.seeds[:1] if searching else spec.seeds
    if len(cells) * len(seeds) > MOST_RUNS:
        text = f"{len(seeds):,} seeds of {len(cells):,} cells are {len(cells) * len(seeds):,} runs, more than"
        raise spec.refusal(("seeds",), f"{text} {MOST_RUNS:,} that can be planned; give fewer seeds, or fewer levels")
    return Plan(
        study=spec.study,
        recipe=spec.recipe.name,
        address=spec.address,
        unit=spec.recipe.unit,
        objective=spec.objective,
        worth=spec.worth,
        waves=spec.waves,
        test=spec.design.test or "t",
        measures=spec.measures,
        design=spec.design.kind,
        cells=tuple(cells),
        contrasts=tuple(contrasts),
        runs=_runs(cells, seeds, shared),
        dropped=tuple(dropped),
        control=next(iter(layout.cells)),
        budget=spec.budget,
        evaluate=spec.evaluate,
        references=references,
        fingerprint=digest(identity),
        confounding=layout.confounding,
        search=searching,
    )


def _once(contrasts: Iterable[Contrast]) -> list[Contrast]:
    """The contrasts, those of designs that compare the very same cells once: they are one test, and one of a family."""
    found: dict[tuple[object, ...], Contrast] = {}
    for contrast in contrasts:
        levels = spelled(contrast.level), spelled(contrast.baseline)
        found.setdefault((contrast.factor, *levels, contrast.matched, frozenset(contrast.pairs)), contrast)
    return list(found.values())


def _refuse_idle(spec: Spec, layout: Layout, contrasts: list[Contrast], idle: dict[str, dict[str, str]]) -> None:
    """Raises SpecError where levels that change nothing in their cells take away all that a factor is compared in.

    `idle` has the reason by cell and factor. A fraction, whose pairs are no matched ones, can have no such level.
    """
    if layout.whole and idle:
        cell, reasons = next(iter(idle.items()))
        text = (
            f"'{spec.design.kind}' needs every trick to play its part in every cell, and in '{cell}' "
            f"{next(iter(reasons.values()))}; use full-factorial or one-at-a-time, or take the factor away"
        )
        raise spec.refusal(("design", "kind"), text)
    compared = {contrast.factor for contrast in contrasts}
    for contrast in layout.contrasts:
        treated = [idle.get(cell, {}).get(contrast.factor) for cell, _ in contrast.pairs]
        if contrast.factor not in compared and (why := next(filter(None, treated), None)):
            found = wakes_under(spec.factors, contrast.factor, spec.sections)
            words = [f"{other}: [{', '.join(map(spelled, levels))}]" for other, levels in found.items()]
            remedy = f", like when: {{{words[0]}}}" if words else ""
            other = "" if spec.design.kind == "full-factorial" else ", or use full-factorial"
            text = f"{why}, and '{spec.design.kind}' compares it nowhere else; say where the factor exists{remedy}"
            raise spec.refusal(("factors", contrast.factor), text + other)


def _refuse_empty(spec: Spec, layout: Layout, contrasts: list[Contrast], dropped: list[Dropped]) -> None:
    """Raises SpecError where a design that needs all of its cells has lost one, or nothing is left to compare."""
    if layout.whole and dropped:
        text = (
            f"'{spec.design.kind}' needs every cell, and '{dropped[0].name}' cannot be run: {dropped[0].reason}; use "
            "one-at-a-time or full-factorial, or take away the factor's requires and exclude"
        )
        raise spec.refusal(("design", "kind"), text)
    if not contrasts and spec.design.kind != "noise":
        reason = dropped[0].reason if dropped else "it has no levels"
        text = f"'{spec.design.kind}' leaves nothing to compare: {dropped[0].name if dropped else 'the plan'}: {reason}"
        raise spec.refusal(("design", "kind"), f"{text}; change the design, or the factor's requires and exclude")


def _search(spec: Spec, shared: dict[str, Any]) -> Search:
    """The space of a search: cells are made when the sampler names them, since there may be far too many."""
    design = spec.design

    def make(levels: Levels, seed: int) -> Tried | str:
        levels = _awake(spec, nesting.settled(spec.factors, levels))
        cell = _cell(spec, cell_name(levels, spec), levels)
        return cell if isinstance(cell, str) else (cell, _runs([cell], [seed], shared)[0])

    levels = {name: factor.every_level for name, factor in spec.factors.items()}
    cells = math.prod(map(len, levels.values()))
    some = list(itertools.islice(nesting.every(spec.factors), _COUNTED + 1))
    if len(some) <= _COUNTED:  # a larger space is taken for wholly possible
        tried = (make(each, spec.seeds[0]) for each in some)
        cells = len({made[1].key for made in tried if not isinstance(made, str)})
    assert design.trials is not None, "checked with the spec"
    return Search(
        sampler=design.sampler or "tpe",
        trials=min(design.trials, cells * len(spec.seeds)),
        prune=design.prune,
        levels=levels,
        seeds=spec.seeds,
        make=make,
    )


def _awake(spec: Spec, levels: Levels) -> Levels:
    """`levels` with those that change nothing there at their baseline, so that a cell has one name."""
    while found := sleepers(spec.factors, levels, spec.sections):
        name = next(iter(found))
        levels = {**levels, name: spec.factors[name].baseline}
    return levels


def _runs(cells: Iterable[Cell], seeds: Iterable[int], shared: dict[str, Any]) -> tuple[PlannedRun, ...]:
    """Every cell with every seed, seed by seed."""
    contents = []
    for cell in cells:
        content = {**shared, "train": effective(cell.train), "data": effective(cell.data)}
        training = {**shared, "train": trained(cell.train), "data": trained(cell.data)}
        contents.append((cell.name, content, training))
    runs = []
    for seed in seeds:
        for name, content, training in contents:
            key = digest({**content, "seed": seed})
            other = key if training == content else digest({**training, "seed": seed})
            runs.append(PlannedRun(cell=name, seed=seed, key=key, training=other))
    return tuple(runs)


def _cell(spec: Spec, name: str, levels: Levels) -> Cell | str:
    """The cell at `levels`, or why it is impossible."""
    train, data, refusals = spec.settings(levels)
    if (reason := _forbidden(spec, levels)) is not None:
        return reason
    if train is None or data is None:
        return "; ".join(f"{'.'.join(map(str, keys))}: {text}" if keys else text for keys, text in refusals)
    return Cell(name=name, levels=levels, train=train, data=data)


def _possible(spec: Spec, layout: Layout) -> tuple[list[Cell], list[Dropped], dict[str, dict[str, str]]]:
    """The cells that can be run, the others with the reason, and by cell the factors that are idle there, and why.

    Raises SpecError where the control is one of the others.
    """
    cells: list[Cell] = []
    dropped: list[Dropped] = []
    idle: dict[str, dict[str, str]] = {}
    first: dict[str, str] = {}
    for name, levels in layout.cells.items():
        made = _cell(spec, name, levels)
        if isinstance(made, Cell):
            twin = first.setdefault(digest([effective(made.train), effective(made.data)]), name)
            if reasons := sleepers(spec.factors, levels, spec.sections):
                idle[name] = reasons
            if twin == name:
                cells.append(made)
                continue
            why = "; ".join(dict.fromkeys(reasons.values()))
            made = f"{why}: it is '{twin}'" if why else f"its settings are those of '{twin}'"
        dropped.append(Dropped(name=name, levels=levels, reason=made))
        if len(dropped) == 1 and not cells:
            text = f"the control cell '{name}' of {spec.design.kind} is impossible: {made}"
            remedy = "choose other levels under design.on" if name == ALL_ON else "change the factors' baselines"
            raise spec.refusal(("design", "kind"), f"{text}; {remedy}, or another kind of design")
    return cells, dropped, idle


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
