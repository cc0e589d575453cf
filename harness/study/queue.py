"""Which runs of a plan are trained next: all that are missing or, where seeds come in waves, those of the next wave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import fmean

import pandas as pd

from harness.analysis.course import Course, course, has_ended
from harness.analysis.sequential import Look
from harness.design import Plan
from harness.study.answer import in_time, plan_document
from harness.study.journal import Journal
from harness.study.looks import document
from harness.study.store import Standing, StudyStore
from harness.study.trainings import kept


@dataclass(kw_only=True)
class Queue:
    """Fills the study's queue, at its start and, where seeds come in waves, whenever a wave has ended.

    Where seeds come in waves, `max_hours` of the machine, which trains `at_once` so many runs, end the study: no wave
    is begun that would not be over by then. `runs` and `course` are how it stood when the queue was filled last.
    """

    plan: Plan
    store: StudyStore
    journal: Journal
    reuse: bool = True
    retry: bool = False
    max_hours: float | None = None
    at_once: Callable[[], int] = lambda: 1
    runs: pd.DataFrame = field(default_factory=pd.DataFrame)
    course: Course | None = None

    def fill(self) -> Standing:
        """Queue what is to be trained now; where nothing is, no run of the standing is `pending` or `reused`."""
        plan = self._asked() if self.plan.waves else self.plan
        standing = self.store.reconcile(
            plan,
            retry=self.retry,
            reuse=self.reuse,
            kept=lambda run: kept(self.store.runs, run),
            ended=self.journal.ended,
            scored=self.journal.scored,
        )
        self.retry = False  # what fails again is not tried for ever
        self.store.remember(plan=plan_document(plan))
        return standing

    def foresee(self) -> Standing:
        """Where the runs would stand that `fill` would queue now, but for what `max_hours` forbids. Writes nothing."""
        plan = self.plan
        if plan.waves:
            plan = in_time(replace(plan, runs=course(self._table(), plan).asked), self.store.recall("ended"))
        return self.store.foresee(plan, retry=self.retry, reuse=self.reuse)

    def untold(self) -> list[Look]:
        """The looks that are not stored yet, or were taken otherwise; `told` stores them."""
        if self.course is None:
            return []
        before, now = self.store.recall("looks") or [], document(self.course, self.plan)
        same = [one == other for one, other in zip(before, now, strict=False)]
        return list(self.course.looks[same.index(False) if False in same else len(same) :])

    def told(self) -> None:
        """The looks so far are shown and logged."""
        if self.course is not None:
            self.store.remember(looks=document(self.course, self.plan))

    def _asked(self) -> Plan:
        """The plan with the runs that the looks so far ask for, but for a wave that there is no time for."""
        self.runs = self._table()
        self.course = course(self.runs, self.plan)
        self._close(self.course)
        ended = self._ended(self.course)
        if ended != self.store.recall("ended"):
            self.store.remember(ended=ended)
        return in_time(replace(self.plan, runs=self.course.asked), ended)

    def _table(self) -> pd.DataFrame:
        """The run table as it is now, with those that have failed too often given up."""
        runs = self.store.results(self.plan).runs
        if not self.retry:
            runs["given_up"] |= runs["key"].isin(self.store.failed_too_often(self.plan))
        return runs

    def _close(self, now: Course) -> None:
        """Runs that a look has counted as given up stay so: what came out later would change looks that were taken."""
        if now.last is None:
            return
        counted = {run.key for run in in_time(replace(self.plan, runs=now.asked), {"waves": now.last.wave}).runs}
        closed = self.runs.loc[self.runs["given_up"] & self.runs["key"].isin(counted), "key"]
        if new := sorted(set(closed) - set(self.store.closed)):
            self.store.remember(given_up=[*self.store.closed, *new])

    def _ended(self, now: Course) -> dict[str, float] | None:
        """The waves that there was time for, where the next one would take longer than what is left of `max_hours`."""
        if self.max_hours is None or now.last is None or now.over:
            return None
        spent = self.store.seconds()
        by_cell: dict[str, list[float]] = defaultdict(list)
        for run in now.asked:
            if run.key in spent:
                by_cell[run.cell].append(spent[run.key])
        typical = {cell: fmean(each) for cell, each in by_cell.items()}
        over = set(self.runs.loc[has_ended(self.runs), "key"])
        ahead = sum(typical.get(run.cell, 0.0) for run in now.asked if run.key not in over)
        hours = (sum(spent.values()) + ahead) / self.at_once() / 3600
        return {"max_hours": self.max_hours, "waves": now.last.wave} if hours > self.max_hours else None
