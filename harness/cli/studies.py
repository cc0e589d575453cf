"""ablate, report, sync, compare and studies: studies run, reported, brought to MLflow, held side by side, listed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from harness.cli.launching import chosen, launched
from harness.cli.output import FILE, note, write
from harness.errors import HarnessError, StudyError, nearest
from harness.spec import load

if TYPE_CHECKING:
    from harness.report import Report
    from harness.spec import Spec
    from harness.study.placement import Options
    from harness.study.store.listing import Stored

storage_option = click.option(
    "--storage",
    default="sqlite:///optuna.db",
    show_default=True,
    envvar="HARNESS_STORAGE",
    show_envvar=True,
    help="Any Optuna storage URL; a password belongs into the environment or ~/.pgpass.",
)
tracking_option = click.option(
    "--tracking-uri", help="Any MLflow tracking URI. Default: $MLFLOW_TRACKING_URI or sqlite:///mlflow.db."
)
_set = click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Override a key of the spec.")


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@_set
@click.option("--dry-run", is_flag=True, help="Print the plan, its time and what it can show; run and write nothing.")
@click.option("--spread", metavar="8%", help="Dry run: the baseline's sd over seeds, of its mean or in its unit.")
@click.option("--pilot", type=int, metavar="N", help="Dry run: run the baseline on the first N seeds before.")
@launched
@storage_option
@tracking_option
@click.option("--no-reuse", is_flag=True, help="Train anew what another study of the storage has trained already.")
@click.option("--retry", is_flag=True, help="Try again the runs that have failed too often to be tried once more.")
@click.option("--take-over", is_flag=True, help="Take the study from a coordinator on another host that is dead.")
def ablate(
    spec: Path,
    overrides: tuple[str, ...],
    dry_run: bool,
    spread: str | None,
    pilot: int | None,
    launching: Mapping[str, Any],
    storage: str,
    tracking_uri: str | None,
    no_reuse: bool,
    retry: bool,
    take_over: bool,
) -> None:
    """Run the study that SPEC declares, and say what each trick is worth.

    The same command again adds nothing and finishes what is missing.
    """
    for name, given in (("--spread", spread), ("--pilot", pilot)):
        if given is not None and not dry_run:
            raise HarnessError(f"{name} {given}: is for planning; add --dry-run, or leave it out")
    study = load(spec, overrides)
    from harness.study.placement import Options

    options = Options(
        storage=storage,
        tracking_uri=tracking_uri,
        **chosen(launching),
        take_over=take_over,
        reuse=not no_reuse,
        retry=retry,
    )
    if dry_run:
        from harness.study import preview
        from harness.study.spread import stated

        known = stated(spread) if spread is not None else None
        preview.dry_run(study, options, note, spread=known, pilots=pilot)
        return
    carry_out(study, options)


def carry_out(study: Spec, options: Options) -> None:
    """Run a study and show its answer; ends with 130 where it was interrupted, and with 1 where a run failed."""
    from harness.report import text
    from harness.study import ablate as main_job

    outcome, found = main_job.ablate(study, options, note)
    if outcome.interrupted:
        click.echo("interrupted: the same command again goes on from the checkpoints", err=True)
        sys.exit(130)
    _show(text.brief(found), found.notes)
    name = found.provenance["study"]
    click.echo(f"for curves, costs and samples: harness report {name} --format html --output report.html")
    if failed := outcome.failed + outcome.given_up:
        click.echo(f"error: {failed} run(s) failed: {outcome.reasons[0]}", err=True)
        sys.exit(1)


@click.command()
@click.argument("study", metavar="SPEC|STUDY")
@_set
@storage_option
@click.option(
    "--format",
    "kind",
    type=click.Choice(["table", "markdown", "latex", "csv", "json", "html"]),
    default="table",
    show_default=True,
)
@click.option("--table", "name", help="With csv: the table to write, such as runs or statistics. Default: the answer.")
@click.option("--output", type=FILE, help="Write there instead of to the terminal; a table as Markdown.")
@click.option("--exit-code", is_flag=True, help="End with 0 where every trick is decided, with 3 where one is not.")
def report(
    study: str,
    overrides: tuple[str, ...],
    storage: str,
    kind: str,
    name: str | None,
    output: Path | None,
    exit_code: bool,
) -> None:
    """What each trick of a study is worth, at any time: SPEC is its file, STUDY its name in the storage."""
    if name is not None and kind != "csv":
        raise HarnessError(
            f"--table {name}: the format {kind} shows every table; leave --table out, or add --format csv"
        )
    from harness.study.answer import load_report

    found = load_report(storage, named(study, overrides), pictures=kind == "html")
    if output is not None:
        write(output, _render(found, kind, name))
    elif kind == "table":
        from harness.report import text

        _show(text.terminal(found), found.notes)
    else:
        rendered = _render(found, kind, name)
        click.echo(rendered, nl=not rendered.endswith("\n"))
    if exit_code:
        from harness.report.document import decided

        sys.exit(0 if decided(found) else 3)


def _show(answer: Any, notes: Iterable[str]) -> None:
    console = Console()
    console.print()
    console.print(answer)
    for line in notes:
        console.print(f"note: {line}", highlight=False, markup=False)


def _render(found: Report, kind: str, name: str | None) -> str:
    """The report in a format; a table that goes into a file is Markdown."""
    if kind == "csv":
        from harness.report import frames

        tables = frames.csv(found)
        if name is not None and name not in tables:
            raise HarnessError(f"--table {name}: this report has no such table; {nearest(name, tables)}")
        return tables[name or next(iter(tables))]
    if kind == "html":
        from harness.report import page

        return page.render(found)
    if kind == "json":
        from harness.report.document import document

        return json.dumps(document(found), indent=2)
    from harness.report import text

    return text.latex(found) if kind == "latex" else text.markdown(found)


@click.command()
@click.argument("studies", nargs=-1, required=True, metavar="SPEC|STUDY...")
@storage_option
@click.option("--format", "kind", type=click.Choice(["table", "markdown"]), default="table", show_default=True)
def compare(studies: tuple[str, ...], storage: str, kind: str) -> None:
    """The same tricks in two studies or more.

    SPEC is a study's file, STUDY its name in the storage; STUDY@URL is one in another storage.
    """
    if len(set(studies)) < 2:
        raise StudyError(f"{' '.join(studies)}: a comparison needs two different studies or more; name another one")
    from harness.analysis import compare as compared
    from harness.report import comparison
    from harness.study.answer import load_report

    found = []
    for text in studies:
        name, _, url = text.partition("@")
        one = load_report(url or storage, named(name, ()))
        several = sum(other.partition("@")[0] == name for other in studies) > 1
        found.append((text if several else name, one.runs, one.answer.plan))
    table = compared(found)
    if kind == "markdown":
        click.echo(comparison.markdown(table), nl=False)
    else:
        Console().print(comparison.render(table))


@click.command()
@click.argument("study", metavar="SPEC|STUDY")
@storage_option
@tracking_option
def sync(study: str, storage: str, tracking_uri: str | None) -> None:
    """Bring MLflow to what a study holds, where it was away, locked or deleted: SPEC is its file, STUDY its name.

    Every start of the study does the same. Again adds nothing.
    """
    from harness.study.sync import sync as brought

    brought(storage, named(study, ()), tracking_uri, note)


@click.command()
@storage_option
def studies(storage: str) -> None:
    """List the studies of a storage, the one that ran last first."""
    from harness.study.store.listing import stored

    found = stored(storage)
    if not found:
        click.echo("no study yet: harness ablate SPEC runs one")
        return
    rows = [("study", "recipe", "design", "runs", "last run", "best run"), *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:  # a line each however long, so that it can be searched and cut
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _row(each: Stored) -> tuple[str, ...]:
    if not each.recipe:
        return each.name, "-", "-", "-", _when(each.last), "not made by harness"
    runs = f"{each.complete}/{each.size}" + (f", {each.failed} failed" if each.failed else "")
    best = f"{each.objective} {each.best:.4g}" if each.best is not None else each.objective
    return each.name, each.recipe, each.design, runs, _when(each.last), best


def _when(moment: datetime | None) -> str:
    if moment is None:
        return "none yet"
    return f"{moment:%d %b %H:%M}" if moment.year == datetime.now().year else f"{moment:%d %b %Y}"


def named(study: str, overrides: tuple[str, ...]) -> Any:
    """A study's name, or the spec in the file that `study` is."""
    if study.endswith((".yaml", ".yml")) or Path(study).is_file():
        return load(Path(study), overrides)
    if overrides:
        raise HarnessError(f"--set {overrides[0]}: '{study}' names a stored study; give the file of its spec instead")
    return study
