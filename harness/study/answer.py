"""The answer of a study, gathered from its store at any time."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from harness.analysis import answer
from harness.analysis.answer import rows_of
from harness.design import Plan
from harness.design import plan as make_plan
from harness.design.cap import keep
from harness.errors import StudyError
from harness.files.images import load_pairs
from harness.machine import provenance
from harness.measures import RunState
from harness.report import Nearest, Picture, Report
from harness.spec import Spec, from_document
from harness.spec.documents import plain
from harness.study.declared import of_plan
from harness.study.notes import of_report
from harness.study.places import folder
from harness.study.store import StudyStore, without_password

_SPACE = ("sampler", "trials", "prune", "levels", "seeds")


def study_name(spec: Spec, plan: Plan) -> str:
    """The spec's study name and a digest of all that its numbers depend on.

    Another batch size or data source is another study, never a mixture in one; more seeds, or another design over the
    same factors, go on in the same study.
    """
    return f"{spec.study}-{plan.fingerprint[:6]}"


def plan_document(plan: Plan) -> dict[str, object]:
    """The plan as plain data, for the record."""
    return {
        "recipe": plan.recipe,
        "objective": plan.objective.name,
        "design": plan.design,
        "cells": {cell.name: {"levels": cell.levels, **cell.settings} for cell in plan.cells},
        "contrasts": [{"name": c.name, "pairs": c.pairs} for c in plan.contrasts],
        "runs": [{"cell": run.cell, "seed": run.seed, "key": run.key} for run in plan.runs],
        "dropped": [{"name": d.name, "reason": d.reason} for d in plan.dropped],
        "search": {name: getattr(plan.search, name) for name in _SPACE} if plan.search else None,
        "budget": plan.budget.model_dump(exclude_none=True),
        "evaluate": plan.evaluate.model_dump(mode="json"),
        "references": {name: value.model_dump(mode="json") for name, value in plan.references.items()},
    }


def gather(store: StudyStore, spec: Spec, plan: Plan, *, pictures: bool = False) -> Report:
    """What a report is made of. `pictures` are read only where they are shown: sample grids and nearest pairs."""
    ended, (declared, departures) = store.recall("ended"), of_plan(store, plan)
    plan = in_time(plan, ended)
    results = store.results(plan)
    answered = answer(results.runs, results.plan, results.curves)
    plan = answered.plan
    runs = results.runs if plan.waves is None else rows_of(results.runs, plan)
    counts = Counter(runs["state"])
    # Those that ended badly are in the answer's own notes.
    unfinished = (RunState.WAITING.value, RunState.RUNNING.value)
    waits = [f"{counts[state]} of {plan.size} runs {state}" for state in unfinished if counts[state]]
    return Report(
        answer=answered,
        runs=runs,
        curves=results.curves,
        grids=_grids(store, runs) if pictures else {},
        nearest=_nearest(store, runs) if pictures else None,
        importances=results.importances,
        provenance={"study": store.name, "storage": without_password(store.storage), **made_with(store)},
        declared=declared,
        departures=departures,
        notes=(
            *_out_of_time(ended),
            *waits,
            *answered.notes,
            *of_report(runs, plan),
            *plan.address.load().notes(runs, plan.evaluate),
        ),
        spec_text=_repeatable(spec, plan),
    )


def _repeatable(spec: Spec, plan: Plan) -> str:
    """The spec that plans these very runs: a cap on hours, which another machine would read otherwise, as its seeds."""
    document = plain(spec.document)
    if spec.design.max_hours and not plan.waves:
        document["seeds"] = sorted({run.seed for run in plan.runs})
        del document["design"]["max_hours"]
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def in_time(plan: Plan, ended: Mapping[str, float] | None) -> Plan:
    """The plan with the waves that there was time for; `ended` says how many those were, None that nothing ended it."""
    if plan.waves is None or not ended:
        return plan
    seeds = list(dict.fromkeys(run.seed for run in plan.runs))[: int(ended["waves"])]
    return keep(plan, seeds)


def _out_of_time(ended: Mapping[str, float] | None) -> list[str]:
    if not ended:
        return []
    return [
        f"stopped after {ended['waves']} seeds: another wave would not have ended within max_hours "
        f"{ended['max_hours']:g}; "
        "what is said here is valid, and with more hours the same command goes on"
    ]


def question(plan: Plan) -> str:
    """A digest of the runs and contrasts of a plan: equal where the answer is to the same question."""
    asked = [plan.design, *(contrast.name for contrast in plan.contrasts), *sorted(run.key for run in plan.runs)]
    return hashlib.sha256("\n".join(asked).encode()).hexdigest()[:16]


def _folders(store: StudyStore, runs: pd.DataFrame) -> list[Path]:
    """The folder of each run of the run table: in that study's which trained it."""
    studies = [str(run.get("reused_from") or store.name) for _, run in runs.iterrows()]
    places = {study: folder(store, study) for study in set(studies)}
    return [places[study] / str(key) for study, key in zip(studies, runs["key"], strict=True)]


def _grids(store: StudyStore, runs: pd.DataFrame) -> dict[str, Picture]:
    """The last sample grid of each cell's first seed that has one."""
    grids: dict[str, Picture] = {}
    for cell, directory in zip(runs["cell"], _folders(store, runs), strict=True):
        if cell not in grids and (found := sorted(directory.glob("grid-*.png"))):
            grids[cell] = found[-1]
    return grids


def _nearest(store: StudyStore, runs: pd.DataFrame) -> Nearest | None:
    """Images beside their nearest real ones, of the complete run that comes closest and still has them."""
    folders = _folders(store, runs.loc[runs["state"] == RunState.COMPLETE])
    told = [(about, directory) for directory in folders if (about := _nearest_in(directory))]
    for about, directory in sorted(told, key=lambda each: min(each[0]["distances"], default=math.inf)):
        with suppress(OSError, ValueError):  # a picture that is gone or damaged: the next closest then
            pairs = zip(load_pairs(directory / "nearest.png"), about["distances"], strict=True)
            return Nearest(
                title=about["title"],
                reading=about["reading"],
                pairs=tuple((generated, real, distance) for (generated, real), distance in pairs),
            )
    return None


def _nearest_in(directory: Path) -> dict[str, Any] | None:
    """What a run left of its nearest pairs; None where that is nothing, damaged, or of before it said of what."""
    try:
        about = json.loads((directory / "nearest.json").read_text(encoding="utf-8"))
        words = isinstance(about["title"], str) and isinstance(about["reading"], str)
        numbers = all(isinstance(each, float) and math.isfinite(each) for each in about["distances"])
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    return about if words and numbers and isinstance(about["distances"], list) else None


def made_with(store: StudyStore) -> dict[str, str]:
    """Commit, versions and machine of the last start that trained runs of the study."""
    return dict(store.recall("provenance") or provenance.provenance())


def load_report(storage: str, name_or_spec: str | Spec, *, pictures: bool = False) -> Report:
    """The report of a stored study, by its spec or by its name. Raises StudyError where there is none."""
    return load_study(storage, name_or_spec, pictures=pictures)[1]


def load_study(storage: str, name_or_spec: str | Spec, *, pictures: bool = False) -> tuple[Spec, Report]:
    """A stored study's spec and report, by its spec or by its name. Raises StudyError where there is none."""
    store, spec, plan = stored_spec(storage, name_or_spec)
    return spec, gather(store, spec, plan, pictures=pictures)


def stored_spec(storage: str, name_or_spec: str | Spec) -> tuple[StudyStore, Spec, Plan]:
    """A stored study, its spec and its plan, by its spec or by its name. Raises StudyError where there is none."""
    if isinstance(name_or_spec, Spec):
        spec = name_or_spec
        plan = make_plan(spec)
        store = StudyStore.find(storage, study_name(spec, plan))
    else:
        store = StudyStore.find(storage, name_or_spec)
        document = store.recall("spec")
        if document is None:
            raise StudyError(
                f"study '{store.name}' in {without_password(storage)} was not made by harness; name one that was"
            )
        spec = from_document(document, origin=f"study {store.name}", folder=store.recall("folder") or ".")
        plan = make_plan(spec)
    return store, spec, decided(plan, spec, store) or plan


def decided(plan: Plan, spec: Spec, store: StudyStore) -> Plan | None:
    """The plan as an earlier start cut it down to the same cap, so that another timing adds or drops nothing."""
    before = store.recall("capped")
    if (
        before is None
        or plan.waves
        or (before["max_hours"], before.get("question")) != (spec.design.max_hours, question(plan))
    ):
        return None
    return keep(plan, before["seeds"])
