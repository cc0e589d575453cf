"""Sample grids as PNG files."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image
from torch import Tensor


def save_grid(images: Tensor, path: Path, *, columns: int, gap: int = 2) -> None:
    """Write uint8 [N, 3, H, W] images as a grid of `columns`, doubled in size where they are smaller than 64 px."""
    count, _, height, width = images.shape
    rows = -(-count // columns)
    canvas = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), "white")
    for position, array in enumerate(images.permute(0, 2, 3, 1).cpu().numpy()):
        row, column = divmod(position, columns)
        canvas.paste(Image.fromarray(array), (column * (width + gap), row * (height + gap)))
    if height < 64:
        canvas = canvas.resize((canvas.width * 2, canvas.height * 2), Image.Resampling.NEAREST)
    half_written = path.with_name(f".{path.name}.{os.getpid()}")
    canvas.save(half_written, format="PNG")
    half_written.replace(path)
