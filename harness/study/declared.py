"""The plan of a study as it was laid down before its first run, and how a later start departs from it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from harness.design import Plan
from harness.errors import StudyError
from harness.report.opening import asked
from harness.spec.identity import digest
from harness.study.store import StudyStore

Record = Mapping[str, Any]

_FIXED = "declared"  # attribute of the study: what was laid down, by design where the number of seeds is fixed
_WORDS = {
    "worth": "worth",
    "family": "the tricks that are compared",
    "design": "design",
    "test": "design.test",
    "rule": "seeds",
}


def record(plan: Plan) -> dict[str, Any]:
    """What is laid down of a plan before its first run, as plain data; `digest` is that of all but when it was made."""
    first = min((run.seed for run in plan.runs), default=0)
    seeds = list(dict.fromkeys(run.seed for run in plan.runs))
    rule = {**asdict(plan.waves), "start": first} if plan.waves else {"seeds": seeds}
    said = {
        "question": asked(plan),
        "recipe": plan.recipe,
        "objective": {name: str(getattr(plan.objective, name)) for name in ("name", "title", "unit", "direction")},
        "worth": {name: value for name, value in asdict(plan.worth).items() if value is not None},
        "design": plan.design,
        "test": plan.test,
        "family": [contrast.name for contrast in plan.contrasts],
        "cells": {cell.name: dict(cell.levels) for cell in plan.cells},
        "rule": rule,
        "most_runs": plan.size,
    }
    return {**said, "made": datetime.now(UTC).isoformat(timespec="seconds"), "digest": digest(said)}


def lay_down(store: StudyStore, plan: Plan) -> None:
    """Store the plan's record, unless there is one of it. Raises StudyError where that must not change any more.

    Where seeds come in waves nothing may: the error that is promised is that of this family, worth and maximum. A fixed
    number of seeds may grow, and other designs over the same factors may join; reports say so.
    """
    kept = store.recall("declared") or {}
    if plan.search is not None:
        return
    now = record(plan)
    waves = next((each for each in kept.values() if "seeds" not in each["rule"]), None)
    if waves is not None:
        changed = [name for name in _WORDS if waves[name] != now[name]]
        if changed:
            name = changed[-1] if plan.waves is None else changed[0]
            raise StudyError(
                f"study '{store.name}': {_WORDS[name]} was laid down as {_said(waves[name])} before the first look, "
                f"and is {_said(now[name])} now; put it back, or give the study another name, like --set "
                f"study={plan.study}-2"
            )
        return
    if plan.waves is not None and kept:
        before = next(iter(kept.values()))
        raise StudyError(
            f"study '{store.name}' was begun with {_said(before['rule'])}: its results are known, and a rule for looks "
            f"must be laid down before the first; give the study another name, like --set study={plan.study}-2, and "
            f"fresh seeds, like --set seeds.start={_fresh(before['rule'])}"
        )
    if plan.design not in kept:
        trials = store.settled
        now["runs_before"] = trials  # a pilot's, or those of a study that an earlier version began
        store.remember(declared={**kept, plan.design: now})


def of_plan(store: StudyStore, plan: Plan) -> tuple[Record | None, tuple[str, ...]]:
    """What was laid down of the plan before its first run, and how the plan departs from it, in words."""
    kept = (store.recall("declared") or {}).get(plan.design)
    if kept is None or plan.search is not None:
        return None, ()
    now = record(plan)
    said = []
    if plan.waves is None and (planned := kept["rule"].get("seeds")) is not None:
        seeds = now["rule"]["seeds"]
        if more := [seed for seed in seeds if seed not in planned]:
            said.append(
                f"planned with {len(planned)} seed{'s' * (len(planned) != 1)}, now {len(planned) + len(more)}: where "
                "the results were looked at before, the chance of any false claim is not 5 % but up to 14 to 20 % (of "
                "six tricks); seeds: {first: 3, most: 20} is for looking as one goes"
            )
    for name in ("worth", "family"):
        if kept[name] != now[name]:
            said.append(f"planned with {_WORDS[name]} {_said(kept[name])}, now {_said(now[name])}")
    if before := kept.get("runs_before"):
        said.append(f"{before} runs were done before this plan was laid down")
    return kept, tuple(said)


def _said(value: Any) -> str:
    """A part of a record in words: `first 3, most 20`, `5 seeds`."""
    if isinstance(value, Mapping) and "seeds" in value:
        return f"{len(value['seeds'])} seeds"
    if isinstance(value, Mapping):
        if value.get("share") is not None:
            return f"{100 * value['share']:g} %"
        return ", ".join(f"{name} {'not said' if each is None else each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _fresh(rule: Record) -> int:
    """The first seed after those that were used."""
    used = set(rule.get("seeds", ()))
    return next(seed for seed in itertools.count(max(used, default=-1) + 1) if seed not in used)
