"""Which runs of a plan are trained next: all that are missing or, where seeds come in waves, those of the next wave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean

from harness.analysis.course import Course, course
from harness.design import Plan
from harness.study.answer import in_time, plan_document
from harness.study.looks import document
from harness.study.store import Standing, StudyStore
from harness.study.trainings import kept


@dataclass(kw_only=True)
class Queue:
    """Fills the study's queue, at its start and, where seeds come in waves, whenever a wave has ended.

    Where seeds come in waves, `max_hours` of the machine, which trains `at_once` so many runs, end the study: no wave
    is begun that would not be over by then. `on_look` is told of the course, and how many of its looks are new.
    """

    plan: Plan
    store: StudyStore
    reuse: bool = True
    retry: bool = False
    max_hours: float | None = None
    at_once: int = 1
    on_look: Callable[[Course, int], None] = lambda course, new: None
    course: Course | None = None

    def fill(self) -> Standing:
        """Queue what is to be trained now; where nothing is, no run of the standing is `pending` or `reused`."""
        plan = self._asked() if self.plan.waves else self.plan
        standing = self.store.reconcile(
            plan, retry=self.retry, reuse=self.reuse, kept=lambda run: kept(self.store.name, run)
        )
        self.retry = False  # what fails again is not tried for ever
        self.store.remember(plan=plan_document(plan))
        return standing

    def _asked(self) -> Plan:
        """The plan with the runs that the looks so far ask for, but for a wave that there is no time for."""
        self.course = course(self.store.results(self.plan).runs, self.plan)
        told = len(self.store.recall("looks") or ())
        if new := max(0, len(self.course.looks) - told):
            self.on_look(self.course, new)
        if len(self.course.looks) != told:
            self.store.remember(looks=document(self.course, self.plan))
        ended = self._ended(self.course)
        if ended != self.store.recall("ended"):
            self.store.remember(ended=ended)
        return in_time(replace(self.plan, runs=self.course.asked), ended)

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
        ahead = sum(typical.get(run.cell, 0.0) for run in now.asked if run.key not in spent)
        hours = (sum(spent.values()) + ahead) / self.at_once / 3600
        return {"max_hours": self.max_hours, "waves": now.last.wave} if hours > self.max_hours else None
