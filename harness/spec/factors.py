"""A factor: a switchable trick, the settings that its levels name, and every way in which one can be wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from harness.data.settings import DataSettings
from harness.errors import nearest
from harness.recipes.dcgan.settings import EvaluateSettings
from harness.settings import Settings
from harness.spec.documents import Keys, scalar
from harness.spec.refusals import build, shown

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

    def named(self, text: str) -> list[Level]:
        """The levels (one, or none) that `text` is the label of."""
        return [level for level in self.every_level if text == label(level)]

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
        exact = (key for key in keys if key == label(level))
        read = (key for key in keys if label(scalar(key)) == label(level))  # `on` for true, 0.80 for 0.8
        return next(exact, None) or next(read, None)


def label(level: Level) -> str:
    """`level` as cells and tables name it."""
    if level is None or isinstance(level, bool):
        return {None: "null", True: "true", False: "false"}[level]
    return str(level)


def assigned(factors: Mapping[str, Factor], levels: Mapping[str, Level], recipe: type[BaseModel]) -> Assigned:
    """Section and setting -> value, for every factor at its level in `levels`."""
    values: Assigned = {}
    for name, level in levels.items():
        for setting, value in factors[name].settings(name, level).items():
            values[resolve(setting, recipe)] = value
    return values


def resolve(setting: str, recipe: type[BaseModel]) -> tuple[Section, str]:
    """Section and name of `setting`: the recipe's first, then the data's; `train.x` and `data.x` say which.

    Raises LookupError with the reason where there is no such setting, or it belongs to the evaluation.
    """
    known = {**dict.fromkeys(DataSettings.model_fields, "data"), **dict.fromkeys(recipe.model_fields, "train")}
    section, dot, name = setting.rpartition(".")
    if not dot and name in known:
        return ("train" if known[name] == "train" else "data"), name
    if section == "train" and name in recipe.model_fields:
        return "train", name
    if section == "data" and name in DataSettings.model_fields:
        return "data", name
    if section.split(".")[0] == "evaluate" or setting == "evaluate" or setting in EvaluateSettings.model_fields:
        raise LookupError(
            f"'{setting}' belongs to the evaluation, which never moves with the treatment: scores taken with different"
            f" yardsticks cannot be compared; set it once for the whole study under evaluate"
        )
    raise LookupError(f"the recipe and the data have no setting '{setting}'; {nearest(setting, known)}")


class FactorCheck:
    """Checks all factors of a spec and reports each mistake through `refuse(keys, text)`."""

    def __init__(
        self,
        factors: Mapping[str, Factor],
        raw: Mapping[Section, Mapping[str, Any]],
        recipe: type[BaseModel],
        refuse: Callable[[Keys, str], None],
        same_source: Callable[[Keys, Keys], bool],
    ) -> None:
        self.factors = factors
        self.raw = raw
        self.recipe = recipe
        self.refuse = refuse
        self.same_source = same_source

    def run(self) -> None:
        # Values are judged only where all names are right: a wrong name would make wrong values of right ones.
        named = {name: factor for name, factor in self.factors.items() if self._names(name, factor)}
        self._shared(named)
        for name, factor in named.items():
            self._against_base(name, factor)
            self._values(name, named)
            self._others(name, factor, "requires", factor.requires)
            self._others(name, factor, "exclude", factor.exclude)

    def _names(self, name: str, factor: Factor) -> bool:
        """Whether every setting that the factor names exists, and its levels can be told apart."""
        good = True
        for keys, setting in self._mentions(name, factor):
            try:
                resolve(setting, self.recipe)
            except LookupError as error:
                self.refuse(keys, str(error.args[0]))
                good = False
        if not good:
            return False
        if not factor.levels:
            self.refuse(
                ("factors", name, "levels"), "there is no level; name at least one to compare with the baseline"
            )
        labels = [label(level) for level in factor.every_level]
        for index, text in enumerate(labels[1:]):
            if text in labels[: index + 1]:
                first = "the baseline" if text == labels[0] else "a level before it"
                self.refuse(("factors", name, "levels", index), f"{text} is {first} already; name it once")
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
                levels = nearest(key, map(label, factor.every_level))
                self.refuse((*sets, key), f"the factor has no level '{key}'; {levels}")
        return mentions

    def _shared(self, named: Mapping[str, Factor]) -> None:
        owner: dict[tuple[Section, str], str] = {}
        for name, factor in named.items():
            for target in {resolve(setting, self.recipe): None for _, setting in self._mentions(name, factor)}:
                if target in owner:
                    text = f"sets {'.'.join(target)}, which factor '{owner[target]}' sets too; leave it to one of them"
                    self.refuse(("factors", name), text)
                owner.setdefault(target, name)

    def _against_base(self, name: str, factor: Factor) -> None:
        """A fixed setting that the factor's baseline overrules would have no effect, and say nothing of it."""
        for (section, setting), value in assigned({name: factor}, {name: factor.baseline}, self.recipe).items():
            fixed = self.raw[section].get(setting, value)
            if fixed != value:
                self.refuse(
                    (section, setting),
                    f"{shown(fixed)} has no effect: factor '{name}' sets it, its baseline is {shown(value)};"
                    f" change factors.{name}.baseline instead",
                )

    def _values(self, name: str, named: Mapping[str, Factor]) -> None:
        """Every level of the factor, validated as the complete settings of its cell."""
        factor = named[name]
        baseline = {other: named[other].baseline for other in named}
        control = self._built(named, baseline)
        for index, level in enumerate(factor.every_level):
            keys: Keys = ("factors", name, "baseline") if index == 0 else ("factors", name, "levels", index - 1)
            own = assigned({name: factor}, {name: level}, self.recipe)
            built = self._built(named, {**baseline, name: level}, own, factor, (name, keys))
            if index and built is not None and built == control:
                key = nearest(label(level), factor.sets) if isinstance(factor.sets, dict) and not own else ""
                why = f" (sets has: {key.removeprefix('allowed: ')})" if key else ""
                self.refuse(
                    keys, f"{shown(level)} changes nothing against the baseline{why}; let it set something else"
                )

    def _built(
        self,
        named: Mapping[str, Factor],
        levels: Mapping[str, Level],
        own: Assigned | None = None,
        factor: Factor | None = None,
        place: tuple[str, Keys] | None = None,
    ) -> tuple[BaseModel, BaseModel] | None:
        """Both sections at `levels`; refusals of the values in `own` are reported at their level."""
        values = assigned(named, levels, self.recipe)
        models: dict[Section, type[BaseModel]] = {"train": self.recipe, "data": DataSettings}
        built: list[BaseModel] = []
        for section, model in models.items():
            mine = {setting: value for (where, setting), value in values.items() if where == section}
            instance, refusals = build(model, {**self.raw[section], **mine})
            built += [instance] if instance is not None else []
            for keys, text in refusals:
                # Refusals of other settings are reported where those are; of the whole, when the cell is planned.
                if own is None or factor is None or place is None or not keys or (section, keys[0]) not in own:
                    continue
                name, where = place
                if isinstance(factor.sets, dict):
                    key = factor.key_of(levels[name])
                    where = ("factors", name, "sets", key or "", str(keys[0]))
                self.refuse(where, text)
        return (built[0], built[1]) if len(built) == 2 else None

    def _others(self, name: str, factor: Factor, rule: str, others: Mapping[str, tuple[Level, ...]]) -> None:
        for other, levels in others.items():
            keys: Keys = ("factors", name, rule, other)
            if other not in self.factors or other == name:
                names = nearest(other, (known for known in self.factors if known != name))
                self.refuse(keys, f"there is no other factor '{other}'; {names}")
                continue
            known = [label(level) for level in self.factors[other].every_level]
            for index, level in enumerate(levels):
                if label(level) not in known:
                    text = f"{shown(level)} is no level of factor '{other}'; {nearest(label(level), known)}"
                    self.refuse((*keys, index), text)
            if not levels:
                self.refuse(keys, f"names no level of factor '{other}'; {nearest('', known)}")
