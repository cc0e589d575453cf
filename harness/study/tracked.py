"""What is said of MLflow without loading it, which takes longer than a report: its address, the names of our tags."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
from collections.abc import Mapping

DEFAULT_TRACKING = "sqlite:///mlflow.db"
FORWARDED, FAILURE, REASON = "harness.forwarded", "harness.failure", "harness.reason"
PUBLISHED = "harness.published"
_COMMIT = re.compile(r"[0-9a-f]{40,64}")

Point = tuple[str, float, int, int]
"""Name, value, step, and when it was measured, in ms since 1970."""


def address(uri: str | None) -> str:
    """Where studies are tracked: as told, as the environment says, or beside the current folder's files."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING


def origin(facts: Mapping[str, str], source: str) -> dict[str, str]:
    """Where runs come from, as tags: all of the provenance, and what MLflow's columns Source, Version and User show."""
    tags = {f"provenance.{name}": value for name, value in facts.items()}
    tags |= {"mlflow.source.name": source, "mlflow.source.type": "LOCAL"}
    if _COMMIT.fullmatch(commit := facts.get("git.commit", "")):
        tags["mlflow.source.git.commit"] = commit
    with contextlib.suppress(OSError, KeyError, ImportError):  # a container whose user has no name
        tags["mlflow.user"] = getpass.getuser()
    return tags
