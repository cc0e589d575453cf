"""Augmentations by name: of real images alone, and of real and fake images alike.

Each takes float images [N, 3, H, W] in [-1, 1], the settings and the run's streams, and draws from a stream of its own,
so that it moves the draws of no other. Nothing here imports torch before it is used: the settings read the names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from harness.recipes.streams import Streams

Augmentation = Callable[["Tensor", Any, "Streams"], "Tensor"]


def flip(images: Tensor, settings: Any, streams: Streams) -> Tensor:
    """Mirrored left to right with the probability `flip`."""
    import torch

    if settings.flip == 0:
        return images
    draws = torch.rand(len(images), generator=streams("augment/flip"), device=images.device)
    return torch.where((draws < settings.flip)[:, None, None, None], images.flip(3), images)


def rotate(images: Tensor, settings: Any, streams: Streams) -> Tensor:
    """Turned within ±`rotate_degrees` with the probability `rotate`, bilinear about the centre.

    What turns in from outside is mirrored.
    """
    import torch
    from torch.nn import functional as F

    if settings.rotate == 0 or settings.rotate_degrees == 0:
        return images
    turned, share = torch.rand(2, len(images), generator=streams("augment/rotate"), device=images.device)
    angle = torch.where(turned < settings.rotate, (2 * share - 1) * math.radians(settings.rotate_degrees), 0.0)
    cos, sin = (wave[:, None, None] for wave in (angle.cos(), angle.sin()))
    # Centres of pixels from -1 to 1, turned: as affine_grid does it, without its batch of tiny matrix products.
    y, x = ((torch.arange(side, device=images.device) * 2 + 1) / side - 1 for side in images.shape[2:])
    y = y[:, None]
    grid = torch.stack([cos * x - sin * y, sin * x + cos * y], 3)
    found = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return torch.where((turned < settings.rotate)[:, None, None, None], found, images)


def color(images: Tensor, settings: Any, streams: Streams) -> Tensor:
    """DiffAugment's colour (Zhao et al. 2020): each image brighter, more or less saturated and contrasty at random.

    x + b with b in [-1/2, 1/2); then s (x - m) + m about the mean m over channels of each pixel, s in [0, 2); then
    c (x - m) + m about the mean m of the image, c in [1/2, 3/2). Differentiable.
    """
    import torch

    draws = torch.rand(3, len(images), 1, 1, 1, generator=streams("augment/color"), device=images.device)
    brightness, saturation, contrast = draws[0] - 0.5, draws[1] * 2, draws[2] + 0.5
    x = images + brightness
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * saturation + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * contrast + mean


AUGMENT_REAL: dict[str, Augmentation] = {"flip": flip, "rotate": rotate}
"""Each is applied to every batch of real images; it reads in the settings whether it does anything."""

AUGMENT_BOTH: dict[str, Augmentation] = {"none": lambda images, settings, streams: images, "color": color}
"""What the discriminator sees of real and fake images in both steps; `augment_both` takes its values from here."""
