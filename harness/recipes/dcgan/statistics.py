"""Batch norm statistics that samples are drawn with; `sample_bn` of the settings takes its values from here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


def recalibrate(network: nn.Module, latents: Iterable[Tensor], settings: Any) -> nn.Module:
    """Estimated anew over some hundred latents: an average of weights needs it, its buffers being of other weights."""
    import torch  # not above: the settings read the names

    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
    network.train()
    with torch.no_grad():
        for batch in latents:
            network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


STATISTICS: dict[str, Callable[[nn.Module, Iterable[Tensor], Any], nn.Module]] = {
    "recalibrate": recalibrate,
    "running": lambda network, latents, settings: network.eval(),  # the buffers of training
    "batch": lambda network, latents, settings: network.train(),  # each batch's own, as the notebook does
}
"""The generator to draw from, batches of latents [N, latent] and the settings -> the same network, ready to draw."""
