"""Every way in which the factors of a spec can be wrong, each reported with its place and its remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from harness.errors import listed, nearest
from harness.spec import nesting
from harness.spec.documents import Keys
from harness.spec.factors import Factor, Level, Section, Sections, among, assigned, label, resolve, same, spelled
from harness.spec.idle import ever_wakes, sleepers
from harness.spec.refusals import Refusal, shown


def composite_levels(name: str, raw: Any) -> list[Refusal]:
    """Refusals of a factor's lists and mappings given as levels: what they mean belongs under `sets`."""
    if not isinstance(raw, Mapping):
        return []
    levels, sets = raw.get("levels"), raw.get("sets")
    places: list[tuple[Keys, Any]] = [(("baseline",), raw.get("baseline"))]
    places += [(("levels", index), level) for index, level in enumerate(levels if isinstance(levels, list) else ())]
    given = [sets] if isinstance(sets, str) else sets if isinstance(sets, list) else []
    settings = [each for each in given if isinstance(each, str)] or [name]
    found = []
    for keys, level in places:
        if isinstance(level, list | dict):
            meant = level if isinstance(level, dict) else dict.fromkeys(settings, level)
            text = (
                f"{shown(level)} is not allowed: a level is one value; name it, and say under sets what it means, "
                f"like {keys[0]}: {'a' if keys[0] == 'baseline' else '[a]'} with sets: {{a: {shown(meant)}}}"
            )
            found.append(Refusal(keys, text))
    return found


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
            for rule, others in (("requires", factor.requires), ("exclude", factor.exclude), ("when", factor.when)):
                self._others(name, rule, others)
        if not self._nested(named):
            named = {name: factor.model_copy(update={"when": {}}) for name, factor in named.items()}
        for name, factor in named.items():
            self._against_base(name, factor)
            self._values(name, named)

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

    def _nested(self, named: Mapping[str, Factor]) -> bool:
        """Whether conditions name factors and levels that there are, in no circle, and can all hold."""
        for name, factor in named.items():
            for other, allowed in factor.when.items():
                known = named[other].every_level if other in named and other != name else ()
                if not allowed or not all(among(level, known) for level in allowed):
                    return False  # refused above
        good = True
        told: set[str] = set()
        for name in named:
            way = nesting.circle(named, name)
            if way and name not in told:
                text = f"leads back to itself: {' -> '.join(way)}; a factor exists under others, which exist without it"
                self.refuse(("factors", name, "when"), f"{text}: take one of them away")
            told.update(way)
        if told:
            return False
        baseline: nesting.Levels = {name: factor.baseline for name, factor in named.items()}
        for name, factor in named.items():
            if factor.when and nesting.home(named, name, baseline) is None:
                text = f"can never hold: there are no levels at which {nesting.condition(factor)}; name others"
                self.refuse(("factors", name, "when"), text)
                good = False
        return good

    def _values(self, name: str, named: Mapping[str, Factor]) -> None:
        """Every level of the factor, validated as the complete settings of its cell."""
        factor = named[name]
        home = nesting.home(named, name, {other: named[other].baseline for other in named})
        assert home is not None, "conditions that can never hold are refused before"
        control: tuple[BaseModel | None, BaseModel | None] | None = None
        for index, level in enumerate(factor.every_level):
            keys: Keys = ("factors", name, "baseline") if index == 0 else ("factors", name, "levels", index - 1)
            levels = {**home, name: level}
            own = assigned({name: factor}, {name: level}, self.sections.recipe)
            train, data, refused = self.sections.at(assigned(named, levels, self.sections.recipe))
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
            elif (idle := sleepers(named, levels, self.sections).get(name)) and not ever_wakes(
                named, name, level, self.sections
            ):
                text = f"{shown(level)} changes nothing in any cell: {idle}; set that otherwise, or take this away"
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
