"""A recipe that is one function: its settings are read from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, get_type_hints

from pydantic import BaseModel, ValidationError

from harness.errors import RecipeError, SpecError
from harness.measures import Direction, Measure
from harness.recipes import Recipe
from harness.recipes.models import AnyBudget, budget_of, model_of
from harness.recipes.run import Run
from harness.settings import Budget, Nothing, Settings

Function = Callable[..., Mapping[str, float]]
_NOTHING = inspect.Parameter.empty
_POSITIONAL, _ORDINARY = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
_STAR = inspect.Parameter.VAR_POSITIONAL


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

    @property
    def prepares(self) -> bool:
        """Whether there is anything to call before runs start."""
        return self._prepare is not None

    def prepare(self, data: Sequence[Any], evaluate: Any, *, workers: int, note: Callable[[str], None]) -> None:
        """What the decorator was given to call once before runs start."""
        if self._prepare is not None:
            self._prepare()

    def train(self, settings: Any, run: Run) -> Mapping[str, float]:
        """Call the function with the run and its settings."""
        run.start()
        found = self.function(run, **{name: getattr(settings, name) for name in type(settings).model_fields})
        if not run.told_to_stop and not run.budget_used and (budget := run.budget).unit:
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
    count, `budget` the amount that a run trains for by default, like `{"epochs": 20}`, which a spec may give otherwise
    or in seconds; without it a spec may give images, seconds, epochs or steps. `measures` are further ones to have
    effects of, `prepare` is called once before runs start. `data` and `evaluate` are models of these sections, for
    `run.data` and `run.evaluate`.
    """
    if isinstance(objective, str):
        direction = Direction.MAXIMIZE if maximize else Direction.MINIMIZE
        objective = Measure(name=objective, title=objective.replace("_", " "), direction=direction)
    elif maximize:
        raise TypeError("maximize is for an objective by name; a Measure has its own direction")
    about = {"measures": measures, "version": version, "unit": unit, "data": data, "evaluate": evaluate}

    def decorate(function: Function) -> FunctionRecipe:
        own = budget_of(function.__name__, {"seconds": None, **budget}) if isinstance(budget, Mapping) else budget
        return FunctionRecipe(function, objective=objective, prepare=prepare, budget=own or AnyBudget, **about)

    return decorate


def _settings(function: Function) -> type[Settings]:
    """The settings that the signature names. Raises SpecError where one cannot be a setting."""
    name = function.__name__
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind not in (_POSITIONAL, _ORDINARY) or parameters[0].default is not _NOTHING:
        raise SpecError(
            f"recipe '{name}': the first parameter must be the run, like def {name}(run: Run, lr: float = 0.1)"
        )
    fields: dict[str, tuple[Any, Any]] = {}
    for each in parameters[1:]:
        if each.kind not in (_ORDINARY, inspect.Parameter.KEYWORD_ONLY):
            stars = "*" if each.kind is _STAR else "" if each.kind is _POSITIONAL else "**"
            remedy = "write out each parameter" if stars else "take the / out"
            raise SpecError(f"recipe '{name}': {stars}{each.name} cannot be given by name; {remedy}")
        if each.name in ("seed", "run") or each.name.startswith("_"):
            remedy = "use run.seed" if each.name == "seed" else "give it another name"
            raise SpecError(f"recipe '{name}': a setting cannot be called '{each.name}'; {remedy}")
        fields[each.name] = (_type(function, each), ... if each.default is _NOTHING else each.default)
    try:
        model = model_of(f"SettingsOf{name.title()}", fields)
    except SpecError as error:
        raise SpecError(f"recipe '{name}': {error}") from None
    _refuse_defaults(model, name)
    return model


def _type(function: Function, parameter: inspect.Parameter) -> Any:
    """The parameter's type as annotated, or that of its default."""
    if parameter.annotation is _NOTHING:
        return Any if parameter.default in (_NOTHING, None) else type(parameter.default)
    # Of this parameter alone: the run's annotation may be known to a type checker only.
    alone = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    inner = inspect.unwrap(function)
    try:
        return get_type_hints(alone, globalns=getattr(inner, "__globals__", {}), include_extras=True)[parameter.name]
    except Exception as error:  # whatever an annotation in quotes may be
        raise SpecError(
            f"recipe '{function.__name__}': the type of {parameter.name} cannot be told: {error}; import what it names "
            "at the top of the file"
        ) from None


def _refuse_defaults(model: type[Settings], name: str) -> None:
    """Raises SpecError for a default that the setting itself would refuse: a spec could not even write it."""
    usual = {key: field.default for key, field in model.model_fields.items() if not field.is_required()}
    optional = {key: value for key, value in usual.items() if value is not None}  # x: float = None is a custom
    try:
        model.model_validate(optional)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            if each["type"] != "missing":
                where, value = ".".join(map(str, each["loc"])), each["input"]
                raise SpecError(f"recipe '{name}': the default of {where} is {value!r}: {each['msg']}") from None
