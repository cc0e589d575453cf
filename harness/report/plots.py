"""Interactive figures of the answer, for optuna-dashboard and MLflow."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.report.tables import cells, tone

COLOURS = {"good": "#1a7f52", "bad": "#b3362b", "open": "#6b7280"}


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
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (rows["delta_mifid_high"] - rows["delta_mifid"]).fillna(0),
                "arrayminus": (rows["delta_mifid"] - rows["delta_mifid_low"]).fillna(0),
                "color": COLOURS["open"],
            },
            customdata=[[text["delta"], text["n"], text["verdict"]] for text in texts],
            hovertemplate="%{y}<br>Δ MiFID %{customdata[0]}<br>n = %{customdata[1]}: %{customdata[2]}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line_width=1, line_color=COLOURS["open"])
    figure.update_layout(
        title="What each trick does to MiFID (below 0 is better), 95 % intervals",
        xaxis_title="Δ MiFID",
        yaxis={"type": "category"},
        height=160 + 36 * len(rows),
        template="plotly_white",
    )
    return figure
