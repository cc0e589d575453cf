"""Crops as pure geometry: an image's size and a dog's box to the area that is cut out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple


class Box(NamedTuple):
    """An area in pixels; xmax and ymax are exclusive when an image is cut."""

    xmin: int
    ymin: int
    xmax: int
    ymax: int

    @property
    def width(self) -> int:
        """Pixels across."""
        return self.xmax - self.xmin

    @property
    def height(self) -> int:
        """Pixels down."""
        return self.ymax - self.ymin


Size = tuple[int, int]


def resize(size: Size, box: Box) -> Box | None:
    """The whole image, squashed."""
    return Box(0, 0, *size)


def bbox(size: Size, box: Box) -> Box | None:
    """The box, squashed."""
    return box


def left(size: Size, box: Box) -> Box | None:
    """The square of the box's shorter side at its top-left corner."""
    side = min(box.width, box.height)
    return Box(box.xmin, box.ymin, box.xmin + side, box.ymin + side)


def right(size: Size, box: Box) -> Box | None:
    """The square of the box's shorter side at its top-right corner."""
    side = min(box.width, box.height)
    return Box(box.xmax - side, box.ymin, box.xmax, box.ymin + side)


def square(size: Size, box: Box) -> Box | None:
    """The shorter side grown by half the difference on both ends, clamped to the image (W-1, H-1 at the far edge)."""
    grow = abs(box.width - box.height) // 2
    if box.width < box.height:
        return Box(max(0, box.xmin - grow), box.ymin, min(size[0] - 1, box.xmax + grow), box.ymax)
    return Box(box.xmin, max(0, box.ymin - grow), box.xmax, min(size[1] - 1, box.ymax + grow))


def centre(size: Size, box: Box) -> Box | None:
    """The largest square about the box's centre, which touches one border, grown away from that border.

    It grows by e = floor(0.28 x the least of the free margins on the other three sides): along the border by e on both
    ends, away from it by 2e. None where the square would leave the image.
    """
    width, height = size
    cx, cy = (box.xmin + box.xmax) / 2, (box.ymin + box.ymax) / 2
    free = {"left": cx, "top": cy, "right": width - cx, "bottom": height - cy}
    touched = min(free, key=lambda side: free[side])
    m = free.pop(touched)
    if m <= 0:
        return None
    e = math.floor(0.28 * (min(free.values()) - m))
    grow = dict.fromkeys(free, e) | {_OPPOSITE[touched]: 2 * e, touched: 0}
    xmin, ymin = math.floor(cx - m - grow["left"]), math.floor(cy - m - grow["top"])
    side = math.floor(2 * m) + 2 * e
    area = Box(xmin, ymin, xmin + side, ymin + side)
    inside = area.xmin >= 0 and area.ymin >= 0 and area.xmax <= width and area.ymax <= height
    return area if inside and side > 0 else None


_OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}

CROPS: dict[str, Callable[[Size, Box], Box | None]] = {
    crop.__name__: crop for crop in (resize, bbox, left, right, square, centre)
}
CUTS: dict[str, tuple[str, ...]] = {name: (name,) for name in CROPS} | {"all": ("left", "right", "square", "centre")}
"""A setting `crop` -> the crops of every box that it makes images of; of several one is drawn per access."""

NEEDS_BOX = frozenset({*CUTS} - {"resize"})
