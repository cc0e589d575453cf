"""Spectral normalisation against singular values and gradients in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.utils import parametrize

from harness.recipes.dcgan.networks import Discriminator, started
from harness.recipes.dcgan.norms import NORMS
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.dcgan.spectral import Spectral
from harness.recipes.streams import Streams

SETTINGS = DcganSettings(width=2, latent=8, discriminator_norm="spectral")


def layers(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def test_every_weight_of_the_discriminator_has_spectral_norm_one() -> None:
    network = started(SETTINGS, 32, Streams(0))[1].double()
    for _ in range(200):  # a power iteration each
        weights = [layer.weight for layer in layers(network)]
    for weight in weights:
        assert torch.linalg.svdvals(weight.detach().flatten(1))[0].item() == pytest.approx(1, abs=1e-3)
    assert not [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(layer.bias is not None for layer in layers(network))


def test_at_the_start_the_norm_is_within_a_few_percent() -> None:
    for layer in layers(started(SETTINGS, 32, Streams(0))[1]):
        assert 1 <= torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item() * (1 + 1e-5) < 1.1


def test_the_gradient_is_that_of_the_papers_appendix() -> None:
    # dL/dW = (G - <G, W/sigma> u v^T) / sigma for the gradient G of L with respect to the normalised weight.
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(4, 3, 2, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    upstream = torch.randn(4, 3, 2, 2, dtype=torch.float64, generator=generator)
    norm = Spectral(weight, generator)
    for _ in range(500):
        norm(weight)
    (found,) = torch.autograd.grad((norm(weight) * upstream).sum(), weight)
    u, s, vh = torch.linalg.svd(weight.detach().flatten(1))
    g, outer = upstream.flatten(1), u[:, :1] @ vh[:1]
    expected = (g - (g * weight.detach().flatten(1) / s[0]).sum() * outer) / s[0]
    torch.testing.assert_close(found.flatten(1), expected, rtol=0, atol=1e-9)


def test_it_is_the_papers_algorithm_one_step_a_forward_in_training_and_none_else() -> None:
    weight = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    ours = Spectral(weight, torch.Generator().manual_seed(3))
    w, u = weight.numpy(), ours.u.numpy().copy()
    for _ in range(3):
        v = w.T @ u / np.linalg.norm(w.T @ u)
        u = w @ v / np.linalg.norm(w @ v)
        np.testing.assert_allclose(ours(weight).numpy(), w / (u @ w @ v), rtol=0, atol=1e-12)
        np.testing.assert_allclose(ours.u.numpy(), u, rtol=0, atol=1e-12)
    ours.eval()
    assert torch.equal(ours(weight), ours(weight))
    np.testing.assert_allclose(ours.u.numpy(), u, rtol=0, atol=1e-12)


def test_its_vectors_are_of_the_seed() -> None:
    one, again, other = (dict(started(SETTINGS, 32, Streams(seed))[1].named_buffers()) for seed in (0, 0, 1))
    assert one.keys() >= {"down08.parametrizations.weight.0.u", "logit.parametrizations.weight.0.u"}
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["down08.parametrizations.weight.0.u"], other["down08.parametrizations.weight.0.u"])


def test_under_autocast_the_norm_is_taken_in_float32() -> None:
    network = started(SETTINGS, 32, Streams(0))[1].eval()
    with torch.autocast("cpu", torch.bfloat16):
        inside = network.down08.weight
    assert torch.equal(inside, network.down08.weight)


def test_discriminators_of_several_seeds_can_be_mapped_as_one_program() -> None:
    networks: list[Discriminator] = [started(SETTINGS, 32, Streams(seed))[1] for seed in range(3)]
    parameters, buffers = stack_module_state(networks)  # type: ignore[arg-type]
    images = torch.randn(3, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor) -> Tensor:
        return functional_call(networks[0], (parameters, buffers), (images,))

    together = torch.vmap(one)(parameters, buffers, images)
    for found, network, batch in zip(together, networks, images, strict=True):
        torch.testing.assert_close(found, network(batch), rtol=1e-4, atol=1e-6)
    name = "down08.parametrizations.weight.0.u"
    torch.testing.assert_close(buffers[name][1], dict(networks[1].named_buffers())[name])


def test_a_norm_may_leave_batch_norm_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NORMS, "both", type(NORMS["spectral"])(NORMS["spectral"].apply, batch_norm=True))
    network = started(SETTINGS.model_copy(update={"discriminator_norm": "both"}), 32, Streams(0))[1]
    assert [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(parametrize.is_parametrized(layer, "weight") for layer in layers(network))
