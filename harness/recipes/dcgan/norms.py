"""Norms of the discriminator's weights; `discriminator_norm` of the settings takes its values from here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from harness.recipes.streams import Streams


@dataclass(frozen=True)
class Norm:
    """`apply` normalises a network whose weights have their start, given the settings and the run's streams.

    Without `batch_norm` the discriminator has no batch norm, and its convolutions have biases. `reads` names the
    settings of batch norm that play a part under it; None: any.
    """

    apply: Callable[[nn.Module, Any, Streams], None]
    batch_norm: bool = True
    reads: tuple[str, ...] | None = None


def spectral(network: nn.Module, settings: Any, streams: Streams) -> None:
    """Every convolution's weight divided by its spectral norm (Miyato et al. 2018)."""
    from harness.recipes.dcgan.spectral import normalise

    normalise(network, streams)


NORMS: dict[str, Norm] = {
    "none": Norm(lambda network, settings, streams: None, reads=("split_generator_step",)),
    # In the place of batch norm, as in the paper: batch norm after a convolution undoes any scale of its weight.
    "spectral": Norm(spectral, batch_norm=False, reads=()),
}
