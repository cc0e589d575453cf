"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.files.atomic import written


def test_a_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with written(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"half"
    assert list(path.parent.iterdir()) == [path]


def _fail_on_the_way(path: Path) -> None:
    with written(path) as file:
        file.write(b"new")
        raise RuntimeError("on the way")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="on the way"):
        _fail_on_the_way(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
