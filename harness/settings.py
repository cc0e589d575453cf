"""What all settings share: the frozen base model, names out of a registry, a run's budget, the cache folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator
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
    """How long a run trains: equal images or equal time."""

    images: int | None = Field(default=None, gt=0, description="Real training images shown.")
    seconds: float | None = Field(default=None, gt=0, description="Seconds of training, evaluation not counted.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.images is None) == (self.seconds is None):
            raise ValueError("give exactly one of images and seconds")
        return self


def cache_folder() -> Path:
    """Where prepared data, drawn photos and reference features are kept: $HARNESS_CACHE or ~/.cache/harness."""
    return Path(os.environ.get("HARNESS_CACHE") or Path.home() / ".cache" / "harness")
