"""The folder of a finished run, and what it says of itself: `run.json`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import StudyError
from harness.files.atomic import write_text
from harness.recipes.address import Address
from harness.runs.description import SECTIONS, RunDescription

RUNS = Path("runs")
"""Where studies leave the folders of their runs: runs/STUDY/KEY."""
_ABOUT = "run.json"


def describe(description: RunDescription, recipe: str, summary: Mapping[str, float]) -> None:
    """Leave in the folder of a run that ended well whose it is, its settings and its measures."""
    about = {
        "recipe": recipe,
        "address": description.address.text,
        "folder": str(Path(description.address.folder).resolve()),
        "key": description.key,
        "seed": description.seed,
        "settings": {name: getattr(description, name).model_dump(mode="json") for name in SECTIONS},
        "summary": dict(summary),
    }
    write_text(Path(description.directory, _ABOUT), json.dumps(about, indent=2))


def settle(directory: Path, address: Address) -> None:
    """Say of a finished run that was trained elsewhere where its recipe is found here."""
    found = about(directory)
    if found:
        here = {"address": address.text, "folder": str(Path(address.folder).resolve())}
        write_text(directory / _ABOUT, json.dumps(found | here, indent=2))


def about(directory: Path) -> dict[str, Any]:
    """What `describe` left in a run's folder; empty where it has not ended well."""
    try:
        found = json.loads((directory / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def address_of(directory: Path) -> Address:
    """Where the recipe is found that trained the finished run in `directory`. Raises StudyError."""
    found = about(directory)
    text, folder = found.get("address"), found.get("folder")
    if not isinstance(text, str) or not isinstance(folder, str):
        raise StudyError(f"{directory / _ABOUT} is damaged: it names no recipe; train the run again")
    return Address(text, folder)


def run_folder(run: str, studies: Iterable[Path] | None = None) -> Path:
    """The folder of a finished run, from its path or its key; `studies` are where it may lie, by default all in runs/.

    Raises StudyError.
    """
    direct, under = Path(run), [*(RUNS.glob("*") if studies is None else studies)]
    # A key's beginning is no pattern; and isdir takes a name that is too long for none.
    begun = (path for study in under for path in study.glob("*") if path.name.startswith(run))
    candidates = [direct] if os.path.isdir(run) else sorted(begun)
    candidates = [folder for folder in candidates if (folder / _ABOUT).exists()]
    if len(candidates) != 1:
        what = "several runs match" if candidates else "no finished run is"
        known = (
            ", ".join(sorted({path.parent.name for each in under for path in each.glob(f"*/{_ABOUT}")})[:6]) or "none"
        )
        where = "under runs/" if studies is None else "of the storage's studies and under runs/"
        raise StudyError(f"{what} '{run}'; give a folder like runs/STUDY/KEY; keys {where}: {known}")
    return candidates[0]
