"""Settings of the DCGAN, and how its runs are scored."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from harness.data.settings import Crop, Size, Source, Split
from harness.metrics.presets import named, tau_of
from harness.recipes.dcgan.augment import AUGMENT_BOTH
from harness.recipes.dcgan.averaging import AVERAGES
from harness.recipes.dcgan.losses import LOSSES
from harness.recipes.dcgan.norms import NORMS
from harness.recipes.dcgan.parts import PARTS
from harness.recipes.dcgan.passes import PASSES
from harness.recipes.dcgan.regularisers import REGULARISERS
from harness.recipes.dcgan.schedules import SCHEDULES
from harness.recipes.dcgan.statistics import STATISTICS
from harness.settings import SAMPLING, Budget, Not, OneOf, Precision, Reading, Settings, When

_ROUNDING = 1e-9  # of a share times a count


class DcganSettings(Settings):
    """Settings of the recipe. The defaults are the final notebook's; every one of them can be a factor.

    A changed default, or a change that makes other numbers of the same settings, raises `Dcgan.version`.
    """

    width: int = Field(default=48, ge=1, le=512, description="Base channels of both networks (ch).")
    generator_width: int | None = Field(
        default=None, ge=1, le=512, description="Base channels of the generator alone; null: the same as width."
    )
    latent: int = Field(default=256, ge=1, le=4096, description="Dimensions of the latent noise.")
    depth: bool = Field(default=True, description="The two extra 3x3 layers in each network.")
    generator_part: Annotated[str, OneOf(PARTS)] = Field(
        default="none", description="What the generator has after the stage of generator_part_size."
    )
    generator_part_size: Annotated[Literal[4, 8, 16, 32, 64, 128], When(generator_part=Not("none"))] = Field(
        default=16, description="Side in px of the stage that the generator's part follows."
    )
    discriminator_part: Annotated[str, OneOf(PARTS)] = Field(
        default="none", description="What the discriminator has after the stage of discriminator_part_size."
    )
    discriminator_part_size: Annotated[Literal[4, 8, 16, 32, 64], When(discriminator_part=Not("none"))] = Field(
        default=16, description="Side in px of the stage that the discriminator's part follows."
    )
    discriminator_norm: Annotated[str, OneOf(NORMS)] = Field(
        default="none", description="Norm of the discriminator's weights; spectral takes the place of its batch norm."
    )
    split_bn: Annotated[str, OneOf(PASSES)] = Field(
        default="split",
        description="How real and fake pass the discriminator: own forwards, together, or half by half.",
    )
    split_generator_step: Annotated[bool, When(discriminator_norm=Reading(NORMS, "split_generator_step"))] = Field(
        default=False, description="Halve the batch statistics in the generator's step too, as the notebook did."
    )
    loss: Annotated[str, OneOf(LOSSES)] = Field(default="cross-entropy", description="What both networks lower.")
    margin: Annotated[float | None, When(loss=Reading(LOSSES, "margin"))] = Field(
        default=0.8, ge=0, lt=1, description="Real scores past this earn nothing more; null: plain cross-entropy."
    )
    real_label: Annotated[float, When(loss=Reading(LOSSES, "real_label"))] = Field(
        default=0.95, gt=0, le=1, description="Smoothed label of real images."
    )
    regulariser: Annotated[str, OneOf(REGULARISERS)] = Field(
        default="none", description="What the discriminator lowers beside its loss."
    )
    regulariser_weight: Annotated[float, When(regulariser=Not("none"))] = Field(
        default=10.0, ge=0, description="Weight of the regulariser: gamma of r1."
    )
    regulariser_every: Annotated[int, When(regulariser=Not("none"))] = Field(
        default=1,
        ge=1,
        le=1000,
        description="Steps between uses of the regulariser, each with so many times its weight.",
    )
    averaging: Annotated[str, OneOf(AVERAGES)] = Field(
        default="schedule", description="Average of the generator's weights that samples are drawn from."
    )
    swa_start: Annotated[float, When(averaging=Reading(AVERAGES, "swa_start"))] = Field(
        default=0.0, ge=0, lt=1, description="Share of training after which swa and ema start."
    )
    ema_beta: Annotated[float, When(averaging=Reading(AVERAGES, "ema_beta"))] = Field(
        default=0.999, ge=0, lt=1, description="Decay of ema per step."
    )
    learning_rate: float = Field(default=5e-4, gt=0, le=1, description="Adam's step size, before its schedule.")
    schedule: Annotated[str, OneOf(SCHEDULES)] = Field(
        default="constant", description="How the learning rate goes on: to 0 at the end in a line or half a cosine."
    )
    beta1: float = Field(default=0.3, ge=0, lt=1, description="Adam's decay of the mean.")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="Adam's decay of the squares.")
    batch: int = Field(default=32, ge=2, le=65536, description="Real images per step.")
    flip: float = Field(default=0.5, ge=0, le=1, description="Probability of a horizontal flip.")
    rotate: float = Field(default=0.3, ge=0, le=1, description="Probability of a small rotation.")
    rotate_degrees: Annotated[float, When(rotate=Not(0))] = Field(
        default=5.0, ge=0, le=180, description="Largest rotation, either way."
    )
    augment_both: Annotated[str, OneOf(AUGMENT_BOTH)] = Field(
        default="none", description="Augmentation of real and fake images before the discriminator, in both steps."
    )
    sample_bn: Annotated[str, OneOf(STATISTICS), SAMPLING] = Field(
        default="recalibrate", description="Batch norm statistics that samples are drawn with."
    )
    truncation: Annotated[float | None, SAMPLING] = Field(
        default=None, ge=0.05, description="Latents beyond this are drawn again when images are sampled; null: none is."
    )
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N.")
    precision: Precision = Field(default="auto", description="bf16, fp32, or bf16 where the device is fast at it.")
    threads: int | None = Field(default=None, ge=1, description="CPU threads; null: the slot's share of the cores.")

    @model_validator(mode="after")
    def _halves(self) -> Self:
        if self.split_generator_step and self.batch % 2:
            raise ValueError("split_generator_step halves the batch: batch must be even")
        return self


class DcganBudget(Budget):
    """Equal images or equal time."""

    images: int | None = Field(default=None, gt=0, description="Real training images shown.")
    seconds: float | None = Field(default=None, gt=0, description="Seconds of training, evaluation not counted.")


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


def _extractor(name: str) -> str:
    named(name)
    return name


class EvaluateSettings(Settings):
    """How every run of a study is scored. Never a factor: the yardstick must not move with the treatment."""

    extractors: tuple[Annotated[str, AfterValidator(_extractor)], ...] = Field(
        default=("efficientnet-lite0",),
        min_length=1,
        description="Feature networks, NAME@64 for an input of 64 px, or presets; the first gives the objective.",
    )
    references: tuple[Reference, ...] = Field(
        default=("square",),
        min_length=1,
        description="Reference sets: crops of the study's data, or {name: ..., crop: ..., root: ..., split: ...}.",
    )
    size: Size | None = Field(default=None, description="Side of the reference images; null: that of the study's data.")
    samples: int = Field(
        default=1000, ge=16, le=100_000, description="Generated images in each score that a run ends with."
    )
    interim_samples: int = Field(default=500, ge=16, description="Generated images in a score during training.")
    times: int = Field(default=4, ge=1, le=1000, description="Scores per run, evenly spaced, the last at the end.")
    window: float = Field(
        default=0,
        ge=0,
        le=1,
        description="A run ends with the mean of the scores in this last share of its training; 0: the last alone.",
    )
    tau: float = Field(
        default=0.1, ge=0, le=1, description="Memorisation distances below this are penalised; a preset has its own."
    )
    precision: Precision = Field(default="auto", description="Arithmetic of the feature network.")
    grid: int = Field(default=8, ge=1, le=32, description="Side of the sample grids, in images.")

    @property
    def late(self) -> int:
        """How many of the scores, the last ones, a run's MiFID is the mean of."""
        return max(1, ceil(self.window * self.times - _ROUNDING))

    def tau_of(self, extractor: str) -> float:
        """The tau in force: that of a preset, or else the study's."""
        return tau_of(extractor, self.tau)

    @field_validator("extractors")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"'{name}' is named twice; name it once")
        return names

    @model_validator(mode="after")
    def _several(self) -> Self:
        if self.window and self.late < 2:
            raise ValueError(
                f"window is {self.window:g}, in which only the last of {self.times} scores lies; "
                f"give times {int(1 / self.window + _ROUNDING) + 1} or more, or a window of 0"
            )
        return self

    @field_validator("references")
    @classmethod
    def _told_apart(cls, references: tuple[Crop | ReferenceSet, ...]) -> tuple[Crop | ReferenceSet, ...]:
        names = [each if isinstance(each, str) else each.name for each in references]
        for index, each in enumerate(references):
            if each in references[:index]:
                raise ValueError(f"'{names[index]}' is named twice; name it once")
            if not isinstance(each, str) and names[index] in (*names[:index], *names[index + 1 :]):
                raise ValueError(f"two reference sets are called '{names[index]}'; give one of them another name")
        return references
