"""The figures by plotly, for optuna-dashboard: a thin backend over what is prepared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.analysis.types import Estimate
from harness.report import Report
from harness.report.figures.curves import Panels
from harness.report.figures.drawn import INKS
from harness.report.figures.narrowing import Funnels
from harness.report.figures.prepared import Heat, Lanes, Prepared, Scatter, Waterfall, prepare

_SHAPES = {"o": "circle", "s": "square", "D": "diamond"}
_PALETTE = ("s0", "s1", "s2", "good", "bad", "open")


def interactive(report: Report) -> dict[str, Any]:
    """Name -> plotly figure, of those that the report has."""
    return {name: _figure(prepared) for name, prepared in prepare(report).items()}


def _figure(prepared: Prepared) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    makers: dict[type[Prepared], Callable[[Any, Any], None]]
    makers = {Lanes: _lanes, Heat: _heat, Waterfall: _waterfall, Scatter: _scatter, Panels: _panels, Funnels: _funnels}
    makers[type(prepared)](figure, prepared)
    return figure.update_layout(title=prepared.title, template="plotly_white")


def _errors(estimates: Sequence[Estimate], ink: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [each.high - each.value if each.bounded else 0 for each in estimates],
        "arrayminus": [each.value - each.low if each.bounded else 0 for each in estimates],
        "color": INKS[ink],
        "thickness": 1.2,
        "width": 3,
    }


def _rows(figure: Any, names: Sequence[str], axis: str) -> None:
    """Names down the side, the first on top, and a zero."""
    figure.add_vline(x=0, line_width=1, line_color=INKS["open"])
    ticks = {"tickvals": list(range(len(names))), "ticktext": list(names), "automargin": True, "showgrid": False}
    figure.update_yaxes(autorange="reversed", **ticks)
    figure.update_layout(xaxis_title=axis, height=180 + 44 * len(names))


def _lanes(figure: Any, prepared: Lanes) -> None:
    for name, ink, shape in prepared.legend or [("", ink, "o") for ink in ("good", "bad", "open")]:
        found = [
            (position + 0.2 * number * bool(prepared.legend), lane, mark.estimate)
            for position, lane in enumerate(prepared.lanes)
            for number, mark in enumerate(lane.marks)
            if (mark.ink, mark.shape) == (ink, shape)
        ]
        estimates = [estimate for *_, estimate in found]
        figure.add_scatter(
            x=[estimate.value for estimate in estimates],
            y=[at for at, *_ in found],
            text=[" ".join(filter(None, (lane.name, lane.group, lane.value))) for _, lane, _ in found],
            customdata=[[lane.said] for _, lane, _ in found],
            hovertemplate="%{text}: %{x:.4g}<br>%{customdata[0]}<extra></extra>",
            mode="markers",
            marker={"size": 9, "color": INKS[ink], "symbol": _SHAPES[shape]},
            error_x=_errors(estimates, ink),
            name=name,
            showlegend=bool(prepared.legend),
        )
    for position, lane in enumerate(prepared.lanes):
        if lane.within > 0:
            ends = {"x0": -lane.within, "x1": lane.within, "y0": position - 0.5, "y1": position + 0.5}
            figure.add_shape(type="rect", layer="below", line_width=0, fillcolor=INKS["line"], **ends)
        if lane.remark:
            figure.add_annotation(x=0, y=position, text=lane.remark, showarrow=False, xanchor="left")
    names = [f"{lane.name} ({lane.group})" if lane.group else lane.name for lane in prepared.lanes]
    _rows(figure, names, prepared.axis)


def _heat(figure: Any, prepared: Heat) -> None:
    count = range(len(prepared.factors))
    fields = {at: field for at, field in prepared.fields.items() if field.strength}
    signed = {at: field.strength * (-1 if field.ink == "cool" else 1) for at, field in fields.items()}
    scale = [[0, INKS["cool"]], [0.5, "#ffffff"], [1, INKS["warm"]]]
    z = [[signed.get((row, column)) for column in count] for row in count]
    figure.add_heatmap(z=z, zmin=-1, zmax=1, colorscale=scale, xgap=3, ygap=3, showscale=False, hoverinfo="skip")
    for (row, column), field in prepared.fields.items():
        text = f"<b>{field.text}</b>" if field.sure else field.text
        figure.add_annotation(x=column, y=row, text=text, showarrow=False, font={"color": INKS["ink"]})
    ticks = {"tickvals": list(count), "ticktext": list(prepared.factors)}
    figure.update_xaxes(title=prepared.note, **ticks)
    figure.update_yaxes(autorange="reversed", **ticks)


def _waterfall(figure: Any, prepared: Waterfall) -> None:
    steps = prepared.steps
    figure.add_bar(
        x=[step.share.value for step in steps],
        y=list(range(len(steps))),
        base=[step.begin for step in steps],
        orientation="h",
        marker_color=[INKS[step.ink] for step in steps],
        error_x=_errors([step.share for step in steps], "ink"),
        text=[f"{step.name}: {step.text}" for step in steps],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
    )
    _rows(figure, [step.name for step in steps], prepared.axis)


def _scatter(figure: Any, prepared: Scatter) -> None:
    x, y = [x for x, _ in prepared.front], [y for _, y in prepared.front]
    figure.add_scatter(x=x, y=y, mode="lines", line={"color": INKS["accent"]}, name="front", hoverinfo="skip")
    for name, on_front, ink in (("on the front", True, "accent"), ("beaten", False, "open")):
        points = [point for point in prepared.points if point.on_front is on_front]
        figure.add_scatter(
            x=[point.seconds.value for point in points],
            y=[point.objective.value for point in points],
            error_x=_errors([point.seconds for point in points], ink),
            error_y=_errors([point.objective for point in points], ink),
            mode="markers+text" if on_front else "markers",
            text=[f"#{point.number}" for point in points],
            textposition="top right",
            customdata=[(point.cell, point.n) for point in points],
            hovertemplate="%{customdata[0]}<br>%{y:.4g}, %{x:.4g} s, n = %{customdata[1]}<extra></extra>",
            marker={"size": 9, "color": INKS[ink], "symbol": "circle" if on_front else "circle-open"},
            name=name,
        )
    figure.update_layout(xaxis_title=prepared.across, yaxis_title=prepared.down)


def _panels(figure: Any, prepared: Panels) -> None:
    for position, panel in enumerate(prepared.panels):
        colour = INKS[_PALETTE[position % len(_PALETTE)]]
        dash = ("solid", "dash", "dot")[position // len(_PALETTE) % 3]
        x, y = [point.images for point in panel.band], [point.mean for point in panel.band]
        shared: dict[str, Any] = {"legendgroup": panel.name, "mode": "lines"}
        figure.add_scatter(x=x, y=y, name=panel.name, line={"color": colour, "width": 2, "dash": dash}, **shared)
        edge = [point for point in panel.band if point.low == point.low]
        figure.add_scatter(
            x=[point.images for point in [*edge, *reversed(edge)]],
            y=[*(point.low for point in edge), *(point.high for point in reversed(edge))],
            fill="toself",
            fillcolor=colour,
            opacity=0.15,
            line={"width": 0},
            showlegend=False,
            hoverinfo="skip",
            **shared,
        )
    figure.update_layout(xaxis_title=prepared.across, yaxis_title=prepared.down)
    if prepared.logarithmic:
        figure.update_yaxes(type="log")


def _funnels(figure: Any, prepared: Funnels) -> None:
    step = 0.6 / max(1, len(prepared.funnels))
    for position, funnel in enumerate(prepared.funnels):
        estimates = [estimate for _, estimate in funnel.looks]
        ink = _PALETTE[position % len(_PALETTE)]
        figure.add_scatter(
            x=[seeds + step * position - 0.3 for seeds, _ in funnel.looks],
            y=[estimate.value for estimate in estimates],
            error_y=_errors(estimates, ink),
            mode="lines+markers",
            line={"color": INKS[ink], "width": 1},
            name=funnel.name,
            customdata=[(seeds, funnel.reading) for seeds, _ in funnel.looks],
            hovertemplate="%{y:.4g} after %{customdata[0]} seeds<br>%{customdata[1]}<extra></extra>",
        )
    within = [funnel.within for funnel in prepared.funnels if funnel.within > 0]
    if within:
        figure.add_hrect(y0=-max(within), y1=max(within), layer="below", line_width=0, fillcolor=INKS["line"])
    figure.add_hline(y=0, line_width=1, line_color=INKS["open"])
    figure.update_layout(xaxis_title=prepared.across, yaxis_title=prepared.down)
    figure.update_yaxes(range=list(prepared.frame[1]))
