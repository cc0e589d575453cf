"""What a run changes in its process outside itself, put back after it: a slot's next run must not see it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch


@contextmanager
def put_back() -> Iterator[None]:
    """Inside, a run may set what it likes of torch's defaults, the environment and the current folder."""
    with ExitStack() as after:
        for read, write in _SWITCHES:
            _keep(after, read, write)
        after.callback(_environment, dict(os.environ))
        with suppress(OSError):  # the current folder may be gone
            after.callback(os.chdir, os.getcwd())
        yield


def _keep(after: ExitStack, read: Callable[[], Any], write: Callable[[Any], object]) -> None:
    """Write after the run what is read now, where it is another then."""
    try:
        before = read()
    except RuntimeError:  # torch refuses to read a switch where a newer one for the same was set
        return

    def back() -> None:
        try:
            same = read() == before
        except RuntimeError:  # the run set the newer one
            same = False
        if not same:
            write(before)

    after.callback(back)


def _environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    for name, value in before.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _of(place: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    return lambda: getattr(place, name), lambda value: setattr(place, name, value)


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


_SWITCHES: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (torch.get_default_device, lambda device: torch.set_default_device(None if device.type == "cpu" else device)),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    _of(torch.backends.cuda.matmul, "allow_tf32"),
    _of(torch.backends.cudnn, "allow_tf32"),
    _of(torch.backends.cudnn, "benchmark"),
    _of(torch.backends.cudnn, "deterministic"),
    (_deterministic, lambda both: torch.use_deterministic_algorithms(both[0], warn_only=both[1])),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
)
"""How each switch of torch's is read, and written."""
