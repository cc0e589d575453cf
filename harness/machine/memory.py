"""Whether the system kills processes for want of memory: its own count, which a plain SIGKILL leaves as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_OF_PROCESS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_OF_SYSTEM = Path("/proc/vmstat")


def kills() -> int:
    """Processes of this one's control group that Linux has killed for want of memory so far.

    Where the group does not say, those of the whole system; 0 where nothing does.
    """
    for place in (*_of_group(), _OF_SYSTEM):
        try:
            lines = place.read_text().splitlines()
        except OSError:
            continue
        for name, *count in map(str.split, lines):
            if name == "oom_kill":
                return int(count[0])
    return 0


def _of_group() -> Iterator[Path]:
    """The files that say it of the control group, in both of their versions."""
    try:
        lines = _OF_PROCESS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if not kinds:
            yield _GROUPS / path.lstrip("/") / "memory.events"
        elif "memory" in kinds.split(","):
            yield _GROUPS / "memory" / path.lstrip("/") / "memory.oom_control"
