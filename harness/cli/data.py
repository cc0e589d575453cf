"""data: photos and boxes counted, prepared, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.data.settings import DataSettings

_settings = click.option(
    "--set", "overrides", multiple=True, metavar="A=B", help="A data setting, as under data: in a spec."
)


class _Commands(click.Group):
    """Says what each command does in whole, which click cuts off."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help or "") for name, command in self.commands.items()])


@click.group(cls=_Commands)
def data() -> None:
    """Look at, prepare and draw data sets."""


@data.command()
@_settings
def info(overrides: tuple[str, ...]) -> None:
    """Count photos, classes, boxes and what would be skipped."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from harness.data.info import info

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in info(_checked(overrides)).items():
        table.add_row(str(name), Text(str(value)))
    Console().print(table)


@data.command()
@_settings
def prepare(overrides: tuple[str, ...]) -> None:
    """Crop and resize once into the cache, as `harness ablate` would."""
    from harness.data import prepare
    from harness.machine.provenance import cores

    prepared = prepare(_checked(overrides), workers=cores())
    click.echo(f"{len(prepared.images):,} images, fingerprint {prepared.fingerprint}")
    for skipped in prepared.skipped:
        click.echo(f"skipped {skipped.path}: {skipped.reason}")


@data.command()
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(min=16), default=2000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def synthesize(destination: Path, count: int, seed: int) -> None:
    """Draw the synthetic photos of the default data source, with their boxes, into DESTINATION."""
    from harness.data.synthetic import synthesize
    from harness.machine.provenance import cores

    synthesize(destination, count=count, seed=seed, workers=cores())
    click.echo(f"drew {count:,} photos in {destination}")


def _checked(overrides: tuple[str, ...]) -> DataSettings:
    from harness.data import check
    from harness.data.settings import DataSettings
    from harness.runs.single import sections

    settings: DataSettings = sections(overrides, {"data": DataSettings}, default="data")["data"]
    check(settings)
    return settings
