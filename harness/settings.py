"""What all settings share: the frozen base model, the budget of a run, the cache folder. Imports nothing heavy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Precision = Literal["auto", "fp32", "bf16"]


class Settings(BaseModel):
    """Frozen, typed settings that refuse unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class Budget(Settings):
    """How long a run trains: equal images or equal time."""

    images: int | None = Field(default=None, gt=0, description="Real training images shown.")
    seconds: float | None = Field(default=None, gt=0, description="Seconds of training, evaluation not counted.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.images is None) == (self.seconds is None):
            raise ValueError("give exactly one of images and seconds")
        return self


Positive = Annotated[float, Field(gt=0)]


def cache_folder() -> Path:
    """Where prepared data, drawn photos and reference features are kept: $HARNESS_CACHE or ~/.cache/harness."""
    return Path(os.environ.get("HARNESS_CACHE") or Path.home() / ".cache" / "harness")
