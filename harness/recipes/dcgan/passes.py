"""The ways in which real and fake images pass through the discriminator; `split_bn` takes its values from here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Discriminate = Callable[["Tensor", int], "Tensor"]


def separate(discriminator: Discriminate, real: Tensor, fake: Tensor, settings: Any) -> tuple[Tensor, Tensor]:
    """Two forwards, the usual way: own statistics each, and twice the overhead."""
    return discriminator(real, 1), discriminator(fake, 1)


def together(
    discriminator: Discriminate, real: Tensor, fake: Tensor, settings: Any, *, groups: int
) -> tuple[Tensor, Tensor]:
    """One forward. Statistics over both leak each into the other; of two groups, each half has its own (the trick)."""
    import torch  # not above: the settings read the names

    real_logits, fake_logits = discriminator(torch.cat([real, fake]), groups).chunk(2)
    return real_logits, fake_logits


PASSES: dict[str, Callable[[Discriminate, Tensor, Tensor, Any], tuple[Tensor, Tensor]]] = {
    "separate": separate,
    "joint": partial(together, groups=1),
    "split": partial(together, groups=2),
}
