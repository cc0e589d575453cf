"""What a recipe calls an image, as a picture in a file."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import torch

from harness.errors import RecipeError
from harness.files.images import save_grid


def save_picture(name: str, image: Any, path: Path, *, whose: str) -> None:
    """Write [C, H, W] or, as a square grid, [N, C, H, W]: uint8, or floats from 0 to 1; C is 3, or 1 for grey.

    Raises RecipeError for anything else, and for a `name` that is none of a file.
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise RecipeError(f"{whose}: image '{name}': a name must be letters, digits, _ and -")
    try:
        pixels = torch.as_tensor(image).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        kind = type(image).__name__
        raise RecipeError(f"{whose}: image '{name}' is a {kind}; must be a tensor or an array") from None
    pixels = pixels[None] if pixels.dim() == 3 else pixels
    if pixels.dim() != 4 or pixels.shape[1] not in (1, 3) or not pixels.numel():
        shape = tuple(pixels.shape)
        raise RecipeError(f"{whose}: image '{name}' has the shape {shape}; must be [3, H, W] or [N, 3, H, W]")
    if pixels.is_floating_point():
        pixels = pixels.clamp(0, 1).mul(255).round()
    columns = math.ceil(math.sqrt(len(pixels)))
    save_grid(pixels.to(torch.uint8).expand(-1, 3, -1, -1), path, columns=columns)
