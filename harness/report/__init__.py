"""What a reader sees: the answer as tables, plots, pictures, and one HTML page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from harness.design import Plan

Curves = dict[tuple[str, int], list[tuple[int, float]]]
Picture = Path | bytes  # a PNG


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """All that a report is made of; drawing it needs no store and no network. What is None or empty is not shown."""

    plan: Plan
    runs: pd.DataFrame  # one row per planned run
    answer: pd.DataFrame  # harness.analysis.answer(runs, plan)
    curves: Curves = field(default_factory=dict)  # (cell, seed) -> (images shown, MiFID)
    grids: dict[str, Picture] = field(default_factory=dict)  # cell -> PNG of samples on the same latents
    provenance: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    effects: dict[str, pd.DataFrame] = field(default_factory=dict)  # metric -> harness.analysis.effects
    tried: pd.DataFrame | None = None  # a search's cells, the lowest MiFID first
    factorial: pd.DataFrame | None = None  # main effects and two-factor interactions
    shapley: pd.DataFrame | None = None  # attribution of the change from nothing on to all on
    views: pd.DataFrame | None = None  # add-one, leave-one-out and Shapley side by side
    bought: pd.DataFrame | None = None  # MiFID gained per extra second of training, per contrast
    pareto: pd.DataFrame | None = None  # MiFID against training seconds, per cell
    equal: pd.DataFrame | None = None  # effects at equal images and at equal training time
    agreement: pd.DataFrame | None = None  # effects under every yardstick
    importances: dict[str, dict[str, float]] = field(default_factory=dict)  # Optuna's: evaluator -> factor -> share
    pairs: list[tuple[Picture, Picture, float]] = field(default_factory=list)  # generated, nearest real, distance
    spec_text: str = ""  # the spec as YAML
