"""One way from a generator to images: latents, truncation, statistics."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
from torch import nn

from harness.recipes.dcgan.networks import Generator
from harness.recipes.dcgan.sampling import latents
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.dcgan.statistics import STATISTICS
from harness.settings import sampling_only


def settings(truncation: float | None = None, latent: int = 100) -> DcganSettings:
    return DcganSettings(latent=latent, truncation=truncation)


@pytest.mark.parametrize("truncation", [0.05, 0.5, 1.5])
def test_truncated_latents_have_the_variance_of_the_truncated_normal_distribution(truncation: float) -> None:
    noise = latents(2000, settings(truncation), seed=0).double()
    density = math.exp(-(truncation**2) / 2) / math.sqrt(2 * math.pi)
    variance = 1 - 2 * truncation * density / math.erf(truncation / math.sqrt(2))
    assert noise.abs().max() <= truncation
    assert noise.mean().item() == pytest.approx(0, abs=0.01 * truncation)
    assert noise.var().item() == pytest.approx(variance, rel=0.02)


def test_truncation_keeps_the_numbers_within_it() -> None:
    whole, cut = latents(100, settings(), seed=0), latents(100, settings(1.0), seed=0)
    inside = whole.abs() <= 1
    assert 0.6 < inside.float().mean() < 0.75
    assert torch.equal(cut[inside], whole[inside])
    assert not (cut[~inside] == whole[~inside]).any()


def test_a_truncation_that_nothing_exceeds_changes_no_bit() -> None:
    assert torch.equal(latents(100, settings(50.0), seed=0), latents(100, settings(), seed=0))


@pytest.mark.parametrize("truncation", [None, 0.5])
@pytest.mark.parametrize("latent", [1, 7, 100])
def test_more_latents_begin_with_the_same_ones(truncation: float | None, latent: int) -> None:
    s = settings(truncation, latent)
    for count in (1, 3, 50):
        assert torch.equal(latents(count, s, seed=4), latents(77, s, seed=4)[:count])


def test_latents_follow_the_seed_and_the_stream() -> None:
    one, other, third = latents(5, settings(), 0), latents(5, settings(), 1), latents(5, settings(), 0, "recalibrate")
    assert not torch.equal(one, other)
    assert not torch.equal(one, third)


def test_settings_of_sampling_are_marked_so() -> None:
    assert sampling_only(DcganSettings) == {"sample_bn", "truncation"}


def test_statistics_are_those_of_whole_passes_to_the_last_bit_and_no_image_is_made_for_them() -> None:
    about = DcganSettings(width=3, latent=8)
    network = Generator(about, 32)
    batches = [latents(20, about, seed) for seed in range(3)]
    plain = deepcopy(network)
    for norm in (norms := [module for module in plain.modules() if isinstance(module, nn.BatchNorm2d)]):
        norm.momentum = None
    with torch.no_grad():
        for batch in batches:
            plain(batch)
    made: list[torch.Tensor] = []
    network.image.register_forward_hook(lambda module, given, image: made.append(image))
    found = STATISTICS["recalibrate"](network, batches, about)
    assert not made
    assert not found.training
    own = [module for module in found.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(own) == len(norms) > 3
    for one, other in zip(own, norms, strict=True):
        assert torch.equal(one.running_mean, other.running_mean)
        assert torch.equal(one.running_var, other.running_var)
    found(batches[0])
    assert len(made) == 1
