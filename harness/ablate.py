"""The main job: a spec becomes a plan, a study, runs, and an answer that is printed and published."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from harness import provenance
from harness.coordinator import RUNS, Coordinator, Outcome, tags_of
from harness.design import Plan
from harness.design import plan as make_plan
from harness.documents import plain
from harness.errors import StudyError
from harness.launch import open_launcher
from harness.progress import open_display
from harness.report import Picture, ReportData
from harness.settings import DataSettings
from harness.spec import Spec
from harness.study import StudyStore
from harness.tracking import Tracker

Note = Callable[[str], None]
_MOST_CPU_SLOTS = 4


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where and how a study runs: nothing here changes what is measured."""

    storage: str
    tracking_uri: str | None = None
    slots: int | None = None
    launch: str = "processes"
    take_over: bool = False


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Devices, slots and CPU threads a slot; a device is a GPU, or a share of the CPU's cores. Slots may share one."""

    devices: list[str]
    slots: int
    threads: int | None

    @property
    def where(self) -> str:
        """The devices in words."""
        if self.threads is None:
            return ", ".join(self.devices)
        return f"the CPU, {self.threads} thread{'s' * (self.threads > 1)} each"


def study_name(spec: Spec, plan: Plan) -> str:
    """The spec's study name and a digest of all that its numbers depend on.

    Another batch size or data source is another study, never a mixture in one; more seeds, or another design over the
    same factors, go on in the same study.
    """
    return f"{spec.study}-{plan.fingerprint[:6]}"


def data_of(plan: Plan) -> list[DataSettings]:
    """The distinct data settings that a plan reads: training sets, then reference sets."""
    wanted = [DataSettings(**cell.data) for cell in plan.cells] + list(plan.references.values())
    return list(dict.fromkeys(wanted))


def check_data(plan: Plan) -> None:
    """Refuse data that cannot be read, before anything is written. Raises DataError."""
    from harness.data import check

    for settings in data_of(plan):
        check(settings)


def check_extractors(plan: Plan) -> None:
    """Refuse extractors that are not to be had, before anything is written. Raises MetricError."""
    from harness.metrics import extractor

    for name in plan.evaluate.extractors:
        extractor(name, precision=plan.evaluate.precision)


def prepare_data(plan: Plan, note: Note) -> None:
    """Prepare every data set of the plan once, so that slots only map it. Raises DataError."""
    from harness.data import prepare

    for settings in data_of(plan):
        prepared = prepare(settings, workers=provenance.cores())
        line = f"data: {settings.source}, crop {settings.crop}, {settings.size} px: {len(prepared.images):,} images"
        note(line + (f" ({len(prepared.skipped)} skipped)" if prepared.skipped else ""))


def place(plan: Plan, options: Options) -> Placement:
    """One slot per GPU; on a CPU one per core, at most 4, each with its own share of the cores; unless told otherwise.

    A small network gains next to nothing from a second core, so that runs side by side on cores of their own finish
    sooner; such a share of the cores counts as a device.
    """
    wanted = str(plan.cells[0].train.get("device", "auto"))
    devices = _devices(wanted)
    if devices != ["cpu"]:
        return Placement(devices=devices, slots=_slots(options, len(devices)), threads=None)
    cores = provenance.cores()
    slots = _slots(options, min(cores, _MOST_CPU_SLOTS))
    return Placement(devices=["cpu"] * min(slots, cores), slots=slots, threads=max(1, cores // slots))


def _slots(options: Options, preferred: int) -> int:
    if options.launch != "inline":
        return options.slots or preferred
    if options.slots not in (None, 1):
        raise StudyError(f"--slots {options.slots}: --launch inline has one slot; use --launch processes")
    return 1


def _devices(wanted: str) -> list[str]:
    if wanted == "auto":
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return [f"cuda:{index}" for index in range(count)] or ["cpu"]
    return [wanted]


def ablate(spec: Spec, options: Options, note: Note) -> tuple[Outcome, ReportData]:
    """Run what is missing of the spec's study and publish the answer. Raises HarnessError on bad input."""
    plan = make_plan(spec)
    check_data(plan)
    check_extractors(plan)
    placement = place(plan, options)
    prepare_data(plan, note)

    store = StudyStore(options.storage, study_name(spec, plan))
    store.create(spec, plan)
    with store.ownership(take_over=options.take_over):
        counts = store.reconcile(plan)
        store.remember(spec=plain(spec.document), plan=plan_document(plan))
        if not counts["pending"]:
            note(f"study {store.name}: all {len(plan.runs)} runs are done, nothing to add")
            return Outcome(), gather(store, plan, tags_of(provenance.provenance()))
        note(_greeting(store, plan, counts, placement))
        tracker = Tracker(options.tracking_uri)
        facts = tags_of(provenance.provenance())
        tracker.open_study(spec.study, store.name, tags=facts | {"harness.design": plan.design})
        tracker.text(tracker.parent, json.dumps(plain(spec.document), indent=2, default=str), "spec.json")
        tracker.text(tracker.parent, json.dumps(plan_document(plan), indent=2, default=str), "plan.json")
        if diff := provenance.git_diff():
            tracker.text(tracker.parent, diff, "uncommitted.diff")
        status = "FAILED"
        launcher = open_launcher(options.launch, placement.slots)
        try:
            coordinator = Coordinator(
                plan,
                store,
                tracker,
                launcher,
                open_display(total=len(plan.runs), done=counts["done"]),
                devices=placement.devices,
                threads=placement.threads,
                tags=facts,
            )
            outcome = coordinator.run()
            report = gather(store, plan, facts)
            publish(report, store, tracker)
            status = "KILLED" if outcome.interrupted else "FAILED" if outcome.failed else "FINISHED"
        finally:
            launcher.close()
            tracker.finish(tracker.parent, status)
    return outcome, report


def _greeting(store: StudyStore, plan: Plan, counts: dict[str, int], placement: Placement) -> str:
    stale = f", {counts['stale']} left by a coordinator that died" if counts["stale"] else ""
    slots = f"{placement.slots} slot{'s' * (placement.slots > 1)} on {placement.where}"
    return (
        f"study {store.name}: {len(plan.runs)} runs, {counts['done']} done, {counts['pending']} to do{stale}; {slots}"
    )


def plan_document(plan: Plan) -> dict[str, object]:
    """The plan as plain data, for the record."""
    return {
        "design": plan.design,
        "cells": {cell.name: {"levels": cell.levels, "train": cell.train, "data": cell.data} for cell in plan.cells},
        "contrasts": [{"name": c.name, "pairs": c.pairs} for c in plan.contrasts],
        "runs": [{"cell": run.cell, "seed": run.seed, "key": run.key} for run in plan.runs],
        "dropped": [{"name": d.name, "reason": d.reason} for d in plan.dropped],
        "budget": plan.budget.model_dump(),
        "evaluate": plan.evaluate.model_dump(mode="json"),
        "references": {name: value.model_dump(mode="json") for name, value in plan.references.items()},
    }


def gather(store: StudyStore, plan: Plan, facts: dict[str, str]) -> ReportData:
    """What the report is made of: the run table, the answer, curves, and one sample grid per cell."""
    from harness.analysis import answer
    from harness.analysis.agreement import agreement
    from harness.analysis.equal import at_equal
    from harness.analysis.factorial import factorial_effects
    from harness.analysis.pareto import pareto
    from harness.analysis.shapley import shapley
    from harness.analysis.views import side_by_side

    runs, curves = store.run_table(plan), store.curves(plan)
    answered = answer(runs, plan)
    notes = [f"{count} of {len(runs)} runs {state}" for state, count in _unfinished(runs).items()]
    provenance_facts = {name.removeprefix("provenance."): value for name, value in facts.items()}
    return ReportData(
        plan=plan,
        runs=runs,
        answer=answered,
        curves=curves,
        grids=_grids(store.name, plan, runs),
        provenance={"study": store.name, "storage": store.storage, **provenance_facts},
        notes=[*notes, *answered.attrs["notes"]],
        factorial=factorial_effects(runs, plan, "mifid"),
        shapley=shapley(runs, plan, "mifid"),
        views=side_by_side(runs, plan, "mifid"),
        pareto=pareto(runs, plan),
        equal=at_equal(curves, runs, plan),
        agreement=agreement(runs, plan),
        pairs=_pairs(store.name, plan, runs),
        spec_text=yaml.safe_dump(store.recall("spec"), sort_keys=False, allow_unicode=True),
    )


def _unfinished(runs: pd.DataFrame) -> dict[str, int]:
    """How many runs wait or run still; those that ended badly are in the answer's own notes."""
    return {state: int(count) for state in ("waiting", "running") if (count := (runs["state"] == state).sum())}


def _grids(study: str, plan: Plan, runs: pd.DataFrame) -> dict[str, Path]:
    """The last sample grid of each cell's first complete seed."""
    grids: dict[str, Path] = {}
    for run in plan.runs:
        found = sorted((RUNS / study / run.key).glob("grid-*.png"))
        if found and run.cell not in grids:
            grids[run.cell] = found[-1]
    return grids


def _pairs(study: str, plan: Plan, runs: pd.DataFrame) -> list[tuple[Picture, Picture, float]]:
    """Images beside their nearest real ones, of the complete run that memorises most and still has them."""
    from harness.gan.grid import load_pairs

    done = runs[runs["state"] == "complete"].sort_values("memorization_distance")
    keys = {(run.cell, run.seed): run.key for run in plan.runs}
    for cell, seed in zip(done["cell"], done["seed"], strict=True):
        folder = RUNS / study / keys[cell, seed]
        if (folder / "nearest.png").exists():
            distances = json.loads((folder / "nearest.json").read_text(encoding="utf-8"))
            return [(*pair, d) for pair, d in zip(load_pairs(folder / "nearest.png"), distances, strict=True)]
    return []


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
    tracker.text(tracker.parent, report.runs.to_csv(index=False), "runs.csv")
    done = report.runs[report.runs["state"] == "complete"]
    metrics = [("runs_complete", float(len(done)), 0), ("best_mifid", float(done["mifid"].min()), 0)]
    for contrast in report.answer.to_dict("records"):
        name = f"effect/{contrast['trick']}={contrast['to']}"
        columns = ("delta_mifid", "delta_mifid_low", "delta_mifid_high", "delta_train_seconds", "p_holm")
        metrics += [(f"{name}/{column}", float(contrast[column]), 0) for column in columns]
    tracker.log(tracker.parent, metrics)
    store.study_note(f"# {store.name}\n\n{summary.markdown(report)}\n")
    for name, figure in plots.figures(report).items():
        store.study_figure(figure, name)
    for picture in pictures.pictures(report, page.parent / "pictures"):
        tracker.artifact(tracker.parent, picture, "pictures")


def load_report(storage: str, name_or_spec: str | Spec) -> ReportData:
    """The report of a stored study, by its spec or by its name. Raises StudyError where there is none."""
    if isinstance(name_or_spec, Spec):
        plan = make_plan(name_or_spec)
        store = StudyStore(storage, study_name(name_or_spec, plan))
        store.load()
    else:
        from harness.spec import from_document

        store = StudyStore.find(storage, name_or_spec)
        document = store.recall("spec")
        if document is None:
            raise StudyError(f"study '{store.name}' in {storage} was not made by harness; report one that was")
        plan = make_plan(from_document(document, origin=f"study {store.name}"))
    return gather(store, plan, tags_of(provenance.provenance()))
