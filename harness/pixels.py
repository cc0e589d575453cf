"""What every reader of image files takes of them."""

from __future__ import annotations

from PIL import Image


def rgb(opened: Image.Image) -> Image.Image:
    """The image in RGB with 8 bits a channel. Raises ValueError where that would cut its range off."""
    if opened.mode[0] in "IF":  # 16-bit grey, whole and floating numbers: Pillow makes all above 255 white
        raise ValueError(f"has more than 8 bits a channel (mode {opened.mode}); save it as 8-bit")
    return opened.convert("RGB")
