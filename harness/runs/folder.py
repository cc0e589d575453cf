"""The folder of a finished run."""

from __future__ import annotations

from pathlib import Path

from harness.errors import StudyError

RUNS = Path("runs")
"""Where studies leave the folders of their runs: runs/STUDY/KEY."""


def run_folder(run: str) -> Path:
    """The folder of a finished run, from its path or its key. Raises StudyError."""
    direct = Path(run)
    candidates = [direct] if direct.is_dir() else sorted(RUNS.glob(f"*/{run}*"))
    candidates = [folder for folder in candidates if (folder / "generator.json").exists()]
    if len(candidates) != 1:
        what = "several runs match" if candidates else "no finished run is"
        known = ", ".join(sorted({path.parent.name for path in RUNS.glob("*/*/generator.json")})[:6]) or "none"
        raise StudyError(f"{what} '{run}'; give a folder like runs/STUDY/KEY; keys under runs/: {known}")
    return candidates[0]
