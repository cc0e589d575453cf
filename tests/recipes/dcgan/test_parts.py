"""Self-attention against sums written out in float64, and where parts are put."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from harness.recipes.dcgan.attention import SelfAttention
from harness.recipes.dcgan.networks import started
from harness.recipes.dcgan.parts import PARTS
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.streams import Streams


def test_at_its_start_self_attention_is_the_identity() -> None:
    x = torch.randn(2, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(SelfAttention(16)(x), x)


def test_self_attention_is_the_papers_sum_over_all_places_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    module = SelfAttention(16).double()
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
    x = torch.randn(2, 16, 3, 5, dtype=torch.float64, generator=generator)
    found = module(x).detach().numpy()
    f, g, h, v = (layer.weight.detach().numpy()[:, :, 0, 0] for layer in (module.f, module.g, module.h, module.v))
    for image, result in zip(x.flatten(2).numpy(), found.reshape(2, 16, 15), strict=True):
        for j in range(15):
            scores = np.array([(f @ image[:, i]) @ (g @ image[:, j]) for i in range(15)])
            beta = np.exp(scores - scores.max())
            beta /= beta.sum()
            attended = v @ sum(beta[i] * (h @ image[:, i]) for i in range(15))
            expected = image[:, j] + module.gamma.item() * attended
            np.testing.assert_allclose(result[:, j], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [8, 16, 32])
def test_a_part_follows_the_stage_of_its_size_in_either_network(size: int) -> None:
    on = {"generator_part": "self-attention", "discriminator_part": "self-attention"}
    settings = DcganSettings(width=2, latent=8, generator_part_size=size, discriminator_part_size=size, **on)
    for network, names in zip(started(settings, 64, Streams(0)), ("relu", "relu"), strict=True):
        layers = dict(network.named_children())
        part = layers[f"part{size:02}"]
        assert isinstance(part, SelfAttention)
        order = list(layers)
        before = order[order.index(f"part{size:02}") - 1]
        assert before.endswith(f"{names}{size:02}")
        assert (
            part.v.out_channels
            == (layers[f"up{size:02}"] if "up04" in layers else layers[f"down{size:02}"]).out_channels
        )


def test_a_part_that_is_the_identity_leaves_the_images_as_they_were() -> None:
    noise = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    plain, with_it = (
        started(DcganSettings(width=2, latent=8, generator_part=part), 32, Streams(0))[0](noise) for part in PARTS
    )
    assert torch.equal(plain, with_it)


def test_a_part_is_given_channels_and_settings_and_its_weights_start_from_streams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[int, int]] = []

    class Mix(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.linear = nn.Linear(channels, channels)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x.movedim(1, -1)).movedim(-1, 1)  # type: ignore[no-any-return]

    def mix(channels: int, settings: DcganSettings) -> nn.Module:
        told.append((channels, settings.latent))
        return Mix(channels)

    monkeypatch.setitem(PARTS, "mix", mix)
    settings = DcganSettings(width=2, latent=8, generator_part="mix")
    one, again = (started(settings, 32, Streams(0))[0] for _ in range(2))
    assert told == [(8, 8)] * 2
    assert torch.equal(one.part16.linear.weight, again.part16.linear.weight)
    assert one.part16.linear.weight.std().item() == pytest.approx(0.02, rel=0.3)
    assert not one.part16.linear.bias.any()
