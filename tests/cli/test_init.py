"""init: a spec to start from, made of the recipe's own models, that plans as it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
import yaml
from click.testing import Result

from harness import recipes
from harness.design import plan
from harness.recipes.address import Address
from harness.spec import load


@pytest.mark.parametrize("recipe", ["dcgan", "./toys.py:toy", "./toys.py:numbers", "./toys.py:strict"])
@pytest.mark.slow
def test_what_it_writes_is_planned_as_it_is(harness: Callable[..., Result], own: Path, recipe: str) -> None:
    done = harness("init", recipe, "--output", "spec.yaml")
    assert done.exit_code == 0, done.stderr
    checked = harness("check", "spec.yaml")
    assert checked.exit_code == 0, checked.stderr
    assert 1 <= len(load("spec.yaml").factors) <= 2
    assert max(map(len, Path("spec.yaml").read_text().splitlines()[1:])) <= 80
    assert harness("init", recipe).stdout == Path("spec.yaml").read_text()


@pytest.mark.parametrize("recipe", ["dcgan", "./toys.py:toy"])
def test_every_default_that_it_names_is_the_models_own(harness: Callable[..., Result], own: Path, recipe: str) -> None:
    text = harness("init", recipe).stdout
    before, after = text, re.sub(r"^(\s*)#(\w+: )", r"\1\2", text, flags=re.MULTILINE)
    assert after != before
    # What is taken from behind its # stands in the way of the example factors, and only one unit may be given.
    whole = yaml.safe_load(re.sub(r"^budget:\n(?:  .*\n)*", "", after, flags=re.MULTILINE))
    found = recipes.get(recipe) if recipe == "dcgan" else Address.of(recipe).load()
    for section, model in (("train", found.settings), ("data", found.data), ("evaluate", found.evaluate)):
        assert set(whole.get(section, {})) == set(model.model_fields)
        assert model.model_validate(whole.get(section, {})) == model()
    assert whole["objective"] == {"metric": found.objective.name}


@pytest.mark.slow
def test_examples_are_a_switch_and_a_choice_before_numbers(harness: Callable[..., Result], own: Path) -> None:
    factors = yaml.safe_load(harness("init", "./toys.py:toy").stdout)["factors"]
    assert factors == {
        "bn": {"baseline": False, "levels": [True]},
        "optimiser": {"baseline": "sgd", "levels": ["adam", "lion"]},
    }
    switches = yaml.safe_load(harness("init", "./toys.py:switches").stdout)["factors"]
    assert list(switches) == ["shuffle", "wide"]
    numbers = yaml.safe_load(harness("init", "./toys.py:numbers").stdout)["factors"]
    assert numbers == {"warmup": {"baseline": 0, "levels": [1]}, "dropout": {"baseline": 0.0, "levels": [0.1]}}


def test_what_has_no_default_is_made_up_and_said(harness: Callable[..., Result], own: Path) -> None:
    text = harness("init", "./toys.py:strict").stdout
    assert yaml.safe_load(text)["train"] == {"path": "text", "mode": "one", "n": 8}
    assert "  n: 8   # has no default: fill it in\n" in text


def test_meanings_and_what_is_allowed_stand_above_each_setting(harness: Callable[..., Result], own: Path) -> None:
    text = harness("init", "./toys.py:toy").stdout
    assert "  # Step size. Allowed: a number above 0 and of at most 1.\n  #lr: 0.1\n" in text
    assert "# What the study is about: accuracy, higher is better. Runs also end with cost.\n" in text
    assert "evaluate:" not in text  # the recipe has no such settings
    units = text.partition("\nbudget:\n")[2].splitlines()
    assert set(units) == {"  #epochs: 3", "  #seconds: 60"}


def test_a_file_is_named_as_it_is_seen_from_the_spec(harness: Callable[..., Result], own: Path) -> None:
    assert harness("init", "toys.py:toy", "--output", "specs/deep/spec.yaml").exit_code == 0
    assert yaml.safe_load(Path("specs/deep/spec.yaml").read_text())["recipe"] == "../../toys.py:toy"
    assert harness("check", "specs/deep/spec.yaml").exit_code == 0
    assert yaml.safe_load(harness("init", "toys.py:toy").stdout)["recipe"] == "./toys.py:toy"
    assert harness("init", "toys:toy", "--output", "spec.yaml").exit_code == 0
    assert plan(load("spec.yaml")).recipe == "toy"


def test_the_first_line_names_the_shipped_schema_for_editors(harness: Callable[..., Result], own: Path) -> None:
    first = harness("init", "./toys.py:toy").stdout.splitlines()[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert found is not None
    assert Path(unquote(urlparse(found[1]).path)).name == "schema.json"
    assert Path(unquote(urlparse(found[1]).path)).is_file()


def test_no_file_is_overwritten(harness: Callable[..., Result], own: Path) -> None:
    Path("spec.yaml").write_text("mine")
    done = harness("init", "dcgan", "--output", "spec.yaml")
    assert done.exit_code == 2
    assert "--output spec.yaml: is there already" in done.stderr
    assert Path("spec.yaml").read_text() == "mine"


@pytest.mark.parametrize("command", ["python train.py --lr 0.1", "{command: [python, train.py]}", '{"command": []}'])
def test_of_a_command_it_says_what_to_write_instead(harness: Callable[..., Result], own: Path, command: str) -> None:
    done = harness("init", command, "--output", "spec.yaml")
    assert done.exit_code == 2
    assert "recipe: {command: [python, train.py, --lr, '{lr}'], settings: {lr: 0.1}}" in done.stderr
    assert "objective: {metric: accuracy, direction: maximize}" in done.stderr
    assert not Path("spec.yaml").exists()


@pytest.mark.slow
def test_a_recipe_without_settings_is_refused_with_the_remedy(harness: Callable[..., Result], own: Path) -> None:
    done = harness("init", "./toys.py:bare")
    assert done.exit_code == 2
    assert "recipe 'bare' has no setting to compare levels of; give it one" in done.stderr
