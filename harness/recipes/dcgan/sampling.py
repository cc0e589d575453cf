"""From a trained generator to images: the one way that scores, grids and `harness sample` go."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from harness.errors import DivergedError
from harness.machine.precision import resolve_precision
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.dcgan.statistics import STATISTICS
from harness.recipes.streams import generator

BATCH = 250
_STATISTICS = 1  # batches that the statistics of batch norm are estimated on: more cost time and move no score by 1 %


def latents(count: int, settings: DcganSettings, seed: int, stream: str = "evaluate") -> Tensor:
    """float32 [count, latent] from N(0, 1), on the CPU; more of a seed begin with the same ones.

    With `truncation` numbers beyond it, either way, are drawn again until none is (Brock et al. 2019, the truncation
    trick). Each draw again has a stream of its own, so that the first latents do not depend on how many follow.
    """
    noise = _normal(count, settings.latent, generator(seed, stream))
    again = 0
    while settings.truncation is not None and (beyond := noise.abs() > settings.truncation).any():
        again += 1
        noise = torch.where(beyond, _normal(count, settings.latent, generator(seed, f"{stream}/{again}")), noise)
    return noise


def _normal(count: int, latent: int, generator: torch.Generator) -> Tensor:
    # torch fills whole blocks of 16 and draws the last one again where it is not whole.
    whole = torch.randn(-(-count * latent // 16) * 16, generator=generator)
    return whole[: count * latent].view(count, latent)


def ready(network: nn.Module, settings: DcganSettings, seed: int) -> nn.Module:
    """`network`, a generator of final weights, with the batch norm statistics that `sample_bn` says."""
    device = next(network.parameters()).device

    def batches() -> Iterator[Tensor]:
        yield from latents(_STATISTICS * BATCH, settings, seed, "recalibrate").to(device).chunk(_STATISTICS)

    return STATISTICS[settings.sample_bn](network, batches(), settings)


@torch.no_grad()
def draw(network: nn.Module, settings: DcganSettings, noise: Tensor) -> Tensor:
    """uint8 images [N, 3, size, size] of a generator that is ready, for latents [N, latent]. Raises DivergedError."""
    device = next(network.parameters()).device
    bf16 = resolve_precision(settings.precision, device) == "bf16"
    parts = []
    # Equal parts: with batch statistics a short last batch would be normalised by few images.
    for batch in noise.to(device).tensor_split(-(-len(noise) // BATCH)):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            images = network(batch)
        if not torch.isfinite(images).all():
            raise DivergedError("the generator draws images that are not finite")
        parts.append(images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8))
    return torch.cat(parts)
