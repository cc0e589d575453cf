"""The ways in which real and fake images pass through the discriminator; `split_bn` takes its values from here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Discriminate = Callable[["Tensor", int], "Tensor"]


def separate(discriminator: Discriminate, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Two forwards, the usual way: own statistics each, and twice the overhead."""
    return discriminator(real, 1), discriminator(fake, 1)


def joint(discriminator: Discriminate, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """One forward; statistics over real and fake together leak each into the other."""
    return _together(discriminator, real, fake, groups=1)


def split(discriminator: Discriminate, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """One forward; each half is normalised with its own statistics (the competition's trick)."""
    return _together(discriminator, real, fake, groups=2)


def _together(discriminator: Discriminate, real: Tensor, fake: Tensor, *, groups: int) -> tuple[Tensor, Tensor]:
    import torch  # not above: the settings read the names

    real_logits, fake_logits = discriminator(torch.cat([real, fake]), groups).chunk(2)
    return real_logits, fake_logits


PASSES = {"separate": separate, "joint": joint, "split": split}
