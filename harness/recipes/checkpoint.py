"""Checkpoints: written whole or not at all, read without unpickling anything but tensors and plain data."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from harness.files.atomic import written

NAME = "checkpoint.pt"
"""What a run calls the file in its folder."""


def save(state: dict[str, Any], path: Path) -> None:
    """Write `state` (tensors and plain data) so that a crash leaves the old file or the new one."""
    with written(path) as file:
        torch.save(state, file)


def load(path: Path, *, identity: str) -> dict[str, Any] | None:
    """The checkpoint at `path`, or None where there is none, it is damaged, or it is of another run."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        return None
    return state if isinstance(state, dict) and state.get("identity") == identity else None


def unreadable(state: Mapping[str, Any]) -> str:
    """What in `state` could be written but not read back, since it is no plain data; "" where all can be."""
    memory = io.BytesIO()
    try:
        torch.save(dict(state), memory)
        memory.seek(0)
        torch.load(memory, map_location="cpu", weights_only=True)
    except Exception as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        return found[1] if found else str(error).splitlines()[0][:200]
    return ""
