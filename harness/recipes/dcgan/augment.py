"""Batched augmentation on the device: horizontal flips and small rotations, from a stream of their own."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def augment(images: Tensor, *, flip: float, rotate: float, degrees: float, generator: torch.Generator) -> Tensor:
    """Float [N, C, H, W] images, flipped with probability `flip`, turned within ±`degrees` with probability `rotate`.

    Rotation is bilinear about the centre; what turns in from outside is mirrored. The same draws are taken whatever the
    probabilities are, so that runs of a seed keep their common random numbers.
    """
    draws = torch.rand(3, len(images), generator=generator, device=images.device)
    if flip > 0:
        images = torch.where((draws[0] < flip)[:, None, None, None], images.flip(3), images)
    if rotate > 0 and degrees > 0:
        angle = torch.where(draws[1] < rotate, (2 * draws[2] - 1) * math.radians(degrees), torch.zeros_like(draws[2]))
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        theta = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        turned = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        images = torch.where((draws[1] < rotate)[:, None, None, None], turned, images)
    return images
