"""The training loop: common random numbers, tricks switched off, exact resumption, divergence and samples."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.errors import DivergedError, SpecError
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.dcgan.trainer import Trainer

PHOTOS = 40


pytestmark = pytest.mark.usefixtures("one_thread")


def plain(**changes: Any) -> DcganSettings:
    """Every trick off, in no time; `changes` on top."""
    off: dict[str, Any] = {
        "width": 2,
        "latent": 8,
        "batch": 8,
        "split_bn": "separate",
        "margin": None,
        "averaging": "none",
        "precision": "fp32",
        "device": "cpu",
    }
    return DcganSettings(**(off | changes))


def photos() -> Tensor:
    return torch.randint(0, 256, (PHOTOS, 3, 32, 32), generator=torch.Generator().manual_seed(7), dtype=torch.uint8)


def trainer(settings: DcganSettings | None = None, *, seed: int = 0, total: int = 800, **others: Any) -> Trainer:
    groups = others.pop("groups", np.arange(PHOTOS + 1))
    return Trainer(settings or plain(), photos(), groups, seeds=[seed], total_images=total, **others)


def trained(settings: DcganSettings | None = None, steps: int = 6, **others: Any) -> Trainer:
    found = trainer(settings, **others)
    for _ in range(steps):
        found.step()
    return found


def bits(found: Trainer) -> list[Tensor]:
    """All weights and buffers of both networks."""
    return [
        *found.replicates[0].generator.state_dict().values(),
        *found.replicates[0].discriminator.state_dict().values(),
    ]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def copied(state: Any) -> Any:
    """`state` as it comes back from a file."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.fixture(scope="module")
def baseline() -> Trainer:
    return trained()


@pytest.mark.parametrize(
    "off",
    [
        {"generator_width": 2},
        {"margin": 0.0},
        {"averaging": "none", "swa_start": 0.5, "ema_beta": 0.5},
        {"split_bn": "separate", "split_generator_step": False},
        {"depth": True},
        {"device": "auto"},
        {"threads": 1},
        {"sample_bn": "batch"},
        {"truncation": 0.5},
        {"generator_part": "none", "generator_part_size": 8},
        {"discriminator_part": "none", "discriminator_part_size": 8},
        {"regulariser": "none", "regulariser_weight": 1.0, "regulariser_every": 2},
        {"augment_both": "none", "discriminator_norm": "none", "schedule": "constant", "loss": "cross-entropy"},
        {"flip": 0.5, "rotate": 0.3, "rotate_degrees": 5.0},
    ],
    ids=lambda off: ",".join(f"{name}={value}" for name, value in off.items()),
)
def test_a_trick_at_its_off_level_leaves_every_bit_as_it_was(baseline: Trainer, off: dict[str, Any]) -> None:
    assert same(bits(trained(plain(**off))), bits(baseline))


@pytest.mark.parametrize(
    ("trick", "network", "own"),
    [
        ({"depth": False}, "generator", ()),
        ({"depth": False}, "discriminator", ()),
        ({"generator_part": "self-attention"}, "generator", ("part16",)),
        ({"discriminator_part": "self-attention", "discriminator_part_size": 8}, "discriminator", ("part08",)),
        ({"discriminator_norm": "spectral"}, "discriminator", ("down", "deep")),
        ({"discriminator_norm": "spectral"}, "generator", ()),
    ],
    ids=str,
)
def test_a_run_with_a_trick_starts_from_the_weights_of_the_one_without(
    trick: dict[str, Any], network: str, own: tuple[str, ...]
) -> None:
    with_it, without = (
        dict(getattr(trainer(plain(**on)).replicates[0], network).named_parameters()) for on in (trick, {})
    )
    renamed = {name.replace(".parametrizations.weight.original", ".weight"): p for name, p in with_it.items()}
    shared = renamed.keys() & without.keys()
    assert len(shared) >= 5
    assert all(torch.equal(renamed[name], without[name]) for name in shared)
    assert all(name.startswith(own) for name in renamed.keys() - shared)
    kernels = {name for name in without if name.endswith("weight") and "norm" not in name}
    assert kernels - shared == {name for name in kernels if trick == {"depth": False} and name.startswith("deep")}


EVERY_TRICK: dict[str, Any] = {
    "loss": "hinge",
    "augment_both": "color",
    "discriminator_norm": "spectral",
    "generator_part": "self-attention",
    "discriminator_part": "self-attention",
    "regulariser": "r1",
    "regulariser_every": 3,
    "schedule": "cosine",
    "averaging": "ema",
    "flip": 0.5,
    "rotate": 0.3,
}


@pytest.mark.parametrize("tricks", [{}, EVERY_TRICK], ids=str)
def test_training_neither_reads_nor_moves_the_global_generator(tricks: dict[str, Any]) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = trained(plain(**tricks), steps=4)
    one.replicates[0].sample(4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(bits(trained(plain(**tricks), steps=4)), bits(one))


@pytest.mark.parametrize(
    ("on", "message"),
    [
        (
            {"generator_part": "self-attention", "generator_part_size": 64},
            r"train\.generator_part_size is 64, but the generator for 32 px has no stage of that side; "
            r"allowed: 4, 8, 16, 32$",
        ),
        (
            {"discriminator_part": "self-attention", "discriminator_part_size": 32},
            r"train\.discriminator_part_size is 32, but the discriminator for 32 px .* allowed: 4, 8, 16$",
        ),
    ],
    ids=["generator", "discriminator"],
)
def test_a_part_where_there_is_no_stage_is_refused_with_those_there_are(on: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        trainer(plain(**on))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1.0, 1.0, 1.0, 1.0]),
        ("linear", [1.0, 0.75, 0.5, 0.25]),
        ("cosine", [1.0, 0.5 + 0.5 * 2**-0.5, 0.5, 0.5 - 0.5 * 2**-0.5]),
    ],
)
def test_the_learning_rate_of_both_networks_follows_its_schedule(schedule: str, expected: list[float]) -> None:
    found = trainer(plain(schedule=schedule, learning_rate=1e-3), total=32)
    rates = []
    for _ in range(4):
        found.step()
        rates.append(
            [
                optimiser.param_groups[0]["lr"]
                for optimiser in (found.replicates[0].d_optimiser, found.replicates[0].g_optimiser)
            ]
        )
    assert rates == [[pytest.approx(1e-3 * factor)] * 2 for factor in expected]


def test_no_rotation_is_the_same_by_probability_and_by_angle() -> None:
    assert same(bits(trained(plain(rotate=0.0))), bits(trained(plain(rotate=1.0, rotate_degrees=0.0))))


@pytest.mark.parametrize(
    "on",
    [
        {"generator_width": 3},
        {"margin": 0.5},
        {"split_bn": "joint"},
        {"split_generator_step": True},
        {"depth": False},
        {"flip": 0.0},
        {"real_label": 1.0},
        {"loss": "hinge"},
        {"augment_both": "color"},
        {"discriminator_norm": "spectral"},
        {"generator_part": "self-attention"},
        {"discriminator_part": "self-attention"},
        {"regulariser": "r1"},
        {"schedule": "linear"},
        {"schedule": "cosine"},
    ],
    ids=lambda on: ",".join(f"{name}={value}" for name, value in on.items()),
)
def test_a_trick_that_is_on_makes_a_difference(baseline: Trainer, on: dict[str, Any]) -> None:
    # A margin of 0.5 binds at once: untrained scores lie on both sides of one half.
    assert not same(bits(trained(plain(**on))), bits(baseline))


@pytest.mark.parametrize("averaging", ["swa", "ema", "schedule"])
def test_averaging_leaves_the_training_itself_alone(baseline: Trainer, averaging: str) -> None:
    averaged = trained(plain(averaging=averaging))
    assert same(bits(averaged), bits(baseline))
    assert averaged.replicates[0].averager is not None
    assert not same(averaged.replicates[0].averager.current(), list(baseline.replicates[0].generator.parameters()))


def test_equal_weights_are_the_float64_mean_of_the_generators_after_each_step() -> None:
    found = trainer(plain(averaging="swa"))
    seen: list[list[Tensor]] = []
    for _ in range(8):
        found.step()
        seen.append([parameter.detach().double().clone() for parameter in found.replicates[0].generator.parameters()])
    assert found.replicates[0].averager is not None
    for position, average in enumerate(found.replicates[0].averager.current()):
        mean = torch.stack([weights[position] for weights in seen]).mean(0)
        torch.testing.assert_close(average.double(), mean, rtol=0, atol=1e-6)


def test_split_and_separate_train_alike_but_for_rounding() -> None:
    # SGD-sized differences only: Adam turns the sign of a tiny gradient into a whole step, so one step is compared.
    split, separate = (trained(plain(split_bn=way), steps=1) for way in ("split", "separate"))
    for one, other in zip(bits(split), bits(separate), strict=True):
        assert (one.double() - other.double()).abs().mean().item() < 1e-4


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(baseline: Trainer) -> None:
    assert same(bits(trained()), bits(baseline))
    assert not same(bits(trained(seed=1)), bits(baseline))


TREATMENTS: list[dict[str, Any]] = [
    {"split_bn": "split", "margin": 0.8, "averaging": "ema"},
    {"generator_width": 5},
    {"learning_rate": 1e-3, "flip": 0.0, "rotate": 0.0},
    {"split_bn": "joint", "real_label": 1.0},
]


@pytest.mark.parametrize("treatment", TREATMENTS, ids=str)
def test_runs_of_a_seed_share_discriminator_order_latents_and_augmentation(treatment: dict[str, Any]) -> None:
    control, treated = trainer(), trainer(plain(**treatment))
    pairs = zip(
        control.replicates[0].discriminator.parameters(), treated.replicates[0].discriminator.parameters(), strict=True
    )
    assert all(torch.equal(one, other) for one, other in pairs)
    for _ in range(12):
        control.step()
        treated.step()
    streams = control.replicates[0].streams.state(), treated.replicates[0].streams.state()
    shared = streams[0].keys() & streams[1].keys()
    assert {"latent", "order"} <= shared
    assert all(torch.equal(streams[0][name], streams[1][name]) for name in shared)
    assert torch.equal(control.replicates[0].order.next(), treated.replicates[0].order.next())


@pytest.mark.parametrize(
    "changes", [{}, {"averaging": "ema"}, {"averaging": "swa", "swa_start": 0.7}, EVERY_TRICK], ids=str
)
def test_a_resumed_run_ends_in_the_very_bits_of_an_uninterrupted_one(changes: dict[str, Any]) -> None:
    settings = plain(**({"split_bn": "split", "margin": 0.8} | changes))
    groups = np.arange(0, PHOTOS + 1, 2)
    whole = trained(settings, steps=40, total=320, groups=groups)
    half = trained(settings, steps=20, total=320, groups=groups)
    resumed = trainer(settings, total=320, groups=groups)
    resumed.replicates[0].restore(copied(half.replicates[0].state()))
    assert resumed.images_shown == 160
    for _ in range(20):
        resumed.step()
    assert same(bits(resumed), bits(whole))
    if whole.replicates[0].averager is not None and resumed.replicates[0].averager is not None:
        assert same(resumed.replicates[0].averager.current(), whole.replicates[0].averager.current())
    assert torch.equal(resumed.replicates[0].sample(10), whole.replicates[0].sample(10))


@pytest.mark.parametrize("tricks", [{}, EVERY_TRICK], ids=str)
def test_a_run_in_bf16_resumes_exactly_too(tricks: dict[str, Any]) -> None:
    settings = plain(**({"precision": "bf16", "split_bn": "split", "margin": 0.8} | tricks))
    whole, half, resumed = trained(settings, 8), trained(settings, 4), trainer(settings)
    resumed.replicates[0].restore(copied(half.replicates[0].state()))
    for _ in range(4):
        resumed.step()
    assert same(bits(resumed), bits(whole))
    assert all(tensor.isfinite().all() for tensor in bits(whole))


def test_curves_are_chunk_means_and_the_budget_is_kept() -> None:
    found = trainer(total=8 * 60)
    chunks = list(found.train_until(1.0, lambda: False))
    assert len(chunks) == 2
    assert found.steps == 60
    assert found.fraction == 1.0
    assert found.images_per_second > 0
    for (means,) in chunks:
        assert isinstance(means, dict)
        assert all(0 < means[name] < 1 for name in ("score/real", "score/fake", "score/generator"))


def test_a_run_that_is_stopped_and_resumed_reports_the_curves_of_an_uninterrupted_one() -> None:
    expected = list(trainer(total=8 * 60).train_until(1.0, lambda: False))
    first = trainer(total=8 * 60)
    assert list(first.train_until(1.0, lambda: first.steps >= 20)) == []
    assert first.steps == 20
    resumed = trainer(total=8 * 60)
    resumed.replicates[0].restore(copied(first.replicates[0].state()))
    assert list(resumed.train_until(1.0, lambda: False)) == expected


def test_a_budget_of_seconds_ends_training_in_time() -> None:
    found = Trainer(plain(), photos(), np.arange(PHOTOS + 1), seeds=[0], total_seconds=0.3)
    list(found.train_until(1.0, lambda: False))
    assert 0.3 <= found.seconds < 3
    assert found.fraction == 1.0


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_weights_that_are_not_numbers_are_told_as_diverged(network: str) -> None:
    found = trainer(plain(learning_rate=1.0))
    with torch.no_grad():
        next(iter(getattr(found.replicates[0], network).parameters())).fill_(float("nan"))
    ((error,),) = found.train_until(1.0, lambda: False)
    assert isinstance(error, DivergedError)
    assert "nan" in str(error)
    assert found.steps == 50, "training ends with the chunk in which all have diverged"


def test_a_generator_of_no_numbers_is_not_sampled() -> None:
    found = trainer()
    with torch.no_grad():
        next(iter(found.replicates[0].generator.parameters())).fill_(float("nan"))
    with pytest.raises(DivergedError, match="not finite"):
        found.replicates[0].sample(4)


@pytest.mark.parametrize("sample_bn", ["recalibrate", "running"])
def test_a_sample_does_not_depend_on_its_batch(sample_bn: str) -> None:
    network = trained(plain(sample_bn=sample_bn)).replicates[0].sampling_generator()
    noise = torch.randn(12, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(network(noise)[2:5], network(noise[2:5]), rtol=0, atol=1e-5)


def test_batch_statistics_do_depend_on_the_batch() -> None:
    network = trained(plain(sample_bn="batch")).replicates[0].sampling_generator()
    noise = torch.randn(12, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert (network(noise)[2:5] - network(noise[2:5])).abs().max() > 1e-3


def test_recalibrated_statistics_are_those_of_the_weights_that_are_sampled() -> None:
    found = trained(plain(averaging="ema", ema_beta=0.5), steps=10)
    network = found.replicates[0].sampling_generator()
    first, norm = next(
        (layer, following)
        for layer, following in pairwise(network)  # type: ignore[arg-type]
        if isinstance(following, nn.BatchNorm2d)
    )
    with torch.no_grad():
        fresh = first(torch.randn(8000, 8, 1, 1, generator=torch.Generator().manual_seed(11)))
    spread = fresh.var((0, 2, 3))
    torch.testing.assert_close(norm.running_var, spread, rtol=0.1, atol=0)
    assert (norm.running_mean - fresh.mean((0, 2, 3))).abs().max() < 0.1 * spread.sqrt().max()


def test_samples_are_the_same_at_every_call_and_more_of_them_begin_with_the_same_latents() -> None:
    found = trained()
    assert torch.equal(found.replicates[0].sample(6), found.replicates[0].sample(6))
    few, many = found.replicates[0].sample(6).int(), found.replicates[0].sample(300)[:6].int()
    assert (few - many).abs().max() <= 1, "rounding apart, the first samples are the same"
    assert found.replicates[0].sample(6).dtype == torch.uint8
    assert found.replicates[0].sample(6).shape == (6, 3, 32, 32)


@pytest.mark.parametrize("sample_bn", ["recalibrate", "running", "batch"])
def test_drawing_samples_and_taking_state_change_nothing_of_the_training(baseline: Trainer, sample_bn: str) -> None:
    found = trainer(plain(sample_bn=sample_bn))
    for _ in range(6):
        found.replicates[0].sample(4)
        found.replicates[0].state()
        found.step()
    assert same(bits(found), bits(baseline))


def test_the_first_step_is_the_one_of_a_textbook_loop() -> None:
    s = plain(flip=0.0, rotate=0.0)
    found, start = trainer(s), trainer(s)
    generator, discriminator = start.replicates[0].generator, start.replicates[0].discriminator
    real = photos()[start.replicates[0].order.next()].float() / 127.5 - 1
    fake = generator(torch.randn(s.batch, s.latent, generator=start.replicates[0].streams("latent")))
    cross_entropy = nn.functional.binary_cross_entropy_with_logits
    smooth = torch.full((s.batch,), s.real_label)
    rates: dict[str, Any] = {"lr": s.learning_rate, "betas": (s.beta1, s.beta2)}

    d_adam = torch.optim.Adam(discriminator.parameters(), **rates)
    loss = cross_entropy(discriminator(real), smooth)
    loss = loss + cross_entropy(discriminator(fake.detach()), torch.zeros(s.batch))
    d_gradients = torch.autograd.grad(loss, list(discriminator.parameters()))
    for parameter, expected in zip(discriminator.parameters(), d_gradients, strict=True):
        parameter.grad = expected
    d_adam.step()
    g_gradients = torch.autograd.grad(cross_entropy(discriminator(fake), smooth), list(generator.parameters()))

    found.step()
    one = found.replicates[0]

    def gradient(optimiser: torch.optim.Adam, parameter: Tensor) -> Tensor:
        """What the first step of Adam was made of, by the mean that it keeps."""
        kept: Tensor = optimiser.state[parameter]["exp_avg"] / (1 - s.beta1)
        return kept

    # Adam's first step is the sign of the gradient: gradients say more, and G's hold D's step within them.
    for expected, parameter in zip(d_gradients, one.discriminator.parameters(), strict=True):
        torch.testing.assert_close(gradient(one.d_optimiser, parameter), expected, rtol=1e-3, atol=1e-5)
    for expected, parameter in zip(g_gradients, one.generator.parameters(), strict=True):
        torch.testing.assert_close(gradient(one.g_optimiser, parameter), expected, rtol=1e-2, atol=1e-5)
    for parameter, ours in zip(discriminator.parameters(), found.replicates[0].discriminator.parameters(), strict=True):
        assert (parameter - ours).abs().mean().item() < 1e-5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_training_on_a_gpu_stays_finite_and_draws_images() -> None:
    found = trained(plain(precision="auto", split_bn="split", margin=0.8), device="cuda:0")
    assert all(tensor.isfinite().all() for tensor in bits(found))
    assert found.replicates[0].sample(4).shape == (4, 3, 32, 32)
