"""doctor: what this machine can do: versions, device, weights, free space, and the stores in this folder."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.errors import MetricError
from harness.machine import provenance
from harness.settings import cache_folder


@click.command()
def doctor() -> None:
    """What this machine can do, and what is missing."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "what", "found"):
        table.add_column(heading)
    findings = list(examine())
    for finding in findings:
        table.add_row("ok" if finding.ok else "--", finding.what, Text(finding.found))
    Console().print(table)
    if not all(finding.ok for finding in findings if finding.needed):
        sys.exit(1)


@dataclass(frozen=True)
class Finding:
    """One thing looked at. A finding that is needed and not ok makes `harness doctor` exit with 1."""

    what: str
    found: str
    ok: bool
    needed: bool = True


def examine() -> Iterator[Finding]:
    """Look at the machine; changes nothing."""
    import torch

    from harness.machine.precision import fast_bf16
    from harness.metrics import extractor

    facts = provenance.provenance()
    yield Finding("processor", facts["processor"], True)
    for name, value in facts.items():
        if name.startswith("version."):
            yield Finding(name.removeprefix("version."), value, value != "not installed")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            yield Finding(f"cuda:{index}", f"{about.name}, {about.total_memory / 2**30:.0f} GiB", True)
    else:
        yield Finding("GPU", "none that torch can use; runs train on the CPU", False, needed=False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    yield Finding("precision auto", f"{'bf16' if fast_bf16(device) else 'fp32'} on {device}", True)
    try:
        yield Finding("extractor", extractor("efficientnet-lite0").fingerprint, True)
    except MetricError as error:
        yield Finding("extractor", str(error), False)
    cache = cache_folder()
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 2**30
    yield Finding("cache", f"{cache}, {free:.0f} GiB free", free > 1)
    old = next(Path("mlruns").glob("*/meta.yaml"), None)
    hides = f"{old} is of MLflow's old file store and hides sqlite:///mlflow.db from `mlflow ui`; move it away"
    yield Finding("mlruns/", hides if old else "no leftovers of MLflow's file store", old is None)
