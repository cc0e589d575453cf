"""Replicates that train as one program: held to the plain step of each alone, and free of what a graph cannot hold."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from harness.errors import DivergedError
from harness.recipes.dcgan.losses import adversarial_loss
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.dcgan.step import step
from harness.recipes.dcgan.trainer import Trainer
from harness.recipes.dcgan.ways import WAYS, timed

PHOTOS, TOTAL = 40, 320


pytestmark = pytest.mark.usefixtures("one_thread")


def made(seeds: Sequence[int], dtype: torch.dtype = torch.float64, way: str | None = None, **changes: Any) -> Trainer:
    about: dict[str, Any] = {"width": 2, "latent": 8, "batch": 8, "precision": "fp32", "device": "cpu"}
    images = torch.randint(0, 256, (PHOTOS, 3, 32, 32), generator=torch.Generator().manual_seed(7), dtype=torch.uint8)
    settings = DcganSettings(**(about | changes))
    groups = np.arange(PHOTOS + 1)
    return Trainer(settings, images, groups, seeds=seeds, total_images=TOTAL, dtype=dtype, way=way)


def plainly(trainer: Trainer, steps: int) -> None:
    """Train each replicate alone by the plain step."""
    for _ in range(steps):
        after = min(1.0, (trainer.images_shown + trainer.settings.batch) / TOTAL)
        for one in trainer.replicates:
            step(one, trainer.data, trainer.fraction, fraction_after=after, bf16=trainer.bf16, dtype=trainer.dtype)
        for one in trainer.replicates:
            one.steps += 1


def learned(trainer: Trainer, index: int = 0) -> list[Tensor]:
    """Weights, averages, moments and batch norm's buffers of a replicate."""
    one = trainer.replicates[index]
    found = [
        tensor
        for network in (one.generator, one.discriminator)
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")  # a count that nothing reads
    ]
    for optimiser in (one.g_optimiser, one.d_optimiser):
        for each in optimiser.param_groups[0]["params"]:
            found += [optimiser.state[each][name] for name in ("step", "exp_avg", "exp_avg_sq")]
    return found + (one.averager.current() if one.averager is not None else [])


def furthest(one: list[Tensor], other: list[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


def copied(state: Any) -> Any:
    """`state` as it comes back from a file."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


LEVELS: list[dict[str, Any]] = [
    {"averaging": "none", "rotate": 0.0, "flip": 0.0, "margin": None},
    {"split_bn": "separate", "averaging": "ema", "swa_start": 0.2},
    {"split_bn": "joint", "averaging": "swa"},
    {"split_bn": "split", "averaging": "schedule", "margin": 0.5, "split_generator_step": True},
    {"depth": False, "generator_width": 3, "schedule": "linear", "real_label": 1.0},
    {"loss": "hinge", "discriminator_norm": "spectral", "schedule": "cosine"},
    {"loss": "hinge", "discriminator_norm": "spectral", "split_bn": "separate"},
    {"regulariser": "r1", "regulariser_every": 3, "augment_both": "color"},
    {"generator_part": "self-attention", "discriminator_part": "self-attention"},
]


@pytest.mark.parametrize("levels", LEVELS, ids=str)
@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]], ids=["alone", "grouped"])
def test_the_program_is_the_plain_step_of_each_replicate_in_float64(seeds: list[int], levels: dict[str, Any]) -> None:
    start, plain, program = (made(seeds, way="grouped", **levels) for _ in range(3))
    plainly(plain, 20)
    for _ in range(20):
        program.step()
    for index, (one, other) in enumerate(zip(plain.replicates, program.replicates, strict=True)):
        assert furthest(learned(plain, index), learned(program, index)) < 1e-9
        assert furthest(learned(start, index), learned(program, index)) > 1e-3, "it has learned something"
        torch.testing.assert_close(other.sums, one.sums, rtol=1e-5, atol=1e-5)
        assert one.order.state()["position"] == other.order.state()["position"]
        assert all(torch.equal(a, other.streams.state()[name]) for name, a in one.streams.state().items())
    if len(seeds) > 1:
        assert furthest(learned(program, 0), learned(program, 1)) > 1e-3, "seeds differ"


def test_serial_is_each_seed_trained_alone_bit_for_bit() -> None:
    serial, alone = made([0, 1], torch.float32, "serial"), made([1], torch.float32)
    for _ in range(6):
        serial.step()
        alone.step()
    assert furthest(learned(serial, 1), learned(alone)) == 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_several_plain_steps_are_those_of_a_textbook_loop_bit_for_bit(precision: str) -> None:
    about: dict[str, Any] = {"precision": precision, "flip": 0.0, "rotate": 0.0, "averaging": "none"}
    found, start = made([0], torch.float32, **about), made([0], torch.float32, **about)
    s, one = start.settings, start.replicates[0]
    generator, discriminator = one.generator, one.discriminator
    g_adam, d_adam = (
        torch.optim.Adam(network.parameters(), lr=s.learning_rate, betas=(s.beta1, s.beta2), fused=True)
        for network in (generator, discriminator)
    )
    plainly(found, 4)
    for _ in range(4):
        real = start.data[one.order.next()].float().div(127.5).sub(1).to(memory_format=torch.channels_last)
        noise = torch.randn(s.batch, s.latent, generator=one.streams("latent"))
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            fake = generator(noise)
            of_real, of_fake = discriminator(torch.cat([real, fake.detach()]), 2).chunk(2)
        d_adam.zero_grad()
        (adversarial_loss(of_real, s.real_label, s.margin) + adversarial_loss(of_fake, 0.0)).backward()
        d_adam.step()
        g_adam.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            of_fake = discriminator(fake)
        adversarial_loss(of_fake, s.real_label, s.margin).backward()
        g_adam.step()
    trained = found.replicates[0]
    pairs = zip(
        [*trained.generator.parameters(), *trained.discriminator.parameters()],
        [*generator.parameters(), *discriminator.parameters()],
        strict=True,
    )
    assert all(torch.equal(a, b) for a, b in pairs)


def test_in_bf16_the_program_is_as_far_from_float32_as_the_plain_step() -> None:
    exact, plain, program = (made([0], torch.float32, precision=p, width=8) for p in ("fp32", "bf16", "bf16"))
    plainly(exact, 1)
    plainly(plain, 1)
    program.step()
    # Gradients by their moments: the weights themselves move by the sign of it at the first step.
    moments = [
        torch.cat(
            [
                t.replicates[0].d_optimiser.state[p]["exp_avg"].flatten()
                for p in t.replicates[0].discriminator.parameters()
            ]
        )
        for t in (exact, plain, program)
    ]
    of_plain, of_program = ((moment - moments[0]).norm() / moments[0].norm() for moment in moments[1:])
    assert 0 < of_program < 1.5 * of_plain


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("levels", [LEVELS[1], LEVELS[5], LEVELS[7]], ids=str)
def test_replicates_saved_together_go_on_together_bit_for_bit(levels: dict[str, Any], precision: str) -> None:
    whole, half, resumed = (made([3, 4], torch.float32, "grouped", precision=precision, **levels) for _ in range(3))
    for _ in range(12):
        whole.step()
    for _ in range(6):
        half.step()
    for before, after in zip(half.replicates, resumed.replicates, strict=True):
        after.restore(copied(before.state()))
    for _ in range(6):
        resumed.step()
    for index in range(2):
        assert furthest(learned(whole, index), learned(resumed, index)) == 0
        assert torch.equal(whole.replicates[index].sample(5), resumed.replicates[index].sample(5))


def test_a_state_restored_into_a_program_that_has_trained_is_gone_on_from() -> None:
    one, other = made([0], torch.float32, precision="bf16"), made([0], torch.float32, precision="bf16")
    for _ in range(3):
        one.step()
    state = copied(one.replicates[0].state())
    for _ in range(3):
        one.step()
        other.step()
    other.step()
    other.replicates[0].restore(state)
    for _ in range(3):
        other.step()
    assert furthest(learned(one), learned(other)) == 0


def test_a_replicate_saved_together_goes_on_alone_and_the_other_way_round() -> None:
    about: dict[str, Any] = {"averaging": "ema", "split_bn": "split"}
    together, alone, plain = made([3, 4], way="grouped", **about), made([4], **about), made([4], **about)
    other, group = made([3], **about), made([3, 4], way="grouped", **about)
    for _ in range(5):
        together.step()
        other.step()
    alone.replicates[0].restore(copied(together.replicates[1].state()))
    group.replicates[0].restore(copied(other.replicates[0].state()))
    group.replicates[1].restore(copied(together.replicates[1].state()))
    for _ in range(5):
        alone.step()
        group.step()
    plainly(plain, 10)
    assert furthest(learned(alone), learned(plain)) < 1e-9
    assert furthest(learned(group, 1), learned(plain)) < 1e-9


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize("network", ["generator", "discriminator"])
@pytest.mark.slow
def test_a_replicate_that_diverges_is_told_and_leaves_the_others_alone(network: str, way: str) -> None:
    sound, broken = made([0, 1, 2], torch.float32, way), made([0, 1, 2], torch.float32, way)
    with torch.no_grad():
        next(iter(getattr(broken.replicates[1], network).parameters())).fill_(float("nan"))
    (expected,) = sound.train_until(1.0, lambda: False)
    (found,) = broken.train_until(1.0, lambda: False)
    assert isinstance(found[1], DivergedError)
    assert broken.replicates[1].lost is found[1]
    for index in (0, 2):
        assert found[index] == expected[index]
        assert broken.replicates[index].lost is None
        assert furthest(learned(sound, index), learned(broken, index)) == 0


def test_a_replicate_costs_its_share_of_the_seconds_of_the_program() -> None:
    found = made([0, 1], torch.float32, "serial")
    list(found.train_until(1.0, lambda: False))
    states = [one.state() for one in found.replicates]
    assert [state["seconds"] for state in states] == [found.seconds] * 2
    assert found.images_per_second == pytest.approx(TOTAL / found.seconds)
    assert found.steps == TOTAL // 8


class Watching(TorchDispatchMode):
    """Refuses what waits for the device or has a shape that depends on data, and writes down every operation."""

    REFUSED = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "masked_select", "unique", "equal", "bincount")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in self.REFUSED, f"{func} in a step"
        flat, _ = torch.utils._pytree.tree_flatten((args, kwargs or {}))
        self.seen.append(
            (
                str(func),
                *(
                    tuple(x.shape) if isinstance(x, Tensor) else repr(x)
                    for x in flat
                    if not isinstance(x, torch.Generator)
                ),
            )
        )
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("levels", LEVELS, ids=str)
@pytest.mark.parametrize("seeds", [[0], [0, 1]], ids=["alone", "grouped"])
def test_a_step_waits_for_nothing_and_takes_no_value_that_changes(
    seeds: list[int], levels: dict[str, Any], precision: str
) -> None:
    found = made(seeds, torch.float32, "grouped", precision=precision, **levels)
    found.step()
    (program,) = found._programs
    steps = []
    for fraction in (0.1, 0.6):
        program.feed(fraction, fraction + 0.05)
        with Watching() as watched:
            program.run(regularised=True)
        steps.append(watched.seen)
    assert len(steps[0]) > 100
    assert steps[0] == steps[1], "a captured graph would repeat the values of the first"


def test_the_quickest_way_is_taken_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.recipes.dcgan.trainer.timed", lambda steps, device: {"serial": 2.0, "grouped": 1.0})
    found = made([0, 1], torch.float32)
    found.step()
    assert found.way == "grouped"
    monkeypatch.setattr("harness.recipes.dcgan.trainer.timed", lambda steps, device: {"serial": 1.0, "grouped": 2.0})
    assert made([0, 1], torch.float32).way == "serial"
    resumed = made([0, 1], torch.float32)
    for before, after in zip(found.replicates, resumed.replicates, strict=True):
        after.restore(copied(before.state()))
    assert resumed.way == "grouped", "as before, so that its numbers are those of a run that was not stopped"


def test_timing_the_ways_leaves_the_training_as_it_was() -> None:
    one, other = made([0, 1], torch.float32, "grouped"), made([0, 1], torch.float32, "grouped")
    seconds = one.seconds_per_step()
    assert set(seconds) == set(WAYS)
    assert all(value > 0 for value in seconds.values())
    one.step()
    other.step()
    assert furthest(learned(one, 1), learned(other, 1)) == 0


def test_a_way_is_as_quick_as_the_least_of_its_rounds() -> None:
    calls = {"quick": 0, "slow": 0}

    def spend(way: str, count: int) -> None:
        calls[way] += 1
        for _ in range(count):
            torch.ones(2000, 100).sum()

    found = timed({"quick": lambda: spend("quick", 1), "slow": lambda: spend("slow", 30)}, torch.device("cpu"))
    assert found["quick"] < found["slow"]
    assert calls["quick"] == calls["slow"]


def test_a_module_of_no_known_kind_is_called_for_each_replicate() -> None:
    from harness.recipes.dcgan.fused import Fused

    networks = [nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 5, 3)) for _ in range(3)]
    fused = Fused(networks, bf16=False)
    x = torch.randn(6, 9, 8, 8, generator=torch.Generator().manual_seed(1))
    expected = torch.cat([network(part) for network, part in zip(networks, x.chunk(3, 1), strict=True)], 1)
    torch.testing.assert_close(fused(x), expected)
    assert {id(master) for leaf in fused.leaves for master in leaf.masters} == {
        id(each) for network in networks for each in network.parameters()
    }
