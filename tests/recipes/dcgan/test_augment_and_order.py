"""Augmentation and data order: each a stream of its own that the treatment does not move."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from harness.recipes.dcgan.augment import augment
from harness.recipes.dcgan.order import Order


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 64, size: int = 16) -> Tensor:
    return torch.rand(count, 3, size, size, generator=stream(9)) * 2 - 1


def test_augmentation_switched_off_changes_no_bit() -> None:
    images = noise()
    assert torch.equal(augment(images, flip=0, rotate=0, degrees=5, generator=stream()), images)
    assert torch.equal(augment(images, flip=0, rotate=1, degrees=0, generator=stream()), images)


def test_a_flip_mirrors_left_and_right() -> None:
    images = noise()
    flipped = augment(images, flip=1, rotate=0, degrees=0, generator=stream())
    assert np.array_equal(flipped.numpy(), images.numpy()[:, :, :, ::-1])


def test_flips_and_turns_come_as_often_as_asked() -> None:
    images = noise(4000, 4)
    flipped = augment(images, flip=0.5, rotate=0, degrees=0, generator=stream())
    turned = augment(images, flip=0, rotate=0.3, degrees=5, generator=stream())
    assert abs((flipped != images).flatten(1).any(1).float().mean().item() - 0.5) < 0.03
    assert abs((turned != images).flatten(1).any(1).float().mean().item() - 0.3) < 0.03


def test_a_turn_moves_a_dot_by_at_most_the_stated_angle() -> None:
    size, radius = 65, 24
    images = torch.zeros(200, 1, size, size)
    images[:, :, size // 2, size // 2 + radius] = 1
    turned = augment(images, flip=0, rotate=1, degrees=30, generator=stream())
    along = torch.arange(size) - size // 2
    weight = turned.sum((1, 2, 3))
    x, y = ((turned * axis).sum((1, 2, 3)) / weight for axis in (along, along[:, None]))
    angle = torch.rad2deg(torch.atan2(y, x))
    assert angle.abs().max() < 31
    assert angle.min() < -20
    assert angle.max() > 20
    assert ((x**2 + y**2).sqrt() - radius).abs().max() < 1


def test_the_augmentation_stream_moves_the_same_whatever_is_switched_on() -> None:
    states = []
    for flip, rotate in ((0.0, 0.0), (0.5, 0.0), (0.5, 0.3)):
        generator = stream()
        augment(noise(), flip=flip, rotate=rotate, degrees=5, generator=generator)
        states.append(generator.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


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
    order, later = Order(np.arange(9) * 2, 4, stream()), Order(np.arange(9) * 2, 4, stream(5))
    for _ in range(3):
        order.next()
    later.restore(order.state())
    for _ in range(10):
        assert torch.equal(order.next(), later.next())
