"""recipes: which are installed, and what the settings of one are."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from harness.errors import SpecError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from harness.recipes import Recipe


@click.command()
@click.argument("name", required=False)
def recipes(name: str | None) -> None:
    """List the installed recipes, or the settings of the one called NAME.

    NAME may also be a place, like ./train.py:name or package.module:name.
    """
    lines = _listed() if name is None else _explained(name)
    click.echo("\n".join(lines))


def refuse_command(recipe: str) -> None:
    """Refuse a command where the name or place of a recipe is asked for. Raises SpecError."""
    if recipe.startswith("{") or any(map(str.isspace, recipe)):
        raise SpecError(
            f"'{recipe}' is a command, whose settings and measures stand in a spec: write recipe: {{command: [python, "
            "train.py, --lr, '{lr}'], settings: {lr: 0.1}} and objective: {metric: accuracy, direction: maximize} in a "
            "YAML file, as docs/recipes.md shows; here give a recipe's name, or a place like ./train.py:name"
        )


def _listed() -> Iterator[str]:
    from harness import recipes as installed

    for name in installed.names():
        try:
            recipe = installed.get(name)
        except Exception as error:  # whatever another package's module may do
            known = isinstance(error, SpecError)
            yield from _entry(name, f"cannot be loaded: {error if known else f'{type(error).__name__}: {error}'}")
        else:
            yield from _entry(name, f"{_summary(recipe)} {_wants(recipe)}".strip())
    yield ""
    yield from _wrapped(
        "`harness recipes NAME` tells the settings of one, `harness init NAME` writes a spec to start from; NAME "
        "may be a place, like ./train.py:name."
    )


def _explained(name: str) -> Iterator[str]:
    from harness.recipes.address import Address
    from harness.spec.refusals import build

    refuse_command(name)
    recipe = Address.of(name).load()
    yield from _wrapped(f"{recipe.name}: {_summary(recipe)}" if _summary(recipe) else recipe.name)
    yield from _wrapped(f"{_wants(recipe)} Steps count {recipe.unit}. Version {recipe.version}.".strip())
    evaluate, _ = build(recipe.evaluate, {})
    if evaluate is not None and (others := recipe.measures(evaluate)):
        yield ""
        yield "Other measures of a run:"
        for measure in others:
            kind = "a cost, " if measure.kind.value == "cost" else ""
            yield from _entry(measure.name, f"{measure.heading}, {kind}{measure.better} is better")
    for section, model in (
        ("train", recipe.settings),
        ("data", recipe.data),
        ("evaluate", recipe.evaluate),
        ("budget", recipe.budget),
    ):
        yield ""
        yield from _section(section, model)


def _section(section: str, model: type[BaseModel]) -> Iterator[str]:
    from harness.spec.described import described

    settings = described(model)
    if not settings:
        yield f"{section}: none"
        return
    optional = getattr(model, "optional", False)
    rule = ", at most one of these" if optional else ", one of these"
    yield f"{section}{rule if section == 'budget' else ''}:"
    for each in settings:
        default = "required" if each.required else f"default {each.usual}"
        if section == "budget" and each.default is None:
            default = ""
        yield from _entry(each.name, "; ".join(filter(None, (each.allowed, default))), each.meaning)


def _summary(recipe: Recipe) -> str:
    """The first paragraph of what a recipe says of itself."""
    from harness.recipes import Recipe as Protocol

    said = vars(recipe).get("__doc__") or type(recipe).__doc__ or ""
    if said == Protocol.__doc__:
        return ""
    return " ".join(said.strip().partition("\n\n")[0].split())


def _wants(recipe: Recipe) -> str:
    objective = recipe.objective
    return f"Objective: {objective.name} ({objective.better} is better)." if objective.name else ""


def _entry(name: str, text: str, more: str = "") -> Iterator[str]:
    """A name and a text about it, and `more` below, all of it in the terminal's width."""
    yield from _wrapped(f"{name}: {text}", "  ", "      ")
    yield from _wrapped(more, "      ", "      ")


def _wrapped(text: str, first: str = "", others: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        width=max(40, min(get_terminal_size().columns, 100)),
        initial_indent=first,
        subsequent_indent=others,
        break_on_hyphens=False,
        break_long_words=False,
    )
