"""Annotations, images, and zips of images."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from fuzzing.mutation import EDITS, PATHS, edited
from fuzzing.target import Target
from harness.data import synthetic
from harness.data.annotations import BadAnnotation, read_boxes
from harness.data.crops import CROPS
from harness.errors import DataError
from harness.files.images import read_rgb
from harness.metrics.folders import ImageFiles

# ---------------------------------------------------------------------- annotations

_XML = (
    *(
        b"<xmin>",
        b"</xmin>",
        b"<bndbox>",
        b"</bndbox>",
        b"<object>",
        b"</object>",
        b"<annotation>",
        b"<!DOCTYPE a [",
        b"]>",
    ),
    *(
        b'<!ENTITY a "b">',
        b'<!ENTITY a SYSTEM "file:///etc/passwd">',
        b"&a;",
        b"&#0;",
        b"&#xd800;",
        b"&lt;",
        b"<![CDATA[",
        b"]]>",
    ),
    *(b'<?xml version="1.0" encoding="utf-16"?>', b'<?xml version="1.0" encoding="cp037"?>', b'<?xml version="1.1"?>'),
    *(
        b'<?xml version="1.0" encoding="x"?>',
        b'<?xml version="1.0" encoding="utf-7"?>',
        b'<?xml version="1.0" encoding="big5"?>',
    ),
    *(
        b'<?xml version="1.0" encoding="idna"?>',
        b'<?xml version="1.0" encoding="rot13"?>',
        b"<!--",
        b"-->",
        b"<?x ?>",
        b"\0",
    ),
    *(
        b"1e400",
        b"-1e400",
        b"nan",
        b"inf",
        b"1e18",
        b"-1",
        b"1_0",
        b"\xd9\xa3",
        b"0x10",
        b"",
        b" 12 ",
        b"9" * 400,
        b"0.5",
    ),
    *(
        b"\xff\xfe",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"<a " + b"b='c' " * 50 + b">",
        b"<a>" * 400,
        b"<xs:a xmlns:xs='x'>",
        b"<\xc3\xa9>",
    ),
)
_SIZE = (320, 240)
_PHOTOS = tuple(synthetic._annotation(synthetic.draw_photo(0, index), str(index)).encode() for index in range(4))
_ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-32", "cp037", "utf-7", "latin-1", "utf-8-sig")


def _annotations(folder: Path) -> Callable[[tuple[int, list[int], str, bool]], int]:
    place = folder / "annotation"

    def read(value: tuple[int, list[int], str, bool]) -> int:
        photo, edits, encoding, declared = value
        content = edited(_PHOTOS[photo], edits, _XML)
        if encoding != "utf-8":
            head = f'<?xml version="1.0" encoding="{encoding}"?>' if declared else ""
            content = (head + content.decode("latin-1")).encode(encoding, "replace")
        place.write_bytes(content)
        boxes = read_boxes(place, _SIZE)
        for box in boxes:
            assert 0 <= box.xmin < box.xmax <= _SIZE[0], box
            assert 0 <= box.ymin < box.ymax <= _SIZE[1], box
            for crop in CROPS.values():
                crop(_SIZE, box)
        return len(boxes)

    return read


# ---------------------------------------------------------------------- images


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    memory = io.BytesIO()
    image.save(memory, kind, **options)
    return memory.getvalue()


def _images() -> tuple[tuple[bytes, ...], int]:
    """Small images of every kind that is read, and of some that are not, but may come under such a name.

    And how many of them are of the first kind.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    colour = Image.fromarray(pixels)
    grey, clear, few = colour.convert("L"), colour.convert("RGBA"), colour.convert("P")
    found = [_encoded(image, "PNG") for image in (colour, grey, clear, few, colour.convert("1"), grey.convert("LA"))]
    found += [_encoded(Image.fromarray(pixels[..., 0].astype(np.uint16) * 256), "PNG")]
    found += [_encoded(few, "PNG", transparency=3), _encoded(colour, "PNG", dpi=(72, 72), compress_level=0)]
    found += [_encoded(image, "JPEG") for image in (colour, grey, colour.convert("CMYK"))]
    found += [_encoded(colour, "JPEG", progressive=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0", comment=b"c")]
    found += [_encoded(image, "BMP") for image in (colour, grey, few, clear, colour.convert("1"))]
    found += [_encoded(colour, "WEBP"), _encoded(clear, "WEBP", lossless=True)]
    sound = len(found)
    others = (
        "GIF",
        "TIFF",
        "ICO",
        "PPM",
        "TGA",
        "PCX",
        "SGI",
        "EPS",
        "PDF",
        "JPEG2000",
        "ICNS",
        "DDS",
        "IM",
        "MSP",
        "SPIDER",
    )
    for kind in others:
        try:
            found.append(_encoded(colour.convert("1") if kind == "MSP" else grey if kind == "SPIDER" else colour, kind))
        except (OSError, KeyError, ValueError):
            continue  # this Pillow has no such writer
    return tuple(found), sound


_IMAGES, _SOUND = _images()
_PIXELS = (
    *(
        b"\x89PNG\r\n\x1a\n",
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"PLTE",
        b"tRNS",
        b"iCCP",
        b"zTXt",
        b"iTXt",
        b"eXIf",
        b"acTL",
        b"fcTL",
        b"fdAT",
    ),
    *(
        b"\xff\xd8",
        b"\xff\xc0",
        b"\xff\xc4",
        b"\xff\xda",
        b"\xff\xe1",
        b"\xff\xee",
        b"\xff\xd9",
        b"\xff\xfe\xff\xff",
        b"BM",
        b"RIFF",
    ),
    *(
        b"WEBP",
        b"VP8 ",
        b"VP8L",
        b"VP8X",
        b"ANIM",
        b"ALPH",
        b"GIF89a",
        b"II*\0",
        b"MM\0*",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
    ),
    *(
        b"%%BoundingBox: 0 0 9 9\n",
        b"%%BeginBinary",
        b"8BPS",
        b"P6 9 9 255\n",
        b"P7\n",
        b"\0\0\0\x0cjP  ",
        b"SIMPLE  =",
        b"CFBF",
    ),
    *(
        b"\xd7\xcd\xc6\x9a",
        b"\x01\x00\x00\x00",
        b"!<arch>",
        b"PK\x03\x04",
        b"\x7fELF",
        b"#!/bin/sh\n",
        b"\0" * 64,
        b"\xff" * 64,
    ),
)


def _checksums(content: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what is in them now, so that it is read further."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    found, at = [content[:8]], 8
    while at + 8 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        body = content[at + 4 : at + 8 + length]
        found.append(content[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + length
        if length > len(content):
            break
    return b"".join(found)


def _pixels(folder: Path) -> Callable[[tuple[int, list[int], bool]], str]:
    place = folder / "image.png"

    def read(value: tuple[int, list[int], bool]) -> str:
        which, edits, mended = value
        content = edited(_IMAGES[which], edits, _PIXELS)
        place.write_bytes(_checksums(content) if mended else content)
        image = read_rgb(place)
        assert image.mode == "RGB"
        assert np.asarray(image).shape == (image.height, image.width, 3)
        return "an image"

    return read


# ---------------------------------------------------------------------- zips

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_NAMES = (
    "0.png",
    "a/1.jpg",
    "../2.bmp",
    "/3.webp",
    "é.png",
    "__MACOSX/._0.png",
    "read.me",
    *(f"{p}.png" for p in PATHS),
)


def _zip(entries: Sequence[tuple[str, int, int]]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, image, method in entries:
            archive.writestr(zipfile.ZipInfo(name), _IMAGES[image], _METHODS[method])
    return memory.getvalue()


_SIGNS = (
    *(
        b"PK\x01\x02",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"PK\x06\x06",
        b"PK\x06\x07",
        b"PK\x07\x08",
        b".png",
        b"../",
        b"\0",
        b"\xff",
    ),
    *(
        b"\x01\x00\x10\x00" + b"\xff" * 16,
        b"up" + b"\x09\0\x01" + b"\0" * 4 + b"b.png",
        b"\x01\0",
        b"\x00\x08",
        b"\x63\0",
        b"\x0c\0",
    ),
)


def _zips(folder: Path) -> Callable[[tuple[list[tuple[str, int, int]], list[int]]], str]:
    place = folder / "images.zip"

    def read(value: tuple[list[tuple[str, int, int]], list[int]]) -> str:
        entries, edits = value
        place.write_bytes(edited(_zip(entries), edits, _SIGNS))
        files = ImageFiles(place)
        good = 0
        for name in files.names:
            try:
                good += files.pixels(name).shape[0] == 3
            except (OSError, ValueError):
                continue  # documented: the caller lists it as skipped
        assert files.digest()
        assert [path.name for path in folder.iterdir()] == [place.name]
        return f"{good} of {len(files)}"

    return read


_ENTRY = st.tuples(st.sampled_from(_NAMES), st.integers(0, 8), st.integers(0, len(_METHODS) - 1))

TARGETS = (
    Target(
        name="annotations",
        inputs=st.tuples(
            st.integers(0, len(_PHOTOS) - 1), EDITS, st.sampled_from(("utf-8",) * 8 + _ENCODINGS), st.booleans()
        ),
        prepare=_annotations,
        documented=(BadAnnotation,),
    ),
    Target(
        name="images",
        inputs=st.tuples(
            st.one_of(*[st.integers(0, _SOUND - 1)] * 4, st.integers(_SOUND, len(_IMAGES) - 1)), EDITS, st.booleans()
        ),
        prepare=_pixels,
        documented=(OSError, ValueError),
        megabytes=1024,
    ),
    Target(
        name="zips",
        inputs=st.tuples(st.lists(_ENTRY, min_size=1, max_size=4), EDITS),
        prepare=_zips,
        documented=(DataError,),
        megabytes=512,
    ),
)
