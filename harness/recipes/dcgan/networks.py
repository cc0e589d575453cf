"""The DCGAN of the dog competition: generator and discriminator for 32, 64 and 128 px, with the extra 3x3 layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _widths(width: int, size: int) -> list[int]:
    """Channels of the strided stages from 4 px up: 32, 16, 8, 4, 2 times `width` at 64 px; one stage fewer at 32."""
    stages = (size // 4).bit_length()
    return [width * 2**power for power in range(stages, 0, -1)]


class GroupedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose batch may be several equal groups, each normalised with its own statistics.

    Affine weights and running buffers are shared; the buffers are updated by the first group, then the second, as two
    separate forwards would.
    """

    def forward(self, x: Tensor, groups: int = 1) -> Tensor:
        if groups == 1 or not self.training:
            return self._normalise(x)
        return torch.cat([self._normalise(part) for part in x.chunk(groups)])

    def _normalise(self, x: Tensor) -> Tensor:
        mean, variance, momentum = self.running_mean, self.running_var, self.momentum or 0.0
        return F.batch_norm(x, mean, variance, self.weight, self.bias, self.training, momentum, self.eps)


class Generator(nn.Module):
    """Latents [N, latent] to images [N, 3, size, size] in [-1, 1].

    `depth` adds a 3x3 layer after the stages of 8 and 4 times `width` channels.
    """

    def __init__(self, *, width: int, latent: int, size: int, depth: bool) -> None:
        super().__init__()
        self.latent = latent
        layers: list[nn.Module] = []
        before = latent
        for position, channels in enumerate(_widths(width, size)):
            kernel = nn.ConvTranspose2d(before, channels, 4, 1 if position == 0 else 2, int(position > 0), bias=False)
            layers += [kernel, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            if depth and position > 0 and channels in (8 * width, 4 * width):
                extra = nn.ConvTranspose2d(channels, channels, 3, 1, 1, bias=False)
                layers += [extra, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            before = channels
        layers += [nn.ConvTranspose2d(before, 3, 3, 1, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.layers(latents[:, :, None, None])
        return images


class Discriminator(nn.Module):
    """Images [N, 3, size, size] to logits [N]. `groups` equal parts of the batch have batch norm statistics each."""

    def __init__(self, *, width: int, size: int, depth: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for position, channels in enumerate(reversed(_widths(width, size)[1:])):
            layers.append(nn.Conv2d(before, channels, 4, 2, 1, bias=False))
            layers += [GroupedBatchNorm(channels)] if position > 1 else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            if depth and channels in (4 * width, 8 * width):
                extra = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
                layers += [extra, GroupedBatchNorm(channels), nn.LeakyReLU(0.2, inplace=True)]
            before = channels
        layers.append(nn.Conv2d(before, 1, 4))
        self.layers = nn.ModuleList(layers)

    def forward(self, images: Tensor, groups: int = 1) -> Tensor:
        x = images
        for layer in self.layers:
            x = layer(x, groups) if isinstance(layer, GroupedBatchNorm) else layer(x)
        return x.flatten()


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """DCGAN's start (Radford et al. 2016): convolutions N(0, 0.02), batch norm weights N(1, 0.02)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02, generator=generator)
            nn.init.zeros_(module.bias)
