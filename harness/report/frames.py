"""The answer as flat tables for CSV: every number at full precision, every cell safe to open in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, fields
from typing import Any

import pandas as pd

from harness.analysis.types import Effect, Endings, Estimate
from harness.design import Contrast
from harness.measures import RunState
from harness.report import Report
from harness.report.sheets.sheet import design
from harness.spec import Level, label

_FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # the last as East Asia types them


def csv(report: Report) -> dict[str, str]:
    """Name -> that table: the answer (effects, or what a search tried) first, the runs last."""
    safe = {name: frame.map(_defused).rename(columns=_defused) for name, frame in frames(report).items()}
    return {name: str(frame.to_csv(index=False, lineterminator="\n")) for name, frame in safe.items()}


def frames(report: Report) -> dict[str, pd.DataFrame]:
    """The typed answer as frames, those that the study has numbers for."""
    found = report.answer
    several = (
        effect for effects in (found.effects, *found.parts.values(), *found.costs.values()) for effect in effects
    )
    tables: dict[str, Iterable[Mapping[str, Any]]] = {
        "tried": (
            {**_flat(cell), **{str(state): cell.states.get(state, 0) for state in RunState}} for cell in found.tried
        ),
        "effects": (_effect(report, position, effect) for position, effect in enumerate(found.effects)),
        "statistics": ({**_contrast(report, e.contrast), "measure": e.measure.name, **_flat(e)} for e in several),
        "looks": _looks(report),
        "views": map(_flat, found.views),
        "interactions": map(_flat, found.factorial.terms) if found.factorial else (),
        "shapley": map(_flat, found.shapley.shares) if found.shapley else (),
        "bought": ({**_contrast(report, each.contrast), **_flat(each)} for each in found.bought),
        "prices": map(_flat, found.prices),
        "equal": ({**_contrast(report, each.contrast), **_flat(each)} for each in found.equal),
        "agreement": (
            {**_contrast(report, row.contrast), **_flat(row), **_changes(row.changes)}
            for row in (found.agreement.rows if found.agreement else ())
        ),
        "failures": map(_flat, found.failures),
    }
    made = {name: pd.DataFrame(rows) for name, each in tables.items() if (rows := list(each))}
    return {**made, "runs": report.runs}


def _looks(report: Report) -> Iterable[Mapping[str, Any]]:
    """A row a look and trick."""
    for look in report.answer.course.looks if report.answer.course else ():
        for place, contrast in enumerate(report.plan.contrasts):
            yield {
                "wave": look.wave,
                **_contrast(report, contrast),
                "n": look.seeds[place],
                "verdict": str(look.verdicts[place]),
                "unlikely": place in look.unlikely,
                "goes_on": place in look.going_on,
                "towards_effect": look.towards_effect[place],
                "towards_negligible": look.towards_negligible[place],
            }


def _contrast(report: Report, contrast: Contrast) -> dict[str, Any]:
    return {
        "trick": contrast.factor,
        "from": _level(contrast.baseline),
        "to": _level(contrast.level),
        "design": design(report, contrast),
    }


def _level(level: Level) -> Any:
    """A number stays one; all else is text."""
    return level if isinstance(level, int | float) and not isinstance(level, bool) else label(level)


def _effect(report: Report, position: int, effect: Effect) -> dict[str, Any]:
    """A row of the answer: the effect on the objective, its verdict, its costs."""
    row = {
        **_contrast(report, effect.contrast),
        "n": effect.n,
        report.plan.objective.name: effect.treated_mean,
        **_spread("change", effect.change),
        "relative": effect.relative,
        "p_adjusted": effect.p_adjusted,
        "worth": effect.worth,
        "p_within": effect.p_within,
        "p_beyond": effect.p_beyond,
        "verdict": str(effect.verdict),
        "reading": effect.reading,
    }
    for name, several in report.answer.costs.items():
        row |= {**_spread(name, several[position].change), f"{name}_n": several[position].n}
    return row


def _spread(name: str, estimate: Estimate | None) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), astuple(estimate or Estimate()), strict=True))


def _changes(changes: Mapping[str, Estimate]) -> dict[str, float]:
    return {key: value for name, estimate in changes.items() for key, value in _spread(name, estimate).items()}


def _flat(record: Any) -> dict[str, Any]:
    """A record's plain fields as they are, its estimates as three columns each, the counts of its runs by name."""
    row: dict[str, Any] = {}
    for each in fields(record):
        name, value = each.name, getattr(record, each.name)
        if isinstance(value, Estimate) or (value is None and "Estimate" in str(each.type)):
            row |= _spread(name, value)
        elif isinstance(value, Endings):
            prefix = "" if name == "endings" else f"{name}_"
            row |= {f"{prefix}{count.name}": getattr(value, count.name) for count in fields(value)}
        elif name == "level":
            row[name] = _level(value)
        elif name == "seeds_needed":
            row |= {f"{name}_{part}": getattr(value, part, None) for part in ("typical", "low", "high")}
        elif name == "factors":
            row["term"] = " x ".join(value)
        elif name == "aliases":
            row[name] = ", ".join(" x ".join(names) for names in value)
        elif isinstance(value, str | int | float | None):
            row[name] = value
    return row


def _defused(cell: Any) -> Any:
    """Text that a spreadsheet would run as a formula, marked as text; a bare CR, which no writer quotes, is a line."""
    if not isinstance(cell, str):
        return cell
    return ("'" if cell.startswith(_FORMULA) else "") + cell.replace("\r", "\n")
