"""The DCGAN of the dog competition: generator and discriminator for 32, 64 and 128 px, with the extra 3x3 layers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from harness.errors import SpecError
from harness.recipes.dcgan.norms import NORMS
from harness.recipes.dcgan.parts import PARTS, Part
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.streams import Streams, generator


def _stages(width: int, size: int) -> dict[int, int]:
    """Side in px -> channels, from 4 px up to `size`: 32, 16, 8, 4, 2 times `width` at 64 px; one stage fewer at 32."""
    count = (size // 4).bit_length()
    return {4 * 2**stage: width * 2 ** (count - stage) for stage in range(count)}


def _check(part: Part | None, network: str, side: int, stages: Iterable[int], size: int) -> None:
    if part is not None and side not in stages:
        raise SpecError(
            f"train.{network}_part_size is {side}, but the {network} for {size} px has no stage of that side; "
            f"allowed: {', '.join(str(each) for each in sorted(stages))}"
        )


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


class Generator(nn.Sequential):
    """Latents [N, latent] to images [N, 3, size, size] in [-1, 1].

    `depth` adds a 3x3 layer after the stages of 8 and 4 times the width. Layers are called by the side of what they
    give out: up08, norm08, relu08, deep08, ..., image. Raises SpecError where `generator_part_size` is no stage's.
    """

    def __init__(self, settings: DcganSettings, size: int) -> None:
        width, before = settings.generator_width or settings.width, settings.latent
        stages, part = _stages(width, size), PARTS[settings.generator_part]
        _check(part, "generator", settings.generator_part_size, stages, size)
        layers: dict[str, nn.Module] = {}
        for side, channels in stages.items():
            first = side == 4
            up = nn.ConvTranspose2d(before, channels, 4, 1 if first else 2, int(not first), bias=False)
            layers |= {f"up{side:02}": up, f"norm{side:02}": nn.BatchNorm2d(channels)}
            layers[f"relu{side:02}"] = nn.ReLU(inplace=True)
            if settings.depth and not first and channels in (8 * width, 4 * width):
                layers[f"deep{side:02}"] = nn.ConvTranspose2d(channels, channels, 3, 1, 1, bias=False)
                layers[f"deep_norm{side:02}"] = nn.BatchNorm2d(channels)
                layers[f"deep_relu{side:02}"] = nn.ReLU(inplace=True)
            if part is not None and side == settings.generator_part_size:
                layers[f"part{side:02}"] = part(channels, settings)
            before = channels
        layers |= {"image": nn.ConvTranspose2d(before, 3, 3, 1, 1), "tanh": nn.Tanh()}
        super().__init__(OrderedDict(layers))

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = super().forward(latents[:, :, None, None])  # type: ignore[no-untyped-call]
        return images


class Discriminator(nn.Sequential):
    """Images [N, 3, size, size] to logits [N]. `groups` equal parts of the batch have batch norm statistics each.

    Layers are called by the side of what they give out: down16, relu16, deep16, deep_norm16, ..., logit. Raises
    SpecError where `discriminator_part_size` is no stage's.
    """

    def __init__(self, settings: DcganSettings, size: int) -> None:
        width, before = settings.width, 3
        stages, part = _stages(width, size // 2), PARTS[settings.discriminator_part]
        _check(part, "discriminator", settings.discriminator_part_size, stages, size)
        batch_norm = NORMS[settings.discriminator_norm].batch_norm
        layers: dict[str, nn.Module] = {}
        for side, channels in reversed(stages.items()):
            layers[f"down{side:02}"] = nn.Conv2d(before, channels, 4, 2, 1, bias=not batch_norm)
            if batch_norm and side < size // 4:  # none after the two stages nearest to the image
                layers[f"norm{side:02}"] = GroupedBatchNorm(channels)
            layers[f"relu{side:02}"] = nn.LeakyReLU(0.2, inplace=True)
            if settings.depth and channels in (4 * width, 8 * width):
                layers[f"deep{side:02}"] = nn.Conv2d(channels, channels, 3, 1, 1, bias=not batch_norm)
                if batch_norm:
                    layers[f"deep_norm{side:02}"] = GroupedBatchNorm(channels)
                layers[f"deep_relu{side:02}"] = nn.LeakyReLU(0.2, inplace=True)
            if part is not None and side == settings.discriminator_part_size:
                layers[f"part{side:02}"] = part(channels, settings)
            before = channels
        layers["logit"] = nn.Conv2d(before, 1, 4)
        super().__init__(OrderedDict(layers))

    def forward(self, images: Tensor, groups: int = 1) -> Tensor:
        x = images
        for layer in self:
            x = layer(x, groups) if isinstance(layer, GroupedBatchNorm) else layer(x)
        return x.flatten()


def started(settings: DcganSettings, size: int, streams: Streams) -> tuple[Generator, Discriminator]:
    """Generator and discriminator at their start, on the CPU, so that all devices start alike."""
    # Modules draw a start of their own as they are made: what they draw is settled, and the global state left alone.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(streams.seed)
        networks = Generator(settings, size), Discriminator(settings, size)
    for name, network in zip(("generator", "discriminator"), networks, strict=True):
        initialise(network, streams.seed, name)
    NORMS[settings.discriminator_norm].apply(networks[1], settings, streams)
    return networks


@torch.no_grad()
def initialise(network: nn.Module, seed: int, called: str) -> None:
    """DCGAN's start (Radford et al. 2016): convolutions N(0, 0.02), batch norm weights N(1, 0.02), biases 0.

    Each weight is drawn from a stream of its own, `generator/up08.weight` for a network `called` generator, so that a
    layer more or less moves the start of no other. A weight under a parametrisation starts as it would without. Other
    parameters keep the start that their module gave.
    """
    for name, module in network.named_modules():
        mean = 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
            weight: Any = module.weight
            if parametrize.is_parametrized(module, "weight"):
                weight = module.parametrizations.weight.original  # type: ignore[union-attr]
            weight.normal_(mean, 0.02, generator=generator(seed, f"{called}/{name}.weight"))
            if module.bias is not None:
                module.bias.zero_()
