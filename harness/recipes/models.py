"""Models of settings and budgets that are made of a signature or a mapping, where no class is written."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from pydantic import Field, create_model
from pydantic.errors import PydanticUserError

from harness.errors import SpecError
from harness.settings import Budget, Settings


class AnyBudget(Budget):
    """A budget in any of the usual units, or none."""

    optional = True

    images: int | None = Field(default=None, gt=0, description="Training images shown.")
    seconds: float | None = Field(default=None, gt=0, description="Seconds of training.")
    epochs: int | None = Field(default=None, gt=0, description="Passes over the data.")
    steps: int | None = Field(default=None, gt=0, description="Updates of the weights.")


def budget_of(name: str, amounts: Mapping[str, float | None]) -> type[Budget]:
    """The budget model of recipe `name` with these units: whole amounts are counts, None is no default."""
    units: dict[str, Any] = {}
    for unit, amount in amounts.items():
        kind: Any = int | float if amount is None else int if isinstance(amount, int) else float
        units[unit] = ((float if unit == "seconds" else kind) | None, Field(default=amount, gt=0))
    return create_model(f"BudgetOf{name.title()}", __base__=Budget, **units)


def model_of(name: str, fields: Mapping[str, tuple[Any, Any]]) -> type[Settings]:
    """Settings with these fields: name -> (type, default or ...). Raises SpecError where one cannot be a setting."""
    for each in fields:
        if each.startswith("model_") and hasattr(Settings, each):
            raise SpecError(f"a setting cannot be called '{each}', which pydantic keeps; give it another name")
    try:
        with warnings.catch_warnings():  # that a setting is called `copy` or `schema` is nothing to warn of
            warnings.simplefilter("ignore", UserWarning)
            return create_model(name, __base__=Settings, **dict[str, Any](fields))
    except (PydanticUserError, NameError, TypeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise SpecError(f"{reason}; settings are numbers, text, choices, lists") from None
