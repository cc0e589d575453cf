"""Augmentation and data order: each a stream of its own that the treatment does not move."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.recipes import streams
from harness.recipes.dcgan.augment import AUGMENT_BOTH, AUGMENT_REAL, Augmentation, color, flip, rotate
from harness.recipes.dcgan.fused import Fused
from harness.recipes.dcgan.order import Order
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.dcgan.trainer import Trainer
from harness.recipes.streams import Streams


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 64, size: int = 16) -> Tensor:
    return torch.rand(count, 3, size, size, generator=stream(9)) * 2 - 1


def settings(**changes: Any) -> DcganSettings:
    return DcganSettings(**({"flip": 0.0, "rotate": 0.0} | changes))


@pytest.mark.parametrize("off", [{}, {"rotate": 1.0, "rotate_degrees": 0.0}], ids=str)
def test_augmentation_switched_off_changes_no_bit_and_draws_nothing(off: dict[str, Any]) -> None:
    images, streams = noise(), Streams(0)
    found = images
    for augment in (*AUGMENT_REAL.values(), AUGMENT_BOTH["none"]):
        found = augment(found, settings(**off), streams)
    assert torch.equal(found, images)
    assert streams.state() == {}


def test_a_flip_mirrors_left_and_right() -> None:
    images = noise()
    assert np.array_equal(flip(images, settings(flip=1.0), Streams(0)).numpy(), images.numpy()[:, :, :, ::-1])


def test_flips_and_turns_come_as_often_as_asked() -> None:
    images = noise(4000, 4)
    flipped = flip(images, settings(flip=0.5), Streams(0))
    turned = rotate(images, settings(rotate=0.3), Streams(0))
    assert abs((flipped != images).flatten(1).any(1).float().mean().item() - 0.5) < 0.03
    assert abs((turned != images).flatten(1).any(1).float().mean().item() - 0.3) < 0.03


def test_a_turn_moves_a_dot_by_at_most_the_stated_angle() -> None:
    size, radius = 65, 24
    images = torch.zeros(200, 1, size, size)
    images[:, :, size // 2, size // 2 + radius] = 1
    turned = rotate(images, settings(rotate=1.0, rotate_degrees=30.0), Streams(0))
    along = torch.arange(size) - size // 2
    weight = turned.sum((1, 2, 3))
    x, y = ((turned * axis).sum((1, 2, 3)) / weight for axis in (along, along[:, None]))
    angle = torch.rad2deg(torch.atan2(y, x))
    assert angle.abs().max() < 31
    assert angle.min() < -20
    assert angle.max() > 20
    assert ((x**2 + y**2).sqrt() - radius).abs().max() < 1


def test_more_turns_turn_the_same_images_and_others_and_move_no_flip() -> None:
    images = noise()

    def changed(augment: Augmentation, **on: Any) -> Tensor:
        streams = Streams(0)
        rotate(images, settings(**on), streams)
        return (augment(images, settings(**on), streams) != images).flatten(1).any(1)

    few, many = (changed(rotate, rotate=share) for share in (0.3, 0.6))
    assert few.sum() < many.sum()
    assert many[few].all() or not torch.equal(few, many)
    assert torch.equal(changed(flip, flip=0.5), changed(flip, flip=0.5, rotate=0.3))


def test_colour_is_brightness_then_saturation_then_contrast_in_float64() -> None:
    images = noise(50, 8).double()
    found = color(images, settings(), Streams(4))
    draws = torch.rand(3, 50, 1, 1, 1, generator=streams.generator(4, "augment/color")).double()
    for image, result, b, s, c in zip(images.numpy(), found.numpy(), *draws.flatten(1).tolist(), strict=True):
        brighter = image + (b - 0.5)
        grey = brighter.mean(axis=0)
        saturated = (brighter - grey) * (2 * s) + grey
        mean = saturated.mean()
        np.testing.assert_allclose(result, (saturated - mean) * (c + 0.5) + mean, rtol=0, atol=1e-6)


def test_colour_passes_gradients_to_the_fake_images() -> None:
    images = noise(4, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: color(x, settings(), Streams(4)), (images,))


def test_colour_of_bf16_images_is_computed_in_float32() -> None:
    assert color(noise().bfloat16(), settings(), Streams(0)).dtype == torch.float32


def test_a_pass_shows_every_photo_once_and_drops_the_incomplete_batch() -> None:
    order = Order(np.arange(11), 3, stream())
    passes = [[order.next() for _ in range(3)] for _ in range(4)]
    for batches in passes:
        seen = torch.cat(batches).tolist()
        assert len(set(seen)) == 9
        assert set(seen) <= set(range(10))
    assert len({tuple(torch.cat(batches).tolist()) for batches in passes}) == 4


def test_one_image_of_the_photo_is_drawn_at_each_visit() -> None:
    groups = np.array([0, 1, 5, 8])
    order = Order(groups, 3, stream())
    visits: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    for _ in range(100):
        images = order.next().numpy()
        photos = np.searchsorted(groups, images, side="right") - 1
        assert sorted(photos) == [0, 1, 2]
        for photo, image in zip(photos, images, strict=True):
            visits[int(photo)].add(int(image))
    assert visits == {0: {0}, 1: {1, 2, 3, 4}, 2: {5, 6, 7}}


def test_photos_come_in_the_same_order_with_one_crop_and_with_all() -> None:
    one, several = Order(np.arange(9), 4, stream()), Order(np.arange(9) * 3, 4, stream())
    for _ in range(20):
        assert torch.equal(one.next(), several.next() // 3)


def test_an_order_goes_on_from_its_state() -> None:
    ours, theirs = stream(), stream(5)
    order, later = Order(np.arange(9) * 2, 4, ours), Order(np.arange(9) * 2, 4, theirs)
    for _ in range(3):
        order.next()
    later.restore(order.state())
    theirs.set_state(ours.get_state())
    for _ in range(10):
        assert torch.equal(order.next(), later.next())


def test_in_both_steps_the_discriminator_sees_augmented_images_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, bool]] = []

    def grey(images: Tensor, settings: DcganSettings, streams: Streams) -> Tensor:
        given.append((len(images), images.requires_grad))
        return images * 0 + 0.25

    seen: list[Tensor] = []
    monkeypatch.setitem(AUGMENT_BOTH, "grey", grey)
    s = DcganSettings(width=2, latent=8, batch=4, precision="fp32", device="cpu", augment_both="grey", regulariser="r1")
    pixels = torch.randint(0, 256, (8, 3, 32, 32), generator=stream(), dtype=torch.uint8)
    trainer = Trainer(s, pixels, np.arange(9), seeds=[0], total_images=100)
    trainer.replicates[0].discriminator.register_forward_pre_hook(
        lambda network, inputs: seen.append(inputs[0].detach())
    )
    together = Fused.__call__

    def noted(network: Fused, images: Tensor, groups: int = 1) -> Tensor:
        if images.dim() == 4:  # not the generator's latents
            seen.append(images.detach())
        return together(network, images, groups)

    monkeypatch.setattr(Fused, "__call__", noted)
    trainer.step()
    assert given == [(4, False), (4, False), (4, True)]
    assert [len(images) for images in seen] == [8, 4, 4]  # real and fake, real for r1, fake for the generator
    assert all((images == 0.25).all() for images in seen)
