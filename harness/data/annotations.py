"""Boxes from PASCAL-VOC annotation files."""

from __future__ import annotations

import os
import stat
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from harness.data.crops import Box

_LARGEST = 1 << 20  # bytes: thousands of boxes


class BadAnnotation(ValueError):  # noqa: N818 - a reason to skip a photo, told by name
    """An annotation without a usable box; the text says why."""


def read_boxes(path: Path, size: tuple[int, int]) -> list[Box]:
    """The boxes of an annotation for an image of `size` (width, height). Raises BadAnnotation."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            raise BadAnnotation("annotation is no file")
        with open(path, "rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise BadAnnotation(f"no annotation: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise BadAnnotation(f"annotation has more than {_LARGEST:,} bytes")
    # As text, whatever encoding it declares: in another one entities would be spelled so that they are not seen.
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    # Boxes need no entities, and those are how XML blows up.
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise BadAnnotation("annotation declares entities")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise BadAnnotation(f"annotation is not XML in UTF-8: {error}") from None
    found = root.findall("./object/bndbox")
    if not found:
        raise BadAnnotation("annotation has no box")
    return [_box(node, size) for node in found]


def _box(node: ElementTree.Element, size: tuple[int, int]) -> Box:
    try:
        box = Box(*(round(float(node.findtext(name, ""))) for name in Box._fields))
    except (ValueError, OverflowError):
        raise BadAnnotation("box has a corner that is not a number") from None
    if box.width < 1 or box.height < 1:
        raise BadAnnotation(f"box {tuple(box)} is empty")
    if box.xmin < 0 or box.ymin < 0 or box.xmax > size[0] or box.ymax > size[1]:
        raise BadAnnotation(f"box {tuple(box)} leaves the image of {size[0]}x{size[1]}")
    return box
