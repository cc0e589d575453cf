"""Prepared figures drawn by matplotlib, at a width in pixels: names stand beside their rows, on a phone above them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from harness.analysis.types import Estimate
from harness.report.figures.curves import Panel, Panels
from harness.report.figures.narrowing import Funnel, Funnels
from harness.report.figures.prepared import Heat, Lane, Lanes, Point, Prepared, Scatter, Waterfall, cut
from harness.report.numbers import MINUS

# fmt: off
INKS = {
    "good": "#1a7348", "bad": "#b02e22", "open": "#6a707a", "accent": "#2b5f9e", "cool": "#7fb2e5", "warm": "#f0a860",
    "s0": "#0b6aa8", "s1": "#b65a00", "s2": "#7a4fa3",
    "ink": "#1d1f23", "soft": "#5d636d", "line": "#dfdcd6", "paper": "#fefefe",
}
"""The page's colours on white by its CSS variables, each unlike all others, so that it can be found and replaced."""
STYLE: dict[Any, Any] = {
    "font.size": 13, "font.family": "sans-serif", "axes.titlesize": 14, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.grid": True, "grid.color": INKS["line"], "axes.edgecolor": INKS["line"], "text.color": INKS["ink"],
    "axes.labelcolor": INKS["soft"], "xtick.color": INKS["soft"], "ytick.color": INKS["soft"],
    "xtick.labelsize": 12, "ytick.labelsize": 12, "axes.labelsize": 12, "legend.frameon": False,
    "legend.fontsize": 12, "axes.titlecolor": INKS["ink"], "svg.fonttype": "none", "text.parse_math": False,
    "svg.hashsalt": "figure", "lines.markersize": 6.5, "axes.titlepad": 10, "figure.facecolor": "none",
    "axes.facecolor": "none",
}
"""The look of all figures, as the `rc_context` in which they are drawn and saved."""
# fmt: on
PHONE = 500  # pixels below which a figure is drawn for a phone


def draw(prepared: Prepared, width: float, *, titled: bool = True) -> Figure:
    """A figure so many pixels (of 1/72 inch) wide, in `rc_context(STYLE)`; `titled` where no heading says it."""
    if isinstance(prepared, Panels | Funnels):
        return _panels(prepared, width)
    makers: dict[type[Prepared], Callable[[Any, float], tuple[Figure, Axes]]]
    makers = {Lanes: _lanes, Heat: _heat, Waterfall: _waterfall, Scatter: _scatter}
    figure, axes = makers[type(prepared)](prepared, width)
    if titled:
        axes.set_title("\n".join(wrap(prepared.title, int(width / 9))))
    return figure


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width / 72, height / 72))
    figure.set_layout_engine("constrained", w_pad=4 / 72, h_pad=4 / 72)
    axes = figure.add_subplot()
    axes.tick_params(length=0, pad=6)
    return figure, axes


def _tick(value: float, _: Any = None) -> str:
    """A tick with a true minus."""
    return f"{value:g}".replace("-", MINUS)


def _thousands(value: float, _: Any = None) -> str:
    return f"{value / 1000:g}k" if value else "0"


def _zeroed(axes: Axes, frame: tuple[float, float], rows: float, title: str, width: float) -> None:
    """An axis of changes with a zero, rows numbered downwards."""
    axes.set_xlim(*frame)
    axes.set_ylim(rows, 0)
    axes.axvline(0, color=INKS["ink"], linewidth=1.2)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5 if width < PHONE else 8))
    axes.xaxis.set_major_formatter(FuncFormatter(_tick))
    axes.set_xlabel("\n".join(wrap(title, 48 if width < PHONE else 200)))


def _bar(axes: Axes, estimate: Estimate, y: float, ink: str, shape: str, frame: tuple[float, float]) -> None:
    """A point and its interval; an end beyond the frame is cut there with an arrow, so that the rest stays readable."""
    colour = INKS[ink]
    if estimate.bounded:
        low, high = max(estimate.low, frame[0]), min(estimate.high, frame[1])
        axes.plot([low, high], [y, y], color=colour, linewidth=2, solid_capstyle="butt", zorder=2)
        for end, cut_off, arrow in ((low, estimate.low < frame[0], "<"), (high, estimate.high > frame[1], ">")):
            look = arrow if cut_off else "|"
            axes.plot([end], [y], marker=look, color=colour, markersize=8 if look == "|" else 6, clip_on=False)
    axes.plot([estimate.value], [y], marker=shape, color=colour, linestyle="", zorder=3, clip_on=False)


def _lanes(prepared: Lanes, width: float) -> tuple[Figure, Axes]:
    phone, several = width < PHONE, max((len(lane.marks) for lane in prepared.lanes), default=1)
    thick = 0.45 * (several - 1)  # rows that marks beside the first take
    y, group = 0.2, ""
    ticks: list[tuple[float, Lane]] = []
    heads: list[tuple[float, str]] = []
    for lane in prepared.lanes:
        if lane.group != group:
            group = lane.group
            heads.append((y + 0.5, group))
            y += 1
        y += _above(lane) if phone else 0
        ticks.append((y + 0.5, lane))
        y += 1 + thick
    height = 26 * y + (96 if phone else 74) + 28 * bool(prepared.legend)
    figure, axes = _canvas(width, height)
    _zeroed(axes, prepared.frame, y + 0.2, prepared.axis, width)
    beside = axes.get_yaxis_transform()
    x, side = (0.0, "left") if phone else (-0.01, "right")
    for at, name in heads:
        axes.text(x, at, cut(name, 44), transform=beside, color=INKS["soft"], va="center", style="italic", ha=side)
    for at, lane in ticks:
        if lane.within > 0:
            top, size = at - 0.5 - _above(lane) * phone, 1 + thick + _above(lane) * phone
            axes.add_patch(Rectangle((-lane.within, top), 2 * lane.within, size, color=INKS["line"], lw=0, zorder=0))
        for number, mark in enumerate(lane.marks):
            _bar(axes, mark.estimate, at + 0.45 * number, mark.ink, mark.shape, prepared.frame)
        if phone:
            above = [(lane.name, "ink", "bold"), (lane.value, "soft", "normal"), (lane.remark, "bad", "normal")]
            for line, (text, ink, weight) in enumerate(each for each in above if each[0]):
                where = at + 0.75 * line - _above(lane)
                axes.text(0, where, cut(text, 44), transform=beside, va="center", color=INKS[ink], weight=weight)
        elif lane.value or lane.remark:
            text, ink = (lane.value, "ink") if lane.value else (lane.remark, "bad")
            axes.text(1.015, at + thick / 2, cut(text, 44), transform=beside, va="center_baseline", color=INKS[ink])
    if phone:
        axes.set_yticks([])
    else:
        axes.set_yticks([at + thick / 2 for at, _ in ticks], [lane.name for _, lane in ticks], color=INKS["ink"])
    if prepared.legend:
        for name, ink, shape in prepared.legend:
            axes.plot([], [], marker=shape, color=INKS[ink], linestyle="", label=name)
        columns = len(prepared.legend)
        figure.legend(loc="outside lower center", ncols=columns, handletextpad=0.1, columnspacing=1)
    return figure, axes


def _above(lane: Lane) -> float:
    """Rows that a lane's texts take above its bars on a phone."""
    return 0.75 * (1 + bool(lane.value) + bool(lane.remark))


def _heat(prepared: Heat, width: float) -> tuple[Figure, Axes]:
    factors, phone = prepared.factors, width < PHONE
    figure, axes = _canvas(width, 44 * len(factors) + 120)
    size = 13 if width / (len(factors) + 1) > 62 else 9 if width / (len(factors) + 1) > 34 else 7
    for (row, column), field in prepared.fields.items():
        if field.strength:
            alpha = 0.12 + 0.88 * field.strength
            axes.add_patch(Rectangle((column - 0.48, row - 0.46), 0.96, 0.92, color=INKS[field.ink], alpha=alpha, lw=0))
        if field.sure and row != column:
            axes.add_patch(Rectangle((column - 0.48, row - 0.46), 0.96, 0.92, fill=False, ec=INKS["ink"], lw=1.8))
        weight = "bold" if field.sure else "normal"
        axes.text(column, row, field.text, ha="center", va="center", weight=weight, size=size)
    axes.set_xlim(-0.5, len(factors) - 0.5)
    axes.set_ylim(len(factors) - 0.5, -0.5)
    short = [cut(name, 12 if phone else 24) for name in factors]
    turned: dict[str, Any] = {} if width / (len(factors) + 1) > 110 else {"rotation": 40, "ha": "right"}
    axes.set_xticks(range(len(factors)), short, color=INKS["ink"], **turned)
    axes.set_yticks(range(len(factors)), short, color=INKS["ink"])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("\n".join(wrap(prepared.note, 48 if phone else 200)), labelpad=10)
    return figure, axes


def _waterfall(prepared: Waterfall, width: float) -> tuple[Figure, Axes]:
    phone = width < PHONE
    step = 1.7 if phone else 1.0
    figure, axes = _canvas(width, 34 * step * len(prepared.steps) + 96)
    _zeroed(axes, prepared.frame, step * len(prepared.steps), prepared.axis, width)
    beside = axes.get_yaxis_transform()
    middles = [step * (position + 1) - 0.5 for position in range(len(prepared.steps))]
    for at, each in zip(middles, prepared.steps, strict=True):
        axes.barh(at, each.share.value, left=each.begin, height=0.5, color=INKS[each.ink])
        end = each.begin + each.share.value
        if each.share.bounded:
            low = max(each.begin + each.share.low, prepared.frame[0])
            high = min(each.begin + each.share.high, prepared.frame[1])
            axes.plot([low, high], [at, at], color=INKS["ink"], linewidth=1.2, marker="|", markersize=7)
        if each is not prepared.steps[-1]:
            axes.plot([end, end], [at + 0.25, at + step - 0.25], color=INKS["soft"], linestyle=":", linewidth=1)
        if phone:
            name = f"{cut(each.name, 34)}  {each.text}"
            axes.text(0, at - 0.75, name, transform=beside, va="center", weight="bold")
        else:
            axes.text(1.015, at, each.text, transform=beside, va="center_baseline")
    names = [] if phone else [each.name for each in prepared.steps]
    axes.set_yticks(middles if names else [], names, color=INKS["ink"])
    return figure, axes


def _scatter(prepared: Scatter, width: float) -> tuple[Figure, Axes]:
    figure, axes = _canvas(width, 400 if width < PHONE else 520)
    crowd = len(prepared.points) > 12
    axes.set_xlim(*prepared.frame[0])
    axes.set_ylim(*prepared.frame[1])
    axes.plot([x for x, _ in prepared.front], [y for _, y in prepared.front], color=INKS["accent"], lw=2.2, zorder=1)
    for point in prepared.points:
        ink = INKS["accent"] if point.on_front else INKS["open"]
        x, y = point.seconds, point.objective
        faint = 0.35 if crowd and not point.on_front else 0.9
        if x.bounded:
            axes.plot([x.low, x.high], [y.value] * 2, color=ink, linewidth=1, alpha=faint, zorder=2)
        if y.bounded:
            axes.plot([x.value] * 2, [y.low, y.high], color=ink, linewidth=1, alpha=faint, zorder=2)
        shape, fill = "s" if point.control else "o", ink if point.on_front else INKS["paper"]
        axes.plot([x.value], [y.value], marker=shape, color=ink, markerfacecolor=fill, linestyle="", zorder=3)
    _numbers(axes, [p for p in prepared.points if p.on_front or p.control or not crowd], prepared, width)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_tick))
    axes.set_xlabel(prepared.across)
    axes.set_ylabel(prepared.down)
    return figure, axes


def _numbers(axes: Axes, points: Sequence[Point], prepared: Scatter, width: float) -> None:
    """The points' numbers of the table, each at the first corner of its point that no other number fills."""
    (left, right), (bottom, top) = prepared.frame
    filled: list[tuple[float, float]] = []
    for point in points:
        x, y = point.seconds.value, point.objective.value
        at = (x - left) / (right - left) * width * 0.9, (y - bottom) / (top - bottom) * 400
        for corner in ((5, 5), (-26, -16), (5, -16), (-26, 5)):
            here = at[0] + corner[0], at[1] + corner[1]
            if all(abs(here[0] - other[0]) > 26 or abs(here[1] - other[1]) > 14 for other in filled):
                axes.annotate(f"#{point.number}", (x, y), corner, textcoords="offset points", size=11, zorder=4)
                filled.append(here)
                break


def _panels(prepared: Panels | Funnels, width: float) -> Figure:
    drawn = drawn_panels(prepared)
    columns = min(3, len(drawn))
    lines = math.ceil(len(drawn) / columns)
    figure = Figure(figsize=(width / 72, (230 * lines + 40) / 72))
    figure.set_layout_engine("constrained", w_pad=8 / 72, h_pad=6 / 72)
    several = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes, (name, draw_in) in zip(several, drawn, strict=False):
        draw_in(axes)
        axes.set_title("\n".join(wrap(name, 28)[:3]), size=12, weight="normal")
    for axes in several[len(drawn) :]:
        axes.set_visible(False)
    figure.supylabel(prepared.down, size=12)
    figure.suptitle(prepared.title, x=0.01, ha="left", size=14, weight="bold")
    return figure


def drawn_panels(prepared: Panels | Funnels) -> list[tuple[str, Callable[[Axes], None]]]:
    """The name of each panel and what draws it, to flow beside the others."""
    if isinstance(prepared, Panels):
        return [(panel.name, partial(_panel, prepared=prepared, panel=panel)) for panel in prepared.panels]
    return [(funnel.name, partial(_funnel, prepared=prepared, funnel=funnel)) for funnel in prepared.funnels]


def draw_panel(draw_in: Callable[[Axes], None], width: float) -> Figure:
    """One panel as a figure of its own."""
    figure, axes = _canvas(width, 0.62 * width)
    draw_in(axes)
    return figure


def _funnel(axes: Axes, prepared: Funnels, funnel: Funnel) -> None:
    """Intervals that are cut off at the frame end without a mark; the verdict's ink is that of all looks."""
    low, high = prepared.frame[1]
    axes.set_xlim(*prepared.frame[0])
    axes.set_ylim(low, high)
    if funnel.within > 0:
        axes.axhspan(-funnel.within, funnel.within, color=INKS["line"], lw=0, zorder=0)
    axes.axhline(0, color=INKS["ink"], linewidth=1.2, zorder=1)
    colour = INKS[funnel.ink]
    for seeds, estimate in funnel.looks:
        if estimate.bounded:
            ends = [min(max(end, low), high) for end in (estimate.low, estimate.high)]
            axes.plot([seeds, seeds], ends, color=colour, linewidth=2, solid_capstyle="butt", zorder=2)
            for end, shown in zip((estimate.low, estimate.high), ends, strict=True):
                if end == shown:
                    axes.plot([seeds], [end], marker="_", color=colour, markersize=8, zorder=2)
    x, y = zip(*((seeds, estimate.value) for seeds, estimate in funnel.looks), strict=True)
    axes.plot(x, y, marker="o", color=colour, linewidth=1, zorder=3)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))
    axes.grid(axis="x", visible=False)
    axes.set_xlabel(prepared.across)


def _panel(axes: Axes, prepared: Panels, panel: Panel) -> None:
    axes.set_xlim(*prepared.frame[0])
    if prepared.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(*prepared.frame[1])
    axes.tick_params(length=0, which="both")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands if prepared.frame[0][1] >= 10_000 else _tick))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))
    axes.set_xlabel(prepared.across)
    known = [point for point in panel.band if point.low == point.low]
    x = [point.images for point in known]
    axes.fill_between(x, [p.low for p in known], [p.high for p in known], color=INKS["accent"], alpha=0.18, lw=0)
    for points in panel.seeds:
        axes.plot(*zip(*points, strict=True), color=INKS["accent"], linewidth=1, alpha=0.45)
    one = "o" if len(panel.band) == 1 else ""
    axes.plot([p.images for p in panel.control], [p.mean for p in panel.control], color=INKS["soft"], ls="--", lw=1.5)
    axes.plot([p.images for p in panel.band], [p.mean for p in panel.band], color=INKS["accent"], lw=2.4, marker=one)
