"""train and sample: one run without a study, and images from a finished one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from harness.cli.output import note


@click.command()
@click.argument("recipe")
@click.option(
    "--set", "overrides", multiple=True, metavar="A=B", help="A setting of the recipe, or data.A, budget.A..."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs/single"), show_default=True)
def train(recipe: str, overrides: tuple[str, ...], seed: int, output: Path) -> None:
    """Train RECIPE once, without a study. Default budget: 40,000 images of the recipe's usual data."""
    from rich.console import Console
    from rich.table import Table

    from harness.measures import COSTS
    from harness.recipes.events import Failed, Finished, Scored
    from harness.runs.execute import execute
    from harness.runs.single import describe

    run = describe(recipe, overrides, seed=seed, directory=output)
    trainer = run.address.load()
    objective = trainer.objective
    ended: list[Any] = []

    def emit(event: Any) -> None:
        if isinstance(event, Scored):
            score = event.scores[objective.name]
            note(f"{event.step:,} {trainer.unit}, {event.train_seconds:.0f} s: {objective.title} {score:.4g}")
        ended.append(event)

    execute(run, emit)
    last = ended[-1]
    if isinstance(last, Failed):
        click.echo(last.details or f"{last.kind}: {last.reason}", err=True)
        sys.exit(1)
    assert isinstance(last, Finished)
    known = {each.name: each.heading for each in (objective, *trainer.measures(run.evaluate), *COSTS)}
    table = Table(box=None)
    table.add_column("measure")
    table.add_column("")
    table.add_column("value", justify="right")
    for name, value in last.summary.items():
        table.add_row(name, known.get(name, ""), f"{value:,.4g}")
    Console().print(table)
    (output / "checkpoint.pt").unlink(missing_ok=True)
    note(f"grids and generator: {output}")


@click.command()
@click.argument("run")
@click.option("--count", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A folder, or a .zip file.")
def sample(run: str, count: int, seed: int, output: Path) -> None:
    """Draw images from a finished RUN: its folder under runs/, or the key that its MLflow run is tagged with."""
    from harness.files.images import write_images
    from harness.runs.folder import address_of, run_folder

    folder = run_folder(run)
    images = address_of(folder).load().sample(folder, count=count, seed=seed)
    write_images(images, output)
    click.echo(f"wrote {count} images to {output}")
