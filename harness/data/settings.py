"""Which images a run trains on: source, size, crop, split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from harness.data.crops import CUTS
from harness.data.sources import SOURCES, SPLITS
from harness.settings import OneOf, Settings

Source = Annotated[str, OneOf(SOURCES)]
Crop = Annotated[str, OneOf(CUTS)]
Size = Literal[32, 64, 128]
Split = Annotated[str, OneOf(SPLITS)]


class DataSettings(Settings):
    """Which images a run trains on."""

    source: Source = Field(default="synthetic-dogs", description="Where photos and boxes come from.")
    root: Path | None = Field(default=None, description="Folder of the source; not used by synthetic-dogs.")
    size: Size = Field(default=64, description="Side of the square training images, in pixels.")
    crop: Crop = Field(default="square", description="How a photo and its boxes become training images.")
    count: int = Field(default=2000, ge=16, le=200_000, description="Photos that synthetic-dogs draws.")
    seed: int = Field(default=0, ge=0, description="Seed of the drawn photos of synthetic-dogs.")
    limit: int | None = Field(default=None, ge=16, description="Use only so many photos, spread over the classes.")
    max_skipped: float = Field(
        default=0.05, ge=0, le=1, description="Share of photos that may be unreadable or without a usable box."
    )
    split: Split = Field(default="all", description="Every fifth photo is held out; train has the others.")
