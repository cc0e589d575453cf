"""Validates settings with their pydantic model and words each refusal: the bad value, what is allowed, the nearest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from harness.errors import nearest
from harness.spec.limits import MOST_MISTAKES

Model = TypeVar("Model", bound=BaseModel)


class Refusal(NamedTuple):
    """One thing wrong: `keys` lead to it inside the settings, () being the settings as a whole."""

    keys: tuple[str | int, ...]
    text: str


def build(model: type[Model], raw: Any) -> tuple[Model | None, list[Refusal]]:
    """An instance of `model` from `raw`, or every reason why there is none."""
    if not isinstance(raw, Mapping):
        return None, [Refusal((), f"{shown(raw)} is not allowed: must be a mapping of settings, key: value")]
    refusals: dict[tuple[str | int, ...], str] = {}
    built = None
    try:
        built = model.model_validate(raw)
    except ValidationError as error:
        for details in error.errors(include_url=False)[:MOST_MISTAKES]:
            keys = _existing(details["loc"], raw, missing=details["type"] == "missing")
            if details["type"] == "too_short" and any(inner[: len(keys)] == keys for inner in refusals):
                continue  # pydantic does not count the items that it refused
            refusals.setdefault(keys, _worded(dict(details), keys, model))
    for key, value in raw.items():
        # pydantic reads `true` as the number 1; whoever writes `batch: true` did not mean 1.
        if isinstance(value, bool) and built is not None and not isinstance(getattr(built, key, value), bool):
            refusals[key,] = f"{shown(value)} is not allowed: must be {_allowed(_schema(model, (key,)))}"
    if refusals:
        return None, [Refusal(keys, text) for keys, text in refusals.items()]
    return built, []


def shown(value: Any) -> str:
    """`value` as one would write it in YAML, on one line and cut short."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def allowed(model: type[BaseModel], name: str) -> str:
    """What the setting `name` of `model` may be, in words; "" where it cannot be told."""
    return _allowed(_schema(model, (name,)))


def choices(model: type[BaseModel], name: str) -> list[Any]:
    """The values that the setting `name` of `model` may have; [] where the choice is not closed."""
    return _values(_schema(model, (name,)))


def _existing(loc: tuple[str | int, ...], raw: Any, *, missing: bool) -> tuple[str | int, ...]:
    """`loc` without the branch names that pydantic puts into it for unions."""
    keys: list[str | int] = []
    for position, key in enumerate(loc):
        in_list = isinstance(raw, list | tuple) and isinstance(key, int) and key < len(raw)
        if in_list or (isinstance(raw, Mapping) and key in raw):
            raw = raw[key]
            keys.append(key)
        elif missing and position == len(loc) - 1:
            keys.append(key)
    return tuple(keys)


def _worded(details: dict[str, Any], keys: tuple[str | int, ...], model: type[BaseModel]) -> str:
    kind, value = details["type"], details["input"]
    if kind == "extra_forbidden" and len(keys) == 1:
        return f"unknown key; {nearest(str(keys[0]), model.model_fields)}"
    said = str(details.get("ctx", {}).get("error") or details["msg"])
    reason = " ".join(said.replace("Value error, ", "").split())
    if not keys:
        return reason
    if kind == "literal_error" and (options := re.findall(r"'([^']+)'", details["ctx"]["expected"])):
        return f"{shown(value)} is not allowed; {nearest(str(value), options)}"
    schema = _schema(model, keys)
    allowed = _allowed(schema)
    if kind == "missing":
        return f"is missing; set {allowed or 'it'}"
    if kind in ("value_error", "assertion_error") or not allowed:
        return f"{shown(value)} is not allowed: {reason}"
    if options := _options(schema):
        return f"{shown(value)} is not allowed; {nearest(str(value), options)}"
    default = f"; the default is {shown(schema['default'])}" if "default" in schema else ""
    return f"{shown(value)} is not allowed: must be {allowed}{default}"


def _schema(model: type[BaseModel], keys: tuple[str | int, ...]) -> dict[str, Any]:
    """The JSON schema of the value at `keys`; {} where it cannot be told."""
    try:
        whole = model.model_json_schema()
    except Exception:  # a recipe may hold types that JSON schema cannot say; the wording then falls back on pydantic's
        return {}
    schema = _resolved(whole, whole)
    for key in keys:
        if isinstance(key, int):
            schema = schema.get("items", {})
        else:
            schema = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
        if not isinstance(schema, dict):
            return {}
        schema = _resolved(schema, whole)
    return schema


def _resolved(schema: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return {**whole.get("$defs", {}).get(name, {}), **schema}


def _options(schema: dict[str, Any]) -> list[str]:
    """The names in a closed choice; [] where the choice is not closed."""
    return ["null" if value is None else str(value) for value in _values(schema)]


def _values(schema: dict[str, Any]) -> list[Any]:
    if "enum" in schema:
        return list(schema["enum"])
    if "const" in schema:
        return [schema["const"]]
    branches = [[None] if part.get("type") == "null" else _values(part) for part in schema.get("anyOf", [])]
    return [value for branch in branches for value in branch] if branches and all(branches) else []


def _allowed(schema: dict[str, Any]) -> str:
    """What `schema` allows, in words; "" where it cannot be told."""
    if "allowed" in schema:
        return str(schema["allowed"])
    if options := _options(schema):
        return f"one of {', '.join(options)}"
    if "anyOf" in schema:
        parts = [_allowed(part) for part in schema["anyOf"]]
        return " or ".join(parts) if all(parts) else ""
    nouns = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "string": "a path" if schema.get("format") == "path" else "text",
        "null": "null",
        "object": "a mapping, key: value",
    }
    kind = schema.get("type", "")
    if kind == "array":
        item = _allowed(schema.get("items", {}))
        return f"a list, like [a, b]{f', each {item}' if item else ''}"
    return nouns.get(kind, "") + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    words = {
        "minimum": "of at least",
        "exclusiveMinimum": "above",
        "maximum": "of at most",
        "exclusiveMaximum": "below",
        "minLength": "of length at least",
        "maxLength": "of length at most",
        "pattern": "matching",
    }
    said = [f"{word} {schema[key]}" for key, word in words.items() if key in schema]
    return f" {' and '.join(said)}" if said else ""
