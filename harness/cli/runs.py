"""train and sample: one run without a study, and images from a finished one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.output import note
from harness.cli.recipes import refuse_command
from harness.cli.studies import storage_option
from harness.recipes import names
from harness.runs.single import USUAL

if TYPE_CHECKING:
    from rich.table import Table

    from harness.measures import Measure
    from harness.recipes.events import Failed


_ENDED = {"diverged": "diverged", "interrupted": "was interrupted"}
_AMOUNTS = ", ".join(f"{amount:,} {'s' if unit == 'seconds' else unit}" for unit, amount in USUAL.items())


@click.command(
    help=f"""Train RECIPE once, without a study.

    RECIPE is the name of an installed one ({", ".join(names())}), or a place: ./train.py:name or package.module:name.
    `harness recipes RECIPE` lists its settings.

    A run trains for the recipe's own budget; where it has none, for {_AMOUNTS}, by what it counts first.
    """
)
@click.argument("recipe")
@click.option(
    "--set", "overrides", multiple=True, metavar="A=B", help="A setting of train; or data.A, evaluate.A, budget.A."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/single"),
    show_default=True,
    help="The folder of what the run leaves.",
)
def train(recipe: str, overrides: tuple[str, ...], seed: int, output: Path) -> None:
    """Train a recipe once; its help names the recipes that are installed."""
    from rich.console import Console

    from harness.measures import COSTS
    from harness.recipes import checkpoint
    from harness.recipes.events import Failed, Finished, Noted, Scored
    from harness.runs import retelling
    from harness.runs.execute import execute
    from harness.runs.single import describe

    refuse_command(recipe)
    run = describe(recipe, overrides, seed=seed, directory=output)
    trainer = run.address.load()
    objective = run.objective
    ended: list[Any] = []

    def emit(event: Any) -> None:
        if isinstance(event, Scored):
            score = event.scores[objective.name]
            unit = trainer.unit if event.step != 1 else trainer.unit.removesuffix("s")
            note(f"{event.step:,} {unit}, {event.train_seconds:.0f} s: {objective.title} {score:.4g}")
        if isinstance(event, Noted):
            note(event.text)
        ended.append(event)

    note(", ".join(filter(None, (run.name, str(run.budget), f"seed {seed}"))))
    execute(run, emit)
    last = ended[-1]
    if isinstance(last, Failed):
        _explain(last, output)
        sys.exit(1)
    assert isinstance(last, Finished)
    Console().print(_measured(last.summary, (objective, *trainer.measures(run.evaluate), *COSTS)))
    checkpoint.remove(output)
    retelling.remove(output)
    if left := sorted(each.name for each in output.iterdir()):
        note(f"in {output}: {', '.join(left)}")


def _explain(failed: Failed, output: Path) -> None:
    """Why a run failed, in one line, and where the rest is."""
    from harness.runs.boundary import TRACEBACK

    reason = " ".join(failed.reason.split())
    traceback = output / TRACEBACK
    if failed.details and str(traceback) not in reason:
        reason = f"{reason} (the whole traceback is in {traceback})"
    click.echo(f"error: the run {_ENDED.get(failed.kind, 'failed')}: {reason}", err=True)


def _measured(summary: Mapping[str, float], known: Iterable[Measure]) -> Table:
    from rich.table import Table
    from rich.text import Text

    headings = {each.name: each.heading for each in known}
    table = Table(box=None)
    table.add_column("measure")
    table.add_column("")
    table.add_column("value", justify="right")
    for name, value in summary.items():
        table.add_row(Text(name), Text(headings.get(name, "")), f"{value:,.4g}")
    return table


@click.command()
@click.argument("run")
@click.option("--count", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A folder, or a .zip file.")
@storage_option
def sample(run: str, count: int, seed: int, output: Path, storage: str) -> None:
    """Draw images from a finished RUN: its folder under runs/, or the key that its MLflow run is tagged with.

    A key is looked for under runs/, then where the studies of the storage have their runs.
    """
    from harness.files.images import write_images
    from harness.runs.folder import address_of
    from harness.study.places import run_folder

    folder = run_folder(run, storage)
    images = address_of(folder).load().sample(folder, count=count, seed=seed)
    write_images(images, output)
    click.echo(f"wrote {count} images to {output}")
