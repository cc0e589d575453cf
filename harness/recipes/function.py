"""A recipe that is one function: its settings are read from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

from pydantic import BaseModel, create_model
from pydantic.errors import PydanticSchemaGenerationError

from harness.errors import RecipeError, SpecError
from harness.measures import Direction, Measure
from harness.recipes import Recipe
from harness.recipes.run import Interrupted, Run
from harness.settings import Budget, Nothing, Settings

Function = Callable[..., Mapping[str, float]]


class AnyBudget(Budget):
    """A budget in any of the usual units, or none."""

    optional = True

    images: int | None = None
    seconds: float | None = None
    epochs: int | None = None
    steps: int | None = None


class FunctionRecipe(Recipe):
    """`function(run, **settings) -> measures by name` as a recipe; the call itself still works."""

    def __init__(self, function: Function, *, objective: Measure, **about: Any) -> None:
        self.function = function
        self.name = function.__name__
        self.objective = objective
        self.settings = _settings(function)
        self.__doc__ = function.__doc__
        self._measures: Sequence[Measure] = about.pop("measures")
        self._prepare: Callable[[], object] | None = about.pop("prepare")
        for key, value in about.items():
            setattr(self, key, value)

    def __call__(self, *arguments: Any, **settings: Any) -> Mapping[str, float]:
        return self.function(*arguments, **settings)

    def measures(self, evaluate: Any) -> tuple[Measure, ...]:
        """The other measures that the decorator was given."""
        return tuple(self._measures)

    def prepare(self, data: Sequence[Any], evaluate: Any, *, workers: int, note: Callable[[str], None]) -> None:
        """What the decorator was given to call once before runs start."""
        if self._prepare is not None:
            self._prepare()

    def train(self, settings: Any, run: Run) -> Mapping[str, float]:
        """Call the function with the run and its settings."""
        from harness.machine.devices import device_name

        run.start({"device.name": device_name(run.device or "cpu")})
        found = self.function(run, **{name: getattr(settings, name) for name in type(settings).model_fields})
        if run.told_to_stop:
            raise Interrupted(f"stopped after {run.step:,} {self.unit}")
        if not run.budget_used and (budget := run.budget).unit:
            raise RecipeError(
                f"budget: {budget} has no effect: recipe '{self.name}' never asks for it; train in a loop over "
                "run.until_budget(), or take the budget out of the spec"
            )
        return found


def recipe(
    *,
    objective: str | Measure,
    maximize: bool = False,
    measures: Sequence[Measure] = (),
    version: int = 1,
    unit: str = "steps",
    budget: type[Budget] | Mapping[str, float] | None = None,
    data: type[BaseModel] = Nothing,
    evaluate: type[BaseModel] = Nothing,
    prepare: Callable[[], object] | None = None,
) -> Callable[[Function], FunctionRecipe]:
    """Make a function a recipe.

    The function's first parameter is the `Run`, every other one is a setting: its type, its default, and with
    `Annotated[float, Field(ge=0, description="...")]` its bounds and meaning. It returns the run's measures by name,
    the `objective` among them, which is better lower unless `maximize`.

    Raise `version` where a change makes numbers that do not compare with those before. `unit` is what reported steps
    count, `budget` the amount that a run trains for by default, like `{"epochs": 20}`; without it a spec may give
    images, seconds, epochs or steps. `measures` are further ones to have effects of, `prepare` is called once before
    runs start. `data` and `evaluate` are models of these sections, for `run.data` and `run.evaluate`.
    """
    if isinstance(objective, str):
        direction = Direction.MAXIMIZE if maximize else Direction.MINIMIZE
        objective = Measure(name=objective, title=objective.replace("_", " "), direction=direction)
    elif maximize:
        raise TypeError("maximize is for an objective by name; a Measure has its own direction")
    about = {"measures": measures, "version": version, "unit": unit, "data": data, "evaluate": evaluate}

    def decorate(function: Function) -> FunctionRecipe:
        own = _budget(function.__name__, budget) if not isinstance(budget, type) else budget
        return FunctionRecipe(function, objective=objective, prepare=prepare, budget=own, **about)

    return decorate


def _budget(name: str, default: Mapping[str, float] | None) -> type[Budget]:
    if default is None:
        return AnyBudget
    units: dict[str, Any] = {unit: (float | None, amount) for unit, amount in default.items()}
    units.setdefault("seconds", (float | None, None))
    return create_model(f"BudgetOf{name.title()}", __base__=Budget, **units)


def _settings(function: Function) -> type[Settings]:
    """The settings that the signature names. Raises SpecError where one cannot be a setting."""
    name = function.__name__
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise SpecError(f"recipe '{name}': {error}; import the types that its signature names") from None
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise SpecError(
            f"recipe '{name}': the first parameter must be the run, like def {name}(run: Run, lr: float = 0.1)"
        )
    fields: dict[str, Any] = {}
    for each in parameters[1:]:
        if each.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise SpecError(f"recipe '{name}': *{each.name} names no setting; write out each parameter")
        if each.name in ("seed", "run") or each.name.startswith("_"):
            remedy = "use run.seed" if each.name == "seed" else "give it another name"
            raise SpecError(f"recipe '{name}': a setting cannot be called '{each.name}'; {remedy}")
        missing = each.default is inspect.Parameter.empty
        usual = Any if missing or each.default is None else type(each.default)
        fields[each.name] = (hints.get(each.name, usual), ... if missing else each.default)
    try:
        return create_model(f"SettingsOf{name.title()}", __base__=Settings, **fields)
    except PydanticSchemaGenerationError as error:
        raise SpecError(
            f"recipe '{name}': {error.message.splitlines()[0]}; settings are numbers, text, lists"
        ) from None
