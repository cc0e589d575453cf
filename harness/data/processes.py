"""One function over many items in processes of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(work: Callable[[Item], Result], items: Sequence[Item], workers: int, *, chunk: int) -> list[Result]:
    """`work` of every item in order, `chunk` items at a time in each process; in this one where a chunk holds all."""
    if workers < 2 or len(items) <= chunk:
        return [work(item) for item in items]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, items, chunksize=chunk))
