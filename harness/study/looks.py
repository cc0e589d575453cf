"""What a look at a sequential study says: in words for readers, as numbers for MLflow, as plain data for the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.analysis.course import Course
from harness.analysis.sequential import Look
from harness.analysis.standing import UNLIKELY
from harness.analysis.types import Effect, Verdict
from harness.design import Plan
from harness.report.looks import conditional, title, way


def words(look: Look, plan: Plan, effects: Sequence[Effect] = ()) -> str:
    """The look in one line: `crop helps after 4 seeds; margin: 6 of at most 20, 40 % of the way to negligible`.

    `effects` are those of the answer, contrast by contrast: what holds under a condition alone is said with it.
    """
    given: Sequence[Effect | None] = effects or [None] * len(plan.contrasts)
    said = (_of_trick(look, plan, place, effect) for place, effect in enumerate(given))
    return f"look after {_seeds(look.wave)}: {'; '.join(said)}"


def _of_trick(look: Look, plan: Plan, place: int, effect: Effect | None) -> str:
    name, verdict, seeds = title(plan.contrasts[place], plan), look.verdicts[place], look.seeds[place]
    if effect and conditional(look, place, effect):
        decided = "" if effect.verdict is Verdict.UNDECIDED else f" {effect.verdict}"
        return f"{name}{decided}: {effect.reading.replace('; ', ', ')}"
    beside = "".join(f", {each}" for each in effect.frozen if each.after < seeds) if effect else ""
    if verdict is not Verdict.UNDECIDED:
        found = f"is {verdict}" if verdict is Verdict.NEGLIGIBLE else str(verdict)
        return f"{name} {found} after {_seeds(seeds)}{beside}"
    if place in look.unlikely:
        return f"{name} is {UNLIKELY} after {_seeds(seeds)}{beside}"
    if place not in look.going_on:
        return f"{name} is undecided after {_seeds(seeds)}{beside}"
    most = plan.waves.most if plan.waves else None
    so_far = f"{seeds} of at most {most}" if most else _seeds(seeds)
    gone = way(look, place, "helps or hurts")
    return f"{name}: {so_far}{f', {100 * gone[0]:.0f} % of the way to {gone[1]}' if gone else ''}{beside}"


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


def document(course: Course, plan: Plan, effects: Sequence[Effect] = ()) -> list[dict[str, Any]]:
    """The looks as plain data, a mapping a look; the last with the readings of the answer's `effects`."""
    return [
        {
            "wave": look.wave,
            "tricks": {
                contrast.name: {
                    "verdict": str(look.verdicts[place]),
                    "seeds": look.seeds[place],
                    "unlikely": place in look.unlikely,
                    "goes_on": place in look.going_on,
                    "reading": effects[place].reading if effects and look is course.last else None,
                }
                for place, contrast in enumerate(plan.contrasts)
            },
        }
        for look in course.looks
    ]
