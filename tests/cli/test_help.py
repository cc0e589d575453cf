"""Help: every command is listed, in whole sentences that a terminal of 80 columns holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click
import pytest
from click.testing import Result

from harness.cli import main


def commands(command: click.Command, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            assert inner is not None
            yield from commands(inner, (*name, each))


EVERY = dict(commands(main))


@pytest.mark.parametrize("name", EVERY, ids=" ".join)
def test_help_fits_80_columns_and_is_not_cut_off(
    harness: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, name: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = harness(*name, "--help")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if line.rstrip().endswith("...") and "Usage" not in line]


@pytest.mark.parametrize("name", EVERY, ids=" ".join)
def test_every_argument_and_option_is_explained(name: tuple[str, ...]) -> None:
    command = EVERY[name]
    said = " ".join((command.help or "").split())
    assert said
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            shown = parameter.make_metavar(click.Context(command)).strip("[].")
            assert any(word in said for word in shown.replace("...", "").split("|")), f"{shown} is not in: {said}"
        elif isinstance(parameter, click.Option) and not parameter.is_eager:
            choice = isinstance(parameter.type, click.Choice)
            assert parameter.help or choice or parameter.name in ("seed", "count"), parameter.opts


def test_the_list_of_commands_is_every_command_under_a_heading(harness: Callable[..., Result]) -> None:
    text = harness("--help").stdout
    listed = [line.split()[0] for line in text.partition("To begin:")[2].splitlines() if line.startswith("  ")]
    assert listed == main.list_commands(click.Context(main))
    assert {"check", "init", "recipes", "studies", "ablate", "report", "train"} <= set(listed)


def test_an_unknown_command_is_refused(harness: Callable[..., Result]) -> None:
    assert harness("abalte").exit_code == 2
