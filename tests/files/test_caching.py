"""Cache folders appear whole or not at all, whoever else writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data import prepare
from harness.data.settings import DataSettings
from harness.errors import CacheError
from harness.files.caching import filled


def holds(folder: Path, text: str) -> bool:
    return (folder / "it").is_file() and (folder / "it").read_text() == text


def test_a_folder_is_in_place_only_once_it_is_full(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "entry"
    with filled(folder, sound=folder.is_dir) as scratch:
        (scratch / "it").write_text("new")
        assert not folder.exists()
    assert holds(folder, "new")
    assert [path.name for path in folder.parent.iterdir()] == ["entry"]


def test_nothing_is_left_where_filling_it_fails(tmp_path: Path) -> None:
    def fill() -> None:
        with filled(tmp_path / "entry", sound=lambda: False) as scratch:
            (scratch / "it").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("first", "kept"), [("sound", "sound"), ("damaged", "new")])
def test_what_another_process_put_there_first_stays_unless_it_is_damaged(tmp_path: Path, first: str, kept: str) -> None:
    folder = tmp_path / "entry"
    with filled(folder, sound=lambda: holds(folder, "sound")) as scratch:
        (scratch / "it").write_text("new")
        folder.mkdir()
        (folder / "it").write_text(first)
    assert holds(folder, kept)
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


@pytest.mark.parametrize("source", ["synthetic-dogs", "folder"])
def test_a_cache_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path, source: str) -> None:
    from PIL import Image

    (tmp_path / "photos").mkdir()
    for number in range(2):
        Image.new("RGB", (8, 8)).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "cache").write_text("in the way")
    settings = DataSettings(source=source, count=16, size=32, crop="resize", root=tmp_path / "photos")
    with pytest.raises(CacheError, match=r"cache/.* cannot be written \(.*directory\).*set HARNESS_CACHE"):
        prepare(settings, cache=tmp_path / "cache")
