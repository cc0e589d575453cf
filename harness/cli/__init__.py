"""The command line: parse, call, print. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness import __version__
from harness.data.settings import DataSettings
from harness.errors import HarnessError, nearest
from harness.metrics.presets import EXTRACTOR_NAMES, PRESETS
from harness.settings import Precision

if TYPE_CHECKING:
    from harness.metrics.scoring import Scored

_STORAGE = "sqlite:///optuna.db"


class _Commands(click.Group):
    """Prints the user's mistakes as `error: ...` with exit code 2, and an interrupt with 130; never a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except HarnessError as error:
            click.echo(f"error: {error}", err=True)
            context.exit(2)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            context.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def main() -> None:
    """Which training trick earns its keep, by how much, how surely, and at what cost?"""
    warnings.filterwarnings("ignore", category=FutureWarning)


_set = click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Override a key of the spec.")
_storage = click.option("--storage", default=_STORAGE, show_default=True, help="Any Optuna storage URL.")


_file = click.Path(dir_okay=False, path_type=Path)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise HarnessError(f"{path}: cannot be written ({error.strerror}); name another file") from None


def _note(text: str) -> None:
    text = text.encode(errors="replace").decode()  # names of files need not be UTF-8
    Console(stderr=False).print(text, highlight=False, soft_wrap=True, markup=False)


# ---------------------------------------------------------------------- studies


@main.command()
@click.argument("spec", type=click.Path(path_type=Path))
@_set
@click.option("--dry-run", is_flag=True, help="Print the plan and a time estimate; run and write nothing.")
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    help="Runs at a time. Default: one per GPU; on a CPU one per core, at most 4.",
)
@click.option("--launch", type=click.Choice(["inline", "processes"]), default="processes", show_default=True)
@_storage
@click.option("--tracking-uri", help="Any MLflow tracking URI. Default: $MLFLOW_TRACKING_URI or sqlite:///mlflow.db.")
@click.option("--take-over", is_flag=True, help="Take the study from a coordinator on another host that is dead.")
def ablate(
    spec: Path,
    overrides: tuple[str, ...],
    dry_run: bool,
    slots: int | None,
    launch: str,
    storage: str,
    tracking_uri: str | None,
    take_over: bool,
) -> None:
    """Run the study that SPEC declares, and say what each trick is worth.

    The same command again adds nothing and finishes what is missing.
    """
    from harness.spec import load

    study = load(spec, overrides)
    from harness.study import ablate as main_job
    from harness.study.placement import Options

    options = Options(storage=storage, tracking_uri=tracking_uri, slots=slots, launch=launch, take_over=take_over)
    if dry_run:
        from harness.study.preview import dry_run as preview

        preview(study, options, _note)
        return
    outcome, report = main_job.ablate(study, options, _note)
    if outcome.interrupted:
        click.echo("interrupted: the same command again goes on from the checkpoints", err=True)
        sys.exit(130)
    _print_report(report, brief=True)
    name = report.provenance["study"]
    click.echo(f"for curves, costs and samples: harness report {name} --format html --output report.html")
    if outcome.failed:
        click.echo(f"error: {outcome.failed} run(s) failed: {outcome.reasons[0]}", err=True)
        sys.exit(1)


def _print_report(report: Any, *, brief: bool = False) -> None:
    from harness.report import summary

    console = Console()
    console.print()
    console.print(summary.brief(report) if brief else summary.terminal(report))
    for line in report.notes:
        console.print(f"note: {line}", highlight=False, markup=False)


@main.command()
@click.argument("study", metavar="SPEC|STUDY")
@_set
@_storage
@click.option(
    "--format",
    "kind",
    type=click.Choice(["table", "markdown", "latex", "csv", "html"]),
    default="table",
    show_default=True,
)
@click.option("--table", "name", help="With csv: the table to write, such as runs or statistics. Default: the answer.")
@click.option("--output", type=_file, help="Write there instead of to the terminal.")
def report(
    study: str, overrides: tuple[str, ...], storage: str, kind: str, name: str | None, output: Path | None
) -> None:
    """What each trick of a study is worth, at any time: SPEC is its file, STUDY its name in the storage."""
    from harness.study.answer import load_report

    if name is not None and kind != "csv":
        raise HarnessError(
            f"--table {name}: the format {kind} shows every table; leave --table out, or add --format csv"
        )
    found = load_report(storage, _named(study, overrides))
    from harness.report import html, summary

    if kind == "table" and output is None:
        _print_report(found)
        return
    text = {
        "table": lambda: summary.markdown(found),
        "markdown": lambda: summary.markdown(found),
        "latex": lambda: summary.latex(found),
        "csv": lambda: _table_of(summary.csv(found), name),
        "html": lambda: html.render(found),
    }[kind]()
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
    else:
        _write(output, text)
        click.echo(f"wrote {output}")


def _table_of(tables: Mapping[str, str], name: str | None) -> str:
    if name is not None and name not in tables:
        raise HarnessError(f"--table {name}: this report has no such table; {nearest(name, tables)}")
    return tables[name or next(iter(tables))]


@main.command()
@click.argument("studies", nargs=-1, required=True, metavar="SPEC|STUDY...")
@_storage
@click.option("--format", "kind", type=click.Choice(["table", "markdown"]), default="table", show_default=True)
def compare(studies: tuple[str, ...], storage: str, kind: str) -> None:
    """The same tricks in two studies or more. NAME@URL is a study in another storage."""
    from harness.analysis.compare import compare as compared
    from harness.errors import StudyError
    from harness.report.compare import compare_markdown, render_compare
    from harness.study.answer import load_report

    if len(set(studies)) < 2:
        raise StudyError(f"{' '.join(studies)}: a comparison needs two different studies or more; name another one")
    found = []
    for text in studies:
        name, _, url = text.partition("@")
        report = load_report(url or storage, _named(name, ()))
        several = sum(other.partition("@")[0] == name for other in studies) > 1
        found.append((text if several else name, report.runs, report.plan))
    table = compared(found)
    if kind == "markdown":
        click.echo(compare_markdown(table), nl=False)
    else:
        Console().print(render_compare(table))


def _named(study: str, overrides: tuple[str, ...]) -> Any:
    """A study's name, or the spec in the file that `study` is."""
    from harness.spec import load

    by_spec = study.endswith((".yaml", ".yml")) or Path(study).exists()
    return load(Path(study), overrides) if by_spec else study


# ---------------------------------------------------------------------- single runs


@main.command()
@click.argument("recipe")
@click.option(
    "--set", "overrides", multiple=True, metavar="A=B", help="A setting of the recipe, or data.A, budget.A..."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs/single"), show_default=True)
def train(recipe: str, overrides: tuple[str, ...], seed: int, output: Path) -> None:
    """Train RECIPE once, without a study. Default budget: 40,000 images of synthetic dogs."""
    from harness.recipes.events import Failed, Finished, Scored
    from harness.runs.execute import execute
    from harness.runs.single import describe

    description = describe(recipe, overrides, seed=seed, directory=output)
    ended: list[Any] = []

    def emit(event: Any) -> None:
        if isinstance(event, Scored):
            _note(f"{event.images:,} images, {event.train_seconds:.0f} s: MiFID {event.scores['mifid']:.1f}")
        ended.append(event)

    execute(description, emit)
    last = ended[-1]
    if isinstance(last, Failed):
        click.echo(last.details or f"{last.kind}: {last.reason}", err=True)
        sys.exit(1)
    assert isinstance(last, Finished)
    table = Table(box=None)
    table.add_column("outcome")
    table.add_column("value", justify="right")
    for name, value in last.summary.items():
        table.add_row(name, f"{value:,.4g}")
    Console().print(table)
    (output / "checkpoint.pt").unlink(missing_ok=True)
    _note(f"grids and generator: {output}")


@main.command()
@click.argument("run")
@click.option("--count", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A folder, or a .zip file.")
def sample(run: str, count: int, seed: int, output: Path) -> None:
    """Draw images from a finished RUN: its folder under runs/, or the key that its MLflow run is tagged with."""
    from harness import recipes
    from harness.files.images import write_images
    from harness.runs.folder import run_folder

    folder = run_folder(run)
    recipe = json.loads((folder / "generator.json").read_text())["recipe"]
    images = recipes.get(recipe).sample(folder, count=count, seed=seed)
    write_images(images, output)
    click.echo(f"wrote {count} images to {output}")


@main.command()
@click.argument("generated", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("reference", type=click.Path(path_type=Path))
@click.option(
    "--extractor",
    "extractors",
    multiple=True,
    default=("efficientnet-lite0",),
    show_default=True,
    metavar="NAME",
    help=f"{', '.join([*EXTRACTOR_NAMES, *PRESETS])} or timm:<model>; may be given several times.",
)
@click.option(
    "--tau",
    type=click.FloatRange(0, 1),
    help="Memorisation distances below are penalised. Default: a preset's, or 0.1.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="Arithmetic of the extractor; auto is bf16 where the device is quick at it, fp32 compares across machines.",
)
@click.option("--infinity", is_flag=True, help="Add FID-infinity: the FID extrapolated to endless samples.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with fingerprints and skipped files.")
@click.option("--pairs", type=_file, help="Also write a page of nearest real images, as HTML.")
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
    from harness.study.progress import file_bar

    found: list[Scored] = []
    refusal: HarnessError | None = None
    with file_bar() as progress:
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
        _show_scores(found, as_json=as_json, pairs=pairs)
    if refusal is not None:  # of a later set: what was scored before it is shown
        raise refusal


def _show_scores(found: Sequence[Scored], *, as_json: bool, pairs: Path | None) -> None:
    if as_json:
        click.echo(json.dumps([one.document() for one in found], indent=2))
    else:
        _print_scores(found)
    if pairs is not None:
        from harness.report.pairs import render

        _write(pairs, render(found))
        click.echo(f"wrote {pairs}", err=True)


def _print_scores(found: Sequence[Scored]) -> None:
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
        _note(f"note: {line}")


# ---------------------------------------------------------------------- data and machine


@main.group()
def data() -> None:
    """Look at, prepare and draw data sets."""


_data_set = click.option(
    "--set", "overrides", multiple=True, metavar="A=B", help="A data setting, as under data: in a spec."
)


def _data_settings(overrides: tuple[str, ...]) -> Any:
    from harness.data import check
    from harness.runs.single import sections

    settings = sections(overrides, {"data": DataSettings}, default="data")["data"]
    check(settings)
    return settings


@data.command("info")
@_data_set
def data_info(overrides: tuple[str, ...]) -> None:
    """Count photos, classes, boxes and what would be skipped."""
    from harness.data.info import info

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in info(_data_settings(overrides)).items():
        table.add_row(str(name), str(value))
    Console().print(table)


@data.command("prepare")
@_data_set
def data_prepare(overrides: tuple[str, ...]) -> None:
    """Crop and resize once into the cache, as `harness ablate` would."""
    from harness.data import prepare
    from harness.machine.provenance import cores

    prepared = prepare(_data_settings(overrides), workers=cores())
    click.echo(f"{len(prepared.images):,} images, fingerprint {prepared.fingerprint}")
    for skipped in prepared.skipped:
        click.echo(f"skipped {skipped.path}: {skipped.reason}")


@data.command("synthesize")
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(min=16), default=2000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def data_synthesize(destination: Path, count: int, seed: int) -> None:
    """Draw synthetic dogs in the layout of Stanford Dogs into DESTINATION."""
    from harness.data.synthetic import synthesize
    from harness.machine.provenance import cores

    synthesize(destination, count=count, seed=seed, workers=cores())
    click.echo(f"drew {count:,} photos in {destination}")


@main.command()
def doctor() -> None:
    """What this machine can do, and what is missing."""
    from harness.cli.examine import examine

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column("what")
    table.add_column("found")
    findings = examine()
    for finding in findings:
        table.add_row("ok" if finding.ok else "--", finding.what, finding.found)
    Console().print(table)
    if not all(finding.ok for finding in findings if finding.needed):
        sys.exit(1)
