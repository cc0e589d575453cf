"""The looks of a study in waves as a table: what each said of every trick, and how far it was from being decided."""

from __future__ import annotations

from harness.analysis.course import Course
from harness.analysis.paired import known, mean
from harness.analysis.sequential import Look
from harness.analysis.standing import UNLIKELY
from harness.analysis.types import Verdict
from harness.report import Report
from harness.report.looks import conditional, title, way
from harness.report.numbers import NBSP
from harness.report.sheets.sheet import MOST_ROWS, Sheet, left_out, table


def looks(report: Report) -> Sheet | None:
    """A row a look, a column a trick; None before the first look."""
    course, plan = report.answer.course, report.plan
    if course is None or not course.looks:
        return None
    shown = course.looks[-MOST_ROWS:]
    columns = [
        (title(contrast, plan), [_said(report, course, look, place) for look in shown])
        for place, contrast in enumerate(plan.contrasts)
    ]
    return table(
        "Look by look",
        [("seeds", [str(look.wave) for look in shown]), *columns],
        "After each wave of seeds: what was said of a trick, or how much of the way it had gone to the nearest verdict "
        "(its test statistic over its limit). A trick that is decided, or unlikely to be decided by the last wave, "
        "gets no more seeds. What the last look says is the answer." + left_out(len(course.looks)),
        folded=True,
    )


def _said(report: Report, course: Course, look: Look, place: int) -> str:
    verdict, effect = look.verdicts[place], report.answer.effects[place]
    if conditional(look, place, effect):
        return effect.reading
    if verdict is not Verdict.UNDECIDED:
        return str(verdict)
    if place in look.unlikely:
        return UNLIKELY
    change = mean(known(course.differences[place][: look.wave]))
    found = way(look, place, str(Verdict.HELPS if report.plan.objective.improves(change) else Verdict.HURTS))
    if found is None:
        return "no number yet"
    share, nearest = found
    return f"{100 * share:.0f}{NBSP}% to {nearest}"
