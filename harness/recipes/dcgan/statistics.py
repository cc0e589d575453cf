"""Batch norm statistics that samples are drawn with; `sample_bn` of the settings takes its values from here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


class _Enough(Exception):  # noqa: N818 - no error
    """Leaves a network's forward pass."""


def _enough(*about: Any) -> None:
    raise _Enough


def recalibrate(network: nn.Module, latents: Iterable[Tensor], settings: Any) -> nn.Module:
    """Estimated anew over some hundred latents: an average of weights needs it, its buffers being of other weights."""
    import torch  # not above: the settings read the names

    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
    network.train()
    # What comes after the last of them is a fifth of the work, and moves no statistics.
    handle = norms[-1].register_forward_hook(_enough) if norms else None
    with torch.no_grad():
        for batch in latents:
            with suppress(_Enough):
                network(batch)
    if handle is not None:
        handle.remove()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


STATISTICS: dict[str, Callable[[nn.Module, Iterable[Tensor], Any], nn.Module]] = {
    "recalibrate": recalibrate,
    "running": lambda network, latents, settings: network.eval(),  # the buffers of training
    "batch": lambda network, latents, settings: network.train(),  # each batch's own, as the notebook does
}
"""The generator to draw from, batches of latents [N, latent] and the settings -> the same network, ready to draw."""
