"""The figures as PNG files, for MLflow, papers and slides."""

from __future__ import annotations

from pathlib import Path

from matplotlib import rc_context

from harness.report import Report
from harness.report.figures.drawn import STYLE, draw
from harness.report.figures.prepared import prepare

DPI = 150
_WIDTH = 720  # in pixels of 1/72 inch


def pictures(report: Report, folder: Path) -> list[Path]:
    """One PNG of 150 dpi on white in `folder` per figure that the report has, by its name."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with rc_context(STYLE):
        for name, prepared in prepare(report).items():
            made.append(folder / f"{name}.png")
            draw(prepared, _WIDTH).savefig(made[-1], dpi=DPI, facecolor="white")
    return made
