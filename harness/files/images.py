"""Images as files: read in RGB, written one by one, as grids, and in pairs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from harness.files.atomic import written

if TYPE_CHECKING:
    from torch import Tensor


_KINDS = ("PNG", "JPEG", "BMP", "WEBP", "GIF")
"""What is read, whatever a file is called. Pillow knows more, and calls Ghostscript for some of those."""
_MOST_PIXELS = 80_000_000  # of one image: two thirds of a gigabyte while it is decoded


def read_rgb(file: Path | IO[bytes]) -> Image.Image:
    """The image in RGB with 8 bits a channel. Raises what `opened` does."""
    with opened(file) as image:
        return in_rgb(image)


def in_rgb(image: Image.Image) -> Image.Image:
    """An image that is `opened`, decoded."""
    if image.mode != "RGB":
        return image.convert("RGB")
    image.load()  # of this `convert` would make a copy
    return image


@contextmanager
def opened(file: Path | IO[bytes]) -> Iterator[Image.Image]:
    """An image whose size is known and whose pixels are decoded within.

    Raises OSError where it cannot be read, and ValueError where it is no sound image, or has a range of more than 8
    bits, which Pillow would cut off.
    """
    # From memory, where a piece that claims to be 4 GB is as long as the file: from a file that much is made room for.
    content = file.read_bytes() if isinstance(file, Path) else file.read()
    try:
        with Image.open(io.BytesIO(content), formats=_KINDS) as image:
            if image.width * image.height > _MOST_PIXELS:
                size = f"{image.width:,} x {image.height:,} pixels"
                raise ValueError(f"has {size}, more than {_MOST_PIXELS:,} in all; save it smaller")
            if image.mode[0] in "IF":  # 16-bit grey, whole and floating numbers: Pillow makes all above 255 white
                raise ValueError(f"has more than 8 bits a channel (mode {image.mode}); save it as 8-bit")
            yield image
    except UnidentifiedImageError:
        raise OSError(f"cannot identify it as an image of the kinds that are read: {', '.join(_KINDS)}") from None
    except (SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error


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
    with written(path) as file:
        file.write(_png(canvas))


def save_pairs(upper: Tensor, lower: Tensor, path: Path) -> None:
    """Write two lots of uint8 [N, 3, S, S] images one above the other, without gaps and at their own size."""
    count, _, side, _ = upper.shape
    canvas = Image.new("RGB", (count * side, 2 * side))
    for row, images in enumerate((upper, lower)):
        for column, array in enumerate(images.permute(0, 2, 3, 1).cpu().numpy()):
            canvas.paste(Image.fromarray(array).resize((side, side)), (column * side, row * side))
    with written(path) as file:
        file.write(_png(canvas))


def load_pairs(path: Path) -> list[tuple[bytes, bytes]]:
    """The (upper, lower) images that `save_pairs` wrote, each as a PNG."""
    canvas = read_rgb(path)
    side = canvas.height // 2

    def tile(column: int, row: int) -> bytes:
        return _png(canvas.crop((column * side, row * side, (column + 1) * side, (row + 1) * side)))

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
    with written(output) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, picture in pictures:
            archive.writestr(name, _png(picture))


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=3)  # a quarter of the usual level's time, an eighth more bytes
    return buffer.getvalue()
