"""The losses against numbers worked by hand and against PyTorch's cross-entropy."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from harness.recipes.dcgan.losses import LOSSES, adversarial_loss
from harness.recipes.dcgan.settings import DcganSettings
from harness.settings import idle


def logit(p: float) -> float:
    return math.log(p / (1 - p))


@pytest.mark.parametrize(
    ("p", "margin", "expected"),
    [
        # 0.95 (-ln 0.5) - 0.05 ln 0.5 = ln 2
        (0.5, 0.8, math.log(2)),
        # past the margin the first term stays at -ln 0.8: 0.95 x 0.2231436 + 0.05 x 2.3025851
        (0.9, 0.8, 0.3271157),
        # without a margin: 0.95 x 0.1053605 + 0.05 x 2.3025851
        (0.9, None, 0.2152217),
        (0.9, 0.0, 0.2152217),
    ],
)
def test_the_loss_of_real_images_is_the_one_worked_by_hand(p: float, margin: float | None, expected: float) -> None:
    loss = adversarial_loss(torch.tensor([logit(p)], dtype=torch.float64), 0.95, margin)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_past_the_margin_only_the_residual_of_the_smoothed_label_has_a_gradient() -> None:
    below = torch.tensor([logit(0.7)], dtype=torch.float64, requires_grad=True)
    past = torch.tensor([logit(0.9)], dtype=torch.float64, requires_grad=True)
    adversarial_loss(below, 0.95, 0.8).backward()
    adversarial_loss(past, 0.95, 0.8).backward()
    assert below.grad is not None
    assert past.grad is not None
    assert below.grad.item() == pytest.approx(0.7 - 0.95, abs=1e-6)  # cross-entropy: p - y
    assert past.grad.item() == pytest.approx(0.05 * 0.9, abs=1e-6)  # (1 - y) p


def test_past_the_margin_a_hard_label_has_no_gradient_at_all() -> None:
    past = torch.tensor([logit(0.9)], dtype=torch.float64, requires_grad=True)
    adversarial_loss(past, 1.0, 0.8).backward()
    assert past.grad is not None
    assert past.grad.item() == 0.0


@pytest.mark.parametrize("label", [0.0, 0.95, 1.0])
def test_without_a_margin_it_is_the_cross_entropy_on_logits(label: float) -> None:
    logits = torch.linspace(-8, 8, 41, dtype=torch.float64)
    expected = F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
    assert adversarial_loss(logits, label).item() == pytest.approx(expected.item(), abs=2e-5)


def test_the_loss_is_the_mean_over_the_batch() -> None:
    logits = torch.tensor([-1.0, 0.3, 2.5], dtype=torch.float64)
    each = [adversarial_loss(one[None], 0.95, 0.8).item() for one in logits]
    assert adversarial_loss(logits, 0.95, 0.8).item() == pytest.approx(sum(each) / 3)


@pytest.mark.parametrize("value", [-17.5, 17.5])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_float32_has_the_gradient_of_float64_where_the_sigmoid_saturates(value: float, label: float) -> None:
    single = torch.tensor([value], requires_grad=True)
    double = torch.tensor([value], dtype=torch.float64, requires_grad=True)
    adversarial_loss(single, label).backward()
    adversarial_loss(double, label).backward()
    assert single.grad is not None
    assert double.grad is not None
    assert single.grad.item() == pytest.approx(double.grad.item(), rel=1e-4, abs=1e-7)


def test_a_bf16_logit_is_lossed_in_float32() -> None:
    assert adversarial_loss(torch.zeros(4, dtype=torch.bfloat16), 0.95).dtype == torch.float32


def test_the_hinge_and_its_gradients_are_those_worked_by_hand() -> None:
    real = torch.tensor([-1.0, 0.5, 1.5, 3.0], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([-3.0, -1.5, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    loss = LOSSES["hinge"].discriminator(real, fake, DcganSettings())
    assert loss.item() == pytest.approx((2 + 0.5 + 0 + 0) / 4 + (0 + 0 + 1 + 3) / 4)
    loss.backward()  # type: ignore[no-untyped-call]
    assert real.grad is not None
    assert fake.grad is not None
    assert real.grad.tolist() == [-0.25, -0.25, 0, 0]
    assert fake.grad.tolist() == [0, 0, 0.25, 0.25]
    assert LOSSES["hinge"].generator(fake, DcganSettings()).item() == pytest.approx(2.5 / 4)


def test_the_hinge_of_bf16_logits_is_summed_in_float32() -> None:
    logits = torch.full((4096,), 0.1, dtype=torch.bfloat16)
    for loss in (
        LOSSES["hinge"].discriminator(logits, logits, DcganSettings()),
        LOSSES["hinge"].generator(logits, DcganSettings()),
    ):
        assert loss.dtype == torch.float32


def test_settings_of_one_loss_are_idle_under_another() -> None:
    assert {"margin", "real_label"} <= idle(DcganSettings(loss="hinge"))
    assert not {"margin", "real_label"} & idle(DcganSettings())


def test_an_unknown_loss_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match=r"loss\n.*Input should be 'cross-entropy' or 'hinge'"):
        DcganSettings(loss="wasserstein")
