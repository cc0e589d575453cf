"""One run in this process: a function from a run description to a stream of events."""

from __future__ import annotations

import random
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import DivergedError, HarnessError, RecipeError
from harness.machine.devices import peak_memory_mb, reset_peak_memory
from harness.measures import PEAK_MEMORY, TRAIN_SECONDS, Measure
from harness.recipes import Interrupted, Recipe, Run
from harness.recipes.events import Cause, Event, Failed, Finished
from harness.recipes.run import number
from harness.runs.description import RunDescription


def execute(
    description: RunDescription, emit: Callable[[Event], None], should_stop: Callable[[], bool] = lambda: False
) -> None:
    """Train one run in this process. Emits the run's events and always ends with Finished or Failed.

    What the recipe returns is checked here: nothing but finite numbers, the objective among them, leaves a slot.
    """
    try:
        recipe = description.address.load()
        if not description.address.is_command:  # a command draws and computes elsewhere
            _settle(description)
        directory = Path(description.directory)
        directory.mkdir(parents=True, exist_ok=True)
        device = description.device or "cpu"
        reset_peak_memory(device)
        run = Run(
            seed=description.seed,
            directory=directory,
            objective=description.objective,
            recipe=recipe.name,
            unit=recipe.unit,
            data=description.data,
            evaluate=description.evaluate,
            references=description.references,
            budget=description.budget,
            device=description.device,
            threads=description.threads,
            identity=description.identity or description.key,
            trained=Path(description.trained) if description.trained else None,
            emit=emit,
            stop=should_stop,
        )
        returned = recipe.train(description.train, run)
        summary = checked(returned, recipe, description.objective)
        summary.setdefault(TRAIN_SECONDS.name, run.seconds)
        summary.setdefault(PEAK_MEMORY.name, peak_memory_mb(device))
    except Interrupted as stop:
        emit(Failed(kind=Cause.INTERRUPTED, reason=str(stop) or "asked to stop"))
    except DivergedError as outcome:
        emit(Failed(kind=Cause.DIVERGED, reason=str(outcome)))
    except HarnessError as mistake:
        emit(Failed(kind=Cause.ERROR, reason=str(mistake), details=traceback.format_exc()))
    except Exception as fault:
        emit(Failed(kind=Cause.ERROR, reason=f"{type(fault).__name__}: {fault}", details=traceback.format_exc()))
    else:
        emit(Finished(step=run.step, summary=summary))


def checked(returned: Any, recipe: Recipe, objective: Measure) -> dict[str, float]:
    """What a recipe returned as its run's measures by name.

    Raises RecipeError where it is no mapping of names to numbers or lacks the objective, DivergedError where a number
    is not finite.
    """
    whose = f"recipe '{recipe.name}'"
    if not isinstance(returned, Mapping):
        raise RecipeError(
            f"{whose} returned {'None' if returned is None else f'a {type(returned).__name__}'}; it must return its "
            f"measures by name, like {{'{objective.name}': 0.9}}"
        )
    if objective.name not in returned:
        has = ", ".join(map(str, returned)) or "nothing"
        raise RecipeError(f"{whose} returned no '{objective.name}', which is the objective; it returned {has}")
    return {str(name): number(value, f"{whose}: {name}") for name, value in returned.items()}


def _settle(description: RunDescription) -> None:
    """Threads, and the global generators: what a slot ran before must not show in a run."""
    import torch

    if description.threads is not None:
        torch.set_num_threads(description.threads)
    torch.manual_seed(description.seed)
    random.seed(description.seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(description.seed % 2**32)
