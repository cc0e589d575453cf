"""A file that has not changed is hashed once a process, and every change of one is noticed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from harness.files import digests
from harness.files.digests import file_digest


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled as soon as they are written."""
    monkeypatch.setattr(digests, "_SETTLED", 0)


def test_it_is_the_sha256_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"content")
    assert file_digest(path) == hashlib.sha256(b"content").digest()


@pytest.mark.usefixtures("settled")
def test_a_file_that_has_not_changed_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"content")
    first = file_digest(path)
    monkeypatch.setattr(Path, "open", lambda *a, **k: pytest.fail("it was read again"))
    assert file_digest(path) == first


@pytest.mark.usefixtures("settled")
def test_other_content_of_the_same_size_whose_time_was_set_back_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"content")
    about = path.stat()
    file_digest(path)
    while path.stat().st_ctime_ns == about.st_ctime_ns:
        path.write_bytes(b"CONTENT")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert path.stat().st_mtime_ns == about.st_mtime_ns
    assert file_digest(path) == hashlib.sha256(b"CONTENT").digest()


def test_a_file_written_a_moment_ago_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for content in (b"one", b"two", b"six"):
        path.write_bytes(content)
        assert file_digest(path) == hashlib.sha256(content).digest()
