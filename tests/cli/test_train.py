"""train: one run of any recipe, in the recipe's own words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from pydantic import Field

from harness.recipes.dcgan.settings import DcganBudget
from harness.recipes.function import AnyBudget
from harness.runs.single import usual_budget
from harness.settings import Budget


class Walks(Budget):
    """A budget in a unit that nobody else has."""

    walks: int | None = Field(default=None, gt=0)


def test_a_function_is_trained_by_its_place_and_speaks_of_its_own_unit(
    harness: Callable[..., Result], own: Path
) -> None:
    done = harness("train", "./toys.py:toy", "--set", "lr=0.2")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "toy, 3 epochs, seed 0"
    assert lines[1].startswith("1 epoch, 0 s: accuracy 0.2")
    assert lines[3].startswith("3 epochs, 0 s: accuracy 0.6")
    assert "price" in done.stdout
    assert "image" not in done.stdout
    assert "grid" not in done.stdout


def test_a_budget_of_ones_own_and_a_seed_are_said_first(harness: Callable[..., Result], own: Path) -> None:
    done = harness("train", "./toys.py:toy", "--set", "budget.epochs=1", "--seed", "7", "--output", "here")
    assert done.stdout.startswith("toy, 1 epochs, seed 7\n")
    assert "2 epochs" not in done.stdout


def test_what_a_run_leaves_is_named_and_its_checkpoint_is_not_kept(harness: Callable[..., Result], own: Path) -> None:
    (own / "leaves.py").write_text(
        "from harness import Run, recipe\n"
        "@recipe(objective='loss')\n"
        "def leaves(run: Run, lr: float = 0.1) -> dict[str, float]:\n"
        "    (run.directory / 'weights.bin').write_bytes(b'1')\n"
        "    run.checkpoint({'lr': lr})\n"
        "    return {'loss': lr}\n"
    )
    done = harness("train", "./leaves.py:leaves", "--output", "here")
    assert done.exit_code == 0, done.stderr
    said = done.stdout.splitlines()[-1]
    assert said.startswith("in here: ")
    assert "weights.bin" in said
    assert not (own / "here" / "checkpoint.pt").exists()


def test_a_failed_run_ends_in_one_line_that_says_why_and_where_the_traceback_is(
    harness: Callable[..., Result], own: Path
) -> None:
    done = harness("train", "./toys.py:broken", "--output", "here")
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the run failed: ")
    assert "ZeroDivisionError: no [bold]steps[/bold]" in line
    assert str(Path("here", "traceback.txt")) in line
    assert "Traceback (most recent call last)" in Path("here", "traceback.txt").read_text()


def test_a_run_that_diverged_says_so(harness: Callable[..., Result], own: Path) -> None:
    done = harness("train", "./toys.py:diverging")
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the run diverged: ")
    assert "loss" in line


def test_help_names_the_recipes_that_a_place_works_and_the_usual_budgets(harness: Callable[..., Result]) -> None:
    done = harness("train", "--help")
    text = " ".join(done.stdout.split())
    assert "(dcgan), or a place: ./train.py:name" in text
    assert "40,000 images" in text


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (DcganBudget, {"images": 40_000}),
        (AnyBudget, {}),  # needs none
        (Budget, {}),  # has none
        (Walks, {"walks": 20}),
    ],
)
def test_a_run_that_names_no_budget_gets_what_its_recipe_counts_first(
    model: type[Budget], expected: dict[str, int]
) -> None:
    assert usual_budget(model) == expected
    assert model.model_validate(expected).unit == next(iter(expected), "")


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["./toys.py:toy", "--set", "optimizer=adam"], "did you mean 'optimiser'?"),
        (["./toys.py:toy", "--set", "lr=7"], "above 0 and of at most 1"),
        (["./toys.py:strict"], "path: is missing"),
        (["python train.py"], "recipe: {command:"),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(
    harness: Callable[..., Result], own: Path, arguments: list[str], remedy: str
) -> None:
    done = harness("train", *arguments)
    assert done.exit_code == 2
    assert remedy in done.stderr
    assert not Path("runs").exists()
