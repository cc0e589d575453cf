"""One run without a study: `--set` options become the sections that a spec would have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness import recipes
from harness.errors import SpecError, nearest
from harness.runs.description import RunDescription
from harness.settings import Budget
from harness.spec.documents import scalar
from harness.spec.refusals import build

DEFAULT_IMAGES = 40_000


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
        raw["budget"]["images"] = DEFAULT_IMAGES
    found: dict[str, Any] = {}
    for name, model in models.items():
        found[name], refused = build(model, raw[name])
        if refused:
            raise SpecError("\n".join(f"--set {name}.{'.'.join(map(str, keys))}: {text}" for keys, text in refused))
    return found


def describe(recipe: str, overrides: Sequence[str], *, seed: int, directory: Path) -> RunDescription:
    """The run of `recipe` that the options ask for, after the recipe's own check. Raises HarnessError."""
    kind = recipes.get(recipe)
    models: dict[str, type[BaseModel]] = {
        "train": kind.settings,
        "data": kind.data,
        "evaluate": kind.evaluate,
        "budget": Budget,
    }
    found = sections(overrides, models, default="train")
    references = kind.references(found["data"], found["evaluate"])
    kind.check([found["data"], *references.values()], found["evaluate"])
    return RunDescription(
        key="single",
        name=recipe,
        recipe=recipe,
        seed=seed,
        references=references,
        directory=str(directory),
        **found,
    )
