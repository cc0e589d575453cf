"""check and init: a spec validated and planned without running anything, and a first one to start from."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.output import FILE, note, write
from harness.cli.recipes import refuse_command
from harness.errors import HarnessError


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Override a key of the spec.")
def check(spec: Path, overrides: tuple[str, ...]) -> None:
    """Validate SPEC and print what it plans; nothing is run, read or written.

    Ends with 0 where the spec is right, and with 2 and a line for each mistake where it is not.
    """
    from rich.console import Console

    from harness.design import plan
    from harness.report.planned import print_plan
    from harness.spec import load

    study = load(spec, overrides)
    print_plan(Console(highlight=False), plan(study), study.factors)


@click.command()
@click.argument("recipe")
@click.option("--output", type=FILE, help="Write into this new file instead of to the terminal.")
def init(recipe: str, output: Path | None) -> None:
    """Write a commented spec to start from, for RECIPE: its name, or a place like ./train.py:name."""
    from harness.cli.starting import starting_spec

    refuse_command(recipe)
    if output is None:
        click.echo(starting_spec(recipe, Path()), nl=False)
        return
    if output.exists():
        raise HarnessError(
            f"--output {output}: is there already and would be lost; name a new file, or delete it first"
        )
    write(output, starting_spec(recipe, output.parent))
    note(f"say what it plans: harness check {output}")
