"""A factor: a switchable trick, the settings that its levels name, and every way in which one can be wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, Field

from harness.errors import listed, nearest
from harness.recipes import Recipe
from harness.settings import Settings
from harness.spec.documents import Keys, scalar
from harness.spec.refusals import Refusal, build, shown

Level = bool | int | float | str | None
Section = Literal["train", "data"]
Assigned = dict[tuple[Section, str], Any]

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
        if name in fields and prefix in ("", section):
            return section, name
    if setting.split(".")[0] == "evaluate" or setting in recipe.evaluate.model_fields:
        raise LookupError(
            f"'{setting}' belongs to the evaluation, which never moves with the treatment: scores taken with different"
            f" yardsticks cannot be compared; set it once for the whole study under evaluate"
        )
    known = {name for fields in sections.values() for name in fields}
    raise LookupError(f"the recipe and the data have no setting '{setting}'; {nearest(setting, known)}")


@dataclass(frozen=True)
class FactorCheck:
    """Checks all factors of a spec and reports each mistake through `refuse(keys, text)`."""

    factors: Mapping[str, Factor]
    sections: Sections
    refuse: Callable[[Keys, str], None]
    same_source: Callable[[Keys, Keys], bool]

    def run(self) -> None:
        # Values are judged only where all names are right: a wrong name would make wrong values of right ones.
        named = {name: factor for name, factor in self.factors.items() if self._names(name, factor)}
        self._shared(named)
        for name, factor in named.items():
            self._against_base(name, factor)
            self._values(name, named)
            for rule, others in (("requires", factor.requires), ("exclude", factor.exclude)):
                self._others(name, rule, others)

    def _names(self, name: str, factor: Factor) -> bool:
        """Whether every setting that the factor names exists, and its levels can be told apart."""
        good = True
        for keys, setting in self._mentions(name, factor):
            try:
                resolve(setting, self.sections.recipe)
            except LookupError as error:
                self.refuse(keys, str(error.args[0]))
                good = False
        if not good:
            return False
        where: Keys = ("factors", name, "levels")
        if not factor.levels:
            self.refuse(where, "there is no level; name at least one to compare with the baseline")
        for index, level in enumerate(factor.levels):
            before = factor.every_level[: index + 1]
            if among(level, before):
                first = "the baseline" if same(level, factor.baseline) else "a level before it"
                self.refuse((*where, index), f"{spelled(level)} is {first} already; name it once")
                good = False
            elif alike := [each for each in before if label(each) == label(level)]:
                text = (
                    f"{shown(level)} and {shown(alike[0])} would both be called '{label(level)}' in every table; give "
                    "one of them another name as a level, and say under sets what it means"
                )
                self.refuse((*where, index), text)
                good = False
        return good

    def _mentions(self, name: str, factor: Factor) -> list[tuple[Keys, str]]:
        """Where the factor names settings, and which."""
        sets: Keys = ("factors", name, "sets")
        if factor.sets is None:
            return [(("factors", name), name)]
        if isinstance(factor.sets, str):
            return [(sets, factor.sets)]
        if isinstance(factor.sets, tuple):
            return [((*sets, index), setting) for index, setting in enumerate(factor.sets)]
        used = {factor.key_of(level) for level in factor.every_level}
        mentions: list[tuple[Keys, str]] = []
        for key, settings in factor.sets.items():
            if key in used:
                mentions += [((*sets, key, setting), setting) for setting in settings or {}]
            elif self.same_source((*sets, key), ("factors", name, "levels")):
                # Left over from an extended file it is harmless; beside the levels it is a slip of the pen.
                levels = nearest(key, map(spelled, factor.every_level))
                self.refuse((*sets, key), f"the factor has no level '{key}'; {levels}")
        return mentions

    def _shared(self, named: Mapping[str, Factor]) -> None:
        owner: dict[tuple[Section, str], str] = {}
        for name, factor in named.items():
            for target in {resolve(setting, self.sections.recipe): None for _, setting in self._mentions(name, factor)}:
                if target in owner:
                    text = f"sets {'.'.join(target)}, which factor '{owner[target]}' sets too; leave it to one of them"
                    self.refuse(("factors", name), text)
                owner.setdefault(target, name)

    def _against_base(self, name: str, factor: Factor) -> None:
        """A fixed setting that the factor's baseline overrules would have no effect, and say nothing of it."""
        for (section, setting), value in assigned(
            {name: factor}, {name: factor.baseline}, self.sections.recipe
        ).items():
            fixed = self.sections.raw[section].get(setting, value)
            if fixed != value:
                text = f"{shown(fixed)} has no effect: factor '{name}' sets it, its baseline is {shown(value)}; change"
                self.refuse((section, setting), f"{text} factors.{name}.baseline instead")

    def _values(self, name: str, named: Mapping[str, Factor]) -> None:
        """Every level of the factor, validated as the complete settings of its cell."""
        factor = named[name]
        baseline = {other: named[other].baseline for other in named}
        control: tuple[BaseModel | None, BaseModel | None] | None = None
        for index, level in enumerate(factor.every_level):
            keys: Keys = ("factors", name, "baseline") if index == 0 else ("factors", name, "levels", index - 1)
            own = assigned({name: factor}, {name: level}, self.sections.recipe)
            train, data, refused = self.sections.at(assigned(named, {**baseline, name: level}, self.sections.recipe))
            for section, (inner, text) in refused:
                # Refusals of other settings are reported where those are; of the whole, when the cell is planned.
                if inner and (section, inner[0]) in own:
                    within = ("sets", factor.key_of(level) or "", str(inner[0]))
                    self.refuse(("factors", name, *within) if isinstance(factor.sets, dict) else keys, text)
            if index == 0:
                control = None if refused else (train, data)
            elif control == (train, data):
                why = ""
                if isinstance(factor.sets, dict) and not own:
                    why = f" (sets has: {listed(spelled(level), factor.sets)})"
                text = f"{shown(level)} changes nothing against the baseline{why}; let it set something else"
                self.refuse(keys, text)

    def _others(self, name: str, rule: str, others: Mapping[str, tuple[Level, ...]]) -> None:
        for other, levels in others.items():
            keys: Keys = ("factors", name, rule, other)
            if other not in self.factors or other == name:
                names = nearest(other, (known for known in self.factors if known != name))
                self.refuse(keys, f"there is no other factor '{other}'; {names}")
                continue
            known = [spelled(level) for level in self.factors[other].every_level]
            for index, level in enumerate(levels):
                if not among(level, self.factors[other].every_level):
                    text = f"{shown(level)} is no level of factor '{other}'; {nearest(spelled(level), known)}"
                    self.refuse((*keys, index), text)
            if not levels:
                self.refuse(keys, f"names no level of factor '{other}'; {nearest('', known)}")
