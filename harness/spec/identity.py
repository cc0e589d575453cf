"""What tells runs apart: the settings that differ from their defaults and play a part, as plain data and its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from harness.settings import AlwaysTold, idle, sampling_only

_SCALARS = (bool, int, float, str, type(None))


def differing(settings: BaseModel) -> dict[str, Any]:
    """Setting -> plain value for those that differ from their default, and those that have none.

    Those whose default is the spec's own (TOLD) are told always.
    A setting that is newer than kept runs is missing while it is at its default, so that what was told apart by the
    others stays as it was. 1 and 1.0 are one value; true and 1 are two.
    """
    return _told(settings, ())


def effective(settings: BaseModel) -> dict[str, Any]:
    """Those of `differing` that play a part: equal ones make equal runs."""
    return _told(settings, idle(settings))


def trained(settings: BaseModel) -> dict[str, Any]:
    """Those of `effective` that are not used at sampling only: equal ones share one training."""
    return _told(settings, idle(settings) | sampling_only(type(settings)))


def digest(content: Any) -> str:
    """16 hexadecimal digits of plain data, which do not depend on the order of its keys."""
    return hashlib.sha256(_text(content).encode()).hexdigest()[:16]


def _told(settings: BaseModel, left_out: Container[str]) -> dict[str, Any]:
    moved: dict[str, Any] = {}  # setting -> its default
    for name, field in type(settings).model_fields.items():
        if name not in left_out:
            value, usual = getattr(settings, name), _default(field)
            if not (type(value) in _SCALARS and type(value) is type(usual) and value == usual):
                moved[name] = usual
    if not moved and not settings.model_extra:
        return {}
    written = _written(settings)
    defaults = {name: usual for name, usual in moved.items() if usual is not PydanticUndefined}
    usually = _written(type(settings).model_construct(**{**dict(settings), **defaults}))
    told = {name: _plain(getattr(settings, name), written.get(name)) for name in moved}
    told = {
        name: value
        for name, value in told.items()
        if name not in defaults or _text(value) != _text(_plain(defaults[name], usually.get(name)))
    }
    more = settings.model_extra or {}
    return {**told, **{name: _plain(value, written.get(name)) for name, value in more.items()}}


def _default(field: FieldInfo) -> Any:
    """The field's default; PydanticUndefined where it has none, or one that depends on other fields or the spec."""
    told = any(isinstance(mark, AlwaysTold) for mark in field.metadata)
    if told or getattr(field, "default_factory_takes_validated_data", False):
        return PydanticUndefined
    return field.get_default(call_default_factory=True)


def _written(settings: BaseModel) -> dict[str, Any]:
    # Defaults are not validated, of which pydantic would warn.
    return settings.model_dump(mode="json", by_alias=False, warnings=False)


def _plain(value: Any, written: Any) -> Any:
    """`written`, which is `value` as JSON has it, with its models told, its sets in order and its numbers alike."""
    if isinstance(value, BaseModel):
        return [type(value).__name__, _told(value, idle(value))]  # of two models one may say no more than the other
    if isinstance(value, set | frozenset) and isinstance(written, list):
        return sorted((_plain(each, each) for each in written), key=_text)
    if isinstance(written, list):
        values = value if isinstance(value, list | tuple) and len(value) == len(written) else written
        return [_plain(*pair) for pair in zip(values, written, strict=True)]
    if isinstance(written, dict):
        inner = list(value.values() if isinstance(value, Mapping) and len(value) == len(written) else written.values())
        return {key: _plain(each, written[key]) for key, each in zip(written, inner, strict=True)}
    return int(written) if isinstance(written, float) and written.is_integer() else written


def _text(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
