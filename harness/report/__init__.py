"""What a reader sees: the answer as text, as one HTML page, as figures and as data for other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from harness.analysis.types import Answer
    from harness.design import Plan

Curves = Mapping[tuple[str, int], Sequence[tuple[float, float]]]  # (cell, seed) -> (images shown, objective)
Picture = Path | bytes  # a PNG


@dataclass(frozen=True)
class Nearest:
    """Generated images, each with the real one most like it and their distance; the recipe says what they show."""

    title: str
    reading: str
    pairs: tuple[tuple[Picture, Picture, float], ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that a report is made of; drawing it needs no store and no network. What is None or empty is not shown."""

    answer: Answer
    runs: pd.DataFrame  # a row a planned run: key, cell, seed, state, ..., a column a measure by its name
    curves: Curves = field(default_factory=dict)
    grids: Mapping[str, Picture] = field(default_factory=dict)  # cell -> samples on the same latents
    nearest: Nearest | None = None
    importances: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # evaluator -> factor -> share
    provenance: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    declared: Mapping[str, Any] | None = None
    """The plan as it was laid down before its first run; see `study.declared`."""
    departures: tuple[str, ...] = ()
    """How the study departs from that, in words."""
    spec_text: str = ""  # the spec as YAML

    @property
    def plan(self) -> Plan:
        """What was to be run."""
        return self.answer.plan
