"""Averages against their closed forms."""

from __future__ import annotations

import pytest
import torch

from harness.recipes.dcgan.averaging import AVERAGES, Averager
from harness.recipes.dcgan.settings import DcganSettings

VALUES = [3.0, -1.0, 4.0, 1.5, -9.0, 2.6, 5.0, 3.5, 8.0, 9.7]


def averages(kind: str, *, start: float = 0.0, beta: float = 0.9, values: list[float] = VALUES) -> list[float]:
    """The average after each step of a parameter that takes `values`, evenly spread over training."""
    parameter = torch.zeros(1, dtype=torch.float64)
    average = AVERAGES[kind]
    assert average is not None
    averager = Averager(average, [parameter], DcganSettings(swa_start=start, ema_beta=beta))
    found = []
    for step, value in enumerate(values, start=1):
        parameter.fill_(value)
        averager.update(step / len(values))
        found.append(averager.current()[0].item())
    return found


def test_swa_is_the_plain_mean_of_all_weights_from_the_start_on() -> None:
    expected = [sum(VALUES[4 : n + 1]) / (n - 3) for n in range(4, 10)]
    assert averages("swa", start=0.5)[4:] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["swa", "ema"])
def test_before_the_start_the_average_is_the_weights_themselves(kind: str) -> None:
    assert averages(kind, start=0.5)[:4] == VALUES[:4]


def test_ema_is_the_geometric_sum_from_the_start_on() -> None:
    beta, late = 0.7, VALUES[4:]
    expected = beta**5 * late[0] + sum((1 - beta) * beta ** (5 - k) * late[k] for k in range(1, 6))
    assert averages("ema", start=0.5, beta=beta)[-1] == pytest.approx(expected)


def test_the_schedule_changes_its_beta_at_epochs_200_300_and_400_of_620() -> None:
    # One step per epoch; a parameter of 0 in epoch 1 and of 1 from then on leaves 1 minus the product of the betas.
    found = averages("schedule", values=[0.0] + [1.0] * 619, start=0.9)
    betas = [0.9 if e < 200 else 0.99 if e < 300 else 0.999 if e < 400 else 0.9999 for e in range(2, 621)]
    left = 1.0
    for epoch, beta in enumerate(betas, start=2):
        left *= beta
        assert found[epoch - 1] == pytest.approx(1 - left, abs=1e-12)


def test_the_average_never_touches_the_weights() -> None:
    parameter = torch.ones(3)
    average = AVERAGES["ema"]
    assert average is not None
    averager = Averager(average, [parameter], DcganSettings(ema_beta=0.5))
    averager.update(0.1)
    parameter.fill_(2.0)
    averager.update(0.2)
    assert torch.equal(parameter, torch.full((3,), 2.0))
    assert torch.equal(averager.current()[0], torch.full((3,), 1.5))
