"""The system's count of processes that it killed for want of memory, wherever the kernel keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.machine import memory


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "_OF_PROCESS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory, "_OF_SYSTEM", tmp_path / "vmstat")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_count_of_the_own_control_group_comes_first(kernel: Path) -> None:
    write(kernel / "cgroup", "0::/user.slice/a\n")
    write(kernel / "groups/user.slice/a/memory.events", "low 0\nhigh 7\nmax 9\noom 4\noom_kill 3\n")
    write(kernel / "vmstat", "oom_kill 50\n")
    assert memory.kills() == 3


def test_groups_of_the_first_version_are_read_too(kernel: Path) -> None:
    write(kernel / "cgroup", "4:memory:/box/1\n1:cpu,cpuacct:/\n0::/\n")
    write(kernel / "groups/memory/box/1/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    write(kernel / "vmstat", "oom_kill 50\n")
    assert memory.kills() == 2


def test_the_whole_systems_count_is_the_last_resort_and_a_system_without_one_says_0(kernel: Path) -> None:
    assert memory.kills() == 0
    write(kernel / "cgroup", "0::/\n")
    write(kernel / "vmstat", "nr_free_pages 5\noom_kill 50\n")
    assert memory.kills() == 50
