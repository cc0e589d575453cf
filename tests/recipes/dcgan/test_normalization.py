"""Split batch norm against separate forwards and against the definition of batch norm."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.recipes.dcgan.losses import adversarial_loss
from harness.recipes.dcgan.networks import Discriminator, GroupedBatchNorm, initialise
from harness.recipes.dcgan.passes import PASSES
from harness.recipes.dcgan.settings import DcganSettings


@pytest.fixture
def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(6, 3, 32, 32, generator=generator, dtype=torch.float64)
    return real, 0.5 * torch.randn(6, 3, 32, 32, generator=generator, dtype=torch.float64) + 0.3


def discriminate(way: str, images: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    network = Discriminator(DcganSettings(width=2), 32)
    initialise(network, 1, "discriminator")
    network.double()
    real, fake = PASSES[way](network, *images, DcganSettings())
    loss = adversarial_loss(real, 0.95, 0.8) + adversarial_loss(fake, 0.0)
    loss.backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return loss.detach(), gradients, dict(network.named_buffers())


def test_split_has_the_losses_and_gradients_of_separate_forwards_in_float64(images: tuple[Tensor, Tensor]) -> None:
    loss, gradients, buffers = discriminate("split", images)
    expected_loss, expected_gradients, expected_buffers = discriminate("separate", images)
    torch.testing.assert_close(loss, expected_loss, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradients, expected_gradients, rtol=0, atol=1e-12)
    torch.testing.assert_close(buffers, expected_buffers, rtol=0, atol=1e-12)
    assert max(g.abs().max().item() for g in gradients.values()) > 1e-3, "nothing was compared"


def test_joint_statistics_give_another_loss(images: tuple[Tensor, Tensor]) -> None:
    assert (discriminate("joint", images)[0] - discriminate("split", images)[0]).abs().item() > 1e-4


def test_each_half_is_normalised_by_its_own_mean_and_variance() -> None:
    x = torch.randn(8, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 3 + 1
    norm = GroupedBatchNorm(3).double()
    for half, out in zip(x.chunk(2), norm(x, 2).chunk(2), strict=True):
        mean = half.mean((0, 2, 3), keepdim=True)
        variance = half.var((0, 2, 3), keepdim=True, correction=0)
        torch.testing.assert_close(out, (half - mean) / (variance + 1e-5).sqrt(), rtol=0, atol=1e-12)


def test_running_buffers_take_in_the_first_half_and_then_the_second() -> None:
    x = torch.randn(8, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) + 2
    norm = GroupedBatchNorm(3).double()
    norm(x, 2)
    first, second = (half.mean((0, 2, 3)) for half in x.chunk(2))
    torch.testing.assert_close(norm.running_mean, 0.9 * 0.1 * first + 0.1 * second, rtol=0, atol=1e-12)
    first, second = (half.var((0, 2, 3)) for half in x.chunk(2))
    torch.testing.assert_close(norm.running_var, 0.81 + 0.9 * 0.1 * first + 0.1 * second, rtol=0, atol=1e-12)


def test_one_group_is_pytorchs_batch_norm_bit_for_bit() -> None:
    x = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(4))
    ours, theirs = GroupedBatchNorm(3), torch.nn.BatchNorm2d(3)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)  # type: ignore[arg-type]
