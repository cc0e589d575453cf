"""The networks against the layer lists of the facts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.recipes.dcgan.networks import Discriminator, Generator, initialise

Layer = tuple[int, int, int, int, int]


def convolutions(network: nn.Module) -> list[Layer]:
    """(in, out, kernel, stride, padding) of each convolution."""
    found = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    return [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], int(m.padding[0])) for m in found]


def test_the_generator_has_the_layers_of_the_facts() -> None:
    c = 4
    assert convolutions(Generator(width=c, latent=256, size=64, depth=True)) == [
        (256, 32 * c, 4, 1, 0),
        (32 * c, 16 * c, 4, 2, 1),
        (16 * c, 8 * c, 4, 2, 1),
        (8 * c, 8 * c, 3, 1, 1),
        (8 * c, 4 * c, 4, 2, 1),
        (4 * c, 4 * c, 3, 1, 1),
        (4 * c, 2 * c, 4, 2, 1),
        (2 * c, 3, 3, 1, 1),
    ]


def test_the_discriminator_has_the_layers_of_the_facts() -> None:
    c = 4
    network = Discriminator(width=c, size=64, depth=True)
    assert convolutions(network) == [
        (3, 2 * c, 4, 2, 1),
        (2 * c, 4 * c, 4, 2, 1),
        (4 * c, 4 * c, 3, 1, 1),
        (4 * c, 8 * c, 4, 2, 1),
        (8 * c, 8 * c, 3, 1, 1),
        (8 * c, 16 * c, 4, 2, 1),
        (16 * c, 1, 4, 1, 0),
    ]
    assert [m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d)] == [4 * c, 8 * c, 8 * c, 16 * c]


def test_only_the_last_convolutions_have_a_bias() -> None:
    for network in (Generator(width=2, latent=8, size=64, depth=True), Discriminator(width=2, size=64, depth=True)):
        biases = [m.bias is not None for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert biases == [False] * (len(biases) - 1) + [True]


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("depth", [False, True])
def test_every_size_goes_from_latents_to_images_to_logits(size: int, depth: bool) -> None:
    generator = Generator(width=1, latent=16, size=size, depth=depth)
    images = generator(torch.randn(4, 16, generator=torch.Generator().manual_seed(0)))
    assert images.shape == (4, 3, size, size)
    assert images.abs().max() <= 1
    assert Discriminator(width=1, size=size, depth=depth)(images, 2).shape == (4,)


def test_a_size_more_or_less_is_one_strided_stage_and_depth_is_two_layers() -> None:
    def count(size: int, depth: bool) -> tuple[int, int]:
        generator = Generator(width=1, latent=8, size=size, depth=depth)
        return len(convolutions(generator)), len(convolutions(Discriminator(width=1, size=size, depth=depth)))

    assert [count(size, True) for size in (32, 64, 128)] == [(7, 6), (8, 7), (9, 8)]
    assert [count(size, False) for size in (32, 64, 128)] == [(5, 4), (6, 5), (7, 6)]


def test_weights_start_from_the_distributions_of_dcgan() -> None:
    network = Generator(width=8, latent=64, size=32, depth=True)
    initialise(network, torch.Generator().manual_seed(0))
    kernels = torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, nn.ConvTranspose2d)])
    scales = torch.cat([m.weight for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    assert kernels.mean().item() == pytest.approx(0, abs=5e-4)
    assert kernels.std().item() == pytest.approx(0.02, rel=0.02)
    assert scales.mean().item() == pytest.approx(1, abs=0.005)
    assert scales.std().item() == pytest.approx(0.02, rel=0.2)
