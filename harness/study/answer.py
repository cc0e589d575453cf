"""The answer of a study: gathered from the store, reported at any time, published where MLflow and Optuna show it."""

from __future__ import annotations

import hashlib
import json

import pandas as pd
import yaml

from harness.design import Plan, Search
from harness.design import plan as make_plan
from harness.errors import StudyError
from harness.machine import provenance
from harness.report import Picture, ReportData
from harness.spec import Spec
from harness.spec.documents import plain
from harness.study.coordinator import RUNS, tags_of
from harness.study.store import StudyStore
from harness.study.tracking import Tracker


def study_name(spec: Spec, plan: Plan) -> str:
    """The spec's study name and a digest of all that its numbers depend on.

    Another batch size or data source is another study, never a mixture in one; more seeds, or another design over the
    same factors, go on in the same study.
    """
    return f"{spec.study}-{plan.fingerprint[:6]}"


def plan_document(plan: Plan) -> dict[str, object]:
    """The plan as plain data, for the record."""
    return {
        "design": plan.design,
        "cells": {cell.name: {"levels": cell.levels, **cell.settings} for cell in plan.cells},
        "contrasts": [{"name": c.name, "pairs": c.pairs} for c in plan.contrasts],
        "runs": [{"cell": run.cell, "seed": run.seed, "key": run.key} for run in plan.runs],
        "dropped": [{"name": d.name, "reason": d.reason} for d in plan.dropped],
        "search": _space(plan.search) if plan.search else None,
        "budget": plan.budget.model_dump(),
        "evaluate": plan.evaluate.model_dump(mode="json"),
        "references": {name: value.model_dump(mode="json") for name, value in plan.references.items()},
    }


def _space(search: Search) -> dict[str, object]:
    return {
        "sampler": search.sampler,
        "trials": search.trials,
        "prune": search.prune,
        "levels": search.levels,
        "seeds": search.seeds,
    }


def gather(store: StudyStore, spec: Spec, plan: Plan, facts: dict[str, str]) -> ReportData:
    """What the report is made of: the run table, the answer, curves, and one sample grid per cell."""
    from harness.analysis import COSTS, answer, effects
    from harness.analysis.agreement import agreement
    from harness.analysis.bought import bought
    from harness.analysis.equal import at_equal
    from harness.analysis.factorial import factorial_effects
    from harness.analysis.pareto import pareto
    from harness.analysis.shapley import shapley
    from harness.analysis.tried import tried
    from harness.analysis.views import side_by_side

    plan = store.tried(plan)
    runs, curves = store.run_table(plan), store.curves(plan)
    designed = plan.search is None  # runs that a sampler picked by their results estimate no effect
    answered = answer(runs, plan)
    notes = [f"{count} of {plan.size} runs {state}" for state, count in _unfinished(runs).items()]
    provenance_facts = {name.removeprefix("provenance."): value for name, value in facts.items()}
    return ReportData(
        plan=plan,
        runs=runs,
        answer=answered,
        curves=curves,
        grids=_grids(store.name, plan),
        provenance={"study": store.name, "storage": store.storage, **provenance_facts},
        notes=[*notes, *answered.attrs["notes"]],
        effects={metric: effects(runs, plan, metric) for metric in ("mifid", *COSTS)} if designed else {},
        tried=tried(runs, plan),
        factorial=factorial_effects(runs, plan, "mifid") if designed else None,
        shapley=shapley(runs, plan, "mifid") if designed else None,
        views=side_by_side(runs, plan, "mifid") if designed else None,
        bought=bought(runs, plan) if designed else None,
        pareto=pareto(runs, plan),
        equal=at_equal(curves, runs, plan) if designed else None,
        agreement=agreement(runs, plan),
        importances={} if designed else store.importances(),
        pairs=_pairs(store.name, plan, runs),
        spec_text=_repeatable(spec, plan),
    )


def _repeatable(spec: Spec, plan: Plan) -> str:
    """The spec that plans these very runs: a cap on hours, which another machine would read otherwise, as its seeds."""
    document = plain(spec.document)
    if spec.design.max_hours:
        document["seeds"] = sorted({run.seed for run in plan.runs})
        del document["design"]["max_hours"]
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def question(plan: Plan) -> str:
    """A digest of the runs and contrasts of a plan: equal where the answer is to the same question."""
    asked = [plan.design, *(contrast.name for contrast in plan.contrasts), *sorted(run.key for run in plan.runs)]
    return hashlib.sha256("\n".join(asked).encode()).hexdigest()[:16]


def _unfinished(runs: pd.DataFrame) -> dict[str, int]:
    """How many runs wait or run still; those that ended badly are in the answer's own notes."""
    return {state: int(count) for state in ("waiting", "running") if (count := (runs["state"] == state).sum())}


def _grids(study: str, plan: Plan) -> dict[str, Picture]:
    """The last sample grid of each cell's first complete seed."""
    grids: dict[str, Picture] = {}
    for run in plan.runs:
        found = sorted((RUNS / study / run.key).glob("grid-*.png"))
        if found and run.cell not in grids:
            grids[run.cell] = found[-1]
    return grids


def _pairs(study: str, plan: Plan, runs: pd.DataFrame) -> list[tuple[Picture, Picture, float]]:
    """Images beside their nearest real ones, of the complete run that memorises most and still has them."""
    from harness.files.images import load_pairs

    done = runs[runs["state"] == "complete"].sort_values("memorization_distance")
    keys = {(run.cell, run.seed): run.key for run in plan.runs}
    for cell, seed in zip(done["cell"], done["seed"], strict=True):
        folder = RUNS / study / keys[cell, seed]
        if (folder / "nearest.png").exists():
            distances = json.loads((folder / "nearest.json").read_text(encoding="utf-8"))["distances"]
            return [(*pair, d) for pair, d in zip(load_pairs(folder / "nearest.png"), distances, strict=True)]
    return []


def headline(report: ReportData) -> dict[str, float]:
    """The numbers that studies are sorted and compared by in MLflow.

    Designs of one study may hold the same trick against different cells, so that an effect names its design.
    """
    done = report.runs[report.runs["state"] == "complete"]
    metrics = {"runs_complete": float(len(done)), "best_mifid": float(done["mifid"].min())}
    for contrast, row in zip(report.plan.contrasts, report.answer.to_dict("records"), strict=True):
        name = f"effect/{contrast.design or report.plan.design}/{row['trick']}={row['to']}"
        columns = ("delta_mifid", "delta_mifid_low", "delta_mifid_high", "delta_train_seconds", "p_holm")
        metrics |= {f"{name}/{column}": float(row[column]) for column in columns}
    for evaluator, shares in report.importances.items():
        metrics |= {f"importance/{evaluator}/{name}": share for name, share in shares.items()}
    return metrics


def publish(report: ReportData, store: StudyStore, tracker: Tracker) -> None:
    """The answer as metrics, files, notes and a figure, where MLflow and Optuna show them."""
    from harness.report import html, pictures, plots, summary

    page = RUNS / store.name / "report.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(html.render(report), encoding="utf-8")
    tracker.artifact(tracker.parent, page)
    tracker.text(tracker.parent, summary.markdown(report), "report.md")
    for name, text in summary.csv(report).items():
        tracker.text(tracker.parent, text, f"{name}.csv")
    tracker.log(tracker.parent, [(name, value, 0) for name, value in headline(report).items()])
    store.study_note(f"# {store.name}\n\n{summary.markdown(report)}\n")
    for name, figure in plots.figures(report).items():
        store.study_figure(figure, name)
    for picture in pictures.pictures(report, page.parent / "pictures"):
        tracker.artifact(tracker.parent, picture, "pictures")


def made_with(store: StudyStore) -> dict[str, str]:
    """Commit, versions and machine of the last start that trained runs of the study, as tags."""
    return tags_of(store.recall("provenance") or provenance.provenance())


def load_report(storage: str, name_or_spec: str | Spec) -> ReportData:
    """The report of a stored study, by its spec or by its name. Raises StudyError where there is none."""
    if isinstance(name_or_spec, Spec):
        plan = make_plan(name_or_spec)
        spec = name_or_spec
        store = StudyStore(storage, study_name(spec, plan))
        store.load()
    else:
        from harness.spec import from_document

        store = StudyStore.find(storage, name_or_spec)
        document = store.recall("spec")
        if document is None:
            raise StudyError(f"study '{store.name}' in {storage} was not made by harness; report one that was")
        spec = from_document(document, origin=f"study {store.name}")
        plan = make_plan(spec)
    return gather(store, spec, decided(plan, spec, store) or plan, made_with(store))


def decided(plan: Plan, spec: Spec, store: StudyStore) -> Plan | None:
    """The plan as an earlier start cut it down to the same cap, so that another timing adds or drops nothing."""
    from harness.design.cap import keep

    before = store.recall("capped")
    if before is None or (before["max_hours"], before.get("question")) != (spec.design.max_hours, question(plan)):
        return None
    return keep(plan, before["seeds"])
