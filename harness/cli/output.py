"""Where commands write: lines on the terminal, text into files."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from harness.errors import HarnessError

FILE = click.Path(dir_okay=False, path_type=Path)
"""A file to write to."""


def note(text: str) -> None:
    """One line on the terminal, as it is: names of files need not be UTF-8."""
    Console().print(text.encode(errors="replace").decode(), highlight=False, soft_wrap=True, markup=False)


def write(path: Path, text: str) -> None:
    """The text into a file, its folder made where it is missing, and a line that says so. Raises HarnessError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise HarnessError(f"{path}: cannot be written ({error.strerror}); name another file") from None
    click.echo(f"wrote {path}", err=True)
