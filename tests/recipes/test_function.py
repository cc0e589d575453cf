"""A function as a recipe: settings from its signature; what cannot be one is refused."""

from __future__ import annotations

import enum
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import Field

from harness import Measure, Run, recipe
from harness.errors import SpecError
from harness.measures import Direction
from harness.recipes import Recipe
from harness.recipes.events import Cause, Event, Failed, Finished, Started
from harness.runs.description import RunDescription
from harness.runs.execute import execute
from harness.settings import Settings
from harness.spec.refusals import build

Described = Callable[..., RunDescription]

if TYPE_CHECKING:
    from harness import Run as KnownToTheTypeCheckerOnly


class Shape(enum.Enum):
    ROUND = "round"
    SQUARE = "square"


@recipe(objective="top_1 accuracy", maximize=True, budget={"epochs": 3})
def whole(
    run: Run,
    lr: Annotated[float, Field(gt=0, le=1, description="Of the optimiser.")] = 0.1,
    kind: Literal["sgd", "adam"] = "sgd",
    shape: Shape = Shape.ROUND,
    path: Path = Path("a"),
    widths: list[int] = [8, 16],  # noqa: B006
    clip: float | None = None,
    *,
    bare=3,  # type: ignore[no-untyped-def]
    nothing: float = None,  # type: ignore[assignment]  # noqa: RUF013
    copy: bool = False,
) -> dict[str, float]:
    """Fits."""
    for _ in run.until_budget():
        pass
    return {"top_1 accuracy": lr}


def test_the_signature_is_the_settings() -> None:
    settings = whole.settings()
    assert settings.model_dump() == {
        "lr": 0.1,
        "kind": "sgd",
        "shape": Shape.ROUND,
        "path": Path("a"),
        "widths": [8, 16],
        "clip": None,
        "bare": 3,
        "nothing": None,
        "copy": False,
    }
    assert whole.settings.model_fields["lr"].description == "Of the optimiser."
    assert isinstance(whole, Recipe)
    assert (whole.name, whole.__doc__, whole.unit, whole.version) == ("whole", "Fits.", "steps", 1)
    assert whole.objective == Measure(name="top_1 accuracy", title="top 1 accuracy", direction=Direction.MAXIMIZE)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"lr": 0}, "0 is not allowed: must be a number above 0 and of at most 1; the default is 0.1"),
        ({"lr": "x"}, "'x' is not allowed: must be a number"),
        ({"kind": "adm"}, "'adm' is not allowed; allowed: adam, sgd; did you mean 'adam'?"),
        ({"shape": "rund"}, "did you mean 'round'?"),
        ({"widths": [1, "x"]}, "'x' is not allowed: must be a whole number"),
        ({"bare": 0.5}, "0.5 is not allowed: must be a whole number"),
        ({"bare": True}, "true is not allowed: must be a whole number"),
        ({"learning_rate": 1}, "unknown key; allowed: bare, clip"),
    ],
)
def test_what_the_types_do_not_allow_is_refused_in_words(given: dict[str, Any], text: str) -> None:
    built, refused = build(whole.settings, given)
    assert built is None
    assert text in refused[0].text


def test_the_default_budget_may_be_given_otherwise_or_in_seconds() -> None:
    assert (whole.budget().unit, whole.budget().amount) == ("epochs", 3)
    assert whole.budget.model_validate({"epochs": 5}).epochs == 5  # type: ignore[attr-defined]
    assert whole.budget.model_validate({"seconds": 2}).timed
    assert whole.budget.model_validate({"seconds": 2}).amount == 2


def test_a_whole_budget_stays_a_whole_number() -> None:
    assert list(range(whole.budget.model_validate({"epochs": 5}).epochs)) == [0, 1, 2, 3, 4]  # type: ignore[attr-defined]
    assert not build(whole.budget, {"epochs": 2.5})[0]


def test_settings_may_be_called_as_models_are_described() -> None:
    @recipe(objective="loss")
    def named(run: Run, model_name: str = "small", schema: int = 1) -> dict[str, float]:
        return {"loss": schema}

    assert named.settings().model_dump() == {"model_name": "small", "schema": 1}


def test_a_required_parameter_is_asked_for() -> None:
    @recipe(objective="loss")
    def needs(run: Run, lr: float) -> dict[str, float]:
        return {"loss": lr}

    assert build(needs.settings, {})[1][0].text == "is missing; set a number"


def test_the_type_of_the_run_need_not_be_there_at_run_time() -> None:
    @recipe(objective="loss")
    def later(run: KnownToTheTypeCheckerOnly, lr: float = 1) -> dict[str, float]:
        return {"loss": lr}

    assert later.settings().model_dump() == {"lr": 1}


def test_a_function_without_annotations_takes_the_types_of_its_defaults() -> None:
    @recipe(objective="loss")
    def plain(run, batch=4, rate=0.5, name="a", on=True, any=None):  # type: ignore[no-untyped-def]
        return {"loss": rate}

    assert build(plain.settings, {"batch": 8, "rate": 1, "any": "x"})[0]
    for wrong in ({"batch": "x"}, {"rate": "x"}, {"name": 3}, {"on": "perhaps"}):
        assert build(plain.settings, wrong)[1], wrong


def test_the_call_itself_still_works_and_a_decorator_below_is_seen_through() -> None:
    import functools

    def twice(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*arguments: Any, **settings: Any) -> dict[str, float]:
            return {name: 2 * value for name, value in function(*arguments, **settings).items()}

        return inner

    @recipe(objective="loss")
    @twice
    def inner(run: Any, lr: float = 0.5) -> dict[str, float]:
        return {"loss": lr}

    assert inner(None, lr=2) == {"loss": 4}
    assert inner.settings().model_dump() == {"lr": 0.5}


def refused(text: str) -> str:
    """Why a function with these parameters is no recipe."""
    scope: dict[str, Any] = {"recipe": recipe, "Run": Run, "Annotated": Annotated, "Field": Field, "Settings": Settings}
    with pytest.raises(SpecError) as caught:
        exec(f"@recipe(objective='loss')\ndef wrong({text}): return {{}}", scope)
    return str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ("", "the first parameter must be the run, like def wrong(run: Run, lr: float = 0.1)"),
        ("*, lr=1", "the first parameter must be the run"),
        ("*arguments", "the first parameter must be the run"),
        ("lr=0.1", "the first parameter must be the run"),
        ("run, *arguments", "*arguments cannot be given by name; write out each parameter"),
        ("run, **settings", "**settings cannot be given by name; write out each parameter"),
        ("run, lr=1, /", "lr cannot be given by name; take the / out"),
        ("run, seed=1", "a setting cannot be called 'seed'; use run.seed"),
        ("run, _lr=1", "a setting cannot be called '_lr'; give it another name"),
        ("run, model_config=1", "a setting cannot be called 'model_config'"),
        ("run, lr: 'Flaot' = 1", "the type of lr cannot be told: name 'Flaot' is not defined; import what it names"),
        ("run, lr: '1 +' = 1", "the type of lr cannot be told"),
        ("run, lr: Run = None", "settings are numbers, text, choices, lists"),
        ("run, lr: int = 0.5", "the default of lr is 0.5: Input should be a valid integer"),
        (
            "run, lr: Annotated[float, Field(ge=0)] = -1",
            "the default of lr is -1: Input should be greater than or equal",
        ),
    ],
)
def test_a_signature_that_cannot_be_settings_is_refused_where_it_is_read(parameters: str, text: str) -> None:
    found = refused(parameters)
    assert found.startswith("recipe 'wrong': ")
    assert text in found


def test_the_class_object_is_no_setting() -> None:
    with pytest.raises(TypeError, match="maximize is for an objective by name"):
        recipe(objective=Measure(name="a", title="a"), maximize=True)


# ---------------------------------------------------------------------- run


SOURCE = """
from __future__ import annotations
import enum
from pathlib import Path
from typing import Annotated, Literal
from pydantic import Field
from harness import Run, recipe

class Shape(enum.Enum):
    ROUND = "round"
    SQUARE = "square"

@recipe(objective="loss", unit="epochs")
def fit(run: Run, lr: Annotated[float, Field(gt=0)] = 0.1, shape: Shape = Shape.ROUND, path: Path = Path("a"),
        widths: list[int] = [1], mood: str = ""):
    assert isinstance(shape, Shape) and isinstance(path, Path)
    if mood == "budget":
        return {"loss": 1}
    if mood == "stop":
        run.should_stop
        return {"loss": 1}
    for epoch in run.until_budget(epochs=2):
        run.report(epoch, loss=lr)
    return {"loss": lr * len(widths)}
"""


@pytest.fixture
def fitted(tmp_path: Path, described: Described) -> Described:
    """Describes a run of the source above."""
    (tmp_path / "fit.py").write_text(SOURCE)
    return partial(described, "./fit.py:fit")


def ended(description: RunDescription, stop: bool = False) -> tuple[Event, ...]:
    events: list[Event] = []
    execute(description, events.append, lambda: stop)
    return tuple(events)


def test_settings_cross_processes_as_what_they_are(fitted: Described) -> None:
    run = fitted({"lr": 0.5, "shape": "square", "path": "b/c", "widths": [1, 2]})
    again = pickle.loads(pickle.dumps(run))
    assert again == run
    assert again.train.path == Path("b/c")
    first, *_, last = ended(again)
    assert isinstance(first, Started)
    assert isinstance(last, Finished)
    assert last.summary["loss"] == 1.0
    assert last.summary["train_seconds"] > 0
    assert last.summary["peak_memory_mb"] > 1


def test_a_budget_that_is_never_asked_for_is_said_to_have_no_effect(fitted: Described) -> None:
    last = ended(fitted({"mood": "budget"}, {"epochs": 3}))[-1]
    assert isinstance(last, Failed)
    assert "budget: 3 epochs has no effect: recipe 'fit' never asks for it" in last.reason
    assert isinstance(ended(fitted({"mood": "budget"}))[-1], Finished)


def test_a_function_that_was_told_to_stop_has_no_result(fitted: Described) -> None:
    last = ended(fitted({"mood": "stop"}), stop=True)[-1]
    assert isinstance(last, Failed)
    assert last.kind is Cause.INTERRUPTED


def test_other_measures_and_what_is_made_ready_are_the_decorators() -> None:
    made: list[str] = []
    loss = Measure(name="loss", title="loss")

    @recipe(objective="accuracy", measures=[loss], prepare=lambda: made.append("ready"), version=2, unit="epochs")
    def mine(run: Run) -> dict[str, float]:
        return {"accuracy": 1}

    assert mine.measures(None) == (loss,)
    mine.prepare([], None, workers=1, note=print)
    assert made == ["ready"]
    assert (mine.version, mine.unit) == (2, "epochs")
