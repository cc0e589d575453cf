"""The core knows no recipe: one about something else altogether is planned, run and refused by its own models."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from pydantic import Field

from harness import recipes
from harness.design import Plan, plan
from harness.errors import DataError, SpecError
from harness.measures import Direction, Measure
from harness.recipes.address import Address
from harness.recipes.dcgan.settings import DcganBudget
from harness.recipes.events import Event, Failed, Finished
from harness.runs.description import RunDescription
from harness.runs.execute import execute
from harness.runs.single import describe
from harness.settings import Settings
from harness.spec import load

ROOT = Path(__file__).resolve().parents[2]


class Line(Settings):
    slope: float = Field(default=1.0, description="Of the line.")


class Rows(Settings):
    rows: int = Field(default=10, ge=1, description="How many points there are.")


class Folds(Settings):
    folds: int = Field(default=2, ge=2, description="How often the fit is judged.")


class Fit(recipes.Recipe):
    """Accuracy is the slope; data of 13 rows cannot be read."""

    name = "fit"
    objective = Measure(name="accuracy", title="accuracy", direction=Direction.MAXIMIZE)
    settings = Line
    budget = DcganBudget
    data = Rows
    evaluate = Folds

    def measures(self, evaluate: Folds) -> tuple[Measure, ...]:
        return (Measure(name="loss", title="loss"),)

    def references(self, data: Rows, evaluate: Folds) -> Mapping[str, Rows]:
        return {"held-out": Rows(rows=evaluate.folds)}

    def check(self, data: Sequence[Rows], evaluate: Folds) -> None:
        if any(each.rows == 13 for each in data):
            raise DataError("data.rows: 13 brings bad luck; take one more")

    def prepare(self, data: Sequence[Rows], evaluate: Folds, *, workers: int, note: Callable[[str], None]) -> None:
        note(f"{len(data)} sets")

    def train(self, settings: Line, run: recipes.Run) -> dict[str, float]:
        return {"images": 1, "accuracy": settings.slope + run.data.rows + len(run.references)}


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Plan:
    monkeypatch.setattr(recipes, "names", lambda: ["fit"])
    monkeypatch.setattr(recipes, "get", lambda name: Fit())
    monkeypatch.chdir(tmp_path)
    Path("fit.yaml").write_text(
        "study: line\nrecipe: fit\ndata: {rows: 7}\nevaluate: {folds: 3}\nseeds: 2\nbudget: {images: 1}\n"
        "factors:\n  slope: {baseline: 1, levels: [2]}\n  rows: {baseline: 7, levels: [9]}\n"
    )
    return plan(load("fit.yaml"))


def test_a_recipe_about_something_else_is_a_recipe() -> None:
    assert isinstance(Fit(), recipes.Recipe)


def test_its_sections_are_read_by_its_own_models(fit: Plan) -> None:
    assert fit.objective.name == "accuracy"
    assert [measure.name for measure in fit.measures] == ["loss"]
    assert [(cell.train, cell.data) for cell in fit.cells] == [
        (Line(slope=1), Rows(rows=7)),
        (Line(slope=2), Rows(rows=7)),
        (Line(slope=1), Rows(rows=9)),
    ]
    assert fit.evaluate == Folds(folds=3)
    assert fit.data == [Rows(rows=7), Rows(rows=9), Rows(rows=3)]


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("data.crop=square", "data.crop: unknown key; allowed: rows"),
        ("evaluate.folds=1", "evaluate.folds: 1 is not allowed: must be a whole number of at least 2"),
        ("factors.folds={baseline: 2, levels: [3]}", "'folds' belongs to the evaluation"),
        ("factors.crop={baseline: 2, levels: [3]}", "no setting 'crop'; allowed: rows, slope"),
    ],
)
def test_what_it_does_not_have_is_refused(fit: Plan, override: str, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        load("fit.yaml", [override])
    assert text in str(caught.value)


def test_a_run_is_given_the_very_models_of_its_cell(fit: Plan, tmp_path: Path) -> None:
    cell, ended = fit.cell("slope=2"), list[Event]()
    run = RunDescription(
        key="k",
        name="n",
        address=Address("fit"),
        objective=Fit.objective,
        seed=0,
        train=cell.train,
        data=cell.data,
        evaluate=fit.evaluate,
        references=fit.references,
        budget=fit.budget,
        directory=str(tmp_path / "run"),
    )
    execute(run, ended.append)
    (last,) = ended
    assert isinstance(last, Finished)
    assert last.summary["accuracy"] == 2 + 7 + 1
    assert last.summary["train_seconds"] >= 0


class Patient(Fit):
    """Returns what it has when it is told to stop, as a loop with a `break` does."""

    name = "patient"

    def train(self, settings: Line, run: recipes.Run) -> dict[str, float]:
        for step in range(1, 4):
            if run.should_stop:
                break
            run.report(step, accuracy=0.5)
        return {"accuracy": 0.5}


@pytest.mark.parametrize("stop", [False, True])
def test_what_a_class_returns_after_it_was_told_to_stop_is_no_result(
    fit: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: bool
) -> None:
    monkeypatch.setattr(Address, "load", lambda self: Patient())
    run, ended = describe("fit", [], seed=1, directory=tmp_path), list[Event]()
    execute(run, ended.append, lambda: stop)
    last = ended[-1]
    if not stop:
        assert isinstance(last, Finished)
        return
    assert isinstance(last, Failed)
    assert last.kind == "interrupted"
    assert last.reason == "stopped after 0 steps"


def test_a_single_run_is_described_by_its_models_after_its_check(fit: Plan, tmp_path: Path) -> None:
    run = describe("fit", ["slope=3", "data.rows=4"], seed=1, directory=tmp_path)
    assert (run.train, run.data, run.evaluate) == (Line(slope=3), Rows(rows=4), Folds())
    assert run.references == {"held-out": Rows(rows=2)}
    with pytest.raises(DataError, match="13 brings bad luck"):
        describe("fit", ["data.rows=13"], seed=1, directory=tmp_path)


def test_a_single_run_goes_on_from_its_own_checkpoint_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: Plan
) -> None:
    monkeypatch.chdir(tmp_path)
    source = """
from harness import Run, recipe

@recipe(objective="loss", budget={"epochs": 1})
def NAME(run: Run, lr: float = 0.1):
    return {"loss": lr}
"""
    for name in ("one", "two"):
        Path(f"{name}.py").write_text(source.replace("NAME", name))

    def identity(recipe: str = "./one.py:one", *overrides: str, seed: int = 0) -> str:
        return describe(recipe, overrides, seed=seed, directory=tmp_path / "run").identity

    first = identity()
    assert first == identity() == identity("./one.py:one", "lr=0.1", "budget.epochs=1")
    others = [
        identity("./two.py:two"),
        identity("./one.py:one", "lr=0.2"),
        identity("./one.py:one", "budget.epochs=2"),
        identity(seed=1),
        identity("fit", "data.rows=4"),
        identity("fit", "data.rows=5"),
        identity("fit", "evaluate.folds=4"),
    ]
    Path("one.py").write_text(source.replace("NAME", "one") + "# changed")
    others.append(identity())
    assert len({first, *others}) == 9


@pytest.mark.parametrize("room", ["spec", "design", "runs"])
def test_the_rooms_of_the_core_import_nothing_of_one_recipe(room: str) -> None:
    for path in (ROOT / "harness" / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not node.module.startswith(("harness.recipes.dcgan", "harness.data", "harness.metrics")), path
