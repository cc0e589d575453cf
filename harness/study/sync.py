"""`harness sync`: MLflow is brought to what a study holds, without training; what a start needs for it too."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from harness.design import Plan
from harness.errors import StudyError
from harness.measures import RunState
from harness.spec import Spec
from harness.spec.documents import plain
from harness.study import places
from harness.study.answer import gather, made_with, plan_document, question, stored_spec
from harness.study.journal import Journal
from harness.study.recording import unwritten
from harness.study.store import StudyStore
from harness.study.store.address import without_password
from harness.study.store.opening import check
from harness.study.tracked import address, origin

if TYPE_CHECKING:  # they load MLflow
    from harness.study.mirror import Mirror
    from harness.study.tracking import Tracker

Note = Callable[[str], None]
PATIENCE = 60.0
"""Seconds of silence after which MLflow is not waited for any more at the end of a study."""
IN_PASSING = 15.0
"""The same at a start that trains nothing."""
_AT_FIRST = 10.0  # seconds that a database of MLflow's may be locked at a start, which then goes on without


def sync(storage: str, name_or_spec: str | Spec, tracking_uri: str | None, note: Note) -> None:
    """Bring MLflow to what a stored study holds: runs that it lacks, how they ended, the answer. Raises StudyError."""
    store, spec, plan = stored_spec(storage, name_or_spec)
    check_tracking(tracking_uri, note)
    with store.ownership():
        places.find(store)
        journal = Journal(store.runs, note)
        mirror = mirror_of(store, spec, plan, journal, tracking_uri, running=False, say=note)
        mirror.start()
        status = ""
        try:
            report = gather(store, spec, plan, pictures=True)
            states = report.runs["state"]
            status = status_of_study(states)
            if mirror.opened(PATIENCE) and mirror.published != question(report.answer.plan):
                mirror.ask(documents(spec, plan, diff=""))
                if (states == RunState.COMPLETE).any():
                    from harness.study.publishing import publish

                    publish(report, store, mirror)
        finally:
            left = mirror.close(status, PATIENCE)
    if left:
        raise StudyError(f"{left}; try `harness sync {store.name}` again when it answers")
    made, filled, closed = (mirror.changed[name] for name in ("made", "filled", "closed"))
    done = (
        f"{made} run(s) made, {filled} filled, {closed} closed" if made or filled or closed else "nothing was missing"
    )
    note(f"study {store.name} in MLflow ({without_password(mirror.uri)}): {done}")


def status_of_study(states: Iterable[str]) -> str:
    """MLflow's word for a study that nobody trains now."""
    found = set(states)
    if RunState.FAILED in found:
        return "FAILED"
    return "KILLED" if found & {RunState.WAITING, RunState.RUNNING, RunState.MISSING} else "FINISHED"


def check_tracking(uri: str | None, note: Note) -> None:
    """Raise StudyError where MLflow cannot keep its data at `uri`. One that is locked is not waited for long."""
    flag = "MLFLOW_TRACKING_URI" if uri is None and os.environ.get("MLFLOW_TRACKING_URI") else "--tracking-uri"

    def wait(reason: str, seconds: float) -> None:
        if seconds > _AT_FIRST:
            raise _LockedError(reason)

    try:
        check(address(uri), flag=flag, program="MLflow", while_waiting=wait)
    except _LockedError as busy:
        note(f"{busy}: MLflow gets the runs when it answers")


class _LockedError(Exception):
    """A database is locked for longer than a start waits for it."""


def mirror_of(
    store: StudyStore,
    spec: Spec,
    plan: Plan,
    journal: Journal,
    tracking_uri: str | None,
    *,
    running: bool,
    say: Note,
) -> Mirror:
    """The mirror of a study, with all that it holds now."""
    from harness.study.mirror import Mirror

    tags = tags_of(store, spec)
    return Mirror(
        uri=tracking_uri,
        experiment=spec.study,
        study=store.name,
        journal=journal,
        tags=tags | {"harness.design": plan.design},
        unit=plan.unit,
        running=running,
        records=unwritten(store, plan, journal, tags),
        say=say,
    )


def tags_of(store: StudyStore, spec: Spec) -> dict[str, str]:
    """Where the runs of a study come from, as its last start knew it."""
    return origin(made_with(store), store.recall("file") or str(spec.path or spec.study))


def documents(spec: Spec, plan: Plan, *, diff: str) -> Callable[[Tracker], None]:
    """A job: spec and plan among the files of the parent run, and what of the source was not committed."""
    texts = {
        "spec.json": json.dumps(plain(spec.document), indent=2, default=str),
        "plan.json": json.dumps(plan_document(plan), indent=2, default=str),
    }
    if diff:
        texts["uncommitted.diff"] = diff

    def keep(tracker: Tracker) -> None:
        for name, text in texts.items():
            tracker.text(tracker.parent, text, name)

    return keep
