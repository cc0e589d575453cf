"""score: folders or zips of generated images against one of reference images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
from rich import progress as bars
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli.output import FILE, note, write
from harness.errors import HarnessError
from harness.metrics.presets import NAMES
from harness.settings import Precision

if TYPE_CHECKING:
    from harness.metrics.scoring import Scored


@click.command()
@click.argument("generated", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("reference", type=click.Path(path_type=Path))
@click.option(
    "--extractor",
    "extractors",
    multiple=True,
    default=("efficientnet-lite0",),
    show_default=True,
    metavar="NAME",
    help=f"{', '.join(NAMES[:-1])} or {NAMES[-1]}, NAME@64 for an input of 64 px; may be given several times.",
)
@click.option(
    "--tau",
    type=click.FloatRange(0, 1),
    help="Memorisation distances below are penalised. Default: a preset's, or 0.1.",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="auto",
    show_default=True,
    help="Arithmetic of the extractor; auto is bf16 where the device is quick at it, fp32 compares across machines.",
)
@click.option("--infinity", is_flag=True, help="Add FID-infinity: the FID extrapolated to endless samples.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with fingerprints and skipped files.")
@click.option("--pairs", type=FILE, help="Also write a page of nearest real images, as HTML.")
def score(
    generated: tuple[Path, ...],
    reference: Path,
    extractors: tuple[str, ...],
    tau: float | None,
    precision: Precision,
    infinity: bool,
    as_json: bool,
    pairs: Path | None,
) -> None:
    """Score folders or zips of GENERATED images against one of REFERENCE images."""
    from harness.metrics.scoring import score_sets

    found: list[Scored] = []
    refusal: HarnessError | None = None
    progress = _FileBar()
    with progress.bar:
        try:
            for one in score_sets(
                generated,
                reference,
                extractors=extractors,
                tau=tau,
                precision=precision,
                infinity=infinity,
                progress=progress,
            ):
                found.append(one)
        except HarnessError as error:
            refusal = error
    if found:
        _show(found, as_json=as_json, pairs=pairs)
    if refusal is not None:  # of a later set: what was scored before it is shown
        raise refusal


def _show(found: Sequence[Scored], *, as_json: bool, pairs: Path | None) -> None:
    if as_json:
        click.echo(json.dumps([one.document() for one in found], indent=2))
    else:
        _print(found)
    if pairs is not None:
        from harness.report import nearest_page

        write(pairs, nearest_page.render(found))


def _print(found: Sequence[Scored]) -> None:
    console = Console()
    numbers = [one.scores.numbers() for one in found]
    metrics = list(dict.fromkeys(metric for each in numbers for metric in each))
    beside = max(1, (console.width - 24) // 16)  # so many columns have room for their digits
    for start in range(0, len(found), beside):
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column("metric", no_wrap=True)
        shown = slice(start, start + beside)
        for one in found[shown]:
            head = Text(f"{one.generated.source}\n{one.yardstick}", overflow="fold")
            table.add_column(head, justify="right", overflow="fold")
        for metric in metrics:
            texts = (f"{each[metric]:,.4f}" if metric in each else "–" for each in numbers[shown])
            table.add_row(metric, *(Text(text, no_wrap=True) for text in texts))
        console.print(table)
    for line in dict.fromkeys(line for one in found for line in one.notes()):
        note(f"note: {line}")


class _FileBar:
    """A bar over files on standard error, where that is a terminal: one set of files after the other."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn())
        self.bar = bars.Progress(
            *columns, bars.TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
        )

    def begin(self, what: str, files: int) -> None:
        """`files` files of `what` are next."""
        for task in self.bar.task_ids:
            self.bar.remove_task(task)
        self.bar.add_task(what, total=files)

    def advance(self, count: int) -> None:
        """`count` more files are done with."""
        self.bar.advance(self.bar.task_ids[-1], count)
