"""Files cross machines in parts, whole or not at all, and none leaves the folder that it is sent to."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from harness.runs.shipping import Changes, Part, parts, receive, sources


def test_files_come_out_as_they_went_in_however_long_the_parts(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "deep").mkdir(parents=True)
    there.mkdir()
    contents = {"empty": b"", "one": b"x", "deep/exact": b"ab" * 6, "long": os.urandom(1001)}
    for name, data in contents.items():
        (here / name).write_bytes(data)
    for most in (1, 4, 12, 5000):
        for part in parts(here, [*contents, "gone"], most):
            assert len(part.data) <= most
            receive(there, part)
        assert {name: (there / name).read_bytes() for name in contents} == contents
        assert not [path for path in there.rglob("*") if path.name.endswith(".part")]


def test_a_file_that_is_replaced_while_it_is_sent_arrives_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"old" * 10)
    sent = parts(tmp_path, ["checkpoint.pt"], 10)
    found = next(sent).data
    (tmp_path / "new").write_bytes(b"new" * 99)
    (tmp_path / "new").replace(tmp_path / "checkpoint.pt")
    assert found + b"".join(part.data for part in sent) == b"old" * 10


def test_only_what_is_new_or_changed_is_sent_and_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "before").write_text("1")
    changes = Changes(tmp_path)
    assert list(changes.parts()) == []
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "new").write_text("2")
    (tmp_path / ".checkpoint.pt.77").write_text("half")
    assert [part.name for part in changes.parts()] == ["deep/new"]
    assert list(changes.parts()) == []
    (tmp_path / "before").write_text("other")
    assert [part.name for part in changes.parts()] == ["before"]


def test_checkpoints_cross_once_and_the_one_before_the_last_is_kept_by_the_receiver(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    changes, sent = Changes(here), 0
    for step in range(5):
        state = os.urandom(1000)
        if step:
            os.link(here / "checkpoint.pt", here / ".before")
            (here / ".before").replace(here / "checkpoint-before.pt")
        (here / ".new").write_bytes(state)
        (here / ".new").replace(here / "checkpoint.pt")
        for part in changes.parts(300):
            sent += len(part.data)
            receive(there, part)
        names = ["checkpoint-before.pt", "checkpoint.pt"] if step else ["checkpoint.pt"]
        assert sorted(path.name for path in there.iterdir()) == names
        assert all((there / name).read_bytes() == (here / name).read_bytes() for name in names)
    assert sent == 5000


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../out", "", ".", "..", "link/out", "a\0b"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    (folder / "sound").write_text("x")
    (folder / "leads").symlink_to("/etc/passwd")
    for part in (Part(name=name, data=b"x"), Part(name="sound", like=name or ".."), Part(name="leads", data=b"x")):
        with pytest.raises(ValueError, match="is no file of the folder"):
            receive(folder, part)
    assert (folder / "sound").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder"]


def test_parts_that_do_not_follow_one_another_leave_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    receive(tmp_path, Part(name="file", start=0, data=b"abc", last=False))
    with pytest.raises(ValueError, match="begins at 5 bytes, after 3"):
        receive(tmp_path, Part(name="file", start=5, data=b"abc", last=True))
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_part_that_a_full_disk_did_not_take_can_be_received_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "file").write_text("old")
    receive(tmp_path, Part(name="file", data=b"abc", last=False))
    last = Part(name="file", start=3, data=b"def")
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(*((os, "fsync", full) if fails == "fsync" else (Path, "replace", full)))
            with pytest.raises(OSError, match="No space left"):
                receive(tmp_path, last)
        assert (tmp_path / "file").read_text() == "old"
    receive(tmp_path, last)
    assert (tmp_path / "file").read_text() == "abcdef"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_a_checkpoint_is_to_be_like_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no 'checkpoint\.pt' to be like"):
        receive(tmp_path, Part(name="checkpoint-before.pt", like="checkpoint.pt"))


def test_what_a_run_has_told_comes_before_a_checkpoint_and_says_all_that_was_told_before_it(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    changes = Changes(here)

    def step(number: int) -> None:
        with open(here / ".told.jsonl", "a") as file:
            file.write(f"{number}\n")
        (here / ".new").write_text(f"{number}")
        (here / ".new").replace(here / "checkpoint.pt")

    step(1)
    step(2)
    names = []
    for part in changes.parts():
        names.append(part.name)
        receive(there, part)
        step(3)  # while it is sent
    assert names == [".told.jsonl", "checkpoint.pt"]
    assert (there / ".told.jsonl").read_text() == "1\n2\n"
    assert (there / "checkpoint.pt").read_text() == "2"
    for part in changes.parts():
        receive(there, part)
    assert (there / "checkpoint.pt").read_text() == "3"
    assert (there / ".told.jsonl").read_text() == "1\n2\n3\n3\n"


def test_a_recipes_files_keep_their_places_within_the_project_or_to_one_another(tmp_path: Path) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    root, names = sources([project / "recipes" / "a.py"], project / "specs", project)
    assert root == project.resolve()
    assert names == ["recipes/a.py"]
    root, names = sources([elsewhere / "a.py", elsewhere / "lib" / "b.py"], elsewhere, project)
    assert root == elsewhere.resolve()
    assert names == ["a.py", "lib/b.py"]
