"""Checkpoints: read back exactly; noticed where damaged, foreign or hostile; the last good one is gone on from."""

from __future__ import annotations

import errno
import os
import pickle
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import pytest
import torch

from harness.files import sealed
from harness.recipes import checkpoint
from harness.recipes.checkpoint import BEFORE, NAME, Foreign

Full = Callable[[int], AbstractContextManager[None]]


def newest(folder: Path, *others: Path, identity: str = "a") -> tuple[dict[str, Any] | None, str]:
    """What is found, and what is said of it."""
    said: list[str] = []
    found, _ = checkpoint.newest([folder, *others], identity=identity, note=said.append)
    return found, "\n".join(said)


def test_what_is_saved_comes_back_and_no_half_written_file_stays(tmp_path: Path) -> None:
    kept = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    checkpoint.save({"identity": "a", "x": kept, "n": 3, "s": 0.1}, tmp_path)
    state = checkpoint.load(tmp_path / NAME, identity="a")
    assert torch.equal(state["x"], kept)
    assert (state["n"], state["s"]) == (3, 0.1)
    assert list(tmp_path.iterdir()) == [tmp_path / NAME]


def test_a_checkpoint_is_a_file_of_torch_too(tmp_path: Path) -> None:
    checkpoint.save({"identity": "a", "n": 3}, tmp_path)
    assert torch.load(tmp_path / NAME, weights_only=True) == {"identity": "a", "n": 3}


def test_no_checkpoint_is_none_and_nothing_is_said(tmp_path: Path) -> None:
    assert newest(tmp_path) == (None, "")
    assert newest(tmp_path / "not there") == (None, "")


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for count in range(4):
        checkpoint.save({"identity": "a", "n": count}, tmp_path)
        assert newest(tmp_path)[0] == {"identity": "a", "n": count}
        if count:
            assert checkpoint.load(tmp_path / BEFORE, identity="a")["n"] == count - 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEFORE, NAME]


def test_a_file_system_without_hard_links_keeps_the_last_two_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*about: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    test_the_last_two_are_kept(tmp_path)


def test_every_byte_that_changes_is_noticed_and_the_one_before_is_taken(tmp_path: Path) -> None:
    """Each byte of a whole small checkpoint in turn, one random bit of it: header, pickle, tensors, end, seal."""
    for count in (1, 2):
        checkpoint.save({"identity": "a", "x": torch.arange(4.0), "n": count}, tmp_path)
    path = tmp_path / NAME
    whole, draw = path.read_bytes(), random.Random(0)
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(sealed.Damaged):
            checkpoint.load(path, identity="a")
        if at % 50 == 0:
            found, said = newest(tmp_path)
            assert found is not None
            assert found["n"] == 1
            assert said.startswith("checkpoint.pt ")
            assert said.endswith("and is thrown away: going on from checkpoint-before.pt, the last good one")
            assert not path.exists()
    path.write_bytes(whole)
    assert checkpoint.load(path, identity="a")["n"] == 2


def test_a_damaged_one_does_not_take_the_place_of_the_good_one_before_it(tmp_path: Path) -> None:
    for count in (1, 2):
        checkpoint.save({"identity": "a", "n": count}, tmp_path)
    (tmp_path / NAME).write_bytes(b"")
    assert newest(tmp_path)[0] == {"identity": "a", "n": 1}
    checkpoint.save({"identity": "a", "n": 3}, tmp_path)
    (tmp_path / NAME).write_bytes(b"")
    assert newest(tmp_path)[0] == {"identity": "a", "n": 1}


@pytest.mark.parametrize(
    ("keep", "why"),
    [
        (0, "is empty"),
        (10, "is cut short, or damaged at its end"),
        (0.5, "is cut short, or damaged at its end"),
        (0.99, "is cut short, or damaged at its end"),
        (-sealed._LENGTH, "has no checksum: it is not this version's"),
    ],
)
def test_a_truncated_checkpoint_is_thrown_away_and_said(tmp_path: Path, keep: float, why: str) -> None:
    checkpoint.save({"identity": "a", "x": torch.zeros(1000)}, tmp_path)
    path = tmp_path / NAME
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep if not 0 < keep < 1 else keep * len(whole))])
    found, said = newest(tmp_path)
    assert found is None
    assert said == f"checkpoint.pt {why}, and is thrown away: there is no other, training starts anew"


def test_one_of_another_version_is_thrown_away_and_said(tmp_path: Path) -> None:
    checkpoint.save({"identity": "a"}, tmp_path)
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes().replace(b"harness seal 0001", b"harness seal 0002"))
    assert "checkpoint.pt is of another version (2; this one reads 1), and is thrown away" in newest(tmp_path)[1]


def test_what_is_sealed_and_longer_or_shorter_is_said(tmp_path: Path) -> None:
    checkpoint.save({"identity": "a"}, tmp_path)
    path = tmp_path / NAME
    path.write_bytes(b"x" + path.read_bytes())
    assert "is damaged: it holds" in newest(tmp_path)[1]


def test_the_checkpoint_of_another_run_is_not_used_and_stays(tmp_path: Path) -> None:
    checkpoint.save({"identity": "a"}, tmp_path)
    found, said = newest(tmp_path, identity="b")
    assert found is None
    assert said == (
        "checkpoint.pt is of another source or version of the recipe, or of other settings or data, and is not used: "
        "there is no other, training starts anew"
    )
    assert newest(tmp_path, identity="a")[0] is not None


@pytest.mark.parametrize("other", [[1, 2], 7, None, "identity", {"x": 1}], ids=str)
def test_a_sound_file_that_holds_something_else_is_not_used(tmp_path: Path, other: object) -> None:
    with sealed.sealing(tmp_path / NAME) as file:
        torch.save(other, file)
    assert "checkpoint.pt is no checkpoint of a run, and is not used" in newest(tmp_path)[1]


def test_one_that_cannot_be_read_is_said_and_stays(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    assert newest(tmp_path) == (
        None,
        "checkpoint.pt cannot be read (Is a directory): there is no other, training starts anew",
    )


class Hostile:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


def test_a_hostile_checkpoint_is_not_unpickled(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / NAME
    with sealed.sealing(path) as file:
        torch.save({"identity": "a", "x": Hostile(mark)}, file)
    with pytest.raises(Foreign, match="cannot be read by torch"):
        checkpoint.load(path, identity="a")
    with sealed.sealing(path) as file:
        file.write(pickle.dumps(Hostile(mark)))
    with pytest.raises(Foreign, match="cannot be read by torch"):
        checkpoint.load(path, identity="a")
    assert not mark.exists()


def test_a_save_that_fails_leaves_the_old_checkpoints(tmp_path: Path) -> None:
    for count in (0, 1):
        checkpoint.save({"identity": "a", "n": count}, tmp_path)
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save({"identity": "a", "n": lambda: 2}, tmp_path)
    assert [checkpoint.load(tmp_path / name, identity="a")["n"] for name in (NAME, BEFORE)] == [1, 0]


@pytest.mark.parametrize("most", [0, 700, 5_000, 39_000])
def test_a_full_disk_leaves_the_old_checkpoints_and_nothing_half_written(
    tmp_path: Path, files_of_at_most: Full, most: int
) -> None:
    for count in (0, 1):
        checkpoint.save({"identity": "a", "n": count}, tmp_path)
    with files_of_at_most(most), pytest.raises(OSError, match="File too large"):
        checkpoint.save({"identity": "a", "n": 2, "x": torch.zeros(10_000)}, tmp_path)
    assert [checkpoint.load(tmp_path / name, identity="a")["n"] for name in (NAME, BEFORE)] == [1, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEFORE, NAME]


def test_a_checkpoint_and_the_name_of_it_are_on_the_disk_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(file: int | IO[bytes]) -> None:
        assert isinstance(file, int)
        synced.append(Path(os.readlink(f"/proc/self/fd/{file}")).name)
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    checkpoint.save({"identity": "a"}, tmp_path)
    assert synced[0].startswith(f".{NAME}.")
    assert synced[-1] == tmp_path.name


def test_half_a_checkpoint_that_a_kill_left_is_cleared_away(tmp_path: Path) -> None:
    checkpoint.save({"identity": "a"}, tmp_path)
    (tmp_path / f".{NAME}.12345").write_bytes(b"half")
    assert newest(tmp_path)[0] is not None
    assert list(tmp_path.iterdir()) == [tmp_path / NAME]


def test_a_damaged_one_of_another_run_is_named_by_its_folder(tmp_path: Path) -> None:
    (leader := tmp_path / "leader").mkdir()
    for count in (1, 2):
        checkpoint.save({"identity": "a", "n": count}, leader)
    (leader / NAME).write_bytes(b"")
    found, said = newest(tmp_path / "own", leader)
    assert found is not None
    assert found["n"] == 1
    assert said == (
        "leader/checkpoint.pt is empty, and is thrown away: going on from leader/checkpoint-before.pt, the last good "
        "one"
    )
