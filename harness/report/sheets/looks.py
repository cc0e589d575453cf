"""The looks of a study in waves as a table: what each said of every trick, and how far it was from being settled."""

from __future__ import annotations

import math

import numpy as np

from harness.analysis.course import Course
from harness.analysis.paired import known
from harness.analysis.sequential import Look
from harness.analysis.types import Verdict
from harness.report import Report
from harness.report.numbers import NBSP
from harness.report.sheets.sheet import MOST_ROWS, Sheet, design, left_out, table
from harness.spec import label


def looks(report: Report) -> Sheet | None:
    """A row a look, a column a trick; None before the first look."""
    course, plan = report.answer.course, report.plan
    if course is None or not course.looks:
        return None
    shown = course.looks[-MOST_ROWS:]
    columns = [
        (_name(report, place), [_said(report, course, look, place) for look in shown])
        for place in range(len(plan.contrasts))
    ]
    return table(
        "Look by look",
        [("seeds", [str(look.wave) for look in shown]), *columns],
        "After each wave of seeds: what was said of a trick, or how much of the way it had gone to the nearest verdict "
        "(its test statistic over its limit). A trick that is settled or futile (unlikely to be settled by the last "
        "wave) gets no more seeds. The verdicts of the last look are the answer." + left_out(len(course.looks)),
        folded=True,
    )


def _name(report: Report, place: int) -> str:
    """A trick's name as short as it is its own."""
    contrasts = report.plan.contrasts
    own = contrasts[place]
    name = own.factor
    if len({label(each.level) for each in contrasts if each.factor == own.factor}) > 1:
        name = f"{own.factor}={label(own.level)}"
    several = len({design(report, each) for each in contrasts}) > 1
    return f"{name} ({design(report, own)})" if several else name


def _said(report: Report, course: Course, look: Look, place: int) -> str:
    verdict = look.verdicts[place]
    if verdict is not Verdict.UNDECIDED:
        return str(verdict)
    if place in look.futile:
        return "futile"
    mean = float(np.mean(known(course.differences[place][: look.wave])))
    side = Verdict.HELPS if report.plan.objective.improves(mean) else Verdict.HURTS
    ways = {side: look.towards_effect[place], Verdict.NEGLIGIBLE: look.towards_negligible[place]}
    there = {name: way for name, way in ways.items() if not math.isnan(way)}
    if not there:
        return "no number yet"
    nearest = max(there, key=lambda name: there[name])
    return f"{100 * min(1.0, there[nearest]):.0f}{NBSP}% to {nearest}"
