"""The JSON schema of a spec, for editors, made from the models that the loader validates with.

`python -m harness.spec.schema` writes it anew into `schema.json`, which is shipped: name it in a spec's first line, as
`harness init` does. A recipe that ships with harness has a schema of its own sections beside its code. What the loader
takes they take, but for values of another type that pydantic reads as the right one (a number in quotes); the loader
refuses more, which only a whole spec shows.
"""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from harness import recipes
from harness.spec.designs import KINDS, DesignSettings
from harness.spec.factors import Factor
from harness.spec.limits import MOST_SEEDS
from harness.spec.load import ADDRESSES, LONGEST, OWN, Objective
from harness.spec.seeds import LARGEST_SEED, MOST_WAVES

SCHEMA = Path(__file__).with_name("schema.json")
"""The shipped file."""

_DRAFT = "http://json-schema.org/draft-07/schema#"
_KNOWN = ("dcgan",)
"""The recipes that ship with harness: of others the schema knows no settings."""
_SECTIONS = {
    "data": "What every run is trained on.",
    "train": "Settings of the recipe that are the same in every run.",
    "evaluate": "How every run is scored; nothing in here can be a factor.",
    "budget": "How long a run trains: an amount of one of the recipe's units.",
}
_NAME = r"^[^\s.-]\S*$"
"""Names: the loader's own pattern has `\\w`, which to editors means the letters of English alone."""

Schema = dict[str, Any]


def schema() -> Schema:
    """The schema of a spec, JSON Schema draft 7, which is what editors know."""
    definitions = _definitions(Factor, DesignSettings, Objective)
    # A file that extends another says of a factor or objective only what differs: required is said at the end.
    required = {name: definitions[name].pop("required", []) for name in ("Factor", "Objective")}
    of = definitions["DesignSettings"]["properties"]["of"]
    of["items"] = {"anyOf": [{"enum": list(KINDS)}, of["items"]]}
    return {
        "$schema": _DRAFT,
        "title": "A study of harness",
        "type": "object",
        "properties": {
            "extends": {"type": "string", "minLength": 1, "description": "A spec that this one is laid over."},
            "study": {
                "description": "The name in Optuna, MLflow and reports.",
                "type": "string",
                "pattern": _NAME,
                "maxLength": LONGEST,
            },
            "recipe": {
                "description": f"What is trained: {ADDRESSES}.",
                "anyOf": [{"type": "string", "minLength": 1}, _command()],
            },
            "objective": {"description": _meaning(Objective), **_or_null(_reference(Objective))},
            "worth": _worth(),
            **{section: {"description": text, **_or_null({"type": "object"})} for section, text in _SECTIONS.items()},
            "factors": {
                "description": "The tricks: each has a baseline and one or more levels to hold against it.",
                **_or_null(
                    {
                        "type": "object",
                        "propertyNames": {"pattern": _NAME, "maxLength": LONGEST},
                        "additionalProperties": _or_null(_reference(Factor)),
                    }
                ),
            },
            "design": {"description": _meaning(DesignSettings), **_or_null(_reference(DesignSettings))},
            "seeds": _seeds(),
        },
        "patternProperties": {f"^{OWN}": {"description": "Yours, for YAML anchors; harness reads none of it."}},
        "additionalProperties": False,
        "allOf": [
            {"if": {"required": ["extends"]}, "else": _whole(required)},
            *map(_of_known, _KNOWN),
        ],
        "$defs": definitions,
    }


def _whole(required: dict[str, list[str]]) -> Schema:
    """What a spec that extends no other must have."""
    factor = {"type": "object", "required": [*required["Factor"], "levels"], "properties": {"levels": {"minItems": 1}}}
    noise = {"required": ["kind"], "properties": {"kind": {"const": "noise"}}, "type": "object"}
    some = {"required": ["factors"], "properties": {"factors": {"type": "object", "minProperties": 1}}}
    return {
        "required": ["study", "recipe", "seeds"],
        "properties": {
            "factors": {"additionalProperties": factor},
            "objective": {"required": required["Objective"]},
        },
        "allOf": [{"if": {"required": ["design"], "properties": {"design": noise}}, "else": some}],
        "if": {"properties": {"recipe": {"type": "object"}}},
        "then": {"required": ["objective"]},
    }


def _of_known(name: str) -> Schema:
    """The sections of a spec whose recipe is the one called `name`."""
    where = Path(os.path.relpath(place(recipes.get(name)), SCHEMA.parent)).as_posix()
    return {"if": {"required": ["recipe"], "properties": {"recipe": {"const": name}}}, "then": {"$ref": where}}


def _worth() -> Schema:
    amount = {"type": "number", "exclusiveMinimum": 0}
    share = {"type": "string", "pattern": r"^\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*%\s*$"}
    return {
        "description": "The smallest effect worth having: a share of the control's mean, 5% where nothing is said, or "
        "amount of the objective, like {accuracy: 0.01}.",
        **_or_null(
            {
                "anyOf": [
                    share,
                    {"type": "object", "maxProperties": 1, "minProperties": 1, "additionalProperties": amount},
                ]
            }
        ),
    }


def schema_of(recipe: recipes.Recipe) -> Schema:
    """The schema of the sections that are a recipe's own."""
    models = {"train": recipe.settings, "data": recipe.data, "evaluate": recipe.evaluate, "budget": recipe.budget}
    whole: Schema = {
        "$schema": _DRAFT,
        "title": f"Sections of a study of {recipe.name}",
        "properties": {section: _or_null(_reference(model)) for section, model in models.items()},
        "$defs": _definitions(*models.values()),
    }
    units = list(recipe.budget.model_fields)
    if not recipe.budget.optional and all(field.default is None for field in recipe.budget.model_fields.values()):
        given = [{"required": [unit], "properties": {unit: {"type": "number"}}} for unit in units]
        whole["if"] = {"required": ["extends"]}
        whole["else"] = {"required": ["budget"], "properties": {"budget": {"type": "object", "oneOf": given}}}
    return whole


def place(recipe: recipes.Recipe) -> Path:
    """Where the schema of a recipe's own sections is shipped: beside its code."""
    return Path(inspect.getfile(type(recipe))).with_name(SCHEMA.name)


def _definitions(*models: type[BaseModel]) -> Schema:
    _, made = models_json_schema([(model, "validation") for model in models], ref_template="#/$defs/{model}")
    return {name: _terse(each) for name, each in made["$defs"].items()}


def _command() -> Schema:
    text: Schema = {"type": "string"}
    return {
        "type": "object",
        "required": ["command"],
        "properties": {
            "command": {
                "type": "array",
                "minItems": 1,
                "items": {"type": ["string", "number", "object"]},
                "description": "The program and its arguments, with {setting} and {seed} where their values go.",
            },
            "settings": {"type": "object", "description": "The settings and their defaults."},
            "budget": {"type": "object", "description": "Its units and their defaults, like {epochs: 20}."},
            "unit": {**text, "description": "What its steps count, in the plural."},
            "name": {**text, "description": "What readers call it."},
            "version": {"type": "integer", "description": "Raise it where numbers do not compare with those before."},
            "cwd": {**text, "description": "The folder that it runs in, seen from the spec's."},
            "env": {"type": "object", "description": "Variables of its environment."},
        },
    }


def _seeds() -> Schema:
    return {
        "description": "How many runs each cell gets, their seeds, or waves of one seed until every trick is decided.",
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": MOST_SEEDS},
            {
                "type": "array",
                "minItems": 1,
                "uniqueItems": True,
                "items": _number(0, LARGEST_SEED),
            },
            {
                "type": "object",
                "properties": {
                    "first": _or_null(_number(2, MOST_WAVES, "Seeds before the first look; 3 where it is not said.")),
                    "most": _or_null(
                        _number(2, MOST_WAVES, "The most seeds that a trick may take; never changed later.")
                    ),
                    "anytime": _or_null(
                        {"type": "boolean", "description": "No maximum can be said; costs about a third more seeds."}
                    ),
                    "start": _or_null(_number(0, LARGEST_SEED, "The first seed; 0 where it is not said.")),
                },
                "additionalProperties": False,
            },
        ],
    }


def _number(least: int, most: int, description: str = "") -> Schema:
    told = {"description": description} if description else {}
    return {"type": "integer", "minimum": least, "maximum": most, **told}


def _reference(model: type[BaseModel]) -> Schema:
    return {"$ref": f"#/$defs/{model.__name__}"}


def _or_null(what: Schema) -> Schema:
    """Null is what a section is whose lines are all commented out."""
    return {"anyOf": [what, {"type": "null"}]}


def _meaning(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").partition("\n\n")[0]


def _terse(node: Any) -> Any:
    """A model's schema without what says nothing to an editor: titles made of names, words for our own refusals."""
    if isinstance(node, list):
        return [_terse(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):
            found[key] = {name: _terse(each) for name, each in value.items()}
        elif key == "additionalProperties" and value is True:
            continue
        elif key not in ("title", "allowed"):
            found[key] = value if key in ("default", "enum", "const") else _terse(value)
    return found


def texts() -> dict[Path, str]:
    """The shipped files as they must be."""
    made = {SCHEMA: schema()}
    for name in _KNOWN:
        recipe = recipes.get(name)
        made[place(recipe)] = schema_of(recipe)
    return {path: json.dumps(each, indent=1, ensure_ascii=False) + "\n" for path, each in made.items()}


if __name__ == "__main__":
    for path, content in texts().items():
        path.write_text(content, encoding="utf-8")
