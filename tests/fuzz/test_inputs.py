"""Some hundred inputs of every kind, always the same ones; `make fuzz` tries 100,000 of each."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
guard, target, mutation, everything = (
    importlib.import_module(f"fuzzing.{name}") for name in ("guard", "target", "mutation", "everything")
)


@pytest.fixture(autouse=True)
def _as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kind of input sets for its process is put back."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", everything.TARGETS)
def test_every_input_ends_in_a_documented_way(name: str, tmp_path: Path) -> None:
    Path(mutation.CANARY).unlink(missing_ok=True)
    tried = target.run(everything.TARGETS[name], tmp_path, count=everything.TARGETS[name].few, number=0)
    assert tried.count >= everything.TARGETS[name].few
    assert len(tried.outcomes) > 1
    assert not Path(mutation.CANARY).exists()


# ---------------------------------------------------------------------- the machine that holds inputs to their rules


def _reading(read: Any, folder: Path, **more: Any) -> Any:
    """What tries one input that is read by `read`."""
    one = target.Target(name="x", inputs=st.none(), prepare=lambda folder: read, documented=(KeyError,), **more)
    return target.prepared(one, folder, target.Tried())


def test_an_error_that_is_not_documented_is_told_with_its_input(tmp_path: Path) -> None:
    def read(value: Any) -> None:
        raise ValueError("a surprise")

    with pytest.raises(target.Undocumented, match="ValueError: a surprise") as found:
        _reading(read, tmp_path)("this")
    assert found.value.value == "this"


@pytest.mark.parametrize(
    "harm",
    [
        lambda: Path("/tmp/harness-elsewhere").write_text("x"),
        lambda: os.mkdir("/tmp/harness-elsewhere"),
        lambda: os.rename("/tmp/harness-elsewhere", "/tmp/harness-other"),
        lambda: Path("/tmp/harness-elsewhere").unlink(),
        lambda: os.system("true"),
        lambda: subprocess.run(["true"], check=False),
        lambda: exec("1"),
        lambda: eval("1"),
        lambda: importlib.import_module("pickle").loads(b"cos\nsystem\n."),
        lambda: importlib.import_module("socket").create_connection(("127.0.0.1", 9)),
    ],
)
def test_what_no_input_may_do_is_stopped_before_it_is_done(harm: Any, tmp_path: Path) -> None:
    def read(value: Any) -> None:
        try:
            harm()
        except Exception:
            return  # code that swallows every error hides nothing

    with pytest.raises(target.Undocumented, match="did what no input may"):
        _reading(read, tmp_path)(None)
    assert not Path("/tmp/harness-elsewhere").exists()


def test_a_link_out_of_the_folder_leads_nowhere(tmp_path: Path) -> None:
    box, outside = tmp_path / "box", tmp_path / "outside"
    box.mkdir()
    outside.mkdir()
    (box / "link").symlink_to(outside)
    with pytest.raises(target.Undocumented, match="did what no input may"):
        _reading(lambda value: (box / "link" / "file").write_text("x"), box)(None)
    assert not any(outside.iterdir())


def test_its_own_folder_may_be_written(tmp_path: Path) -> None:
    _reading(lambda value: (tmp_path / "file").write_text("x"), tmp_path)(None)
    assert (tmp_path / "file").read_text() == "x"


def test_seconds_and_memory_have_their_limits(tmp_path: Path) -> None:
    def loop(value: Any) -> None:
        while True:
            pass

    with pytest.raises(target.Undocumented, match=r"more than 0\.2 s"):
        _reading(loop, tmp_path, seconds=0.2)(None)
    with pytest.raises(target.Undocumented, match="MiB of memory"):
        _reading(lambda value: len(bytearray(200 * 2**20)), tmp_path, megabytes=100)(None)


def test_a_failure_comes_with_the_shortest_input_that_has_it(tmp_path: Path) -> None:
    def prepare(folder: Path) -> Any:
        def read(value: list[int]) -> None:
            assert sum(value) < 1000

        return read

    one = target.Target(name="x", inputs=st.lists(st.integers(0, 10_000)), prepare=prepare, documented=())
    with pytest.raises(target.Undocumented) as found:
        target.run(one, tmp_path, count=500, number=0)
    assert found.value.value == [1000]


def test_the_same_seed_tries_the_same_inputs(tmp_path: Path) -> None:
    def tried(number: int) -> list[object]:
        seen: list[object] = []
        one = target.Target(name="x", inputs=mutation.EDITS, prepare=lambda folder: len, documented=())
        target.run(one, tmp_path, count=50, number=number, before=seen.append)
        return seen

    assert tried(1) == tried(1) != tried(2)
