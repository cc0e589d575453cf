"""What each figure shows: rows, labels, inks, marks and the frame of its axes, for whichever backend draws it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace

from harness.analysis.types import Effect, Estimate, Verdict
from harness.report import Report
from harness.report.figures.curves import Panels, panels
from harness.report.figures.narrowing import Funnels, funnels
from harness.report.numbers import decimals, number, places, spread
from harness.report.sheets import interplay
from harness.report.sheets.cells import numbered
from harness.report.sheets.sheet import MOST_ROWS, change, design, tone
from harness.spec import label

LONGEST = 60  # characters of a name in a figure


@dataclass(frozen=True)
class Mark:
    """An estimate with its ink and the shape of its point: o, s or D."""

    estimate: Estimate
    ink: str
    shape: str = "o"


@dataclass(frozen=True)
class Lane:
    """A row of marks: its name, what stands beside it, a remark that stands out, its group, and what more is said.

    Shaded from -`within` to `within`, where that is a number.
    """

    name: str
    marks: tuple[Mark, ...]
    value: str = ""
    remark: str = ""
    group: str = ""
    said: str = ""
    within: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """Estimates below one another on one axis with a zero; `legend` names the series, by ink and shape."""

    title: str
    axis: str
    lanes: tuple[Lane, ...]
    frame: tuple[float, float]
    legend: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Field:
    """A field of the heat map: cool where the objective gains, warm where it loses, by its share of the strongest."""

    value: float
    text: str
    ink: str
    strength: float
    sure: bool


@dataclass(frozen=True, kw_only=True)
class Heat:
    """Interactions off the diagonal; main effects on it, without ink, since they are often so much larger."""

    title: str
    note: str
    factors: tuple[str, ...]
    fields: dict[tuple[int, int], Field]


@dataclass(frozen=True)
class Step:
    """A bar from where the one before ended."""

    name: str
    begin: float
    share: Estimate
    text: str
    ink: str


@dataclass(frozen=True, kw_only=True)
class Waterfall:
    """Shares as steps that add up to the last bar."""

    title: str
    axis: str
    steps: tuple[Step, ...]
    frame: tuple[float, float]


@dataclass(frozen=True)
class Point:
    """A cell by its number in the table of prices."""

    number: int
    cell: str
    seconds: Estimate
    objective: Estimate
    on_front: bool
    control: bool
    n: int


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Cells by price and objective; `front` are the corners of the line that no cell beats."""

    title: str
    across: str
    down: str
    points: tuple[Point, ...]
    front: tuple[tuple[float, float], ...]
    frame: tuple[tuple[float, float], tuple[float, float]]


Prepared = Lanes | Heat | Waterfall | Scatter | Panels | Funnels


def prepare(report: Report) -> dict[str, Prepared]:
    """Name -> what that figure shows, of those that the report has numbers for."""
    makers: dict[str, Callable[[Report], Prepared | None]] = {
        "forest": forest,
        "course": funnels,
        "views": views,
        "interactions": interactions,
        "shapley": shapley,
        "pareto": pareto,
        "equal": equal,
        "curves": panels,
    }
    return {name: made for name, make in makers.items() if (made := make(report)) is not None}


def cut(text: str, most: int = LONGEST) -> str:
    """`text`, ended by an ellipsis where it is longer."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def window(several: Iterable[Estimate]) -> tuple[float, float]:
    """The range of an axis of changes: zero, all values, and all intervals that are not far wider than these."""
    known = [estimate for estimate in several if estimate.known]
    reach = max((abs(estimate.value) for estimate in known), default=1.0)
    ends = [end for estimate in known for end in (estimate.low, estimate.high) if math.isfinite(end)]
    limit = max(reach * 1.15, min(max(map(abs, ends), default=reach), 3 * reach)) or 1.0
    ends += [estimate.value for estimate in known]
    low, high = min(limit, max([0.0, *(-end for end in ends)])), min(limit, max([0.0, *ends]))
    return -low * 1.05 - limit * 0.02, high * 1.05 + limit * 0.02


def _axis(report: Report) -> str:
    objective = report.plan.objective
    side = "below" if objective.sign < 0 else "above"
    return f"Δ {objective.heading}, mean and 95 % interval ({side} 0 is better)"


def _lanes(report: Report, title: str, lanes: Sequence[Lane], legend: Sequence[tuple[str, str, str]] = ()) -> Lanes:
    """Lanes on one axis; one group alone needs no name."""
    if len({lane.group for lane in lanes}) < 2:
        lanes = [replace(lane, group="") for lane in lanes]
    shaded = {lane.within for lane in lanes if lane.within > 0}
    edges = (Estimate(side * within) for within in shaded for side in (-1, 1))
    frame = window([*(mark.estimate for lane in lanes for mark in lane.marks), *edges])
    axis = _axis(report) + ("; shaded: less than the worth" if shaded else "")
    return Lanes(title=title, axis=axis, lanes=tuple(lanes), frame=frame, legend=tuple(legend))


def forest(report: Report) -> Lanes | None:
    """Every effect on the objective by design, the best on top."""
    effects, objective = report.answer.effects, report.plan.objective
    if not effects:
        return None
    groups = list(dict.fromkeys(design(report, effect.contrast) for effect in effects))
    digits = places(effect.change for effect in effects)

    def order(effect: Effect) -> tuple[int, float]:
        value = -objective.sign * effect.change.value
        return groups.index(design(report, effect.contrast)), value if value == value else math.inf

    lanes = []
    for effect in sorted(effects, key=order):
        name, group = cut(change(effect.contrast)), design(report, effect.contrast)
        if effect.change.known:
            mark = Mark(effect.change, tone(effect.verdict) or "open")
            said = f"n = {effect.n}: {effect.reading}"
            value = str(spread(effect.change, digits))
            lanes.append(Lane(name, (mark,), value, group=group, said=said, within=effect.worth))
        else:
            lanes.append(Lane(name, (), remark=effect.reading, group=group))
    return _lanes(report, f"What each trick does to {objective.title}", lanes)


_SERIES = (("s0", "o"), ("s1", "s"), ("s2", "D"))


def views(report: Report) -> Lanes | None:
    """Every trick alone, in the full recipe and as a Shapley share."""
    names = interplay.shown_views(report)
    if not names:
        return None
    look = dict(zip(interplay.VIEWS, _SERIES, strict=True))
    lanes = []
    for view in report.answer.views:
        marks = tuple(Mark(estimate, *look[name]) for name, estimate in interplay.estimates(view).items())
        remark = interplay.together(view) if view.disagree else ""
        lanes.append(Lane(cut(f"{view.factor}: {label(view.level)}"), marks, remark=remark))
    legend = [(interplay.VIEWS[name], *look[name]) for name in names]
    return _lanes(report, interplay.views_title(report), lanes, legend)


def equal(report: Report) -> Lanes | None:
    """Every effect at equal images and at equal time."""
    if not any(row.images.known for row in report.answer.equal):
        return None
    lanes = []
    for row in report.answer.equal:
        both = zip((row.images, row.time), _SERIES, strict=False)
        marks = tuple(Mark(estimate, *look) for estimate, look in both if estimate.known)
        lanes.append(Lane(cut(change(row.contrast)), marks, group=design(report, row.contrast)))
    legend = [(name, *look) for name, look in zip(("equal images", "equal time"), _SERIES, strict=False)]
    return _lanes(report, "Effects at equal images and at equal training time", lanes, legend)


def interactions(report: Report) -> Heat | None:
    """The heat map, where there are two factors to interact."""
    factorial, objective = report.answer.factorial, report.plan.objective
    terms = factorial.terms if factorial else ()
    between = [term for term in terms if len(term.factors) == 2 and term.estimate.known]
    if not between:
        return None
    factors = [term.factors[0] for term in terms if len(term.factors) == 1]
    strongest = max(abs(term.estimate.value) for term in between) or 1.0
    digits = min(3, decimals([strongest], 2))
    fields = {}
    for term in terms:
        if set(term.factors) <= set(factors) and term.estimate.known:
            row, column = factors.index(term.factors[0]), factors.index(term.factors[-1])
            value = term.estimate.value
            fields[row, column] = fields[column, row] = Field(
                value=value,
                text=number(value, digits, signed=True),
                ink="cool" if objective.improves(value) else "warm",
                strength=0.0 if row == column else abs(value) / strongest,
                sure=term.verdict in (Verdict.HELPS, Verdict.HURTS),
            )
    return Heat(
        title=f"Interactions on {objective.title}, main effects on the diagonal",
        note="blue: better together than their sum, orange: worse; framed and bold: holds after correction",
        factors=tuple(cut(name, 24) for name in factors),
        fields=fields,
    )


def shapley(report: Report) -> Waterfall | None:
    """Shares as steps that add up to the whole change."""
    whole, objective = report.answer.shapley, report.plan.objective
    if whole is None or not whole.shares:
        return None
    digits = places(share.estimate for share in whole.shares)
    steps, begin = [], 0.0
    for share in sorted(whole.shares, key=lambda share: -objective.sign * share.estimate.value):
        value = share.estimate.value
        ink = "cool" if objective.improves(value) else "warm"
        name = cut(f"{share.factor}: {label(share.level)}")
        steps.append(Step(name, begin, share.estimate, number(value, digits, signed=True), ink))
        begin += value
    steps.append(Step("all of them", 0.0, whole.total, number(whole.total.value, digits, signed=True), "open"))
    ends = (Estimate(*(step.begin + end for end in astuple(step.share))) for step in steps)
    title = "Shapley shares add up to the change from nothing on to everything on"
    return Waterfall(title=title, axis=_axis(report), steps=tuple(steps), frame=window(ends))


def pareto(report: Report) -> Scatter | None:
    """Every cell's objective against its training seconds, and the front."""
    plan, known = report.plan, numbered(report)
    if not known:
        return None
    every = (Point(n, p.cell, p.seconds, p.objective, p.on_front, p.cell == plan.control, p.n) for n, p in known)
    points = sorted(every, key=lambda point: not (point.on_front or point.control))[:MOST_ROWS]
    frame = span(point.seconds for point in points), span(point.objective for point in points)
    return Scatter(
        title=f"{plan.objective.title} against training time",
        across="train time, s a run",
        down=f"{plan.objective.heading} ({plan.objective.better} is better)",
        points=tuple(points),
        front=tuple(_staircase(points, frame[0][1], frame[1][plan.objective.sign < 0])),
        frame=frame,
    )


def _staircase(points: Sequence[Point], last: float, worst: float) -> Iterator[tuple[float, float]]:
    """The corners of the front, from the cheapest cell on: what no cell beats in both."""
    height = worst
    for point in (point for point in points if point.on_front):
        yield point.seconds.value, height
        height = point.objective.value
        yield point.seconds.value, height
    if height != worst:
        yield last, height


def span(several: Iterable[Estimate]) -> tuple[float, float]:
    """The range of an axis: all values, and intervals as far as they do not dwarf these."""
    known = [estimate for estimate in several if estimate.known]
    values = [estimate.value for estimate in known] or [0.0, 1.0]
    low, high = min(values), max(values)
    room = (high - low) or abs(high) * 0.1 or 1.0
    low = max(low - 0.6 * room, min([low, *(e.low for e in known if e.bounded)]))
    high = min(high + 0.6 * room, max([high, *(e.high for e in known if e.bounded)]))
    pad = 0.07 * (high - low) or 0.05 * room
    return low - pad, high + pad
