"""What an input may do while it is tried: read, write in its own folder, take a few seconds and little memory.

No process, no network, no code but that of installed modules and of the box, nothing unpickled by Python's own pickle.
What Python itself does is told by its audit events; what is against the rules is stopped where it begins.
"""

from __future__ import annotations

import ast
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[3]

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.chmod": 1, "os.chown": 1, "os.link": 2, "os.mkdir": 1, "os.remove": 1, "os.rename": 2, "os.rmdir": 1,
    "os.symlink": 2, "os.truncate": 1, "os.utime": 1, "os.setxattr": 1, "os.removexattr": 1,
    "shutil.rmtree": 1, "shutil.move": 2, "shutil.make_archive": 1, "tempfile.mkdtemp": 1, "tempfile.mkstemp": 1,
}  # fmt: skip
"""Event -> how many of its first arguments are paths that it changes."""
_FORBIDDEN = frozenset(
    (
        *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"),
        *("pty.spawn", "os.startfile", "webbrowser.open", "os.kill", "os.killpg", "pickle.find_class"),
        *("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"),
        *("urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect", "telnetlib.Telnet.open"),
    )
)
_CODE = tuple(str(Path(place).resolve()) + os.sep for place in {sys.prefix, sys.base_prefix, str(ROOT), os.__file__})
_CODE += (str(Path(os.__file__).resolve().parent) + os.sep,)

_SOURCES = [ROOT / "harness/settings.py", *ROOT.glob("harness/recipes/**/*.py")]
_ANNOTATIONS = {
    ast.unparse(node.annotation)
    for file in _SOURCES
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    if isinstance(node, ast.AnnAssign)
}

_box: str | None = None  # the folder of the input that is tried now, None between inputs
_seen: list[str] = []  # what was against the rules


class Forbidden(BaseException):
    """What the input would have done. No `except Exception` hides it."""


class TooSlow(BaseException):
    """The input has had its seconds of processor time."""


def watch() -> None:
    """Let Python tell of what it does, from now on; once a process."""
    if not getattr(watch, "on", False):
        watch.on = True  # type: ignore[attr-defined]
        sys.addaudithook(_told)
        signal.signal(signal.SIGPROF, _late)


@contextlib.contextmanager
def guarded(box: Path, *, seconds: float, megabytes: int) -> Iterator[None]:
    """Inside, what is against the rules is stopped; at the end AssertionError says what it was."""
    global _box
    _seen.clear()
    before = _peak_now()
    signal.setitimer(signal.ITIMER_PROF, seconds)
    _box = str(box.resolve()) + os.sep
    try:
        yield
    except TooSlow:
        raise AssertionError(f"took more than {seconds:g} s of processor time") from None
    except Forbidden:
        pass
    finally:
        _box = None
        signal.setitimer(signal.ITIMER_PROF, 0)
    assert not _seen, f"did what no input may: {_seen[0]}"
    assert _peak() - before <= megabytes, f"took {_peak() - before:.0f} MiB of memory, more than {megabytes}"


def _peak_now() -> float:
    """The peak of memory in MiB, made to be that of this moment where Linux lets it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _late(number: int, frame: FrameType | None) -> None:
    raise TooSlow


def _told(event: str, args: tuple[Any, ...]) -> None:
    if _box is None:
        return
    if event == "open":
        path, _, flags = args
        if isinstance(flags, int) and flags & _WRITES and not isinstance(path, int):
            _must_be_inside(event, path, -1)
    elif event in _CHANGES:
        folder = args[-1] if isinstance(args[-1], int) else -1
        for path in args[: _CHANGES[event]]:
            _must_be_inside(event, path, folder)
    elif event in _FORBIDDEN:
        _stop(f"{event} {args!r}")
    elif event == "exec":
        _must_be_installed(args[0])


def _must_be_inside(event: str, path: object, folder: int) -> None:
    if not isinstance(path, str | bytes | os.PathLike):
        return
    text = os.fsdecode(path)
    if folder >= 0 and not text.startswith("/"):
        text = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), text)
    real = os.path.realpath(text)
    if not f"{real}{os.sep}".startswith(_box or "") and real != os.devnull and not _importing():
        _stop(f"{event} {real}")


def _must_be_installed(code: object) -> None:
    name = code.co_filename if isinstance(code, CodeType) else "?"
    ours = not name.startswith("<") and os.path.realpath(name).startswith((*_CODE, _box or ""))
    if ours or name.startswith("<frozen") or _importing() or _is_annotation():
        return
    _stop(f"exec of {name}")


def _is_annotation() -> bool:
    """Whether what is evaluated is the text of a type that stands in the source of the settings, as pydantic does."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "_evaluate":
        frame = frame.f_back
    reference = frame.f_locals.get("self") if frame is not None else None
    return getattr(reference, "__forward_arg__", None) in _ANNOTATIONS


def _importing() -> bool:
    """Whether a module is being imported: that writes bytecode, and makes classes out of text."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _stop(what: str) -> None:
    _seen.append(what[:500])
    raise Forbidden(what)
