"""The answer as JSON for scripts and agents, by the schema in `schema.json`."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from importlib.resources import files
from typing import Any, cast

from harness.analysis.types import Effect, Estimate, TriedCell, Verdict
from harness.report import Report
from harness.report.sheets.sheet import design


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that every document holds."""
    return cast(dict[str, Any], json.loads(files("harness.report").joinpath("schema.json").read_text("utf-8")))


def decided(report: Report) -> bool:
    """Whether every effect has a verdict; a search, and a study without effects, decide nothing."""
    effects = report.answer.effects
    return bool(effects) and all(effect.verdict is not Verdict.UNDECIDED for effect in effects)


def document(report: Report) -> dict[str, Any]:
    """Verdicts, intervals, n, costs and provenance as plain data; what is not a finite number is null."""
    plan, objective = report.plan, report.plan.objective
    found = {
        "schema_version": 1,
        "study": plan.study,
        "recipe": plan.recipe,
        "design": plan.design,
        "objective": {name: str(getattr(objective, name)) for name in ("name", "title", "unit", "direction")},
        "worth": asdict(plan.worth),
        "rule": _rule(report),
        "decided": decided(report),
        "effects": [_effect(report, position, effect) for position, effect in enumerate(report.answer.effects)],
        "runs": {str(state): int(count) for state, count in report.runs["state"].value_counts().items()},
        "looks": _looks(report),
        "declared": dict(report.declared) if report.declared else None,
        "departures": list(report.departures),
        "notes": list(report.notes),
        "provenance": dict(report.provenance),
    }
    if plan.search:
        found["cells"] = [_cell(cell) for cell in report.answer.tried]
    return found


def _effect(report: Report, position: int, effect: Effect) -> dict[str, Any]:
    costs = {name: several[position] for name, several in report.answer.costs.items()}
    return {
        "factor": effect.contrast.factor,
        "from": effect.contrast.baseline,
        "to": effect.contrast.level,
        "design": design(report, effect.contrast),
        "n": effect.n,
        **_spread(effect.change),
        "relative": _finite(effect.relative),
        "p_adjusted": _finite(effect.p_adjusted),
        "worth": _finite(effect.worth),
        "p_within": _finite(effect.p_within),
        "p_beyond": _finite(effect.p_beyond),
        "pairing": _finite(effect.pairing),
        "pairing_gain": _finite(effect.pairing_gain),
        "verdict": str(effect.verdict),
        "standing": _standing(effect),
        "reading": effect.reading,
        "frozen": [{"factor": each.factor, "level": each.level, "after": each.after} for each in effect.frozen],
        "costs": {name: {**_spread(cost.change), "n": cost.n} for name, cost in costs.items()},
    }


def _standing(effect: Effect) -> dict[str, Any] | None:
    """Where an undecided trick of a study in waves stands."""
    if effect.standing is None:
        return None
    return {"unlikely": effect.standing.unlikely, "left": effect.standing.left}


def _rule(report: Report) -> dict[str, Any]:
    """By which seeds effects are tested: so many, or waves of them."""
    plan = report.plan
    if plan.waves is not None:
        return {"test": plan.test, "seeds": asdict(plan.waves)}
    return {"test": plan.test, "seeds": len({run.seed for run in plan.runs})}


def _looks(report: Report) -> list[dict[str, Any]]:
    """What every look said of each trick, in the order of the effects; the last in the words of the answer."""
    course = report.answer.course
    return [
        {
            "wave": look.wave,
            "tricks": [
                {
                    "verdict": str(look.verdicts[place]),
                    "n": look.seeds[place],
                    "unlikely": place in look.unlikely,
                    "goes_on": place in look.going_on,
                    "towards_effect": _finite(look.towards_effect[place]),
                    "towards_negligible": _finite(look.towards_negligible[place]),
                    "reading": effect.reading if course and look is course.last else None,
                }
                for place, effect in enumerate(report.answer.effects)
            ],
        }
        for look in (course.looks if course else ())
    ]


def _cell(cell: TriedCell) -> dict[str, Any]:
    return {
        "cell": cell.cell,
        "n": cell.n,
        **_spread(cell.objective),
        "shrunk": _finite(cell.shrunk),
        "train_seconds": _finite(cell.seconds),
        "runs": {str(state): count for state, count in cell.states.items()},
    }


def _spread(estimate: Estimate) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in asdict(estimate).items()}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
