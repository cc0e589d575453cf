"""recipes: what is installed, and every setting of one in words, nothing cut off."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import Result

from harness import recipes
from harness.recipes.dcgan.recipe import Dcgan


def test_the_list_has_a_line_for_each_and_says_what_one_is_for(harness: Callable[..., Result]) -> None:
    done = harness("recipes")
    assert done.exit_code == 0
    assert done.stdout.startswith("  dcgan: The DCGAN ")
    assert "Objective: mifid (lower is better)." in done.stdout


def test_a_broken_recipe_of_someone_else_is_said_and_hides_no_other(
    harness: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = EntryPoint(name="theirs", value="nowhere_at_all:Recipe", group="harness.recipes")
    monkeypatch.setattr(recipes, "entry_points", lambda group: [broken])
    done = harness("recipes")
    assert done.exit_code == 0
    assert "dcgan: " in done.stdout
    assert "theirs: cannot be loaded" in done.stdout
    assert "nowhere_at_all" in done.stdout


def test_every_setting_of_every_section_is_there_with_what_it_may_be_its_default_and_its_meaning(
    harness: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = harness("recipes", "dcgan")
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    text = " ".join(done.stdout.split())
    for model in (Dcgan.settings, Dcgan.data, Dcgan.evaluate, Dcgan.budget):
        for name, field in model.model_fields.items():
            assert f" {name}: " in text
            assert " ".join((field.description or "").split()) in text
    assert "width: a whole number from 1 to 512; default 48 Base channels" in text
    assert "split_bn: one of separate, joint, split; default split" in text
    assert "threads: a whole number of at least 1 or null; default null" in text
    assert "budget, one of these: images: a whole number above 0 or null Real training images shown." in text
    assert "images_per_second: images/s, a cost, higher is better" in text


@pytest.mark.slow
def test_a_place_is_as_good_as_a_name(harness: Callable[..., Result], own: Path) -> None:
    done = harness("recipes", "./toys.py:toy")
    assert done.exit_code == 0
    assert "toy: A toy that learns at once.\nObjective: accuracy (higher is better). Steps count epochs." in done.stdout
    assert "in nobody's way" not in done.stdout
    assert "  lr: a number above 0 and of at most 1; default 0.1\n      Step size.\n" in done.stdout
    assert "  bn: true or false; default true\n" in done.stdout
    assert "  cost: price, lower is better" in done.stdout
    assert "data: none" in done.stdout
    units = done.stdout.partition("budget, one of these:\n")[2].splitlines()
    assert sorted(unit.split()[0] for unit in units) == ["epochs:", "seconds:"]
    assert any(unit.endswith("or null; default 3") for unit in units)


@pytest.mark.slow
def test_what_has_no_default_is_said_to_be_required(harness: Callable[..., Result], own: Path) -> None:
    done = harness("recipes", "./toys.py:strict")
    assert "  path: text; required\n" in done.stdout
    assert "  n: a whole number of at least 8; required\n" in done.stdout
    assert "budget, at most one of these:" in done.stdout


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("dcgna", "did you mean 'dcgan'?"),
        ("./nowhere.py:toy", "beside it are ./toys.py"),
        ("./toys.py", "allowed: bare, broken"),
        ("python train.py", "recipe: {command:"),
        ("{command: [python]}", "recipe: {command:"),
    ],
)
@pytest.mark.slow
def test_what_is_no_recipe_is_refused_in_a_line(
    harness: Callable[..., Result], own: Path, name: str, remedy: str
) -> None:
    done = harness("recipes", name)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert remedy in done.stderr
