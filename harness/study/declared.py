"""The plan of a study as it was laid down before its first run, and how a later start departs from it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from harness.analysis.course import rule_of
from harness.analysis.paired import ALPHA
from harness.design import Plan
from harness.errors import SpecError, StudyError
from harness.report.opening import asked
from harness.spec.identity import digest
from harness.study.store import StudyStore

Record = Mapping[str, Any]

_FIXED = "declared"  # attribute of the study: what was laid down, by design where the number of seeds is fixed
_WORDS = {
    "worth": "worth",
    "design": "design",
    "family": "the family of contrasts",
    "cells": "what the design runs",
    "pairs": "what the design compares",
    "test": "design.test",
    "rule": "seeds",
}


def record(plan: Plan) -> dict[str, Any]:
    """What is laid down of a plan before its first run, as plain data; `digest` is that of all but when it was made."""
    first = min((run.seed for run in plan.runs), default=0)
    seeds = list(dict.fromkeys(run.seed for run in plan.runs))
    rule = {**asdict(plan.waves), "start": first} if plan.waves else {"seeds": seeds}
    unbounded = plan.waves is not None and plan.waves.most is None
    said = {
        "question": asked(plan),
        "recipe": plan.recipe,
        "objective": {name: str(getattr(plan.objective, name)) for name in ("name", "title", "unit", "direction")},
        "worth": {name: value for name, value in asdict(plan.worth).items() if value is not None},
        "design": plan.design,
        "test": plan.test,
        "family": [contrast.name for contrast in plan.contrasts],
        "cells": {cell.name: dict(cell.levels) for cell in plan.cells},
        "pairs": {contrast.name: [list(pair) for pair in contrast.pairs] for contrast in plan.contrasts},
        "rule": rule,
        "most_runs": None if unbounded else plan.size,
    }
    return {**said, "made": datetime.now(UTC).isoformat(timespec="seconds"), "digest": digest(said)}


def lay_down(store: StudyStore, plan: Plan) -> None:
    """Store the plan's record, unless there is one of it. Raises StudyError where that must not change any more.

    Where seeds come in waves nothing may, once a run has ended: the error that is promised is that of this family,
    worth and maximum. Nor may any run but the control's be known beforehand, from this study or from another whose runs
    would be taken over. A fixed number of seeds may grow, and other designs over the same factors may join; reports say
    so.
    """
    if plan.search is not None or plan.design == "noise":  # a pilot's runs make no claim
        return
    kept, now = store.recall("declared") or {}, record(plan)
    standing = store.foresee(plan)
    known = {
        **dict.fromkeys(standing.settled, store.name),
        **{key: each.study for key, each in standing.reused.items()},
    }
    if not store.settled:
        kept = {}  # whatever was laid down, nothing has come of it
    waves = next((each for each in kept.values() if "seeds" not in each["rule"]), None)
    elsewhere = f"give the study another name, like --set study={plan.study}-2, and fresh seeds, like --set "
    if waves is not None:
        changed = [name for name in _WORDS if waves.get(name) != now[name]]
        if changed:
            name = changed[-1] if plan.waves is None else changed[0]
            before = _said(waves.get(name))
            raise StudyError(
                f"study '{store.name}': {_WORDS[name]} was laid down as {before} before the first look, "
                f"and is {_said(now[name])} now; put it back, or {elsewhere}seeds.start={_fresh(plan, waves['rule'])}"
            )
        return
    if plan.waves is not None and kept:
        first = next(iter(kept.values()))["rule"]
        raise StudyError(
            f"study '{store.name}' was begun with {_said(first)}: its results are known, and a rule for looks "
            f"must be laid down before the first; {elsewhere}seeds.start={_fresh(plan, first)}"
        )
    seen = {run.seed: known[run.key] for run in plan.runs if run.key in known and run.cell != plan.control}
    if plan.waves is not None and seen:
        seeds, study = ", ".join(map(str, sorted(seen))), next(iter(seen.values()))
        raise StudyError(
            f"seeds: runs of seeds {seeds} are known from study '{study}', and a rule for looks must be laid down "
            f"before the first; take fresh seeds, like --set seeds.start={max(seen) + 1}"
        )
    if plan.design not in kept:
        now["runs_before"] = len(known)  # a pilot's, another study's, or those of an earlier version's study
        store.remember(declared={**kept, plan.design: now})


def refuse_blind(plan: Plan) -> None:
    """Raises SpecError where the rule could show nothing of so many tricks by its last look, as ranks of few seeds."""
    waves = plan.waves
    if waves is None or waves.most is None:
        return
    tests, level = len(plan.contrasts), ALPHA / len(plan.contrasts)

    def blind(most: int) -> bool:
        rule = rule_of(replace(waves, most=most), plan.test)
        return not np.isfinite(rule.limits(level, np.arange(waves.first, most + 1))).any()

    if not blind(waves.most):
        return
    # n signs alike have a p of 2 / 2^n, and no ranks a smaller one.
    least = max(waves.most + 1, math.ceil(1 - math.log2(level)))
    enough = next(most for most in itertools.count(least) if not blind(most))
    raise SpecError(
        f"design.test: {plan.test} can show nothing of {tests} contrast{'s' * (tests != 1)} in at most "
        f"{waves.most} seeds; give it {enough} or more, like --set seeds.most={enough}, or use test: t"
    )


def of_plan(store: StudyStore, plan: Plan) -> tuple[Record | None, tuple[str, ...]]:
    """What was laid down of the plan before its first run, and how the plan departs from it, in words."""
    kept = (store.recall("declared") or {}).get(plan.design)
    if kept is None or plan.search is not None:
        return None, ()
    now = record(plan)
    said = []
    if plan.waves is None and (planned := kept["rule"].get("seeds")) is not None:
        seeds = now["rule"]["seeds"]
        count = f"planned with {len(planned)} seed{'s' * (len(planned) != 1)}, now {len(seeds)}"
        if set(seeds) - set(planned):
            said.append(
                f"{count}: where the results were looked at before, the chance of any false claim is not 5 % but up to "
                "14 to 20 % (of six tricks); seeds: {first: 3, most: 20} is for looking as one goes"
            )
        if left := [seed for seed in planned if seed not in seeds]:
            said.append(
                f"{count}, without seed{'s' * (len(left) != 1)} {', '.join(map(str, left))}: where the results were "
                "known, what is left may be the lucky ones"
            )
    for name in ("worth", "family", "test"):
        if kept.get(name) != now[name]:
            said.append(f"planned with {_WORDS[name]} {_said(kept.get(name))}, now {_said(now[name])}")
    if before := kept.get("runs_before"):
        said.append(f"{before} runs were known before this plan was laid down")
    return kept, tuple(said)


def _said(value: Any) -> str:
    """A part of a record in words: `first 3, most 20`, `5 seeds`, `8 parts`."""
    if isinstance(value, Mapping) and "seeds" in value:
        return f"{len(value['seeds'])} seeds"
    if isinstance(value, Mapping) and any(isinstance(each, list | Mapping) for each in value.values()):
        return ", ".join(value)
    if isinstance(value, Mapping):
        if value.get("share") is not None:
            return f"{100 * value['share']:g} %"
        return ", ".join(f"{name} {'not said' if each is None else each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _fresh(plan: Plan, rule: Record) -> int:
    """A first seed after all that were planned."""
    used: list[int] = [*rule.get("seeds", ()), *(run.seed for run in plan.runs)]
    if "start" in rule:
        used.append(rule["start"] + (rule["most"] or 1) - 1)
    return max(used) + 1
