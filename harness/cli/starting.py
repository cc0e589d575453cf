"""A commented spec to start from, written from a recipe's own models: fields, defaults, descriptions."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness.design import plan
from harness.errors import SpecError
from harness.recipes import Recipe
from harness.recipes.address import Address
from harness.runs.single import USUAL, usual_budget
from harness.settings import Budget
from harness.spec import DesignSettings, from_document
from harness.spec.described import Setting, described, written
from harness.spec.refusals import build
from harness.spec.schema import SCHEMA

_WIDTH = 80
_MOST_FACTORS = 2
_SWITCH, _CHOICE, _NUMBER, _OPTIONAL = range(4)
"""Kinds of settings, those that make the plainest tricks first."""
_NO_TRICKS = ("device", "precision", "threads", "seed")
"""Settings of where and from what a run starts, which no one compares."""
_TRIED: tuple[Any, ...] = (0.1, 0.5, 1, 2, 8, 32, "text", True, [])
"""Values made up for a setting without a default: the first that it takes."""

Factors = dict[str, dict[str, Any]]


def starting_spec(recipe: str, folder: Path) -> str:
    """The YAML of a spec of the recipe at the address `recipe`, to be kept in `folder`. Raises SpecError.

    It plans as it is, unless a setting has no default and nothing that could be made up for it.
    """
    text = _seen_from(recipe, folder)
    found = Address.of(text, folder).load()
    document = {
        "study": f"my-{re.sub(r'[^A-Za-z0-9]+', '-', found.name).strip('-')[:80] or 'study'}",
        "recipe": text,
        "train": _made_up(found.settings),
        "data": _made_up(found.data),
        "evaluate": _made_up(found.evaluate),
        "design": {"kind": DesignSettings().kind},
        "seeds": 3,
        "budget": usual_budget(found.budget),
    }
    factors = _examples(found, {key: value for key, value in document.items() if value != {}}, folder)
    return "\n".join(_lines(found, document, factors)) + "\n"


def _seen_from(recipe: str, folder: Path) -> str:
    """The address of a recipe as a spec in `folder` writes it: files are looked for from there."""
    place, colon, name = recipe.rpartition(":")
    file = place if colon else name
    if not file.endswith(".py"):
        return recipe
    relative = Path(os.path.relpath(file, folder)).as_posix()
    return f"{relative if relative.startswith('..') else f'./{relative}'}{colon}{name if colon else ''}"


def _made_up(model: type[BaseModel]) -> dict[str, Any]:
    """Values for the settings that have no default; None where none of those tried is taken."""
    values: dict[str, Any] = {}
    for each in described(model):
        if each.required:
            tried = (*each.choices, *_TRIED)
            values[each.name] = next((one for one in tried if _takes(model, each.name, one)), None)
    return values


def _takes(model: type[BaseModel], name: str, value: Any, others: Mapping[str, Any] | None = None) -> bool:
    _, refused = build(model, {**(others or {}), name: value})
    return not any(keys[:1] in ((name,), ()) for keys, _ in refused)


# ---------------------------------------------------------------------- factors


def _examples(recipe: Recipe, document: Mapping[str, Any], folder: Path) -> Factors:
    """One or two factors that the recipe's own settings make: a switch and a choice before numbers."""
    candidates = [
        *_candidates(recipe.settings, document.get("train", {})),
        *(each for each in _candidates(recipe.data, document.get("data", {})) if each[1] not in _names(recipe)),
    ]
    if not candidates:
        raise SpecError(
            f"recipe '{recipe.name}' has no setting to compare levels of; give it one, like lr: float = 0.1 in the "
            "function's signature"
        )
    first = {rank: name for rank, name, _ in reversed(candidates) if rank <= _CHOICE}  # of each kind
    ordered = sorted(candidates, key=lambda each: (first.get(each[0]) != each[1], each[0]))
    chosen: Factors = {}
    for _, name, factor in ordered:
        if len(chosen) < _MOST_FACTORS and _plans(document, {**chosen, name: factor}, folder):
            chosen[name] = factor
    return chosen or {name: factor for _, name, factor in ordered[:1]}  # what is wrong is said by `harness check`


def _names(recipe: Recipe) -> set[str]:
    return {*recipe.settings.model_fields, *recipe.evaluate.model_fields}


def _candidates(model: type[BaseModel], given: Mapping[str, Any]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(kind of setting, name, factor) of each setting that can be one."""
    for each in described(model):
        if each.name in _NO_TRICKS or each.required:
            continue
        usual = each.default
        if isinstance(usual, bool):
            yield _SWITCH, each.name, {"baseline": False, "levels": [True]}
        elif others := [value for value in each.choices if value != usual][:2]:
            yield _CHOICE, each.name, {"baseline": usual, "levels": others}
        elif others := [value for value in _other_numbers(each) if _takes(model, each.name, value, given)][:1]:
            yield _OPTIONAL if usual is None else _NUMBER, each.name, {"baseline": usual, "levels": others}


def _other_numbers(setting: Setting) -> list[Any]:
    usual = setting.default
    if usual is None:
        return [0.1, 0.5, 1, 2] if "number" in setting.allowed else []
    if not isinstance(usual, int | float):
        return []
    if not usual:
        return [1] if isinstance(usual, int) else [0.1, 0.5]
    return [usual * 2, usual // 2 if isinstance(usual, int) else usual / 2]


def _plans(document: Mapping[str, Any], factors: Factors, folder: Path) -> bool:
    try:
        plan(from_document({**document, "factors": factors}, origin=str(folder / "spec.yaml")))
    except SpecError:
        return False
    return True


# ---------------------------------------------------------------------- text


def _lines(recipe: Recipe, document: Mapping[str, Any], factors: Factors) -> Iterator[str]:
    yield f"# yaml-language-server: $schema={SCHEMA.as_uri()}"
    yield "#"
    yield from _comment(
        f"Which trick of {recipe.name} earns its keep? `harness check FILE` says what this plans, `harness ablate "
        "FILE` runs it. Lines like `#name: value` are defaults: take the # away to change one."
    )
    yield ""
    yield f"study: {written(document['study'])}   # the name in Optuna, MLflow and reports"
    yield f"recipe: {written(document['recipe'])}"
    yield from _objective(recipe, document)
    sections = (
        ("data", recipe.data, "What every run is trained on."),
        ("train", recipe.settings, "Settings of the recipe that are the same in every run."),
        ("evaluate", recipe.evaluate, "How every run is scored; nothing in here can be a factor."),
    )
    for name, model, what in sections:
        if model.model_fields:
            yield ""
            yield from _comment(what)
            yield from _section(name, model, document[name])
    yield ""
    tricks = " and ".join(name for name, model, _ in sections[:2] if model.model_fields)
    yield from _comment(
        "The tricks: each has a baseline (the trick switched off) and one or more levels to hold against it. These are "
        f"examples: any setting of {tricks} can be a factor, called like the setting; `sets` is for one that changes "
        "several."
    )
    yield "factors:"
    meaning = {each.name: each.meaning for model in (recipe.data, recipe.settings) for each in described(model)}
    for name, factor in factors.items():
        yield from _comment(meaning[name], "  ")
        yield f"  {name}:"
        yield f"    baseline: {written(factor['baseline'])}"
        yield f"    levels: {written(factor['levels'])}"
    yield ""
    (kinds,) = (each.choices for each in described(DesignSettings) if each.name == "kind")
    yield from _comment(f"How factors are combined into cells: {', '.join(kinds)}; docs/designs.md says when which.")
    yield "design:"
    yield f"  kind: {written(document['design']['kind'])}"
    yield ""
    yield from _comment("Every cell is trained once per seed; effects are estimated from runs paired by seed.")
    yield f"seeds: {document['seeds']}"
    yield from _budget(recipe.budget, document["budget"])


def _objective(recipe: Recipe, document: Mapping[str, Any]) -> Iterator[str]:
    objective = recipe.objective
    yield ""
    evaluate, _ = build(recipe.evaluate, document["evaluate"])
    others = [each.name for each in recipe.measures(evaluate)] if evaluate is not None else []
    also = f" Runs also end with {', '.join(others)}." if others else ""
    yield from _comment(f"What the study is about: {objective.title}, {objective.better} is better.{also}")
    yield f"#objective: {{metric: {written(objective.name)}}}"


def _section(section: str, model: type[BaseModel], given: Mapping[str, Any]) -> Iterator[str]:
    yield f"{section}:"
    for each in described(model):
        yield from _comment(f"{each.meaning} Allowed: {each.allowed}.".strip(), "  ")
        if each.required:
            yield f"  {each.name}: {written(given[each.name])}   # has no default: fill it in"
        else:
            yield f"  #{each.name}: {each.usual}"


def _budget(model: type[Budget], given: Mapping[str, Any]) -> Iterator[str]:
    if not model.model_fields:
        return
    yield ""
    which = "At most one of these" if model.optional else "One of these"
    timed = "; `seconds` gives all runs equal training time" if "seconds" in model.model_fields else ""
    yield from _comment(f"How long a run trains. {which}{timed}.")
    yield "budget:"
    for each in described(model):
        if each.meaning:
            yield from _comment(each.meaning, "  ")
        if each.name in given:
            yield f"  {each.name}: {given[each.name]}"
        else:
            example = each.default if each.default is not None else USUAL.get(each.name, 20)
            yield f"  #{each.name}: {written(example)}"


def _comment(text: str, margin: str = "") -> list[str]:
    lead = f"{margin}# "
    return textwrap.wrap(
        text, width=_WIDTH, initial_indent=lead, subsequent_indent=lead, break_on_hyphens=False, break_long_words=False
    )
