"""The plan that was made before the first run, for readers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.report import Report
from harness.spec import label


def title(report: Report) -> str:
    """`The plan, made on 2026-11-25 before the first run`; "" where none was laid down."""
    made = report.declared
    if not made:
        return ""
    before = "before the first run"
    if done := made.get("runs_before"):
        before = f"after {done} run{'s' * (done != 1)}"
    return f"The plan, made on {str(made.get('made', ''))[:10]} {before}"


def facts(report: Report) -> dict[str, str]:
    """What was laid down, part by part, in words."""
    made = report.declared
    if not made:
        return {}
    objective = made.get("objective", "")
    if isinstance(objective, Mapping):
        objective = f"{objective.get('title') or objective.get('name')}, to {objective.get('direction')}"
    said = {
        "question": made.get("question", ""),
        "recipe": made.get("recipe", ""),
        "objective": objective,
        "worth": _worth(made.get("worth", {}), made.get("objective")),
        "design": made.get("design", ""),
        "test": made.get("test", ""),
        "tricks compared": "; ".join(map(str, made.get("family", ()))),
        "seeds": _rule(made.get("rule", {})),
        "most runs": _most(made),
        "made": made.get("made", ""),
        "digest": made.get("digest", ""),
    }
    return {name: str(value) for name, value in said.items() if value}


def _most(made: Mapping[str, Any]) -> str:
    if "most_runs" not in made:
        return ""
    return "without a maximum" if made["most_runs"] is None else f"{made['most_runs']:,}"


def _worth(worth: Mapping[str, Any], objective: Any) -> str:
    if worth.get("share") is not None:
        return f"{100 * worth['share']:g} % of the control’s mean"
    unit = objective.get("unit", "") if isinstance(objective, Mapping) else ""
    return f"{worth['amount']:g} {unit}".rstrip() if worth.get("amount") is not None else ""


def _rule(rule: Mapping[str, Any]) -> str:
    if "seeds" in rule:
        seeds = rule["seeds"]
        return f"{len(seeds)}, laid down as {', '.join(map(str, seeds[:20]))}{'…' * (len(seeds) > 20)}"
    if "first" not in rule:
        return ", ".join(f"{name} {label(value)}" for name, value in rule.items())
    most = f"at most {rule['most']}" if rule.get("most") else "without a maximum"
    start = f", from seed {rule['start']} on" if rule.get("start") else ""
    return f"one after the other, {most}{start}; a look after each from the {rule['first']} first on"
