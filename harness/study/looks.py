"""What a look at a sequential study says: in words for readers, as numbers for MLflow, as plain data for the store."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from harness.analysis.course import Course
from harness.analysis.sequential import Look
from harness.analysis.types import Effect, Verdict
from harness.design import Contrast, Plan
from harness.spec import label


def title(contrast: Contrast, plan: Plan) -> str:
    """A trick's short name: its factor, with the level where there are several, and the design of a union."""
    levels = {label(each.level) for each in plan.contrasts if each.factor == contrast.factor}
    name = contrast.factor if len(levels) == 1 else f"{contrast.factor}={label(contrast.level)}"
    several = len({each.design for each in plan.contrasts}) > 1
    return f"{name} ({contrast.design})" if several else name


def words(look: Look, plan: Plan, effects: Sequence[Effect] = ()) -> str:
    """The look in one line: `crop helps after 4 seeds; margin: 6 of at most 20, 40 % of the way to negligible`."""
    said = (_of_trick(look, plan, place) for place in range(len(plan.contrasts)))
    return f"look after {_seeds(look.wave)}: {'; '.join(said)}"


def _of_trick(look: Look, plan: Plan, place: int) -> str:
    name, verdict, seeds = title(plan.contrasts[place], plan), look.verdicts[place], look.seeds[place]
    if verdict is Verdict.NEGLIGIBLE:
        return f"{name} is negligible after {_seeds(seeds)}"
    if verdict is not Verdict.UNDECIDED:
        return f"{name} {verdict} after {_seeds(seeds)}"
    if place in look.futile:
        return f"{name} is dropped after {_seeds(seeds)}, as unlikely to be decided"
    most = plan.waves.most if plan.waves else None
    if place not in look.going_on:
        return f"{name} is undecided after {_seeds(seeds)}"
    so_far = f"{seeds} of at most {most}" if most else _seeds(seeds)
    return f"{name}: {so_far}{_way(look, place)}"


def _way(look: Look, place: int) -> str:
    """How far a trick is towards the claim that it is nearest to."""
    ways = {"helps or hurts": look.towards_effect[place], "negligible": look.towards_negligible[place]}
    known = {name: way for name, way in ways.items() if not math.isnan(way)}
    if not known:
        return ""
    nearest = max(known, key=lambda name: known[name])
    return f", {100 * min(1.0, max(0.0, known[nearest])):.0f} % of the way to {nearest}"


def _seeds(count: int) -> str:
    return f"{count} seed" if count == 1 else f"{count} seeds"


def metrics(look: Look, plan: Plan) -> list[tuple[str, float, int]]:
    """(name, value, step) for MLflow, the step being the wave: what is undecided, and how far each trick is."""
    found = [("looks/undecided", float(sum(each is Verdict.UNDECIDED for each in look.verdicts)), look.wave)]
    for place, contrast in enumerate(plan.contrasts):
        name = title(contrast, plan).replace("/", "-")
        found += [
            (f"looks/{name}/seeds", float(look.seeds[place]), look.wave),
            (f"looks/{name}/towards_effect", look.towards_effect[place], look.wave),
            (f"looks/{name}/towards_negligible", look.towards_negligible[place], look.wave),
        ]
    return found


def document(course: Course, plan: Plan) -> list[dict[str, Any]]:
    """The looks as plain data, a mapping a look."""
    return [
        {
            "wave": look.wave,
            "tricks": {
                contrast.name: {
                    "verdict": str(look.verdicts[place]),
                    "seeds": look.seeds[place],
                    "futile": place in look.futile,
                    "goes_on": place in look.going_on,
                }
                for place, contrast in enumerate(plan.contrasts)
            },
        }
        for look in course.looks
    ]
