"""Parts that a network may have after the stage of a given size; `generator_part` and `discriminator_part`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

Part = Callable[[int, Any], "nn.Module"]
"""Channels and settings -> a module from [N, channels, H, W] to the same shape.

Weights of its convolutions, linear layers and batch norms are drawn from streams of their names; other parameters keep
the start that the module gives them.
"""


def self_attention(channels: int, settings: Any) -> nn.Module:
    """Each place attends to all others (Zhang et al. 2019); at its start it is the identity."""
    from harness.recipes.dcgan.attention import SelfAttention

    return SelfAttention(channels)


PARTS: dict[str, Part | None] = {"none": None, "self-attention": self_attention}
