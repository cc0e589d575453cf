"""Who runs a study: a lock on this machine, and a record in the study for the others."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna

from harness.errors import StudyError

_AT_THE_END = 5.0  # seconds that a storage gets which does not answer
_CLAIM = "claim:"  # begins the attributes of the study by which hosts say that they want it
_FORGOTTEN = 30.0  # seconds after which a claim that does not change is that of a host that died

_Said = tuple[dict[str, Any], float]
"""What another host has said, and since when it was seen to."""


@contextlib.contextmanager
def owned(
    study: optuna.Study, *, take_over: bool = False, hurried: Callable[[float], contextlib.AbstractContextManager[None]]
) -> Iterator[None]:
    """Hold `study` as its only coordinator. Raises StudyError where another one lives.

    `hurried` limits the seconds that the storage is waited for.
    """
    folder = Path(".harness")
    folder.mkdir(exist_ok=True)
    name = study.study_name
    with open(folder / f"{name}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyError(f"study '{name}' is being run {_whose(study)}; wait for it, or stop it") from None
        owner = study.user_attrs.get("owner")
        if owner and not take_over and _alive(owner):
            raise StudyError(
                f"study '{name}' is being run {_whose(study)}; wait for it, or, where you know it to be dead, "
                "add --take-over"
            )
        _win(study, owner)
        try:
            yield
        finally:
            # Where it cannot be told, the next start sees that this process is dead.
            with contextlib.suppress(StudyError), hurried(_AT_THE_END):
                study.set_user_attr("owner", None)


def _win(study: optuna.Study, before: dict[str, Any] | None) -> None:
    """Become the owner after `before`, who is dead. Raises StudyError where another host's process does meanwhile.

    A storage can only be read and written, not both at once. So each who wants the study first says so under a name of
    its own, and then looks who else does: of two at least the later sees the other. One that sees nobody is the owner;
    two that see each other take it back and try again, each after a pause of its own. What nobody takes back was said
    by a process that died.
    """
    claim = _CLAIM + hashlib.sha256(f"{socket.gethostname()}:{Path.cwd()}".encode()).hexdigest()[:8]
    seen: dict[str, _Said] = {}
    while True:
        me = {**_this_process(), "claim": uuid.uuid4().hex}
        study.set_user_attr(claim, me)
        try:
            known = study.user_attrs
            owner = known.get("owner")
            if owner and owner != before:
                raise StudyError(f"study '{study.study_name}' is being run {_whose(study)}; wait for it, or stop it")
            now = time.monotonic()
            said = {name: value for name, value in known.items() if name.startswith(_CLAIM) and isinstance(value, dict)}
            said.pop(claim, None)
            seen = {name: _since(seen.get(name), value, now) for name, value in said.items()}
            if all(now - since > _FORGOTTEN or not _alive(value) for value, since in seen.values()):
                study.set_user_attr("owner", {name: value for name, value in me.items() if name != "claim"})
                return
        finally:
            study.set_user_attr(claim, None)
        time.sleep(random.uniform(0.1, 0.5))


def _since(before: _Said | None, value: dict[str, Any], now: float) -> _Said:
    return before if before is not None and before[0] == value else (value, now)


def _whose(study: optuna.Study) -> str:
    owner = study.user_attrs.get("owner") or {}
    return f"by process {owner.get('pid', 'unknown')} on {owner.get('host', 'this machine')}"


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    """When the process began, in clock ticks since boot: tells a reused process number from the same process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _this_process() -> dict[str, Any]:
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "boot": _boot_id(), "began": _start_time(pid)}


def _alive(owner: dict[str, Any]) -> bool:
    """Whether an owner record's process may live. One of another host cannot be asked, so it is taken to live."""
    if owner.get("host") != socket.gethostname():
        return True
    if owner.get("boot") != _boot_id() or owner.get("pid") == os.getpid():
        return False
    try:
        os.kill(int(owner["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return bool(owner.get("began", "") == _start_time(int(owner["pid"])))
