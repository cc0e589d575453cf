"""A factor: a switchable trick, its levels, and the settings that they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, Field

from harness.errors import nearest
from harness.recipes import Recipe
from harness.settings import Settings
from harness.spec.documents import scalar
from harness.spec.refusals import Refusal, build, shown

Level = bool | int | float | str | None
Section = Literal["train", "data"]
Assigned = dict[tuple[Section, str], Any]

_SPELT_OUT: dict[Section, tuple[str, ...]] = {"data": ("seed",)}
"""Settings that need their section's name, since by their own they would be taken for something else."""
_LEVEL = "a single value: null, true, false, a number or text"
_LEVELS = f"a list of levels, like [a, b], each {_LEVEL}"
_OTHERS = "a mapping of another factor to a list of its levels, like {crop: [square]}"


class Factor(Settings):
    """A trick as the spec declares it."""

    baseline: Level = Field(description="The trick switched off.", json_schema_extra={"allowed": _LEVEL})
    levels: tuple[Level, ...] = Field(
        default=(), description="The settings to compare with the baseline.", json_schema_extra={"allowed": _LEVELS}
    )
    sets: str | tuple[str, ...] | dict[str, dict[str, Any] | None] | None = Field(
        default=None,
        description="Which settings a level means; null: the one called like the factor.",
        json_schema_extra={"allowed": "a setting's name, a list of names, or a mapping LEVEL: {setting: value}"},
    )
    requires: dict[str, tuple[Level, ...]] = Field(
        default={},
        description="Levels that other factors must have where this trick is on.",
        json_schema_extra={"allowed": _OTHERS},
    )
    exclude: dict[str, tuple[Level, ...]] = Field(
        default={},
        description="Levels that other factors must not have where this trick is on.",
        json_schema_extra={"allowed": _OTHERS},
    )

    when: dict[str, tuple[Level, ...]] = Field(
        default={},
        description="Levels of other factors under which this trick exists; elsewhere it stays at its baseline.",
        json_schema_extra={"allowed": _OTHERS},
    )

    @property
    def every_level(self) -> tuple[Level, ...]:
        """The baseline, then the levels."""
        return (self.baseline, *self.levels)

    def settings(self, name: str, level: Level) -> dict[str, Any]:
        """Setting -> value at `level`, the settings named as the spec names them."""
        if self.sets is None:
            return {name: level}
        if isinstance(self.sets, str):
            return {self.sets: level}
        if isinstance(self.sets, tuple):
            return dict.fromkeys(self.sets, level)
        key = self.key_of(level)
        return {} if key is None else dict(self.sets[key] or {})

    def key_of(self, level: Level) -> str | None:
        """The key under `sets` that stands for `level`."""
        keys = self.sets if isinstance(self.sets, dict) else {}
        exact = (key for key in keys if key == level)
        read = (key for key in keys if same(scalar(key), level))  # `on` for true, 0.80 for 0.8
        return next(exact, None) or next(read, None)


def label(level: Level) -> str:
    """`level` as cells, tables and figures name it: the one place where a level becomes text, and not to be read back.

    Levels that read alike are refused with the spec; what must tell levels apart compares them by `same`.
    """
    if level is None or isinstance(level, bool):
        return "on" if level else "off"
    return f"{level:g}" if isinstance(level, float) else str(level)


def same(one: Level, other: Level) -> bool:
    """Whether two levels are one. Python takes true for 1 and false for 0; we do not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def among(level: Level, levels: Iterable[Level]) -> bool:
    """Whether `level` is one of `levels`."""
    return any(same(level, each) for each in levels)


def spelled(level: Level) -> str:
    """`level` as one writes it in a spec, for refusals."""
    return level if isinstance(level, str) else shown(level)


@dataclass(frozen=True, eq=False)
class Sections:
    """The sections `train` and `data` of a recipe with some settings assigned, each combination validated once."""

    recipe: Recipe
    raw: Mapping[Section, Mapping[str, Any]]
    _built: dict[tuple[Section, str], tuple[BaseModel | None, list[Refusal]]] = field(default_factory=dict, init=False)

    def at(self, values: Assigned) -> tuple[BaseModel | None, BaseModel | None, list[tuple[Section, Refusal]]]:
        """Both sections with `values` assigned, None where that is refused, and every refusal with its section."""
        (train, of_train), (data, of_data) = self._section("train", values), self._section("data", values)
        return train, data, [*(("train", each) for each in of_train), *(("data", each) for each in of_data)]

    def _section(self, section: Section, values: Assigned) -> tuple[BaseModel | None, list[Refusal]]:
        own = {setting: value for (where, setting), value in values.items() if where == section}
        key = section, repr(sorted(own.items(), key=lambda entry: entry[0]))
        if key not in self._built:
            model = self.recipe.settings if section == "train" else self.recipe.data
            self._built[key] = build(model, {**self.raw[section], **own})
        return self._built[key]


def assigned(factors: Mapping[str, Factor], levels: Mapping[str, Level], recipe: Recipe) -> Assigned:
    """Section and setting -> value, for every factor at its level in `levels`."""
    return {
        resolve(setting, recipe): value
        for name, level in levels.items()
        for setting, value in factors[name].settings(name, level).items()
    }


def resolve(setting: str, recipe: Recipe) -> tuple[Section, str]:
    """Section and name of `setting`: the recipe's first, then the data's; `train.x` and `data.x` say which.

    Raises LookupError with the reason where there is no such setting, or it belongs to the evaluation.
    """
    sections: dict[Section, Mapping[str, Any]] = {
        "train": recipe.settings.model_fields,
        "data": recipe.data.model_fields,
    }
    prefix, _, name = setting.rpartition(".")
    for section, fields in sections.items():
        if name in fields and prefix in ("", section) and setting not in _SPELT_OUT.get(section, ()):
            return section, name
    if setting.split(".")[0] == "evaluate" or setting in recipe.evaluate.model_fields:
        raise LookupError(
            f"'{setting}' belongs to the evaluation, which never moves with the treatment: scores taken with different"
            f" yardsticks cannot be compared; set it once for the whole study under evaluate"
        )
    if setting == "seed":
        also = "; the seed of the data is data.seed, spelt out" if "seed" in sections["data"] else ""
        raise LookupError(f"'seed' is no setting: the seeds of runs belong to `seeds`, like seeds: 5{also}")
    known = {name for fields in sections.values() for name in fields}
    raise LookupError(f"the recipe and the data have no setting '{setting}'; {nearest(setting, known)}")
