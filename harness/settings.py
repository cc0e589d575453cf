"""What a study holds fixed: the data, the evaluation and the budget, validated once. Imports nothing heavy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    field_validator,
    model_serializer,
    model_validator,
)

from harness.errors import SpecError, nearest

Source = Literal["synthetic-dogs", "stanford-dogs", "folder"]
Crop = Literal["resize", "bbox", "left", "right", "square", "centre", "all"]
Size = Literal[32, 64, 128]
Split = Literal["all", "train", "held-out"]
Precision = Literal["auto", "fp32", "bf16"]
EXTRACTOR_NAMES = (
    *("efficientnet-lite0", "efficientnet-lite1"),  # these need no download
    *("inception", "inception-768", "inception-192", "inception-64", "dinov2", "clip"),
)  # and any network of timm, as timm:<model>


class Preset(NamedTuple):
    """A published yardstick: its extractor, and the memorisation distance below which it penalises."""

    extractor: str
    tau: float


PRESETS = {
    "kaggle-public": Preset("inception", 0.1),
    "kaggle-private": Preset("timm:nasnetalarge.tf_in1k", 0.25),
}
"""Yardsticks of the Generative Dog Images competition, accepted wherever an extractor is named."""


class Settings(BaseModel):
    """Frozen, typed settings that refuse unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


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

    @model_serializer(mode="wrap")
    def _without_the_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Data that are not split are written as they were before there were splits, so that runs keep their keys."""
        written: dict[str, Any] = handler(self)
        if written.get("split") == "all":
            del written["split"]
        return written


class ReferenceSet(Settings):
    """A reference set that differs from the study's data in more than its crop; all but a crop is the study's."""

    name: str = Field(pattern=r"^[\w.-]+$", description="What its metrics are called by.")
    crop: Crop | None = Field(default=None, description="How its photos become images: square, or resize of a folder.")
    source: Source | None = Field(default=None, description="Another source has none of the study's root and limit.")
    root: Path | None = Field(default=None, description="Folder of the source.")
    limit: int | None = Field(default=None, ge=16, description="Use only so many photos, spread over the classes.")
    split: Split | None = Field(default=None, description="all, train, or held-out: every fifth photo.")


def _kind_of_reference(value: Any) -> str:
    return "set" if isinstance(value, dict | ReferenceSet) else "crop"


Reference = Annotated[
    Annotated[Crop, Tag("crop")] | Annotated[ReferenceSet, Tag("set")], Discriminator(_kind_of_reference)
]


class EvaluateSettings(Settings):
    """How every run of a study is scored. Never a factor: the yardstick must not move with the treatment."""

    extractors: tuple[str, ...] = Field(
        default=("efficientnet-lite0",),
        min_length=1,
        description="Feature networks or presets; the first gives the objective.",
    )
    references: tuple[Reference, ...] = Field(
        default=("square",),
        min_length=1,
        description="Reference sets: crops of the study's data, or {name: ..., crop: ..., root: ..., split: ...}.",
    )
    size: Size | None = Field(default=None, description="Side of the reference images; null: that of the study's data.")
    samples: int = Field(default=1000, ge=16, le=100_000, description="Generated images in the final score.")
    interim_samples: int = Field(default=500, ge=16, description="Generated images in a score during training.")
    times: int = Field(default=4, ge=1, le=1000, description="Scores per run, evenly spaced, the last at the end.")
    tau: float = Field(
        default=0.1, ge=0, le=1, description="Memorisation distances below this are penalised; a preset has its own."
    )
    precision: Precision = Field(default="auto", description="Arithmetic of the feature network.")
    grid: int = Field(default=8, ge=1, le=32, description="Side of the sample grids, in images.")

    @field_validator("extractors")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            known = [*EXTRACTOR_NAMES, *PRESETS, "timm:<model>"]
            if name not in known[:-1] and not name.startswith("timm:"):
                raise ValueError(f"there is no extractor '{name}'; {nearest(name, known)}")
        return names

    @field_validator("references")
    @classmethod
    def _told_apart(cls, references: tuple[Crop | ReferenceSet, ...]) -> tuple[Crop | ReferenceSet, ...]:
        names = [each if isinstance(each, str) else each.name for each in references]
        for index, each in enumerate(references):
            if not isinstance(each, str) and names[index] in (*names[:index], *names[index + 1 :]):
                raise ValueError(f"two reference sets are called '{names[index]}'; give one of them another name")
        return references


class Budget(Settings):
    """How long a run trains: equal images or equal time."""

    images: int | None = Field(default=None, gt=0, description="Real training images shown.")
    seconds: float | None = Field(default=None, gt=0, description="Seconds of training, evaluation not counted.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.images is None) == (self.seconds is None):
            raise ValueError("give exactly one of images and seconds")
        return self


def reference_data(data: DataSettings, evaluate: EvaluateSettings) -> dict[str, DataSettings]:
    """Name -> the data of each reference set of a study that trains on `data`. Raises SpecError."""
    size = evaluate.size or data.size
    found: dict[str, DataSettings] = {}
    for each in evaluate.references:
        if isinstance(each, str):
            found[each] = data.model_copy(update={"crop": each, "size": size})
            continue
        source = each.source or data.source
        if each.root is not None and source == "synthetic-dogs":
            raise SpecError(
                f"reference set '{each.name}': synthetic-dogs has no root; give the source of {each.root}: folder or "
                "stanford-dogs"
            )
        crop = "resize" if source == "folder" else "square"
        own = {"crop": crop, **each.model_dump(exclude={"name"}, exclude_none=True), "size": size}
        elsewhere = each.source not in (None, data.source)
        found[each.name] = DataSettings(**own) if elsewhere else data.model_copy(update=own)
    return found


Positive = Annotated[float, Field(gt=0)]


def cache_folder() -> Path:
    """Where prepared data, drawn photos and reference features are kept: $HARNESS_CACHE or ~/.cache/harness."""
    return Path(os.environ.get("HARNESS_CACHE") or Path.home() / ".cache" / "harness")
