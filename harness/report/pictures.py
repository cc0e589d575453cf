"""The plots as PNG files, for MLflow, papers and slides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analysis import label
from harness.report import ReportData
from harness.report.chosen import MOST_CURVES, chosen, groups
from harness.report.labels import Box
from harness.report.numbers import decimals, number
from harness.report.plots import ACCENT, COLOURS, SCALE, SERIES
from harness.report.sheets import VIEWS, views_of, views_title
from harness.report.summary import designed
from harness.report.svg.curves import band
from harness.report.svg.heat import matrix
from harness.report.svg.scatter import along, by_right_to_a_label, name_points, span, staircase
from harness.report.svg.shapes import fitted, window
from harness.report.tables import cells, tone

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e1db",
    "axes.edgecolor": "#9aa1ab",
    "axes.labelcolor": "#3c424b",
    "xtick.color": "#3c424b",
    "ytick.color": "#1d1f23",
    "legend.frameon": False,
    "axes.unicode_minus": True,
    "svg.fonttype": "none",
}


def pictures(report: ReportData, folder: Path) -> list[Path]:
    """One PNG of 150 dpi in `folder` per answer that the report has, named as `harness.report.plots.figures` does."""
    from matplotlib import rc_context

    report = replace(report, answer=designed(report))
    makers: dict[str, Callable[[ReportData], Figure | None]] = {
        "forest": _forest,
        "views": _views,
        "interactions": _interactions,
        "shapley": _shapley,
        "pareto": _pareto,
        "curves": _curves,
    }
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, make in makers.items():
        with rc_context(_STYLE):
            figure = make(report)
            if figure is not None:
                made.append(folder / f"{name}.png")
                figure.savefig(made[-1], dpi=DPI, facecolor="white")
    return made


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    return figure, figure.add_subplot()


def _effects(axes: Axes, frame: tuple[float, float], names: list[str], title: str) -> None:
    """An axis of effects: names down the side, zero marked, which way is better."""
    axes.set_yticks(range(len(names)), [fitted(name, 300) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(*frame)
    axes.axvline(0, color="#1d1f23", linewidth=1)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(title)
    axes.set_xlabel("Δ MiFID with 95 % interval (below 0 is better)")


def _errors(value: float, low: float, high: float) -> Any:
    """The arms of an error bar, none where the interval is unknown."""
    return None if np.isnan(low) or np.isnan(high) else [[value - low], [high - value]]


def _forest(report: ReportData) -> Figure | None:
    if report.answer.empty:
        return None
    rows = report.answer.sort_values("delta_mifid", na_position="last").reset_index(drop=True)
    texts = cells(rows)
    figure, axes = _canvas(7.2, 1.2 + 0.36 * len(rows))
    for place_, (row, text) in enumerate(zip(rows.to_dict("records"), texts, strict=True)):
        value = row["delta_mifid"]
        if np.isnan(value):
            axes.text(0, place_, "  no pair of runs", va="center", color=COLOURS["open"])
            continue
        errors = _errors(value, row["delta_mifid_low"], row["delta_mifid_high"])
        axes.errorbar(
            value, place_, xerr=errors, fmt="o", color=COLOURS[tone(text["verdict"])], capsize=3, markersize=6
        )
    frame = window(rows["delta_mifid_low"], rows["delta_mifid"], rows["delta_mifid_high"])
    _effects(axes, frame, [f"{text['trick']}: {text['change']}" for text in texts], "What each trick does to MiFID")
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(rows)), [text["delta"] for text in texts])
    right.spines["right"].set_visible(False)
    right.tick_params(length=0)
    return figure


def _views(report: ReportData) -> Figure | None:
    table = report.views
    if table is None or table.empty:
        return None
    figure, axes = _canvas(7.2, 1.4 + 0.62 * len(table))
    rows = table.to_dict("records")
    views = views_of(table)
    for lane, (name, symbol, colour) in enumerate(zip(VIEWS, "osD", SERIES, strict=True)):
        shown = False
        for position, row in enumerate(rows):
            if name not in views or np.isnan(row[name]):
                continue
            errors = _errors(row[name], row[f"{name}_low"], row[f"{name}_high"])
            title = None if shown else VIEWS[name]
            at = position + 0.22 * (lane - 1)
            axes.errorbar(row[name], at, xerr=errors, fmt=symbol, color=colour, capsize=2.5, markersize=5, label=title)
            shown = True
    names = [f"{row['factor']}: {label(row['level'])}" + (" (disagree)" if row["disagree"] else "") for row in rows]
    frame = window(*([value for name in views for value in table[f"{name}{end}"]] for end in ("_low", "", "_high")))
    _effects(axes, frame, names, views_title(table))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.62 / figure.get_figheight()), ncols=3)
    return figure


def _interactions(report: ReportData) -> Figure | None:
    from matplotlib.colors import LinearSegmentedColormap

    table = report.factorial
    if table is None or table.empty:
        return None
    factors, entries = matrix(table)
    strongest = max((abs(value) for (one, other), (value, _) in entries.items() if one != other), default=0.0)
    if not strongest:
        return None
    values = np.full((len(factors), len(factors)), np.nan)
    places = min(3, decimals([strongest], 2))
    figure, axes = _canvas(1.6 + 0.66 * len(factors), 1.5 + 0.6 * len(factors))
    for row, one in enumerate(factors):
        for column, other in enumerate(factors):
            value, sure = entries.get((one, other), (np.nan, False))
            values[row, column] = value if one != other else np.nan
            words = number(value, places, signed=True)
            size = 8 if len(words) < 7 else 7
            axes.text(column, row, words, ha="center", va="center", weight="bold" if sure else "normal", size=size)
            if sure and one != other:
                axes.add_patch(_frame(column, row))
    scale = LinearSegmentedColormap.from_list("better-worse", list(SCALE))
    image = axes.imshow(values, cmap=scale, vmin=-strongest, vmax=strongest)
    axes.set_xticks(range(len(factors)), [fitted(name, 100) for name in factors], rotation=40, ha="right")
    axes.set_yticks(range(len(factors)), [fitted(name, 100) for name in factors])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set_title("Interactions on MiFID", loc="left")
    axes.set_xlabel(
        "below 0: better together; framed: after correction\ndiagonal: main effects, bold: after correction"
    )
    figure.colorbar(image, shrink=0.7)
    return figure


def _frame(column: int, row: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, edgecolor="#1d1f23", linewidth=1.6)


def _shapley(report: ReportData) -> Figure | None:
    table = report.shapley
    if table is None or table.empty:
        return None
    whole = table.attrs
    rows = table.sort_values("share").to_dict("records")
    bars = [(f"{row['factor']}: {label(row['level'])}", row["share"], row["low"], row["high"]) for row in rows]
    bars.append(("all of them", whole["total"], whole["total_low"], whole["total_high"]))
    figure, axes = _canvas(7.2, 1.2 + 0.42 * len(bars))
    start, ends = 0.0, []
    places = min(3, decimals([share for _, share, _, _ in bars], 3))
    for position, (_, share, low, high) in enumerate(bars):
        last = position == len(bars) - 1
        begin = 0.0 if last else start
        colour = COLOURS["open"] if last else SERIES[0] if share < 0 else SERIES[1]
        axes.barh(position, share, left=begin, height=0.5, color=colour, alpha=0.75)
        axes.errorbar(begin + share, position, xerr=_errors(share, low, high), color="#1d1f23", capsize=3, linewidth=1)
        if not last:
            start += share
            axes.plot([start, start], [position + 0.25, position + 0.75], color="#9aa1ab", linestyle=":", linewidth=1)
        ends.append((begin + low, begin + share, begin + high))
    lows, values, highs = zip(*ends, strict=True)
    title = "Shapley shares add up to the change from nothing on to everything on"
    _effects(axes, window(lows, values, highs), [name for name, *_ in bars], title)
    axes.set_xlabel("Δ MiFID against nothing on, 95 % intervals (below 0 is better)")
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(bars)), [number(share, places, signed=True) for _, share, _, _ in bars])
    right.spines["right"].set_visible(False)
    right.tick_params(length=0)
    return figure


def _pareto(report: ReportData) -> Figure | None:
    table = report.pareto
    if table is None or table.empty:
        return None
    figure, axes = _canvas(7.2, 5.0)
    rows = by_right_to_a_label(table, report.plan.control)
    for row in rows.to_dict("records"):
        colour = ACCENT if row["on_front"] else "#8a919c"
        axes.errorbar(
            row["train_seconds"],
            row["mifid"],
            xerr=_errors(row["train_seconds"], row["train_seconds_low"], row["train_seconds_high"]),
            yerr=_errors(row["mifid"], row["mifid_low"], row["mifid_high"]),
            fmt="s" if row["cell"] == report.plan.control else "o",
            color=colour,
            markerfacecolor=colour if row["on_front"] else "white",
            markersize=6,
            elinewidth=0.8,
        )
    across = span(rows["train_seconds_low"], rows["train_seconds"], rows["train_seconds_high"])
    down = span(rows["mifid_low"], rows["mifid"], rows["mifid_high"])
    axes.set_xlim(*across)
    axes.set_ylim(*down)
    corners = staircase(rows)
    if corners:
        path = [(corners[0][0], down[1]), *corners, (across[1], corners[-1][1])]
        axes.plot([x for x, _ in path], [y for _, y in path], color=ACCENT, linewidth=1.2, zorder=1)
    axes.set_xlabel("training seconds a run (#: the cell’s number in the report’s table)")
    axes.set_ylabel("MiFID (lower is better)")
    axes.set_title("MiFID against training time; the line is the front, the square the control")
    _label(figure, axes, rows, report.plan.control)
    return figure


def _label(figure: Figure, axes: Axes, rows: pd.DataFrame, control: str) -> None:
    """Write the names beside their points, in pixels of the drawn figure."""
    from matplotlib.patheffects import withStroke

    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    frame = axes.get_window_extent()
    pixels = axes.transData.transform(rows[["train_seconds", "mifid"]].to_numpy(dtype=float))
    scale = figure.dpi / 72
    corners = axes.transData.transform(staircase(rows) or [(0.0, 0.0)])
    placed = name_points(
        [(float(x), -float(y)) for x, y in pixels],
        rows,
        control,
        frame=Box(frame.x0 + 2, -frame.y1, frame.x1, -frame.y0 - 2),
        size=lambda words: (5.3 * scale * len(words), 11 * scale),
        radius=4.5 * scale,
        avoid=along([(float(x), -float(y)) for x, y in corners]),
    )
    back = axes.transData.inverted()
    for found in placed:
        if found is not None:
            middle = ((found.box.left + found.box.right) / 2, -(found.box.top + found.box.bottom) / 2)
            x, y = back.transform(middle)
            halo = [withStroke(linewidth=2.5, foreground="white")]
            axes.text(x, y, found.text, ha="center", va="center", size=8, path_effects=halo)


def _curves(report: ReportData) -> Figure | None:
    from matplotlib.figure import Figure

    names, _ = chosen(report, {cell for cell, _ in report.curves}, MOST_CURVES)
    if not names:
        return None
    seeds = groups(report.curves)
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(2.7 * columns + 0.6, 2.2 * lines + 0.7), layout="constrained")
    several = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flatten()
    control = band(seeds.get(report.plan.control, []))
    values = [value for name in names for points in seeds[name] for _, value in points if np.isfinite(value)]
    for axes, name in zip(several, names, strict=False):
        points = band(seeds[name])
        images = [p.images for p in points]
        axes.fill_between(
            images, [p.low for p in points], [p.high for p in points], color=ACCENT, alpha=0.2, linewidth=0
        )
        if name != report.plan.control:
            axes.plot(
                [p.images for p in control], [p.mean for p in control], color="#6b7280", linestyle="--", linewidth=1
            )
        axes.plot(images, [p.mean for p in points], color=ACCENT, linewidth=1.8)
        axes.set_title("\n".join(wrap(name, 34)[:3]), weight="normal", size=8.5)
    if values and min(values) > 0:
        if max(values) > 4 * min(values):
            several[0].set_yscale("log")
            several[0].set_ylim(min(values) / 1.1, max(values) * 1.1)
        else:
            pad = 0.05 * (max(values) - min(values)) or 1.0
            several[0].set_ylim(min(values) - pad, max(values) + pad)
    for axes in several[len(names) :]:
        axes.set_visible(False)
    figure.suptitle(
        "Mean over seeds with its 95 % band; dashed: the control", x=0.01, ha="left", size=10, weight="bold"
    )
    figure.supxlabel("images shown", size=9)
    figure.supylabel("MiFID", size=9)
    return figure
