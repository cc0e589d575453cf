"""Levels that change nothing where others are: all that such a level sets plays no part there, and why."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

from pydantic import BaseModel

from harness.settings import When, idle
from harness.spec.factors import Factor, Level, Sections, assigned, same, spelled
from harness.spec.identity import effective
from harness.spec.refusals import shown

_MOST = 4096  # combinations of the other factors that are tried


def asleep(factors: Mapping[str, Factor], name: str, levels: Mapping[str, Level], sections: Sections) -> str:
    """Why the factor's level changes nothing at `levels`, like `beta plays no part where averaging is none`.

    "" where it changes something, or where one of the two combinations is none.
    """
    factor = factors[name]
    off = {**levels, name: factor.baseline}
    train, data, _ = sections.at(assigned(factors, levels, sections.recipe))
    train_off, data_off, _ = sections.at(assigned(factors, off, sections.recipe))
    if train is None or data is None or train_off is None or data_off is None:
        return ""
    if effective(train) != effective(train_off) or effective(data) != effective(data_off):
        return ""
    own = [assigned({name: factor}, {name: level}, sections.recipe) for level in (levels[name], factor.baseline)]
    models: dict[str, BaseModel] = {"train": train, "data": data}
    targets = dict.fromkeys(target for each in own for target in each)
    return "; ".join(_why(models[where], setting) for where, setting in targets if setting in idle(models[where]))


def wakes_under(factors: Mapping[str, Factor], name: str, sections: Sections) -> dict[str, list[Level]]:
    """One other factor and those of its levels, all else at its baseline, where this one's first level counts."""
    baseline: dict[str, Level] = {other: factor.baseline for other, factor in factors.items()}
    on = {**baseline, name: factors[name].levels[0]}
    for other, factor in factors.items():
        levels = factor.every_level if other != name else ()
        if found := [level for level in levels if _changes(factors, name, {**on, other: level}, sections)]:
            return {other: found}
    return {}


def ever_wakes(factors: Mapping[str, Factor], name: str, level: Level, sections: Sections) -> bool:
    """Whether the level changes anything at some levels of the others; taken for granted where they are too many."""
    others = {other: factor.every_level for other, factor in factors.items() if other != name}
    if math.prod(map(len, others.values())) > _MOST:
        return True
    combinations = (dict(zip(others, some, strict=True)) for some in itertools.product(*others.values()))
    return any(_changes(factors, name, {**some, name: level}, sections) for some in combinations)


def _changes(factors: Mapping[str, Factor], name: str, levels: Mapping[str, Level], sections: Sections) -> bool:
    possible = all(each is not None for each in sections.at(assigned(factors, levels, sections.recipe))[:2])
    return possible and not same(levels[name], factors[name].baseline) and not asleep(factors, name, levels, sections)


def _why(settings: BaseModel, name: str) -> str:
    marks = (mark for mark in type(settings).model_fields[name].metadata if isinstance(mark, When))
    others = dict.fromkeys(other for mark in marks for other in mark.unmet(settings))
    values = settings.model_dump(mode="json")
    where = (f"{other} is {spelled(value) if _is_level(value := values[other]) else shown(value)}" for other in others)
    return f"{name} plays no part where {' and '.join(where)}"


def _is_level(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
