"""Interactive figures of the answer, for optuna-dashboard and MLflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd

from harness.analysis import label
from harness.report import ReportData
from harness.report.chosen import MOST_CURVES, chosen, groups
from harness.report.numbers import decimals, number
from harness.report.sheets import VIEWS, views_title
from harness.report.summary import designed
from harness.report.svg.curves import band
from harness.report.svg.heat import matrix
from harness.report.svg.scatter import by_right_to_a_label, staircase
from harness.report.tables import cells, tone

COLOURS = {"good": "#1a7f52", "bad": "#b3362b", "open": "#6b7280"}
SERIES = ("#0b6aa8", "#b65a00", "#7a4fa3")
ACCENT = "#2b5f9e"
SCALE = ((0.0, "#4f94d4"), (0.5, "#ffffff"), (1.0, "#e8a04e"))  # better to worse, told apart by the colour-blind


def figures(report: ReportData) -> dict[str, Any]:
    """Name -> plotly figure: forest, and views, interactions, shapley, pareto, curves where the report has them."""
    report = replace(report, answer=designed(report))
    made: dict[str, Callable[[ReportData], Any]] = {
        "forest": lambda report: forest_figure(report.answer) if len(report.answer) else None,
        "views": _views,
        "interactions": _interactions,
        "shapley": _shapley,
        "pareto": _pareto,
        "curves": _curves,
    }
    return {name: figure for name, make in made.items() if (figure := make(report)) is not None}


def forest_figure(answer: pd.DataFrame) -> Any:
    """A plotly figure: ΔMiFID per trick with its 95 % interval, the best on top, zero marked."""
    import plotly.graph_objects as go

    order = answer["delta_mifid"].sort_values(ascending=False, na_position="first").index
    rows = answer.loc[order].reset_index(drop=True)
    texts = cells(rows)
    names = [f"{text['trick']}: {text['change']}" for text in texts]
    figure = go.Figure(
        go.Scatter(
            x=rows["delta_mifid"],
            y=names,
            mode="markers",
            marker={"size": 10, "color": [COLOURS[tone(text["verdict"])] for text in texts]},
            error_x=_errors(rows["delta_mifid"], rows["delta_mifid_low"], rows["delta_mifid_high"], COLOURS["open"]),
            customdata=[[text["delta"], text["n"], text["verdict"]] for text in texts],
            hovertemplate="%{y}<br>Δ MiFID %{customdata[0]}<br>n = %{customdata[1]}: %{customdata[2]}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line_width=1, line_color=COLOURS["open"])
    return _dressed(figure, "What each trick does to MiFID (below 0 is better), 95 % intervals", "Δ MiFID", len(rows))


def _errors(values: pd.Series[float], low: pd.Series[float], high: pd.Series[float], colour: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": (high - values).fillna(0),
        "arrayminus": (values - low).fillna(0),
        "color": colour,
        "thickness": 1.2,
        "width": 3,
    }


def _dressed(figure: Any, title: str, across: str, rows: int | None = None, down: str = "") -> Any:
    figure.update_layout(title=title, xaxis_title=across, yaxis_title=down, template="plotly_white")
    if rows is not None:
        figure.update_layout(yaxis={"type": "category", "automargin": True}, height=160 + 36 * rows)
    return figure


def _views(report: ReportData) -> Any:
    import plotly.graph_objects as go

    table = report.views
    if table is None or table.empty:
        return None
    names = [f"{row['factor']}: {label(row['level'])}" for row in table.to_dict("records")]
    figure = go.Figure()
    symbols = ("circle", "square", "diamond")
    for lane, ((name, title), colour, symbol) in enumerate(zip(VIEWS.items(), SERIES, symbols, strict=True)):
        if name not in table or not table[name].notna().any():
            continue
        errors = _errors(table[name], table[f"{name}_low"], table[f"{name}_high"], colour)
        marker = {"size": 9, "color": colour, "symbol": symbol}
        heights = [position + 0.2 * (lane - 1) for position in range(len(names))]
        shared: dict[str, Any] = {"name": title, "mode": "markers", "marker": marker, "error_x": errors}
        hover = "%{text}: %{x:.3g}"
        figure.add_trace(go.Scatter(x=table[name], y=heights, text=names, hovertemplate=hover, **shared))
    figure.add_vline(x=0, line_width=1, line_color=COLOURS["open"])
    _dressed(figure, views_title(table), "Δ MiFID")
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names, autorange="reversed", showgrid=False)
    figure.update_layout(height=200 + 60 * len(names))
    return figure


def _interactions(report: ReportData) -> Any:
    import plotly.graph_objects as go

    table = report.factorial
    if table is None or table.empty:
        return None
    factors, entries = matrix(table)
    between = [abs(value) for (one, other), (value, _) in entries.items() if one != other]
    if not between:
        return None
    strongest = max(between) or 1.0
    places = min(3, decimals([strongest], 2))
    values = [[entries.get((a, b), (None, False))[0] if a != b else None for b in factors] for a in factors]
    texts = [
        [number(value, places, signed=True) + ("*" if sure else "") for value, sure in row]
        for row in ([entries.get((a, b), (float("nan"), False)) for b in factors] for a in factors)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=factors,
            y=factors,
            zmin=-strongest,
            zmax=strongest,
            colorscale=SCALE,
            xgap=3,
            ygap=3,
            colorbar={"title": "interaction"},
            hovertemplate="%{y} × %{x}: %{z:.3g}<extra></extra>",
        )
    )
    for row, one in enumerate(factors):
        for column, other in enumerate(factors):
            figure.add_annotation(x=other, y=one, text=texts[row][column], showarrow=False, font={"color": "#1d1f23"})
    figure.update_yaxes(autorange="reversed")
    _dressed(figure, "Interactions (below 0: better together), main effects on the diagonal, * after correction", "")
    figure.update_layout(height=220 + 55 * len(factors), width=330 + 80 * len(factors))
    return figure


def _shapley(report: ReportData) -> Any:
    import plotly.graph_objects as go

    table = report.shapley
    if table is None or table.empty:
        return None
    rows = table.sort_values("share")
    names = [f"{row['factor']}: {label(row['level'])}" for row in rows.to_dict("records")]
    total = rows.attrs or table.attrs
    shares = pd.Series([*rows["share"], total["total"]])
    lows, highs = pd.Series([*rows["low"], total["total_low"]]), pd.Series([*rows["high"], total["total_high"]])
    starts = [0.0, *rows["share"].cumsum().iloc[:-1], 0.0]
    colours = [*(SERIES[0] if share < 0 else SERIES[1] for share in rows["share"]), COLOURS["open"]]
    figure = go.Figure(
        go.Bar(
            x=shares,
            y=[*names, "all of them"],
            base=starts,
            orientation="h",
            marker_color=colours,
            error_x=_errors(shares, lows, highs, "#1d1f23"),
            text=[number(share, min(3, decimals(shares, 3)), signed=True) for share in shares],
            textposition="none",
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    title = "Shapley shares add up to the change from nothing on to everything on"
    _dressed(figure, title, "Δ MiFID against nothing on", len(shares))
    figure.update_yaxes(autorange="reversed")
    return figure


def _pareto(report: ReportData) -> Any:
    import plotly.graph_objects as go

    table = report.pareto
    if table is None or table.empty:
        return None
    rows = by_right_to_a_label(table, report.plan.control)
    corners = staircase(rows)
    figure = go.Figure(
        go.Scatter(
            x=[x for x, _ in corners],
            y=[y for _, y in corners],
            mode="lines",
            line={"color": ACCENT, "width": 1.5},
            name="front",
            hoverinfo="skip",
        )
    )
    for title, some, colour in (
        ("on the front", rows["on_front"], ACCENT),
        ("beaten", ~rows["on_front"], COLOURS["open"]),
    ):
        part = rows[some]
        figure.add_trace(
            go.Scatter(
                x=part["train_seconds"],
                y=part["mifid"],
                mode="markers+text" if title == "on the front" else "markers",
                text=[f"#{n}" for n in part["number"]],
                textposition="top right",
                customdata=part[["cell", "n"]],
                name=title,
                marker={"size": 9, "color": colour, "symbol": "circle" if title != "beaten" else "circle-open"},
                error_x=_errors(part["train_seconds"], part["train_seconds_low"], part["train_seconds_high"], colour),
                error_y=_errors(part["mifid"], part["mifid_low"], part["mifid_high"], colour),
                hovertemplate="%{customdata[0]}<br>MiFID %{y:.4g}, %{x:.4g} s, n = %{customdata[1]}<extra></extra>",
            )
        )
    return _dressed(figure, "MiFID against training time", "training seconds a run", down="MiFID (lower is better)")


def _curves(report: ReportData) -> Any:
    import plotly.graph_objects as go

    names, _ = chosen(report, {cell for cell, _ in report.curves}, MOST_CURVES)
    if not names:
        return None
    figure = go.Figure()
    seeds = groups(report.curves)
    for position, name in enumerate(names):
        points = band(seeds[name])
        colour = PALETTE[position % len(PALETTE)]
        shared: dict[str, Any] = {"legendgroup": name, "line": {"color": colour, "width": 2}}
        images, means = [p.images for p in points], [p.mean for p in points]
        figure.add_trace(go.Scatter(x=images, y=means, name=name, mode="lines", **shared))
        edge = [p for p in points if p.low == p.low]
        if len(edge) > 1:
            figure.add_trace(
                go.Scatter(
                    x=[p.images for p in edge] + [p.images for p in reversed(edge)],
                    y=[p.high for p in edge] + [p.low for p in reversed(edge)],
                    mode="lines",
                    fill="toself",
                    fillcolor=colour,
                    opacity=0.15,
                    line={"width": 0},
                    legendgroup=name,
                    showlegend=False,
                    hoverinfo="skip",
                )
            )
    title = "Learning curves: mean over seeds with its 95 % band"
    return _dressed(figure, title, "images shown", down="MiFID (lower is better)")


PALETTE = (
    *("#0b6aa8", "#b65a00", "#7a4fa3", "#1a7f52", "#b3362b", "#8c6d1f"),
    *("#4a90a4", "#c2649a", "#5b6470", "#3f7d20", "#a0522d", "#2f4b7c"),
)
