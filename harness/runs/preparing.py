"""What runs read made ready: before a study's runs in a process that ends, and elsewhere once a machine."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness.errors import HarnessError, RecipeError
from harness.machine import provenance
from harness.recipes import Recipe
from harness.recipes.address import Address
from harness.recipes.function import FunctionRecipe
from harness.runs.boundary import fault, whose
from harness.runs.description import RunDescription
from harness.spec.identity import digest

Note = Callable[[str], None]
_SPAWN = multiprocessing.get_context("spawn")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LEFT = Path(".harness")
"""Where the traceback is left of what a recipe raises while it prepares."""

Order = tuple[Address, list[Any], Any, bool]
"""The recipe's address, its data and evaluation as plain data, and whether these are made ready or only checked."""


def make_ready(
    address: Address,
    data: Sequence[BaseModel],
    evaluate: BaseModel,
    *,
    prepare: bool,
    note: Note,
    apart: bool = True,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Check what runs read and score, and with `prepare` make it ready. Raises HarnessError where the recipe cannot.

    `apart`, in a process of its own, so that what the recipe loads for it, torch above all, is gone afterwards;
    `meanwhile` is called while that one works. A recipe that has nothing to do there, or is a command, needs none.
    """
    recipe = address.load()
    if not apart or address.is_command or not _asks(recipe):
        _make_ready(recipe, address, data, evaluate, prepare, note)
        return
    order: Order = (
        address,
        [each.model_dump(mode="json") for each in data],
        evaluate.model_dump(mode="json"),
        prepare,
    )
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_apart, args=(theirs, pickle.dumps(order)))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # it takes none until it has loaded
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    try:
        meanwhile()
        while (said := _said(ours)) is not None:
            if isinstance(said, HarnessError):
                raise said
            note(said)
        process.join()
    finally:
        _kill(process)
        ours.close()
    if process.exitcode:
        how = f"signal {-process.exitcode}" if process.exitcode < 0 else f"exit code {process.exitcode}"
        raise RecipeError(
            f"{whose(address)}: the process died that was to prepare its data ({how}); see what it printed, and whether"
            " memory was enough"
        )


def _kill(process: SpawnProcess) -> None:
    """End the process and all that it started, where it has not ended."""
    if process.is_alive() and process.pid is not None:
        with suppress(OSError):  # it leads no group yet
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.join()


def _asks(recipe: Recipe) -> bool:
    """Whether the recipe has anything to check or prepare."""
    if isinstance(recipe, FunctionRecipe):
        return recipe.prepares
    return type(recipe).check is not Recipe.check or type(recipe).prepare is not Recipe.prepare


def _make_ready(
    recipe: Recipe, address: Address, data: Sequence[Any], evaluate: Any, prepare: bool, note: Note
) -> None:
    """Raises HarnessError for whatever the recipe raises."""
    try:
        recipe.check(data, evaluate)
        if prepare:
            recipe.prepare(data, evaluate, workers=provenance.cores(), note=note)
    except HarnessError:
        raise
    except Exception as error:
        raise RecipeError(fault(error, address, _LEFT).reason) from error


def _said(connection: Connection) -> str | HarnessError | None:
    """A note of the other process, or why it gave up; None where it has ended."""
    try:
        said: str | HarnessError = pickle.loads(connection.recv_bytes())
        return said
    except (EOFError, OSError):
        return None


def _apart(connection: Connection, pickled: bytes) -> None:
    """What the process does."""
    os.setsid()  # its workers are ended with it
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def send(said: str | HarnessError) -> None:
        connection.send_bytes(pickle.dumps(said))

    try:
        address, data, evaluate, prepare = pickle.loads(pickled)
        recipe = address.load()
        read = [recipe.data.model_validate(each) for each in data]
        _make_ready(recipe, address, read, recipe.evaluate.model_validate(evaluate), prepare, send)
    except HarnessError as error:
        send(_portable(error))


def _portable(error: HarnessError) -> HarnessError:
    """The error as another process can read it: one of a recipe's own classes by its text."""
    of_ours = type(error).__module__ == HarnessError.__module__
    return type(error)(str(error)) if of_ours else RecipeError(str(error))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)


def prepare(recipe: Recipe, description: RunDescription, note: Note) -> None:
    """Make ready what runs of the description's data read, where no run of the same start has done it here before.

    Raises HarnessError where the recipe cannot.
    """
    data = [description.data, *description.references.values()]
    about = [each.model_dump(mode="json") for each in (*data, description.evaluate)]
    of = [description.address.text, recipe.name, recipe.version, description.address.loaded_digest()]
    folder = Path(tempfile.gettempdir(), f"harness-{os.getuid()}", "prepared")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{description.prepare}-{digest([*of, json.dumps(about)])}", "a+") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        mark.seek(0)
        if mark.read() == "done":
            return
        recipe.prepare(data, description.evaluate, workers=provenance.cores(), note=note)
        mark.write("done")
        mark.flush()
