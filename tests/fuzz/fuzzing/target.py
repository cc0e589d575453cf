"""A kind of input from outside: how inputs of it are made, what reads them, which errors are documented."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from fuzzing.guard import guarded, watch

_BATCH = 5_000  # inputs that hypothesis remembers at a time, so as not to try one twice
_LONGEST = 1_000_000  # characters of an error, which has a line for each of many mistakes


@dataclass(frozen=True, kw_only=True)
class Target:
    """Inputs of one kind.

    `prepare` fills a folder of the target's own, once, and gives what reads one input: it returns in a word what became
    of it, raises one of `documented`, or AssertionError where what it read is wrong. Each has so many seconds of
    processor time and so much more memory; `few` are tried by every run of the tests.
    """

    name: str
    inputs: SearchStrategy[Any]
    prepare: Callable[[Path], Callable[[Any], object]]
    documented: tuple[type[Exception], ...]
    seconds: float = 5.0
    megabytes: int = 256
    few: int = 300


class Undocumented(AssertionError):  # noqa: N818 - an outcome
    """An input that ended in no documented way, and how."""

    def __init__(self, how: str, value: Any) -> None:
        super().__init__(how)
        self.value = value


@dataclass
class Tried:
    """How many inputs were tried of a target, and how often each outcome came."""

    count: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


def run(target: Target, folder: Path, count: int, number: int, *, before: Callable[[Any], object] = id) -> Tried:
    """Try `count` inputs, the same ones for the same seed `number`; `before` is told of each.

    Raises Undocumented for the smallest input found that ends in no documented way.
    """
    tried = Tried()
    one = prepared(target, folder, tried, before)
    for start in range(0, count, _BATCH):
        batch = settings(
            max_examples=min(_BATCH, count - start),
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
        )
        seed(number + start)(batch(given(target.inputs)(one)))()
    return tried


def prepared(target: Target, folder: Path, tried: Tried, before: Callable[[Any], object] = id) -> Callable[[Any], None]:
    """What tries one input and raises Undocumented where it ends badly."""
    watch()
    read = target.prepare(folder)

    def one(value: Any) -> None:
        before(value)
        tried.count += 1
        try:
            with guarded(folder, seconds=target.seconds, megabytes=target.megabytes):
                try:
                    outcome = f"read: {read(value)}"
                except target.documented as error:
                    text = str(error)
                    assert len(text) <= _LONGEST, f"an error of {len(text):,} characters"
                    outcome = f"{type(error).__name__}: {_shape(text)}"
        except Exception as error:
            raise Undocumented(f"{type(error).__name__}: {error}"[:2000], value) from error
        tried.outcomes[outcome] += 1

    return one


def _shape(text: str) -> str:
    """An error without its values, so that two of the same kind are one outcome."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"|\S*/\S*", "*", text[:400])
    return re.sub(r"[-+]?[0-9][0-9.,e+]*", "0", text)[:120]
