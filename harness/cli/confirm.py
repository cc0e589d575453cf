"""confirm: the best cells of a search held against its control, on seeds that it has not looked at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from harness.cli.launching import chosen, launched
from harness.cli.output import FILE, note, write
from harness.cli.studies import carry_out, named, storage_option, tracking_option
from harness.errors import HarnessError


@click.command()
@click.argument("study", metavar="SPEC|STUDY")
@click.option("--top", type=click.IntRange(min=1), default=1, show_default=True, help="How many cells to test.")
@click.option("--output", type=FILE, help="Write the spec of the study into this new file; run nothing.")
@click.option("--dry-run", is_flag=True, help="Print the plan, its time and what it can show; run and write nothing.")
@launched
@storage_option
@tracking_option
def confirm(
    study: str,
    top: int,
    output: Path | None,
    dry_run: bool,
    launching: Mapping[str, Any],
    storage: str,
    tracking_uri: str | None,
) -> None:
    """Test the best cells that a search found: a study of its own, NAME-confirm, on fresh seeds.

    SPEC is the search's file, STUDY its name in the storage. The study's spec is printed, so that it can be kept.
    """
    from harness.study import preview
    from harness.study.answer import load_study
    from harness.study.confirming import confirming, spec_of, written
    from harness.study.placement import Options

    if output is not None and output.exists():
        raise HarnessError(f"--output {output}: is there already and would be lost; name a new file, or delete it")
    search, report = load_study(storage, named(study, ()))
    document = confirming(search, report, storage=storage, top=top)
    if output is not None:
        write(output, written(document, search, output.parent))
        note(f"run it: harness ablate {output}")
        return
    click.echo(written(document, search, Path()))
    options = Options(storage=storage, tracking_uri=tracking_uri, **chosen(launching))
    found = spec_of(document, search)
    if dry_run:
        preview.dry_run(found, options, note)
        return
    carry_out(found, options)
