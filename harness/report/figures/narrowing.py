"""The figure of a study in waves: how each trick's interval narrows, seed by seed, until it is decided."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.analysis.types import Effect, Estimate
from harness.analysis.waves import narrowing
from harness.report import Report
from harness.report.sheets.sheet import change, design, tone

MOST_PANELS = 24


@dataclass(frozen=True)
class Funnel:
    """One trick: its name, what is said of it, its ink, and the estimate at each look, by seeds.

    Shaded from -`within` to `within`, where that is a number.
    """

    name: str
    reading: str
    ink: str
    looks: tuple[tuple[int, Estimate], ...]
    within: float


@dataclass(frozen=True, kw_only=True)
class Funnels:
    """Tricks side by side on one scale; beyond `frame` intervals are cut off."""

    title: str
    across: str
    down: str
    note: str
    funnels: tuple[Funnel, ...]
    frame: tuple[tuple[float, float], tuple[float, float]]


def funnels(report: Report) -> Funnels | None:
    """The course of every trick; None before the first look and of a study of fixed size."""
    course, plan, objective = report.answer.course, report.plan, report.plan.objective
    if course is None or not course.looks:
        return None
    several = len({design(report, effect.contrast) for effect in report.answer.effects}) > 1

    def named(effect: Effect) -> str:
        return change(effect.contrast) + (f" ({design(report, effect.contrast)})" if several else "")

    made = tuple(
        Funnel(named(effect), effect.reading, tone(effect.verdict) or "open", looks, effect.worth)
        for effect, looks in zip(report.answer.effects, narrowing(course, plan), strict=True)
        if looks
    )[:MOST_PANELS]
    if not made:
        return None
    side = "below" if objective.sign < 0 else "above"
    return Funnels(
        title="Seed by seed: how each answer was reached",
        across="seeds",
        down=f"Δ {objective.heading}",
        note="The mean change and its 95 % interval at every look; the band is what counts as negligible. A trick gets "
        f"no more seeds once it is decided or unlikely to be. {side.capitalize()} 0 is better.",
        funnels=made,
        frame=((0.5, course.looks[-1].wave + 0.5), _reach(made)),
    )


def _reach(made: tuple[Funnel, ...]) -> tuple[float, float]:
    """Both sides of 0 alike: all means, the worths, and what the last intervals reach, where they are not far wider."""
    means = [abs(estimate.value) for funnel in made for _, estimate in funnel.looks]
    ends = [max(abs(last.low), abs(last.high)) for *_, (_, last) in (funnel.looks for funnel in made) if last.bounded]
    worths = [funnel.within for funnel in made if math.isfinite(funnel.within)]
    least = max([*means, *(1.5 * each for each in worths)], default=1.0) or 1.0
    most = max(least, min(max(ends, default=least), 3 * least)) * 1.08
    return -most, most
