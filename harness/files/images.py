"""Images as files: read in RGB, written one by one, as grids, and in pairs."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor


def rgb(opened: Image.Image) -> Image.Image:
    """The image in RGB with 8 bits a channel. Raises ValueError where that would cut its range off."""
    if opened.mode[0] in "IF":  # 16-bit grey, whole and floating numbers: Pillow makes all above 255 white
        raise ValueError(f"has more than 8 bits a channel (mode {opened.mode}); save it as 8-bit")
    return opened.convert("RGB")


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
    _write(canvas, path)


def save_pairs(upper: Tensor, lower: Tensor, path: Path) -> None:
    """Write two lots of uint8 [N, 3, S, S] images one above the other, without gaps and at their own size."""
    count, _, side, _ = upper.shape
    canvas = Image.new("RGB", (count * side, 2 * side))
    for row, images in enumerate((upper, lower)):
        for column, array in enumerate(images.permute(0, 2, 3, 1).cpu().numpy()):
            canvas.paste(Image.fromarray(array).resize((side, side)), (column * side, row * side))
    _write(canvas, path)


def load_pairs(path: Path) -> list[tuple[bytes, bytes]]:
    """The (upper, lower) images that `save_pairs` wrote, each as a PNG."""
    with Image.open(path) as opened:
        canvas = opened.convert("RGB")
    side = canvas.height // 2

    def tile(column: int, row: int) -> bytes:
        buffer = io.BytesIO()
        canvas.crop((column * side, row * side, (column + 1) * side, (row + 1) * side)).save(buffer, format="PNG")
        return buffer.getvalue()

    return [(tile(column, 0), tile(column, 1)) for column in range(canvas.width // side)]


def write_images(images: Tensor, output: Path) -> None:
    """Write uint8 [N, 3, H, W] images as NNNNN.png into a folder, or into a zip file where `output` ends in .zip."""
    arrays = images.permute(0, 2, 3, 1).cpu().numpy()
    pictures = ((f"{index:05d}.png", Image.fromarray(array)) for index, array in enumerate(arrays))
    if output.suffix.lower() != ".zip":
        output.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures:
            picture.save(output / name)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    half_written = output.with_name(f".{output.name}.{os.getpid()}")
    with zipfile.ZipFile(half_written, "w", zipfile.ZIP_STORED) as archive:
        for name, picture in pictures:
            buffer = io.BytesIO()
            picture.save(buffer, format="PNG")
            archive.writestr(name, buffer.getvalue())
    half_written.replace(output)


def _write(canvas: Image.Image, path: Path) -> None:
    half_written = path.with_name(f".{path.name}.{os.getpid()}")
    canvas.save(half_written, format="PNG")
    half_written.replace(path)
