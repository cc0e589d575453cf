"""What a reader sees: the answer as a table on the terminal, Markdown, LaTeX, CSV, a figure, and one HTML page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from harness.design import Plan

Curves = dict[tuple[str, int], list[tuple[int, float]]]


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """All that a report is made of; drawing it needs no store and no network."""

    plan: Plan
    runs: pd.DataFrame  # one row per planned run
    answer: pd.DataFrame  # harness.analysis.answer(runs, plan)
    curves: Curves = field(default_factory=dict)  # (cell, seed) -> (images shown, MiFID)
    grids: dict[str, Path] = field(default_factory=dict)  # cell -> PNG of samples on the same latents
    provenance: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
