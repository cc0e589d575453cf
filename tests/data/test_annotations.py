"""Annotations from anywhere: every file gives its boxes or one reason, without entities, pipes or endless files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.data.annotations import BadAnnotation, read_boxes

BOX = (
    "<annotation><object><bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object>"
    "</annotation>"
)


def read(folder: Path, content: str | bytes) -> list[tuple[int, ...]]:
    path = folder / "annotation"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [tuple(box) for box in read_boxes(path, (10, 10))]


def test_an_annotation_is_read_whatever_encoding_it_declares(tmp_path: Path) -> None:
    assert read(tmp_path, BOX.format(2)) == [(2, 1, 9, 8)]
    assert read(tmp_path, '<?xml version="1.0" encoding="utf-8"?>' + BOX.format(2)) == [(2, 1, 9, 8)]
    assert read(tmp_path, ('<?xml version="1.0" encoding="latin-1"?><!-- é -->' + BOX.format(2)).encode("latin-1"))
    assert read(tmp_path, ("\ufeff" + BOX.format(2)).encode())


@pytest.mark.parametrize("corner", ["1e400", "-1e400", "nan", "inf", "x", ""])
def test_a_corner_that_is_no_number_is_a_reason(tmp_path: Path, corner: str) -> None:
    with pytest.raises(BadAnnotation, match="corner"):
        read(tmp_path, BOX.format(corner))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32", "cp037", "utf-7"])
def test_entities_are_refused_in_every_encoding_that_can_spell_them_otherwise(tmp_path: Path, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY two "2">]>' + BOX.format("&two;")
    with pytest.raises(BadAnnotation, match=r"entities|not XML"):
        read(tmp_path, text.encode(encoding))


def test_a_pipe_is_not_waited_for_and_an_endless_file_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadAnnotation, match="no file"):
        read_boxes(tmp_path / "pipe", (10, 10))
    with pytest.raises(BadAnnotation, match="more than"):
        read(tmp_path, "<a>" + " " * 2**21)
