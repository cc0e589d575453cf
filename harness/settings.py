"""What all settings share: the frozen base model, names out of a registry, a run's budget, the cache folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic_core import CoreSchema, core_schema

Precision = Literal["auto", "fp32", "bf16"]


class Settings(BaseModel):
    """Frozen, typed settings that refuse unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)

    later: ClassVar[frozenset[str]] = frozenset()
    """Settings newer than kept runs: at its default such a one is not written, so that those runs keep their keys."""

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        usual = [name for name in self.later if getattr(self, name) == type(self).model_fields[name].default]
        return {name: value for name, value in written.items() if name not in usual}


class OneOf:
    """Annotates a setting whose values are the keys of a registry: `Annotated[str, OneOf(LOSSES)]`.

    Validation, refusals and the JSON schema are those of a Literal of these names.
    """

    def __init__(self, registry: Iterable[str]) -> None:
        self.names = list(registry)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.literal_schema(self.names)


class Budget(Settings):
    """How long a run trains: an amount of one of the recipe's units, which are the fields of a subclass.

    Fields are numbers or None; `seconds` is training time. Where a field has a default, that is the budget unless
    another is given. Exactly one is given, unless the subclass says `optional`.
    """

    optional: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _one_for_another(cls, raw: Any) -> Any:
        given = [key for key, value in raw.items() if value is not None] if isinstance(raw, dict) else []
        return {**dict.fromkeys(cls.model_fields), **raw} if given else raw

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [value for _, value in self if value is not None]
        if len(given) > 1 or (not given and type(self).model_fields and not self.optional):
            raise ValueError(f"give one of {' and '.join(type(self).model_fields)}")
        return self

    @property
    def unit(self) -> str:
        """The unit that is given, "" where none is."""
        return next((name for name, value in self if value is not None), "")

    @property
    def amount(self) -> float:
        """How much of the unit a run gets, 0 where there is no budget."""
        return float(getattr(self, self.unit)) if self.unit else 0.0

    @property
    def timed(self) -> bool:
        """Whether runs train for equally many seconds."""
        return self.unit == "seconds"

    def __str__(self) -> str:
        """In words: `24,000 images`, `60 s of training`, "" where there is none."""
        if not self.unit:
            return ""
        number = f"{self.amount:,.0f}" if self.amount.is_integer() else f"{self.amount:g}"
        return f"{number} s of training" if self.timed else f"{number} {self.unit}"


class Nothing(Settings):
    """The settings of a section that a recipe has none of."""


def cache_folder() -> Path:
    """Where prepared data, drawn photos and reference features are kept: $HARNESS_CACHE or ~/.cache/harness."""
    return Path(os.environ.get("HARNESS_CACHE") or Path.home() / ".cache" / "harness")
