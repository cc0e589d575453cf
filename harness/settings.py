"""What all settings share: a frozen model, names out of a registry, when one counts, budgets, the cache folder."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

Precision = Literal["auto", "fp32", "bf16"]


class Settings(BaseModel):
    """Frozen, typed settings that refuse unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class OneOf:
    """Annotates a setting whose values are the names in a registry: `Annotated[str, OneOf(LOSSES)]`.

    The registry is read whenever a value is validated or a schema made, so that what is entered later counts.
    Validation, refusals and the JSON schema are those of a Literal of these names.
    """

    def __init__(self, registry: Iterable[str]) -> None:
        self._registry = registry

    @property
    def names(self) -> list[str]:
        """The names that are allowed now, in the registry's order."""
        return list(self._registry)

    def _validated(self, value: Any) -> str:
        if isinstance(value, str) and value in (names := self.names):
            return names[names.index(value)]
        *most, last = [f"'{name}'" for name in self.names]
        expected = f"{', '.join(most)} or {last}" if most else last
        raise PydanticKnownError("literal_error", {"expected": expected})

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validated)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        return {"enum": self.names, "type": "string"}


class AtSampling:
    """Marks a setting that plays no part in training, only where a trained network is sampled: see SAMPLING."""

    def __repr__(self) -> str:
        return "SAMPLING"


SAMPLING = AtSampling()
"""`Annotated[float | None, SAMPLING]`: runs that differ in nothing else share one training."""


def sampling_only(model: type[BaseModel]) -> frozenset[str]:
    """The settings of `model` that are used at sampling only."""
    fields = model.model_fields.items()
    return frozenset(name for name, field in fields if any(isinstance(mark, AtSampling) for mark in field.metadata))


class AlwaysTold:
    """Marks a setting whose default is written in the spec, where another spec may write another: see TOLD."""

    def __repr__(self) -> str:
        return "TOLD"


TOLD = AlwaysTold()
"""`Annotated[float, TOLD]`: runs are told apart by its value, at its default too."""


class Not:
    """Every value but these: `When(regulariser=Not("none"))`."""

    def __init__(self, *values: Any) -> None:
        self._values = values

    def __contains__(self, value: object) -> bool:
        return value not in self._values


class Reading:
    """The names in a registry whose entries read a setting: `When(loss=Reading(LOSSES, "margin"))`.

    An entry says in its attribute `reads` which settings it reads; one that has none, or None, may read any. An entry
    that is itself None reads nothing.
    """

    def __init__(self, registry: Mapping[str, Any], setting: str) -> None:
        self._registry, self._setting = registry, setting

    def __contains__(self, name: object) -> bool:
        entry = self._registry.get(name) if isinstance(name, str) else None
        reads = getattr(entry, "reads", None)
        return entry is not None and (reads is None or self._setting in reads)


class When:
    """Annotates a setting that plays a part only under others: `Annotated[float, When(averaging=("ema",))]`.

    Each names a setting of the same model and the values under which this one counts: a tuple, Not or Reading. They
    must not depend on each other in a circle.
    """

    def __init__(self, **settings: Container[Any]) -> None:
        self._settings = settings

    def holds(self, settings: BaseModel) -> bool:
        """Whether the setting plays a part in `settings`."""
        return not self.unmet(settings)

    def unmet(self, settings: BaseModel) -> list[str]:
        """The other settings that are set so that this one plays no part in `settings`."""
        return [name for name, allowed in self._settings.items() if getattr(settings, name) not in allowed]


def idle(settings: BaseModel) -> frozenset[str]:
    """The fields of `settings` that play no part in it, since those they depend on are set otherwise."""
    return frozenset(asleep(settings))


def asleep(settings: BaseModel) -> dict[str, list[str]]:
    """Each field that plays no part in `settings` -> the settings that put it to sleep, themselves awake.

    Whoever depends on a field that sleeps reads it at its default, whatever it is set to.
    """
    fields = type(settings).model_fields
    usual = {
        name: field.get_default(call_default_factory=True)
        for name, field in fields.items()
        if not (field.is_required() or field.default_factory_takes_validated_data)
    }
    found: dict[str, list[str]] = {}
    for _ in fields:  # without circles, a chain is no longer than that
        seen = settings.model_copy(update={name: usual[name] for name in found if name in usual})
        now = {
            name: list(dict.fromkeys(unmet))
            for name, field in fields.items()
            if (unmet := [other for mark in field.metadata if isinstance(mark, When) for other in mark.unmet(seen)])
        }
        if now.keys() == found.keys():
            break
        found = now
    return {name: list(dict.fromkeys(_awake(found, (name,)))) for name in found}


def _awake(found: Mapping[str, list[str]], path: tuple[str, ...]) -> Iterator[str]:
    for other in found[path[-1]]:
        if other in found and other not in path:
            yield from _awake(found, (*path, other))
        else:
            yield other


class Budget(Settings):
    """How long a run trains: an amount of one of the recipe's units, which are the fields of a subclass.

    Fields are numbers or None; `seconds` is training time. Where a field has a default, that is the budget unless
    another is given. Exactly one is given, unless the subclass says `optional`.
    """

    optional: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _one_for_another(cls, raw: Any) -> Any:
        given = [key for key, value in raw.items() if value is not None] if isinstance(raw, dict) else []
        return {**dict.fromkeys(cls.model_fields), **raw} if given else raw

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [value for _, value in self if value is not None]
        if len(given) > 1 or (not given and type(self).model_fields and not self.optional):
            raise ValueError(f"give one of {' and '.join(type(self).model_fields)}")
        return self

    @property
    def unit(self) -> str:
        """The unit that is given, "" where none is."""
        return next((name for name, value in self if value is not None), "")

    @property
    def amount(self) -> float:
        """How much of the unit a run gets, 0 where there is no budget."""
        return float(getattr(self, self.unit)) if self.unit else 0.0

    @property
    def timed(self) -> bool:
        """Whether runs train for equally many seconds."""
        return self.unit == "seconds"

    def __str__(self) -> str:
        """In words: `24,000 images`, `60 s of training`, "" where there is none."""
        if not self.unit:
            return ""
        number = f"{self.amount:,.0f}" if self.amount.is_integer() else f"{self.amount:g}"
        return f"{number} s of training" if self.timed else f"{number} {self.unit}"


class Nothing(Settings):
    """The settings of a section that a recipe has none of."""


def cache_folder() -> Path:
    """Where prepared data, drawn photos and reference features are kept: $HARNESS_CACHE or ~/.cache/harness."""
    return Path(os.environ.get("HARNESS_CACHE") or Path.home() / ".cache" / "harness")
