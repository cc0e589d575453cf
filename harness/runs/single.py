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
from harness.spec.identity import digest
from harness.spec.refusals import build

USUAL = {"images": 40_000, "epochs": 10, "steps": 1_000, "seconds": 60}
"""What a run gets that names no budget, where its recipe has none of its own, by the first unit of the recipe."""


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
    if "budget" in models and not raw["budget"]:
        raw["budget"] = usual_budget(models["budget"])
    found: dict[str, Any] = {}
    for name, model in models.items():
        found[name], refused = build(model, raw[name])
        if refused:
            raise SpecError("\n".join(f"--set {name}.{'.'.join(map(str, keys))}: {text}" for keys, text in refused))
    return found


def usual_budget(model: type[BaseModel]) -> dict[str, Any]:
    """A budget for a run that names none; {} where the recipe has its own, or needs none."""
    if not build(model, {})[1]:
        return {}
    unit = next(iter(model.model_fields))
    return {unit: USUAL.get(unit, 20)}


def describe(recipe: str, overrides: Sequence[str], *, seed: int, directory: Path) -> RunDescription:
    """The run of `recipe` that the options ask for, after the recipe's own check. Raises HarnessError."""
    address = Address.of(recipe)
    kind = address.load()
    models: dict[str, type[BaseModel]] = {section: getattr(kind, member) for section, member in SECTIONS.items()}
    found = sections(overrides, models, default="train")
    references = kind.references(found["data"], found["evaluate"])
    kind.check([found["data"], *references.values()], found["evaluate"])
    facts = {section: each.model_dump(mode="json") for section, each in found.items()}
    whose = [address.text, str(Path(address.folder).resolve()), kind.name, kind.version, address.digest(), seed]
    return RunDescription(
        key="single",
        identity=digest([*whose, facts]),  # the folder may hold what another recipe or other settings left
        name=kind.name,
        address=address,
        objective=kind.objective,
        seed=seed,
        references=references,
        directory=str(directory),
        **found,
    )
