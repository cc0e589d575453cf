"""A study's YAML made into a validated Spec: all mistakes at once, each in one line with its place and its remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from pydantic_core import PydanticSerializationError

from harness.errors import SpecError, listed, nearest
from harness.measures import Direction, Kind, Measure
from harness.recipes import Recipe
from harness.recipes.address import Address
from harness.settings import Budget, Settings
from harness.spec import documents
from harness.spec.checks import FactorCheck, composite_levels
from harness.spec.designs import DesignCheck, DesignSettings, kinds_by_name
from harness.spec.documents import Keys, Marked
from harness.spec.factors import Factor, Level, Sections, assigned
from harness.spec.limits import MOST_FACTORS, MOST_LEVELS, MOST_MISTAKES
from harness.spec.refusals import Model, Refusal, build, shown
from harness.spec.seeds import Waves, seeds_of
from harness.spec.worth import USUAL, Worth, worth_of

KEYS = ("study", "recipe", "objective", "worth", "data", "train", "evaluate", "factors", "design", "seeds", "budget")
OWN = "x-"
"""What a key of the spec begins with that is the user's own: a place for YAML anchors, read by nobody."""
LONGEST = 100
FEWER = "keep those that the study is about"
_MOST_BYTES = 200  # of a study's name in UTF-8, which folders and locks are called by
NAME = re.compile(r"\w[\w.-]*")
PRODUCT = re.compile(r"[*:×]|\s[xX]\s")
INTERACTIONS = (
    "interactions are estimated from cells that combine the factors; name each factor by itself and write "
    "design: {kind: full-factorial}"
)
ADDRESSES = (
    "name an installed one, like recipe: dcgan, or give its place, like ./train.py:name or package.module:name, or a "
    "command, like {command: [python, train.py, --lr, '{lr}'], settings: {lr: 0.1}}"
)


class Objective(Settings):
    """What a study is about, where it is not the recipe's own objective."""

    metric: str = Field(min_length=1, description="A measure that runs end with, by its name.")
    direction: Direction | None = Field(
        default=None, description="minimize or maximize; null: as the recipe declares the measure."
    )


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One study, validated. `train`, `data` and `evaluate` are instances of the recipe's models.

    `seeds` are all that may be run, in this order; with `waves` no more of them than it takes.
    """

    study: str
    recipe: Recipe = field(compare=False)
    address: Address
    objective: Measure
    worth: Worth = USUAL
    measures: tuple[Measure, ...]
    data: Any
    train: Any
    evaluate: Any
    factors: dict[str, Factor]
    design: DesignSettings
    seeds: tuple[int, ...]
    budget: Budget
    waves: Waves | None = None
    path: Path | None = None
    document: Marked = field(repr=False, compare=False)
    sections: Sections = field(repr=False, compare=False)

    def settings(self, levels: dict[str, Level]) -> tuple[BaseModel | None, BaseModel | None, list[Refusal]]:
        """Complete train and data settings with every factor at its level in `levels`, or why there are none."""
        train, data, refused = self.sections.at(assigned(self.factors, levels, self.sections.recipe))
        return train, data, [refusal for _, refusal in refused]

    def references(self, data: BaseModel) -> Mapping[str, BaseModel]:
        """Name -> the data of each fixed set that runs are scored against. Raises SpecError."""
        try:
            return self.sections.recipe.references(data, self.evaluate)
        except SpecError as error:
            raise self.refusal(("evaluate", "references"), str(error)) from None

    def refusal(self, keys: Keys, text: str) -> SpecError:
        """The error that says `text` of the value at `keys`, with its place."""
        return SpecError(_line(self.document, keys, text))


def load(path: str | Path, overrides: Sequence[str] = ()) -> Spec:
    """The spec in the YAML file at `path` with `overrides` ("train.batch=64") laid over it.

    Raises SpecError, whose message holds one line per mistake.
    """
    return _Check(documents.read(path, overrides), Path(path)).spec()


def from_document(raw: dict[str, Any], *, origin: str, folder: str | Path = ".") -> Spec:
    """The spec that `plain(spec.document)` was taken of, its recipe looked for from `folder`.

    Raises SpecError, whose places name `origin`.
    """
    return _Check(documents.from_plain(raw, origin), Path(folder, origin)).spec()


def _line(document: Marked, keys: Keys, text: str) -> str:
    dotted = ".".join(key for key in keys if isinstance(key, str))
    return f"{documents.at(document, keys).place}: {dotted}: {text}"


def _unwritable(settings: BaseModel) -> list[str]:
    """The settings that no other process can be told of."""
    found = []
    for name in type(settings).model_fields:
        try:
            settings.model_dump(mode="json", include={name})
        except PydanticSerializationError:
            found.append(name)
    return found


class _Check:
    """Goes through a document section by section and keeps every refusal."""

    def __init__(self, document: Marked, path: Path) -> None:
        self.document = document
        self.path = path
        self.raw: dict[str, Any] = documents.plain(document)
        self.refused: dict[str, None] = {}

    def refuse(self, keys: Keys, text: str) -> None:
        self.refused[_line(self.document, keys, text)] = None  # a value refused on two ways is said once
        if len(self.refused) >= MOST_MISTAKES:
            last = f"{self.path}: these are {MOST_MISTAKES} mistakes, and there may be more; mend them first"
            raise SpecError("\n".join([*self.refused, last]))

    def spec(self) -> Spec:
        for key in self.raw:
            if key == "interactions":
                self.refuse((key,), f"is no key: {INTERACTIONS}")
            elif key not in KEYS and not key.startswith(OWN):
                self.refuse((key,), f"unknown key; {nearest(key, KEYS)}")
        study, (seeds, waves) = self.study(), self.seeds()
        recipe = self.recipe()
        train = self.of_recipe("train", recipe.settings if recipe else None)
        data = self.of_recipe("data", recipe.data if recipe else None)
        evaluate = self.of_recipe("evaluate", recipe.evaluate if recipe else None)
        budget = self.budget(recipe.budget) if recipe else None
        design = self.section("design", DesignSettings, kinds_by_name)
        factors = self.factors(needed=design is None or design.kind != "noise")
        sections = Sections(recipe, {"train": self.mapping("train"), "data": self.mapping("data")}) if recipe else None
        known = (recipe.objective, *recipe.measures(evaluate)) if recipe and evaluate else ()
        objective = self.objective(recipe, known) if recipe else None
        worth = self.worth(objective)
        if sections and factors is not None:
            FactorCheck(factors, sections, self.refuse, self.same_source).run()
        if design is not None and factors is not None:
            timed = self.mapping("budget").get("seconds") is not None
            open_ended = waves is not None and waves.most is None
            DesignCheck(factors=factors, seconds=timed, open_ended=open_ended, refuse=self.refuse).run(design)
            if waves and design.kind == "search":
                text = (
                    "a search asks its sampler for the next run and has no waves; give a count of seeds, like seeds: 3"
                )
                self.refuse(("seeds",), text)
            if waves and design.kind == "noise":
                text = "a noise study has no trick to settle and no waves; give a count of seeds, like seeds: 8"
                self.refuse(("seeds",), text)
        if self.refused or not (data and evaluate and design and budget and recipe and sections and train):
            raise SpecError("\n".join(self.refused))
        assert objective is not None
        assert factors is not None
        return Spec(
            study=study,
            recipe=recipe,
            address=self.address(),
            objective=objective,
            worth=worth,
            measures=tuple(each for each in known if each.name != objective.name),
            data=data,
            train=train,
            evaluate=evaluate,
            factors=factors,
            design=design,
            seeds=seeds,
            waves=waves,
            budget=budget,
            path=self.path,
            document=self.document,
            sections=sections,
        )

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.raw.get(key)
        return value if isinstance(value, dict) else {}

    def section(self, key: str, model: type[Model], read: Callable[[Any], Any] = lambda raw: raw) -> Model | None:
        raw = read(self.raw.get(key))
        built, refusals = build(model, {} if raw is None else raw)
        for keys, text in refusals:
            self.refuse((key, *keys), text)
        return built

    def same_source(self, one: Keys, other: Keys) -> bool:
        return documents.at(self.document, one).source == documents.at(self.document, other).source

    def study(self) -> str:
        study = self.raw.get("study")
        if "study" not in self.raw:
            self.refuse(("study",), "is missing; give the study a name, like study: tricks")
        elif not isinstance(study, str) or not NAME.fullmatch(study):
            rule = "must be a name of letters, digits, '-', '_' and '.'"
            self.refuse(("study",), f"{shown(study)} is not allowed: {rule}")
        elif len(study) > LONGEST:
            self.refuse(("study",), f"{shown(study)} has {len(study)} characters, at most {LONGEST} are allowed")
        elif len(study.encode()) > _MOST_BYTES:
            text = f"{shown(study)} has {len(study.encode())} bytes in UTF-8, at most {_MOST_BYTES} are allowed"
            self.refuse(("study",), text)
        return str(study)

    def seeds(self) -> tuple[tuple[int, ...], Waves | None]:
        if "seeds" not in self.raw:
            text = "is missing; say how many runs each cell gets, like seeds: 3, or {first: 3, most: 20}"
            self.refuse(("seeds",), text)
            return (), None
        return seeds_of(self.raw["seeds"], lambda keys, text: self.refuse(("seeds", *keys), text))

    def of_recipe(self, key: str, model: type[Model] | None) -> Model | None:
        """A section whose model is the recipe's, which may have none."""
        if model is None:
            return None
        if not model.model_fields and self.raw.get(key):
            self.refuse((key,), f"has no meaning: recipe '{self.name}' has no settings there; leave it out")
            return None
        built = self.section(key, model)
        for name in _unwritable(built) if built is not None else ():
            text = f"{shown(getattr(built, name))} cannot be written as JSON; settings are numbers, text and lists"
            self.refuse((key, name), text)
        return built

    def budget(self, model: type[Budget]) -> Budget | None:
        units = list(model.model_fields)
        raw = self.raw.get("budget")
        if raw is None:
            built, refused = build(model, {})
            if refused:
                example = f"{units[0]}: {40_000 if units[0] == 'images' else 20}"
                self.refuse(("budget",), f"is missing; say how long a run trains, like budget: {{{example}}}")
            return built
        given = [key for key, value in self.mapping("budget").items() if value is not None]
        if units and isinstance(raw, dict) and raw.keys() <= set(units) and len(given) != 1:
            last = list(raw)[-1:]  # where one was laid over the other, the later
            text = f"{shown(raw)} is not allowed: give one of {' and '.join(units)}, or set the other to null"
            self.refuse(("budget", *last), text)
            return None
        return self.of_recipe("budget", model)

    def address(self) -> Address:
        return Address.of(self.raw["recipe"], self.path.parent)

    @property
    def name(self) -> str:
        """What the spec calls its recipe."""
        value = self.raw.get("recipe")
        return value if isinstance(value, str) else "command"

    def recipe(self) -> Recipe | None:
        value = self.raw.get("recipe")
        if isinstance(value, str | dict) and value:
            try:
                return self.address().load()
            except SpecError as error:
                self.refuse(("recipe",), str(error).removeprefix("recipe "))
                return None
        missing = "is missing" if "recipe" not in self.raw else f"{shown(value)} is not allowed"
        self.refuse(("recipe",), f"{missing}; {ADDRESSES}")
        return None

    def objective(self, recipe: Recipe, known: Sequence[Measure]) -> Measure | None:
        """The measure that the study is about: the recipe's, unless the spec chooses another."""
        raw = self.raw.get("objective")
        if raw is None:
            if not recipe.objective.name:
                text = (
                    "is missing; name what the command prints, like objective: {metric: accuracy, direction: maximize}"
                )
                self.refuse(("objective",), text)
            return recipe.objective
        chosen = self.section("objective", Objective)
        if chosen is None:
            return None
        found = next((each for each in known if each.name == chosen.metric), None)
        if found is None and chosen.direction is None:
            names = [each.name for each in known if each.name]
            declared = f"; the recipe declares {listed(chosen.metric, names)}" if names else ""
            text = f"say which way is better, direction: minimize or maximize{declared}"
            self.refuse(("objective", "direction"), f"is missing for '{chosen.metric}'; {text}")
            return None
        if found is None:
            assert chosen.direction is not None
            return Measure(name=chosen.metric, title=chosen.metric.replace("_", " "), direction=chosen.direction)
        if chosen.direction not in (None, found.direction):
            text = f"{chosen.direction} is not allowed: the {found.title} is better {found.better}"
            self.refuse(("objective", "direction"), f"{text}; leave direction out")
        return replace(found, part_of="", yardstick_of="", kind=Kind.QUALITY)

    def worth(self, objective: Measure | None) -> Worth:
        """The smallest effect worth having; the usual where the spec says none, or the objective is refused."""
        found = worth_of(self.raw.get("worth"), objective.name) if objective else USUAL
        if isinstance(found, Worth):
            return found
        self.refuse(("worth",), found)
        return USUAL

    def factors(self, *, needed: bool) -> dict[str, Factor] | None:
        """Every factor as declared; None where one of them is not even a factor, or none is there that is `needed`."""
        raw = self.raw.get("factors")
        if raw in (None, {}) and not needed:
            return {}
        if not isinstance(raw, dict) or not raw:
            rule = "must be a mapping, NAME: {baseline: ..., levels: [...]}, with at least one factor"
            self.refuse(("factors",), rule if raw is None else f"{shown(raw)} is not allowed: {rule}")
            return None
        if len(raw) > MOST_FACTORS:
            self.refuse(("factors",), f"{len(raw):,} factors are too many: at most {MOST_FACTORS} are allowed; {FEWER}")
            return None
        factors: dict[str, Factor] = {}
        for name, value in raw.items():
            levels = value.get("levels") if isinstance(value, dict) else None
            if isinstance(levels, list) and len(levels) > MOST_LEVELS:
                text = f"{len(levels):,} levels are too many: at most {MOST_LEVELS} are allowed; {FEWER}"
                self.refuse(("factors", name, "levels"), text)
                continue
            if value is None:
                known = nearest(name, [other for other, declared in raw.items() if declared is not None])
                self.refuse(("factors", name), f"null removes a factor that an extended file has; {known}")
                continue
            if PRODUCT.search(name):
                self.refuse(("factors", name), f"is no factor: {INTERACTIONS}")
                continue
            if not NAME.fullmatch(name):
                self.refuse(("factors", name), "is no name: letters, digits, '-', '_' and '.' make one")
            elif len(name) > LONGEST:
                self.refuse(("factors", name), f"the name has {len(name)} characters, at most {LONGEST} are allowed")
            factor, refusals = build(Factor, value)
            factors.update({name: factor} if factor else {})
            for keys, text in {**dict(refusals), **dict(composite_levels(name, value))}.items():
                self.refuse(("factors", name, *keys), text)
        return factors if len(factors) == len(raw) else None
