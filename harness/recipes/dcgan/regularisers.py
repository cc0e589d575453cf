"""Regularisers of the discriminator; `regulariser` of the settings takes its values from here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.recipes.streams import Streams

Regulariser = Callable[["nn.Module", "Tensor", "Tensor", Any, "Streams"], "Tensor"]
"""Discriminator, real and fake images as it sees them (float32 [N, 3, H, W]), settings, streams -> a scalar, to be
multiplied by `regulariser_weight`. It is called outside autocast: double gradients in float32."""


def r1(discriminator: nn.Module, real: Tensor, fake: Tensor, settings: Any, streams: Streams) -> Tensor:
    """E |grad D(x)|^2 / 2 at real images (Mescheder et al. 2018, equation 9, whose gamma is the weight)."""
    import torch

    x = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean() / 2


REGULARISERS: dict[str, Regulariser | None] = {"none": None, "r1": r1}
