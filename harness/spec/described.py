"""What the settings of a model are, for readers: name, allowed values, default, meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from harness.settings import sampling_only
from harness.spec.refusals import allowed, choices


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting. `default` is plain data, and means nothing where it is `required`; `allowed` is in words.

    `choices` are the values of a closed choice, [] where it is not closed.
    """

    name: str
    allowed: str
    choices: list[Any]
    required: bool
    default: Any
    meaning: str

    @property
    def usual(self) -> str:
        """The default as one writes it in YAML."""
        return written(self.default)


def described(model: type[BaseModel]) -> list[Setting]:
    """The settings of `model` in its order."""
    at_sampling = sampling_only(model)
    found = []
    for name, field in model.model_fields.items():
        meaning = " ".join((field.description or "").split())
        if name in at_sampling:
            meaning = f"{meaning} Used at sampling only: its levels share one training.".strip()
        default = None if field.is_required() else _plain(field.get_default(call_default_factory=True))
        found.append(
            Setting(
                name=name,
                allowed=allowed(model, name) or "any value",
                choices=choices(model, name),
                required=field.is_required(),
                default=default,
                meaning=meaning,
            )
        )
    return found


def written(value: Any) -> str:
    """Plain data as one writes it in YAML, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(value: Any) -> Any:
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError:  # a default of the recipe's own that only it can write down
        return str(value)
