"""Checkpoints: read back exactly, and ignored where damaged, foreign or hostile."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from harness.recipes import checkpoint


def test_what_is_saved_comes_back_and_no_half_written_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    kept = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    checkpoint.save({"identity": "a", "x": kept, "n": 3, "s": 0.1}, path)
    state = checkpoint.load(path, identity="a")
    assert state is not None
    assert torch.equal(state["x"], kept)
    assert (state["n"], state["s"]) == (3, 0.1)
    assert list(tmp_path.iterdir()) == [path]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path / "checkpoint.pt", identity="a") is None


def test_the_checkpoint_of_another_run_is_ignored(tmp_path: Path) -> None:
    checkpoint.save({"identity": "a"}, tmp_path / "checkpoint.pt")
    assert checkpoint.load(tmp_path / "checkpoint.pt", identity="b") is None


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_checkpoint_is_ignored(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save({"identity": "a", "x": torch.zeros(1000)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep if keep >= 1 else keep * len(whole))])
    assert checkpoint.load(path, identity="a") is None


@pytest.mark.parametrize("other", [[1, 2], 7, None, "identity"], ids=str)
def test_a_file_that_holds_something_else_is_ignored(tmp_path: Path, other: object) -> None:
    torch.save(other, tmp_path / "checkpoint.pt")
    assert checkpoint.load(tmp_path / "checkpoint.pt", identity="a") is None


class Hostile:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


def test_a_hostile_checkpoint_is_not_unpickled(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "checkpoint.pt"
    torch.save({"identity": "a", "x": Hostile(mark)}, path)
    assert checkpoint.load(path, identity="a") is None
    path.write_bytes(pickle.dumps(Hostile(mark)))
    assert checkpoint.load(path, identity="a") is None
    assert not mark.exists()


def test_a_save_that_fails_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save({"identity": "a", "n": 1}, path)
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save({"identity": "a", "n": lambda: 2}, path)
    state = checkpoint.load(path, identity="a")
    assert state is not None
    assert state["n"] == 1
