"""The main job: a spec becomes a plan, a study, runs, and an answer that is printed and published."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module

from rich.console import Console

from harness.design import Plan
from harness.design import plan as make_plan
from harness.design.cap import Capped, cap
from harness.errors import SpecError, StudyError
from harness.machine import provenance
from harness.measures import RunState
from harness.report import Report
from harness.runs.launchers import LAUNCHERS
from harness.runs.preparing import make_ready
from harness.spec import Spec
from harness.spec.documents import plain
from harness.study import mirrored, notes, places
from harness.study.answer import decided, gather, question, study_name
from harness.study.calibration import LIMIT, Estimate, calibrate
from harness.study.coordinator import Coordinator, Outcome
from harness.study.declared import lay_down, refuse_blind
from harness.study.interrupts import counted
from harness.study.journal import Journal
from harness.study.looks import words
from harness.study.placement import Options, Placement, place, refuse_others
from harness.study.progress import Display
from harness.study.queue import Queue
from harness.study.store import Standing, StudyStore, source_of
from harness.study.sync import (
    IN_PASSING,
    PATIENCE,
    check_tracking,
    documents,
    mirror_of,
    status_of_study,
    tags_of,
)

Note = Callable[[str], None]


def ablate(spec: Spec, options: Options, note: Note) -> tuple[Outcome, Report]:
    """Run what is missing of the spec's study and publish the answer. Raises HarnessError on bad input."""
    plan = make_plan(spec)
    recipe = plan.address.load()
    refuse_blind(plan)
    refuse_others(plan, options)
    store = StudyStore(options.storage, study_name(spec, plan), while_waiting=notes.waiting(note, lambda: None))
    store.check()
    check_tracking(options.tracking_uri, note)
    store.refuse_used_seeds(plan)
    placed = functools.cache(lambda: place(plan, options))
    ready = functools.cache(lambda: get_ready(plan, options, placed(), note, meanwhile=_load_mirror))
    reuse = options.reuse and recipe.lasting(plan.data)
    if _is_ahead(plan, spec, store, options, reuse=reuse):
        ready()
    store.create(spec, plan)
    with store.ownership(take_over=options.take_over):
        if spec.design.max_hours and plan.waves:
            _refuse_less_than_a_look(plan, spec.design.max_hours, store, placed, note)
        elif spec.design.max_hours:
            plan = decided(plan, spec, store) or _decide(plan, spec.design.max_hours, store, placed(), note)
        lay_down(store, plan)
        elsewhere = places.find(store)
        journal = Journal(store.runs, note)
        queue = Queue(
            plan=plan,
            store=store,
            journal=journal,
            retry=options.retry,
            reuse=reuse,
            max_hours=spec.design.max_hours,
            at_once=lambda: at_once(placed()),
        )
        standing = queue.fill()
        # The folder as it lies to the current one, as the storage does: both may move together.
        store.remember(
            spec=plain(spec.document), folder=os.path.relpath(plan.address.folder), file=str(spec.path or spec.study)
        )
        if standing.pending:
            ready()
            places.settle(store)
            if elsewhere:
                note(elsewhere)
        for line in _greeting(store, standing, f"; {placed()}" if standing.pending else "", queue):
            note(line)
        if not options.reuse and standing.taken_before:
            note(
                f"{standing.taken_before} of {standing.plan.size} runs were taken over from another study at an "
                f"earlier start and stay; to train all anew give the study another name, like --set "
                f"study={spec.study}-anew"
            )
        news = bool(standing.pending or standing.reused)
        asked = question(standing.plan)
        if not news and store.recall("published") == asked:
            return _outcome(standing), _answered(_mirrored(store, spec, plan, journal, options, asked, note))
        # What was published before is not the answer to come.
        store.remember(published=None, **({"provenance": _made(plan)} if news else {}))
        with counted() as interrupts:  # from here on no signal leaves the parent run RUNNING
            store.while_waiting = notes.waiting(note, lambda: interrupts.check(more_than=1))
            display = Display(Console(), plan.objective, unit=plan.unit)
            mirror = mirror_of(store, spec, plan, journal, options.tracking_uri, running=True, say=display.note)
            placement = placed()
            # What runs print stands above what is drawn.
            say = display.note if display.console.is_terminal else None
            seats = replace(placement.seats, hung_after=options.hung_after, say=say)
            status, launcher = "FAILED", LAUNCHERS[options.launch](seats)
            from harness.study.publishing import publish  # loads MLflow and figures

            try:
                mirror.start()
                mirror.ask(documents(spec, plan, diff=provenance.git_diff()))
                outcome = Coordinator(
                    plan=plan,
                    store=store,
                    mirror=mirror,
                    journal=journal,
                    launcher=launcher,
                    display=display,
                    placement=placement,
                    interrupts=interrupts,
                    tags=tags_of(store, spec),
                    standing=standing,
                    queue=queue,
                    launch=options.launch,
                    outcome=_outcome(standing),
                ).run()
                so_far = interrupts.count
                store.while_waiting = notes.waiting(note, lambda: interrupts.check(more_than=so_far))
                report = gather(store, spec, plan, pictures=True)
                publish(report, store, mirror)
                status = "KILLED" if outcome.interrupted else "FAILED" if outcome.failed else "FINISHED"
            finally:
                try:
                    launcher.close()
                finally:
                    asked_before = interrupts.count
                    left = mirror.close(status, PATIENCE, check=lambda: interrupts.check(more_than=asked_before))
                    if left:
                        note(f"{left}; `harness sync {store.name}` brings it there")
                    elif status == "FINISHED":
                        mirrored.mark(store, journal, options.tracking_uri, tags_of(store, spec))
    return outcome, report if outcome.interrupted else _answered(report)


def get_ready(
    plan: Plan, options: Options, placement: Placement, note: Note, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Check what the plan's runs read and, where they are trained here, make it ready. Raises HarnessError.

    `meanwhile` is called while another process does it.
    """
    make_ready(
        plan.address,
        plan.data,
        plan.evaluate,
        prepare=not placement.away,  # else each machine prepares what its runs read
        note=note,
        apart=options.launch != "inline",
        meanwhile=meanwhile,
    )


def _load_mirror() -> None:
    """MLflow takes seconds to load."""
    import_module("harness.study.mirror")


def _is_ahead(plan: Plan, spec: Spec, store: StudyStore, options: Options, *, reuse: bool) -> bool:
    """Whether anything is to be trained, or timed, by what is stored so far. Writes nothing."""
    if not store.look():
        return True
    before = decided(plan, spec, store)
    if before is None and spec.design.max_hours and not plan.waves:
        return True
    plan = before or plan
    journal = Journal(store.runs)
    queue = Queue(plan=plan, store=store, journal=journal, retry=options.retry, reuse=reuse)
    return queue.foresee().pending > 0


def _mirrored(
    store: StudyStore,
    spec: Spec,
    plan: Plan,
    journal: Journal,
    options: Options,
    asked: str,
    note: Note,
) -> Report:
    """The report of a study that has nothing to add; MLflow gets what it lacks of it."""
    tags = tags_of(store, spec)
    if mirrored.holds_all(store, journal, options.tracking_uri, tags):
        return gather(store, spec, plan)
    mirror = mirror_of(store, spec, plan, journal, options.tracking_uri, running=False, say=note)
    mirror.start()
    status = ""
    try:
        lacks = mirror.opened(IN_PASSING) and mirror.published != asked
        report = gather(store, spec, plan, pictures=lacks)
        status = status_of_study(report.runs["state"])
        if lacks:
            from harness.study.publishing import publish  # loads figures

            mirror.ask(documents(spec, plan, diff=""))
            publish(report, store, mirror)
    finally:
        if left := mirror.close(status, IN_PASSING):
            note(f"{left}; `harness sync {store.name}` brings it there")
        else:
            mirrored.mark(store, journal, options.tracking_uri, tags)
    return report


def _made(plan: Plan) -> dict[str, str]:
    source = source_of(plan.address)
    return provenance.provenance() | ({"recipe.source": source} if source else {})


def _outcome(standing: Standing) -> Outcome:
    """The outcome of a start before anything is run: what failed too often is failed still."""
    return Outcome(given_up=len(standing.spent), reasons=list(standing.spent.values()))


def _answered(report: Report) -> Report:
    """The report, where it has anything to say. Raises StudyError where no run at all is complete."""
    runs, name = report.runs, report.provenance["study"]
    if (runs["state"] == RunState.COMPLETE).any():
        return report
    counts = ", ".join(f"{count} {state}" for state, count in runs["state"].value_counts().items())
    reasons = [reason for reason in runs.get("reason", ()) if isinstance(reason, str) and reason]
    why = f": {reasons[0]}" if reasons else ""
    raise StudyError(
        f"study {name}: no run is complete ({counts}){why}; there is nothing to compare: change the baseline's settings"
    )


def run_seconds(times: Mapping[str, Estimate], placement: Placement) -> dict[str, float]:
    """What one run of each cell adds to a study's wall clock, by its calibration."""
    return {cell: found.seconds / at_once(placement) for cell, found in times.items()}


def at_once(placement: Placement) -> int:
    """How many runs are trained at a time: slots beyond the devices share one and count as no speed until measured."""
    return min(placement.slots, len(placement.devices))


def _timed(plan: Plan, placement: Placement, note: Note) -> dict[str, Estimate]:
    """A calibration of every cell. Raises StudyError where nobody knows how long one takes."""
    note(f"timing: {len(plan.cells)} cells, a few seconds each")
    times = calibrate(plan, placement=placement)
    if unknown := [cell for cell, found in times.items() if found.unknown]:
        raise StudyError(
            f"design.max_hours: nobody knows how long '{unknown[0]}' takes: no progress in {LIMIT:.0f} s; let the "
            "recipe count with run.until_budget(), or take max_hours out and give fewer seeds"
        )
    return dict(times)


def _refuse_less_than_a_look(
    plan: Plan, max_hours: float, store: StudyStore, placed: Callable[[], Placement], note: Note
) -> None:
    """Raises SpecError where a study that has no run yet would not come to its first look within its hours."""
    assert plan.waves is not None
    if store.settled:
        return
    placement = placed()
    seconds = run_seconds(_timed(plan, placement, note), placement)
    hours = plan.waves.first * sum(seconds.values()) / 3600
    if hours > max_hours:
        raise SpecError(
            f"design.max_hours: {max_hours:g} is not enough: {plan.waves.first} seeds of the {len(plan.cells)} cells, "
            f"after which the first look comes, take about {hours:.2g} h; raise the cap, shorten the budget of "
            "a run, or take away levels"
        )


def _decide(plan: Plan, max_hours: float, store: StudyStore, placement: Placement, note: Note) -> Plan:
    times = _timed(plan, placement, note)
    capped = cap(plan, run_seconds(times, placement), max_hours)
    note(cap_line(capped, max_hours))
    seeds = sorted({run.seed for run in capped.plan.runs})
    store.remember(capped={"max_hours": max_hours, "question": question(plan), "seeds": seeds})
    return capped.plan


def cap_line(capped: Capped, max_hours: float) -> str:
    """What a cap drops, in words."""
    if not capped.dropped:
        return f"max_hours {max_hours:g}: about {capped.hours:.2g} h in all, nothing is dropped"
    return (
        f"max_hours {max_hours:g}: about {capped.hours:.2g} h in all; seeds {', '.join(map(str, capped.dropped))} are "
        f"dropped, in this order, which leaves about {capped.hours_kept:.2g} h"
    )


def _greeting(store: StudyStore, standing: Standing, where: str, queue: Queue) -> list[str]:
    """What a start says first: what there is to do and `where`, and what was done before."""
    plan, done = standing.plan, standing.done
    so_far = queue.course
    stale = f", {standing.stale} left by a coordinator that died" if standing.stale else ""
    lines = [
        f"study {store.name}: {notes.trainings(plan)}, {done} done, {standing.pending} to do{stale}{where}"
        if standing.pending
        else f"study {store.name}: {done} of {plan.size} runs are done"
        if done < plan.size
        else f"study {store.name}: all {plan.size} runs are done, nothing to add"
    ]
    if so_far is not None and not so_far.over and standing.pending:
        lines.append(notes.waves(queue.plan))
    if so_far is not None and so_far.last:
        lines.append(words(so_far.last, queue.plan))
    lines += notes.reused((each.study for each in standing.reused.values()), plan.size)
    lines += notes.changed(plan, standing.trained_otherwise, done)
    return lines + notes.given_up(standing)
