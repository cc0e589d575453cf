"""What a run's key and a study's fingerprint hold, and which runs share one training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, create_model

from harness import recipes
from harness.design import Plan, plan
from harness.measures import Direction, Measure
from harness.recipes import Recipe
from harness.settings import SAMPLING, Budget, Settings, When
from harness.spec import load


class Steps(Budget):
    steps: int | None = Field(default=10, gt=0)


class ToySettings(Settings):
    width: int = Field(default=8, ge=1)
    averaging: Literal["none", "ema"] = "none"
    beta: Annotated[float, When(averaging=("ema",))] = 0.9
    truncation: Annotated[float | None, SAMPLING] = None
    batch_norm: Annotated[str, SAMPLING] = "running"


class Toy(Recipe):
    name = "toy"
    objective = Measure(name="loss", title="loss")
    settings = ToySettings
    budget = Steps

    def train(self, settings: Any, run: Any) -> dict[str, float]:
        raise AssertionError("nothing is trained here")

    def measures(self, evaluate: Any) -> tuple[Measure, ...]:
        return (Measure(name="accuracy", title="accuracy", direction=Direction.MAXIMIZE),)


SPEC = """\
study: toy
recipe: toy
factors:
  width: {baseline: 8, levels: [9]}
  truncation: {baseline: null, levels: [0.7, 0.5]}
seeds: 2
"""


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Toy]:
    class Own(Toy):
        pass

    monkeypatch.setattr(recipes, "get", lambda name: Own())
    monkeypatch.chdir(tmp_path)
    Path("toy.yaml").write_text(SPEC)
    return Own


def planned(*overrides: str, path: str = "toy.yaml") -> Plan:
    return plan(load(path, overrides))


def keys(made: Plan) -> list[str]:
    return [run.key for run in made.runs]


def test_a_new_setting_with_a_default_changes_no_key_and_no_fingerprint(toy: type[Toy]) -> None:
    before = planned()
    grown = create_model("Grown", __base__=ToySettings, loss=(str, "hinge"), layers=(list[int], [1, 2]))
    toy.settings = grown
    toy.data = create_model("Rows", __base__=Settings, rows=(int, 7))
    toy.evaluate = create_model("Folds", __base__=Settings, folds=(int, 5))
    toy.budget = create_model("More", __base__=Steps, epochs=(int | None, None))
    after = planned()
    assert after.cells[0].settings["train.loss"] == "hinge"
    assert keys(after) == keys(before)
    assert after.fingerprint == before.fingerprint
    assert keys(planned("train.loss=other")) != keys(before)
    assert planned("train.loss=other").fingerprint != before.fingerprint


def test_a_raised_version_changes_all_keys_and_the_fingerprint(toy: type[Toy]) -> None:
    before = planned()
    toy.version = 2
    after = planned()
    assert not set(keys(before)) & set(keys(after))
    assert before.fingerprint != after.fingerprint


def test_another_recipes_runs_are_other_runs(toy: type[Toy]) -> None:
    before = planned()
    toy.name = "other"
    assert not set(keys(before)) & set(keys(planned()))


def test_writing_a_default_down_changes_nothing() -> None:
    written = planned("train.averaging=none", "train.beta=0.9", "train.batch_norm=running", "budget.steps=10")
    assert (keys(written), written.fingerprint) == (keys(planned()), planned().fingerprint)


@pytest.mark.parametrize(
    "override", ["train.averaging=ema", "train.batch_norm=batch", "budget.steps=11", "seeds=[7, 8]"]
)
def test_whatever_a_run_depends_on_changes_its_key(override: str) -> None:
    assert not set(keys(planned())) & set(keys(planned(override)))


def test_a_default_budget_is_part_of_the_key(toy: type[Toy]) -> None:
    before = planned()
    toy.budget = create_model("Longer", __base__=Steps, steps=(int | None, 20))
    assert not set(keys(before)) & set(keys(planned()))


def test_a_setting_that_plays_no_part_changes_no_key_and_another_study() -> None:
    asleep = planned("train.beta=0.5")
    assert keys(asleep) == keys(planned())
    assert asleep.fingerprint != planned().fingerprint  # in a cell of a factor on averaging it would play one


def test_the_chosen_objective_is_the_studys_and_not_its_runs() -> None:
    chosen = planned("objective.metric=accuracy")
    assert keys(chosen) == keys(planned())
    assert chosen.fingerprint != planned().fingerprint
    assert planned("objective={metric: loss}").fingerprint == planned().fingerprint


@pytest.mark.slow
def test_keys_depend_neither_on_the_folder_of_the_spec_nor_on_where_the_recipe_is_found() -> None:
    source = (
        "from harness import recipe\n\n\n@recipe(objective='loss')\n"
        "def toy(run, width: int = 8, truncation: float | None = None):\n    return {'loss': width}\n"
    )
    found = []
    for folder in ("one", "two/deep"):
        Path(folder).mkdir(parents=True)
        Path(folder, "train.py").write_text(source)
        Path(folder, "toy.yaml").write_text(SPEC.replace("recipe: toy", "recipe: ./train.py:toy"))
        found.append(planned(path=f"{folder}/toy.yaml"))
    assert keys(found[0]) == keys(found[1])
    assert found[0].fingerprint == found[1].fingerprint


def test_keys_of_the_users_own_and_notes_on_meaning_are_no_part_of_a_study() -> None:
    Path("toy.yaml").write_text("x-widths: &widths [9]\n" + SPEC.replace("[9]", "*widths"))
    made = planned()
    Path("toy.yaml").write_text(SPEC)
    assert (made.fingerprint, keys(made)) == (planned().fingerprint, keys(planned()))


def test_runs_that_differ_at_sampling_only_share_the_training_of_the_first() -> None:
    made = planned("design.kind=full-factorial")
    by_training: dict[str, list[tuple[str, int]]] = {}
    for run in made.runs:
        by_training.setdefault(run.training, []).append((run.cell, run.seed))
    assert list(by_training.values()) == [
        [(cell, seed) for cell in cells]
        for seed in (0, 1)
        for cells in (
            ["baseline", "truncation=0.7", "truncation=0.5"],
            ["width=9", "width=9, truncation=0.7", "width=9, truncation=0.5"],
        )
    ]
    assert (len(made.runs), len(set(keys(made))), made.trainings) == (12, 12, 4)
    assert planned().trainings == 2 * 2


def test_a_run_that_is_sampled_as_usual_has_its_key_for_its_training() -> None:
    usual = {run.cell: run.key == run.training for run in planned("design.kind=full-factorial", "seeds=1").runs}
    assert usual == {cell: "truncation" not in cell for cell in usual}


def test_the_runs_of_a_search_share_trainings_too() -> None:
    made = planned("design={kind: search, trials: 12}")
    assert made.search is not None
    tried = [made.search.make({"width": 9, "truncation": level}, 0) for level in (None, 0.7, 0.5)]
    runs = [each[1] for each in tried if not isinstance(each, str)]
    assert len({run.key for run in runs}) == 3
    assert {run.training for run in runs} == {runs[0].key}
    assert made.with_tried(each for each in tried if not isinstance(each, str)).trainings == 2  # the control's too


COMMAND = """\
study: toy
recipe:
  command: [python, train.py, --lr, "{lr}", --wd, "{wd}", --epochs, "5"]
  settings: {lr: 0.1, wd: 0.0}
  env: {MODE: fast}
objective: {metric: loss, direction: minimize}
factors:
  wd: {baseline: 0.0, levels: [0.1]}
seeds: 2
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('--epochs, "5"', '--epochs, "50"'),
        ("lr: 0.1", "lr: 0.5"),
        ("MODE: fast", "MODE: slow"),
        ("train.py", "other.py"),
        ("env:", "unit: epochs\n  env:"),
    ],
)
def test_what_a_command_is_started_with_tells_its_runs_and_its_studies_apart(old: str, new: str) -> None:
    Path("command.yaml").write_text(COMMAND)
    before = planned("recipe.name=train", path="command.yaml")
    Path("command.yaml").write_text(COMMAND.replace(old, new))
    after = planned("recipe.name=train", path="command.yaml")
    assert COMMAND.replace(old, new) != COMMAND
    assert not set(keys(before)) & set(keys(after))
    assert before.fingerprint != after.fingerprint


def test_a_commands_runs_are_told_by_the_settings_that_they_are_run_with_wherever_these_are_written() -> None:
    Path("command.yaml").write_text(COMMAND)
    before = planned(path="command.yaml")
    # A default that the factor's baseline overrides; a default that the section `train` overrides; another folder.
    Path("command.yaml").write_text(COMMAND.replace("wd: 0.0}", "wd: 0.9}"))
    assert (keys(planned(path="command.yaml")), planned(path="command.yaml").fingerprint) == (
        keys(before),
        before.fingerprint,
    )
    Path("command.yaml").write_text(COMMAND.replace("lr: 0.1", "lr: 0.7") + "train: {lr: 0.1}\n")
    assert keys(planned(path="command.yaml")) == keys(before)
    Path("deep").mkdir()
    Path("deep/command.yaml").write_text(COMMAND)
    assert keys(planned(path="deep/command.yaml")) == keys(before)
