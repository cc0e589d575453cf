"""The command line: parse, call, print. A command's module is loaded when the command is used."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import click

from harness import __version__
from harness.errors import HarnessError

_GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "To begin": {
        "recipes": ("recipes", "Installed recipes, and the settings of one."),
        "init": ("plans", "Write a commented spec to start from."),
        "check": ("plans", "Validate a spec and print what it plans."),
    },
    "Studies": {
        "ablate": ("studies", "Run a study, and say what each trick is worth."),
        "report": ("studies", "What each trick of a study is worth, at any time."),
        "confirm": ("confirm", "Test the best that a search found, on fresh seeds."),
        "compare": ("studies", "The same tricks in two studies or more."),
        "sync": ("studies", "Bring MLflow to what a study holds."),
        "studies": ("studies", "The studies of a storage, and how far they are."),
    },
    "Single runs": {
        "train": ("runs", "Train a recipe once, without a study."),
        "sample": ("runs", "Draw images from a finished run."),
    },
    "Images and the machine": {
        "score": ("score", "Score generated images against real ones."),
        "data": ("data", "Look at, prepare and draw data sets."),
        "doctor": ("doctor", "What this machine can do, and what is missing."),
    },
}
"""Heading -> command -> the module of this room that holds it, and what the list of commands says of it."""
_COMMANDS = {name: module for group in _GROUPS.values() for name, (module, _) in group.items()}


class _Commands(click.Group):
    """Loads commands when they are used; prints the user's mistakes as `error: ...`, never a traceback.

    A mistake ends with exit code 2, an interrupt with 130.
    """

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"harness.cli.{_COMMANDS[name]}"), name)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, _COMMANDS))
        for heading, group in _GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(widest), summary) for name, (_, summary) in group.items()])

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
