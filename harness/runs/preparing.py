"""Data prepared once a machine: the first run there does it, the others wait for it."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.machine import provenance
from harness.recipes import Recipe
from harness.runs.description import RunDescription
from harness.spec.identity import digest


def prepare(recipe: Recipe, description: RunDescription, note: Callable[[str], None]) -> None:
    """Make ready what runs of the description's data read, where no run of the same start has done it here before.

    Raises HarnessError where the recipe cannot.
    """
    data = [description.data, *description.references.values()]
    about = [each.model_dump(mode="json") for each in (*data, description.evaluate)]
    whose = [description.address.text, recipe.name, recipe.version, description.address.loaded_digest()]
    folder = Path(tempfile.gettempdir(), f"harness-{os.getuid()}", "prepared")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{description.prepare}-{digest([*whose, json.dumps(about)])}", "a+") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        mark.seek(0)
        if mark.read() == "done":
            return
        recipe.prepare(data, description.evaluate, workers=provenance.cores(), note=note)
        mark.write("done")
        mark.flush()
