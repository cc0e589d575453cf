"""Levels that change nothing where others are: all that such a level sets plays no part there, and why."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

from pydantic import BaseModel

from harness.settings import asleep, idle
from harness.spec.factors import Factor, Level, Section, Sections, assigned, same, spelled
from harness.spec.identity import effective
from harness.spec.refusals import shown

_MOST = 512  # combinations of the other factors that are tried


def sleepers(factors: Mapping[str, Factor], levels: Mapping[str, Level], sections: Sections) -> dict[str, str]:
    """The factors whose level changes nothing at `levels`, and why: `beta plays no part where averaging is none`.

    None where that combination, or that with the factor at its baseline, is impossible.
    """
    train, data, _ = sections.at(assigned(factors, levels, sections.recipe))
    if train is None or data is None:
        return {}
    models: dict[Section, BaseModel] = {"train": train, "data": data}
    unused = {(section, setting) for section, model in models.items() for setting in idle(model)}
    found = {}
    for name, factor in factors.items() if unused else ():
        if same(levels[name], factor.baseline):
            continue
        own = [assigned({name: factor}, {name: level}, sections.recipe) for level in (levels[name], factor.baseline)]
        targets = [target for target in dict.fromkeys([*own[0], *own[1]]) if target in unused]
        if targets and _alike(models, factors, {**levels, name: factor.baseline}, sections):
            found[name] = "; ".join(_why(models[section], setting) for section, setting in targets)
    return found


def _alike(
    models: Mapping[Section, BaseModel], factors: Mapping[str, Factor], levels: Mapping[str, Level], sections: Sections
) -> bool:
    train, data, _ = sections.at(assigned(factors, levels, sections.recipe))
    if train is None or data is None:
        return False
    return effective(models["train"]) == effective(train) and effective(models["data"]) == effective(data)


def wakes_under(factors: Mapping[str, Factor], name: str, sections: Sections) -> dict[str, list[Level]]:
    """One other factor that it depends on, and those of its levels, all else at its baseline, where it counts."""
    baseline: dict[str, Level] = {other: factor.baseline for other, factor in factors.items()}
    on = {**baseline, name: factors[name].levels[0]}
    for other, factor in factors.items():
        levels = factor.every_level if other != name else ()
        found = [level for level in levels if _changes(factors, name, {**on, other: level}, sections)]
        if 0 < len(found) < len(levels):
            return {other: found}
    return {}


def ever_wakes(factors: Mapping[str, Factor], name: str, level: Level, sections: Sections) -> bool:
    """Whether the level changes anything at some levels of the others; taken for granted where they are too many."""
    on = {**{other: factor.baseline for other, factor in factors.items()}, name: level}
    others = {other: factor.every_level for other, factor in factors.items() if other != name}
    alone = ({**on, other: level} for other, levels in others.items() for level in levels)
    if any(_changes(factors, name, levels, sections) for levels in alone):
        return True
    if math.prod(map(len, others.values())) > _MOST:
        return True
    combinations = (dict(zip(others, some, strict=True)) for some in itertools.product(*others.values()))
    return any(_changes(factors, name, {**on, **some}, sections) for some in combinations)


def _changes(factors: Mapping[str, Factor], name: str, levels: Mapping[str, Level], sections: Sections) -> bool:
    possible = all(each is not None for each in sections.at(assigned(factors, levels, sections.recipe))[:2])
    return possible and name not in sleepers(factors, levels, sections)


def _why(settings: BaseModel, name: str) -> str:
    others, values = asleep(settings)[name], settings.model_dump(mode="json")
    where = (f"{other} is {spelled(value) if _is_level(value := values[other]) else shown(value)}" for other in others)
    return f"{name} plays no part where {' and '.join(where)}"


def _is_level(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
