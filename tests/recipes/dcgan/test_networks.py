"""The networks against the layer lists of the facts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from harness.recipes import streams
from harness.recipes.dcgan.networks import Discriminator, Generator, initialise
from harness.recipes.dcgan.settings import DcganSettings

Layer = tuple[int, int, int, int, int]


def settings(**changes: Any) -> DcganSettings:
    return DcganSettings(**({"width": 4} | changes))


def started(network: nn.Module, seed: int = 0) -> nn.Module:
    initialise(network, seed, "network")
    return network


def convolutions(network: nn.Module) -> list[Layer]:
    """(in, out, kernel, stride, padding) of each convolution."""
    found = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    return [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], int(m.padding[0])) for m in found]


def test_the_generator_has_the_layers_of_the_facts() -> None:
    c = 4
    assert convolutions(Generator(settings(), 64)) == [
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
    network = Discriminator(settings(), 64)
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
    for network in (Generator(settings(), 64), Discriminator(settings(), 64)):
        biases = [m.bias is not None for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert biases == [False] * (len(biases) - 1) + [True]


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("depth", [False, True])
def test_every_size_goes_from_latents_to_images_to_logits(size: int, depth: bool) -> None:
    s = settings(width=1, latent=16, depth=depth)
    generator = Generator(s, size)
    images = generator(torch.randn(4, 16, generator=torch.Generator().manual_seed(0)))
    assert images.shape == (4, 3, size, size)
    assert images.abs().max() <= 1
    assert Discriminator(s, size)(images, 2).shape == (4,)


def test_a_size_more_or_less_is_one_strided_stage_and_depth_is_two_layers() -> None:
    def count(size: int, depth: bool) -> tuple[int, int]:
        s = settings(width=1, depth=depth)
        return len(convolutions(Generator(s, size))), len(convolutions(Discriminator(s, size)))

    assert [count(size, True) for size in (32, 64, 128)] == [(7, 6), (8, 7), (9, 8)]
    assert [count(size, False) for size in (32, 64, 128)] == [(5, 4), (6, 5), (7, 6)]


def test_weights_start_from_the_distributions_of_dcgan() -> None:
    network = started(Generator(settings(width=8, latent=64), 32))
    kernels = torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, nn.ConvTranspose2d)])
    scales = torch.cat([m.weight for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    assert kernels.mean().item() == pytest.approx(0, abs=5e-4)
    assert kernels.std().item() == pytest.approx(0.02, rel=0.02)
    assert scales.mean().item() == pytest.approx(1, abs=0.005)
    assert scales.std().item() == pytest.approx(0.02, rel=0.2)


def test_layers_are_called_by_the_side_of_what_they_give_out() -> None:
    x = torch.randn(2, 8, 1, 1)
    for name, layer in Generator(settings(latent=8), 64).named_children():
        x = layer(x)
        if name not in ("image", "tanh"):
            assert int(name[-2:]) == x.shape[-1], name
    x = torch.randn(2, 3, 64, 64)
    for name, layer in Discriminator(settings(), 64).named_children():
        x = layer(x)
        assert name == "logit" or int(name[-2:]) == x.shape[-1], name


@pytest.mark.parametrize("make", [Generator, Discriminator])
def test_a_weight_starts_from_the_seed_and_its_name_alone(make: Any) -> None:
    deep, plain, other = (started(make(settings(depth=depth), 64), seed) for depth, seed in ((1, 0), (0, 0), (1, 1)))
    weights, fewer, others = (dict(network.named_parameters()) for network in (deep, plain, other))
    shared = weights.keys() & fewer.keys()
    assert weights.keys() - shared == {name for name in weights if name.startswith("deep")}
    assert fewer.keys() == shared
    assert len(shared) > 6
    assert all(torch.equal(weights[name], fewer[name]) for name in shared)
    drawn = [name for name in weights if name.endswith("weight")]
    assert not any(torch.equal(weights[name], others[name]) for name in drawn)
    assert len({weights[name].flatten()[0].item() for name in drawn}) == len(drawn)


def test_the_start_of_a_weight_is_drawn_from_its_stream() -> None:
    network = started(Generator(settings(), 32), seed=5)
    expected = 0.02 * torch.randn(network.up08.weight.shape, generator=streams.generator(5, "network/up08.weight"))
    torch.testing.assert_close(network.up08.weight.detach(), expected)


def test_a_weight_under_a_parametrisation_starts_as_it_would_without() -> None:
    network, plain = Discriminator(settings(), 32), started(Discriminator(settings(), 32))
    parametrize.register_parametrization(network.down08, "weight", nn.Identity())
    started(network)
    original = dict(network.named_parameters())["down08.parametrizations.weight.original"]
    assert torch.equal(original, plain.down08.weight)
    assert torch.equal(network.down16.weight, plain.down16.weight)
