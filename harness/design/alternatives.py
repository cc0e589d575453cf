"""The designs that could answer a spec's question with about as many runs as its own, to be held side by side."""

from __future__ import annotations

from dataclasses import replace

from harness.design.model import Plan
from harness.design.planning import plan
from harness.errors import SpecError
from harness.spec import DesignSettings, Spec
from harness.spec.seeds import MOST_WAVES, Waves

HORIZON = 20
"""Seeds that are looked ahead where no maximum was declared."""
_KINDS = ("one-at-a-time", "leave-one-out", "fractional-factorial", "full-factorial")
_MOST_CELLS = 64  # of a design that nobody asked for


def alternatives(spec: Spec) -> list[Plan]:
    """The plan of the spec, then those of other designs over its factors that take no more runs at the most.

    Each has as many whole seeds as fit; one for which two do not, or the seeds before a first look, is left out, and so
    is one that is impossible here. A search and a noise study have no others.
    """
    if spec.design.kind in ("search", "noise"):
        return []
    seeds = spec.seeds
    if spec.waves and spec.waves.most is None:
        seeds = spec.seeds[: max(HORIZON, 2 * spec.waves.first)]
    own = plan(replace(spec, seeds=seeds))
    found = [own]
    for kind in _KINDS:
        other = replace(spec, design=_design(spec.design, kind))
        try:
            one = plan(replace(other, seeds=spec.seeds[:1], waves=None))
        except SpecError:
            continue
        fitting = len(own.runs) // len(one.cells)
        if len(one.cells) > _MOST_CELLS or any(_same(one, each) for each in found):
            continue
        if spec.waves is not None:
            fitting = min(fitting, MOST_WAVES)
            if fitting < spec.waves.first:
                continue
            most = None if spec.waves.most is None else fitting
            other = replace(other, waves=Waves(first=spec.waves.first, most=most))
        if fitting >= 2:
            found.append(plan(replace(other, seeds=_first(spec.seeds, fitting))))
    return found


def _design(own: DesignSettings, kind: str) -> DesignSettings:
    """The design of another kind, with nothing of the spec's own but the levels that count as on, and the test."""
    if kind == own.kind:
        return own
    kept = {"on"} if kind in ("leave-one-out", "fractional-factorial") else set()
    unset = {
        name: field.default
        for name, field in DesignSettings.model_fields.items()
        if name not in {"kind", "test", *kept}
    }
    return own.model_copy(update={**unset, "kind": kind})


def _first(seeds: tuple[int, ...], count: int) -> tuple[int, ...]:
    """So many seeds: the spec's own, and those after them."""
    more = range(max(seeds) + 1, max(seeds) + 1 + max(0, count - len(seeds)))
    return (*seeds, *more)[:count]


def _same(one: Plan, other: Plan) -> bool:
    """Whether two plans have the same cells and compare the same pairs of them."""
    return {cell.name for cell in one.cells} == {cell.name for cell in other.cells} and {
        contrast.pairs for contrast in one.contrasts
    } == {contrast.pairs for contrast in other.contrasts}
