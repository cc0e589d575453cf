"""A folder with recipes of one's own in it, and the command line called there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli import main

RECIPES = '''
from typing import Annotated, Literal

from pydantic import Field

from harness import Measure, Run, recipe


PRICE = Measure(name="cost", title="price")


@recipe(objective="accuracy", maximize=True, unit="epochs", budget={"epochs": 3}, measures=[PRICE])
def toy(
    run: Run,
    lr: Annotated[float, Field(gt=0, le=1, description="Step size.")] = 0.1,
    bn: bool = True,
    optimiser: Annotated[Literal["sgd", "adam", "lion", "none"], Field(description="Who steps.")] = "sgd",
) -> dict[str, float]:
    """A toy that learns at once.

    It is in nobody's way.
    """
    for epoch in run.until_budget(epochs=3):
        run.report(epoch, accuracy=lr * epoch)
    return {"accuracy": 0.9 if bn else 0.8, "cost": 1.0}


@recipe(objective="loss")
def switches(run: Run, lr: float = 0.1, shuffle: bool = False, wide: bool = True) -> dict[str, float]:
    return {"loss": 1.0}


@recipe(objective="loss")
def numbers(run: Run, warmup: int = 0, dropout: float = 0.0) -> dict[str, float]:
    return {"loss": 1.0 + dropout}


@recipe(objective="loss")
def strict(
    run: Run, path: str, mode: Literal["one", "two"], n: Annotated[int, Field(ge=8)], depth: int = 3
) -> dict[str, float]:
    return {"loss": 1.0 / depth}


@recipe(objective="loss")
def bare(run: Run) -> dict[str, float]:
    return {"loss": 1.0}


@recipe(objective="loss")
def broken(run: Run, lr: float = 0.1) -> dict[str, float]:
    raise ZeroDivisionError("no [bold]steps[/bold]\\nat all")


@recipe(objective="loss")
def diverging(run: Run, lr: float = 0.1) -> dict[str, float]:
    return {"loss": float("nan")}
'''


@pytest.fixture
def own(project: Path) -> Path:
    """The current folder, with toys.py."""
    (project / "toys.py").write_text(RECIPES)
    return project


@pytest.fixture
def harness() -> Callable[..., Result]:
    """Calls the command line in this process."""

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), catch_exceptions=False)

    return call
