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
        "decided": decided(report),
        "effects": [_effect(report, position, effect) for position, effect in enumerate(report.answer.effects)],
        "runs": {str(state): int(count) for state, count in report.runs["state"].value_counts().items()},
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
        "verdict": str(effect.verdict),
        "reading": effect.reading,
        "costs": {name: {**_spread(cost.change), "n": cost.n} for name, cost in costs.items()},
    }


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
