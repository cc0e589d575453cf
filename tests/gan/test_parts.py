"""Networks, batch norm, losses, averages and augmentation against numbers worked by hand and float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from harness.gan.augment import augment
from harness.gan.averaging import Averager
from harness.gan.losses import adversarial_loss
from harness.gan.networks import Discriminator, Generator, initialise
from harness.gan.normalization import PASSES, GroupedBatchNorm


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Weights in order at ch 4 and 64 px, read off the recipe's facts.
G_DEEP = [(256, 128, 4), (128, 64, 4), (64, 32, 4), (32, 32, 3), (32, 16, 4), (16, 16, 3), (16, 8, 4), (8, 3, 3)]
D_DEEP = [(8, 3, 4), (16, 8, 4), (16, 16, 3), (32, 16, 4), (32, 32, 3), (64, 32, 4), (1, 64, 4)]


@pytest.mark.parametrize("depth", [True, False])
def test_the_layers_are_those_of_the_facts(depth: bool) -> None:
    generator = Generator(width=4, latent=256, size=64, depth=depth)
    discriminator = Discriminator(width=4, size=64, depth=depth)
    for network, layers in ((generator, G_DEEP), (discriminator, D_DEEP)):
        found = [(p.shape[0], p.shape[1], p.shape[2]) for p in network.parameters() if p.ndim == 4]
        assert found == [layer for layer in layers if depth or layer[0] != layer[1]]
    norms = [m.num_features for m in discriminator.modules() if isinstance(m, GroupedBatchNorm)]
    assert norms == ([16, 32, 32, 64] if depth else [32, 64])
    biases = [name for name, _ in discriminator.named_parameters() if name.endswith("bias")]
    assert len(biases) == len(norms) + 1


@pytest.mark.parametrize("size", [32, 64, 128])
def test_every_size_goes_in_and_comes_out(size: int) -> None:
    images = Generator(width=2, latent=8, size=size, depth=True)(torch.randn(3, 8))
    assert images.shape == (3, 3, size, size)
    assert images.abs().max() <= 1
    assert Discriminator(width=2, size=size, depth=True)(images).shape == (3,)


@pytest.mark.parametrize("other", ["split", "joint"])
def test_split_equals_separate_in_losses_gradients_and_buffers_and_joint_does_not(other: str) -> None:
    results = []
    for name in ("separate", other):
        network = Discriminator(width=2, size=32, depth=True)
        initialise(network, stream())
        network.double()
        real = torch.rand(6, 3, 32, 32, generator=stream(1), dtype=torch.float64) * 2 - 1
        fake = (torch.rand(6, 3, 32, 32, generator=stream(2), dtype=torch.float64) ** 3).requires_grad_()
        real_logits, fake_logits = PASSES[name](network, real, fake)
        loss = adversarial_loss(real_logits, 0.95, 0.8) + adversarial_loss(fake_logits, 0.0)
        loss.backward()
        assert fake.grad is not None
        buffers = [buffer for key, buffer in network.named_buffers() if "running" in key]
        results.append([loss.detach(), fake.grad, *(p.grad for p in network.parameters()), *buffers])
    agree = all(torch.allclose(a, b, rtol=1e-10, atol=1e-14) for a, b in zip(*results, strict=True))
    assert agree == (other == "split")


def test_running_buffers_take_the_first_half_then_the_second() -> None:
    norm = GroupedBatchNorm(1).double()
    x = torch.tensor([1.0, 3.0, 10.0, 14.0], dtype=torch.float64)[:, None, None, None]
    norm(x, 2)
    # means 2 and 12, unbiased variances 2 and 8, momentum 0.1, starting from 0 and 1
    assert norm.running_mean.item() == pytest.approx(0.9 * (0.9 * 0 + 0.1 * 2) + 0.1 * 12)  # type: ignore[union-attr]
    assert norm.running_var.item() == pytest.approx(0.9 * (0.9 * 1 + 0.1 * 2) + 0.1 * 8)  # type: ignore[union-attr]


@pytest.mark.parametrize("label", [0.0, 0.95, 1.0])
def test_without_a_margin_the_loss_is_cross_entropy(label: float) -> None:
    logits = torch.linspace(-4, 4, 9, dtype=torch.float64)
    expected = F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
    assert adversarial_loss(logits, label).item() == pytest.approx(expected.item(), rel=1e-6)


def test_past_the_margin_only_the_labels_residual_pulls() -> None:
    logits = torch.tensor([0.0, 3.0], dtype=torch.float64, requires_grad=True)
    p = torch.sigmoid(logits.detach())
    loss = adversarial_loss(logits, 0.95, 0.8)
    below = -0.95 * math.log(0.5) - 0.05 * math.log(0.5)
    past = -0.95 * math.log(0.8) - 0.05 * math.log(1 - p[1].item())
    assert loss.item() == pytest.approx((below + past) / 2, rel=1e-6)
    loss.backward()
    assert logits.grad is not None
    # d/dx of -y log p is -y (1 - p); of -(1 - y) log(1 - p) it is (1 - y) p
    assert logits.grad[0].item() == pytest.approx((-0.95 * 0.5 + 0.05 * 0.5) / 2, rel=1e-6)
    assert logits.grad[1].item() == pytest.approx(0.05 * p[1].item() / 2, rel=1e-6)


def averaged(kind: str, *, start: float, beta: float) -> list[float]:
    parameter = torch.zeros(1, dtype=torch.float64)
    averager = Averager(kind, [parameter], start=start, beta=beta)
    found = []
    for step in range(1, 11):
        parameter.fill_(step)
        averager.update(step / 10)
        found.append(averager.current()[0].item())
    return found


def test_swa_is_the_mean_since_its_start() -> None:
    assert averaged("swa", start=0.5, beta=0.0) == pytest.approx([1, 2, 3, 4, 5, 5.5, 6, 6.5, 7, 7.5])


def test_ema_follows_its_recursion() -> None:
    value, expected = 1.0, [1.0]
    for step in range(2, 11):
        value = 0.9 * value + 0.1 * step
        expected.append(value)
    assert averaged("ema", start=0.0, beta=0.9) == pytest.approx(expected)


def test_the_schedule_slows_down_at_its_fractions_of_training() -> None:
    value, expected = 1.0, [1.0]
    for step in range(2, 11):
        fraction = step / 10
        beta = 0.9 if fraction < 0.3226 else 0.99 if fraction < 0.4839 else 0.999 if fraction < 0.6452 else 0.9999
        value = beta * value + (1 - beta) * step
        expected.append(value)
    assert averaged("schedule", start=0.0, beta=0.5) == pytest.approx(expected)


def test_flips_are_exact_and_none_is_none() -> None:
    images = torch.rand(5, 3, 8, 8, generator=stream())
    always = augment(images, flip=1.0, rotate=0.0, degrees=5, generator=stream())
    assert torch.equal(always, images.flip(3))
    assert torch.equal(augment(images, flip=0.0, rotate=0.0, degrees=5, generator=stream()), images)


def test_rotations_turn_some_images_and_leave_the_others_to_the_bit() -> None:
    images = torch.rand(400, 1, 8, 8, generator=stream())
    turned = augment(images, flip=0.0, rotate=0.3, degrees=5, generator=stream(1))
    changed = (turned != images).flatten(1).any(1).double().mean().item()
    assert changed == pytest.approx(0.3, abs=0.08)


def test_probabilities_do_not_move_the_stream() -> None:
    states = []
    for probability in (0.0, 1.0):
        generator = stream()
        augment(torch.rand(4, 3, 8, 8), flip=probability, rotate=probability, degrees=5, generator=generator)
        states.append(generator.get_state())
    assert torch.equal(*states)
