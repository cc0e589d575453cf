"""One run without a study: `--set` options become the sections that a spec would have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness.errors import SpecError, nearest
from harness.recipes.address import Address
from harness.runs.description import SECTIONS, RunDescription
from harness.spec.documents import scalar
from harness.spec.refusals import build

_USUAL = {"images": 40_000, "seconds": 60}
"""What a run gets that names no budget, by the first of its recipe's units that is here."""


def sections(overrides: Sequence[str], models: Mapping[str, type[BaseModel]], *, default: str) -> dict[str, Any]:
    """One instance per section from "a=b" (section `default`) and "section.a=b" texts. Raises SpecError."""
    raw: dict[str, dict[str, Any]] = {name: {} for name in models}
    for text in overrides:
        key, equals, value = text.partition("=")
        section, dot, setting = key.partition(".")
        if not dot:
            section, setting = default, key
        if not equals or not setting:
            raise SpecError(
                f"--set {text}: must be NAME=VALUE, like --set {default}.{next(iter(models[default].model_fields))}=..."
            )
        if section not in models:
            raise SpecError(f"--set {text}: there is no section '{section}'; {nearest(section, models)}")
        raw[section][setting] = scalar(value)
    if "budget" in models and not raw["budget"] and build(models["budget"], {})[1]:
        raw["budget"] = dict([each for each in _USUAL.items() if each[0] in models["budget"].model_fields][:1])
    found: dict[str, Any] = {}
    for name, model in models.items():
        found[name], refused = build(model, raw[name])
        if refused:
            raise SpecError("\n".join(f"--set {name}.{'.'.join(map(str, keys))}: {text}" for keys, text in refused))
    return found


def describe(recipe: str, overrides: Sequence[str], *, seed: int, directory: Path) -> RunDescription:
    """The run of `recipe` that the options ask for, after the recipe's own check. Raises HarnessError."""
    address = Address.of(recipe)
    kind = address.load()
    models: dict[str, type[BaseModel]] = {section: getattr(kind, member) for section, member in SECTIONS.items()}
    found = sections(overrides, models, default="train")
    references = kind.references(found["data"], found["evaluate"])
    kind.check([found["data"], *references.values()], found["evaluate"])
    return RunDescription(
        key="single",
        name=kind.name,
        address=address,
        objective=kind.objective,
        seed=seed,
        references=references,
        directory=str(directory),
        **found,
    )
