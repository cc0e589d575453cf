"""R1 against closed forms and against differences in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.recipes.dcgan.networks import Discriminator, initialise
from harness.recipes.dcgan.regularisers import REGULARISERS
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.dcgan.trainer import Trainer
from harness.recipes.streams import Streams

R1 = REGULARISERS["r1"]


def images(count: int, size: int, **kind: Any) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0), **kind)


def r1(discriminator: Any, real: Tensor) -> Tensor:
    assert R1 is not None
    return R1(discriminator, real, torch.zeros_like(real), DcganSettings(), Streams(0))


def test_of_a_linear_discriminator_it_is_half_the_squared_norm_of_its_weight() -> None:
    weight = torch.arange(12.0, dtype=torch.float64).view(3, 2, 2).requires_grad_()
    penalty = r1(lambda x: (x * weight).sum((1, 2, 3)), images(5, 2, dtype=torch.float64))
    assert penalty.item() == pytest.approx(0.5 * sum(n * n for n in range(12)))
    (gradient,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(gradient, weight.detach())


def test_of_a_quadratic_discriminator_it_is_half_the_mean_squared_norm_of_the_images_scaled() -> None:
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    x = images(5, 2, dtype=torch.float64)
    penalty = r1(lambda x: scale / 2 * x.square().sum((1, 2, 3)), x)
    expected = x.square().sum((1, 2, 3)).mean().item()
    assert penalty.item() == pytest.approx(0.5 * 9 * expected)
    assert torch.autograd.grad(penalty, scale)[0].item() == pytest.approx(3 * expected)


def test_of_the_discriminator_its_gradient_is_that_of_central_differences_in_float64() -> None:
    network = Discriminator(DcganSettings(width=1), 32)
    initialise(network, 0, "discriminator")
    network.double()
    real = images(4, 32, dtype=torch.float64)
    parameter = network.down08.weight
    penalty = r1(network, real)
    penalty.backward()  # type: ignore[no-untyped-call]
    assert penalty.item() > 1e-3
    for place in (0, 17, 100):
        ends = []
        for step in (1e-5, -2e-5):
            with torch.no_grad():
                parameter.view(-1)[place] += step
            ends.append(r1(network, real).item())
        with torch.no_grad():
            parameter.view(-1)[place] += 1e-5
        assert parameter.grad.view(-1)[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_is_taken_every_so_many_steps_at_so_many_times_its_weight_in_float32(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[torch.dtype, torch.dtype, bool]] = []
    losses: list[float] = []
    gradients = torch.autograd.grad

    def constant(discriminator: nn.Module, real: Tensor, fake: Tensor, settings: Any, streams: Streams) -> Tensor:
        seen.append((real.dtype, fake.dtype, torch.is_autocast_enabled("cpu")))
        return real.new_ones(())

    def noted(loss: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        losses.append(loss.item())
        return gradients(loss, *args, **kwargs)

    monkeypatch.setitem(REGULARISERS, "constant", constant)
    monkeypatch.setattr(torch.autograd, "grad", noted)
    about: dict[str, Any] = {"width": 2, "latent": 8, "batch": 4, "precision": precision, "device": "cpu"}
    data = torch.randint(0, 256, (8, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for more in ({}, {"regulariser": "constant", "regulariser_weight": 5.0, "regulariser_every": 2}):
        trainer = Trainer(DcganSettings(**about, **more), data, torch.arange(9), seeds=[0], total_images=100)
        for _ in range(4):
            trainer.step()
    assert seen == [(torch.float32, torch.float32, False)] * 2
    added = [with_it - without for with_it, without in zip(losses[8::2], losses[:8:2], strict=True)]
    assert added == pytest.approx([10, 0, 10, 0], abs=1e-5)
