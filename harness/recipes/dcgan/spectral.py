"""Spectral normalisation of weights (Miyato et al. 2018), by a power iteration that several runs can share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from harness.recipes.streams import Streams

_FIRST = 15  # iterations before the first step: from a random start the norm is underestimated


class Spectral(nn.Module):
    """A parametrisation: weight / sigma, sigma the largest singular value of the weight as a matrix [out, rest].

    One power iteration a forward in training; u and v are constants to the gradient, as in the paper's appendix. Unlike
    torch's own it draws from a generator that it is given, and can be mapped over stacked weights and buffers.
    """

    u: Tensor

    def __init__(self, weight: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("u", F.normalize(torch.randn(len(weight), generator=generator).to(weight), dim=0))
        for _ in range(_FIRST):
            self.u.copy_(self._vectors(weight.detach().flatten(1))[0])

    def _vectors(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        v = F.normalize(matrix.T @ self.u, dim=0)
        return F.normalize(matrix @ v, dim=0), v

    def forward(self, weight: Tensor) -> Tensor:
        # The norm is taken in the weight's own precision: in bf16 it would be off by a percent.
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            with torch.no_grad():
                u, v = self._vectors(matrix)
                if self.training:
                    self.u.copy_(u)
            return weight / (u @ (matrix @ v))


def normalise(network: nn.Module, streams: Streams) -> None:
    """Put Spectral on the weight of every convolution and linear layer of `network`, which is on the CPU."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            weight: Tensor = module.weight
            start = streams.generator(f"spectral/{name}", "cpu")
            parametrize.register_parametrization(module, "weight", Spectral(weight, start))
