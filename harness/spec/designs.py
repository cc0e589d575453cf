"""The design that a spec asks for: its kind, the keys that mean something there; every way to get one wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from harness.errors import nearest
from harness.settings import OneOf, Settings
from harness.spec.documents import Keys
from harness.spec.factors import Factor, Level, among, spelled
from harness.spec.nesting import condition
from harness.spec.refusals import shown

KINDS = (
    "one-at-a-time",
    "leave-one-out",
    "ladder",
    "full-factorial",
    "fractional-factorial",
    "plackett-burman",
    "union",
    "noise",
    "search",
)
"""`harness.design` has a layout for each but a search."""
Sampler = Literal["tpe", "gp", "nsga2"]
Test = Literal["t", "ranks"]
"""Student's, of normal noise; Wilcoxon's, of any that is symmetric."""

_CROSSED = ("fractional-factorial", "plackett-burman")
_MEANING: dict[str, tuple[str, ...]] = {
    "on": ("leave-one-out", "ladder", *_CROSSED),
    "order": ("ladder",),
    "resolution": ("fractional-factorial",),
    "fold_over": _CROSSED,
    "of": ("union",),
    "sampler": ("search",),
    "trials": ("search",),
    "prune": ("search",),
    "max_hours": tuple(kind for kind in KINDS if kind != "search"),
    "test": tuple(kind for kind in KINDS if kind != "search"),
}
"""Which kinds of design a key has a meaning for."""


class DesignSettings(Settings):
    """Which cells are run, and which are held against each other."""

    kind: Annotated[str, OneOf(KINDS)] = Field(
        default="one-at-a-time", description="How factors are combined into cells."
    )
    on: dict[str, Level] = Field(
        default={},
        description="Designs of two levels: the one at which a factor counts as on; its first where it is not named.",
        json_schema_extra={"allowed": "a mapping of factor to one of its levels, like {crop: square}"},
    )
    order: tuple[str, ...] = Field(
        default=(),
        description="ladder: the factors from the first rung up; null: as in the spec.",
        json_schema_extra={"allowed": "a list of every factor, like [crop, margin]"},
    )
    resolution: Literal[3, 4, 5] | None = Field(
        default=None, description="fractional-factorial: 3, 4 (the default) or 5; more confounds less and runs more."
    )
    fold_over: bool = Field(
        default=False,
        description="Fractions: run every cell's mirror image too, so that no interaction of two passes for a trick.",
    )
    max_hours: float | None = Field(
        default=None,
        gt=0,
        description="Hours of the machine that the study may take: of a fixed number of seeds the last are dropped "
        "before the first run, waves end with the last that is over by then.",
    )
    test: Test | None = Field(
        default=None,
        description="t (what is used) or ranks: for noise of heavy tails, by the typical difference, from 8 seeds on.",
    )
    of: tuple[DesignSettings, ...] = Field(
        default=(),
        description="union: the designs to unite.",
        json_schema_extra={"allowed": "a list of designs, like [one-at-a-time, {kind: leave-one-out, on: {...}}]"},
    )
    sampler: Sampler | None = Field(
        default=None,
        description="search: tpe (the default) and gp go by the objective, nsga2 by the objective and train seconds.",
    )
    trials: int | None = Field(default=None, ge=2, le=100_000, description="search: how many runs it may try.")
    prune: bool = Field(
        default=False,
        description="search: stop a run that is worse by the objective than the median at as many images.",
    )


def kinds_by_name(raw: Any) -> Any:
    """The design section with `of: [ladder]` written out as `of: [{kind: ladder}]`."""
    if not isinstance(raw, dict) or not isinstance(raw.get("of"), list):
        return raw
    return {**raw, "of": [{"kind": part} if isinstance(part, str) else kinds_by_name(part) for part in raw["of"]]}


@dataclass(frozen=True, kw_only=True)
class DesignCheck:
    """Checks a design against the spec's factors and reports each mistake through `refuse(keys, text)`."""

    factors: Mapping[str, Factor]
    seconds: bool  # whether runs have a budget of seconds
    open_ended: bool = False  # whether seeds have no declared maximum
    refuse: Callable[[Keys, str], None]

    def run(self, design: DesignSettings, keys: Keys = ("design",)) -> None:
        for key, kinds in _MEANING.items():
            if getattr(design, key) and design.kind not in kinds:
                remedy = f"leave it out or use kind: {' or '.join(kinds)}"
                if key == "max_hours":
                    remedy = "say how many runs it may try, like trials: 40"
                elif key == "test":
                    remedy = "leave it out: what a search finds is not tested"
                self.refuse((*keys, key), f"has no meaning for {design.kind}; {remedy}")
        for key in ("max_hours", "test"):
            if getattr(design, key) and keys != ("design",):
                self.refuse((*keys, key), "is the whole study's; set it beside `of`, not in one of its designs")
        if design.test == "ranks" and self.open_ended:
            text = (
                "needs a maximum that is laid down: give the most seeds, like seeds: {first: 3, most: 20}, or test: t"
            )
            self.refuse((*keys, "test"), f"ranks {text}")
        self._on(design, keys)
        self._order(design, keys)
        if design.kind == "search":
            self._search(design, keys)
        if design.kind in _CROSSED and (nested := [name for name, factor in self.factors.items() if factor.when]):
            text = (
                f"'{design.kind}' needs every factor in every cell, and '{nested[0]}' exists only where "
                f"{condition(self.factors[nested[0]])}; use one-at-a-time or full-factorial, or take the factor away"
            )
            self.refuse((*keys, "kind"), text)
        for index, part in enumerate(design.of):
            within = (*keys, "of", index)
            if part.kind == "search":
                text = "a search goes by its results and shares no runs with a design; make it a study of its own"
                self.refuse(within, text)
                continue
            if part.kind == "noise":
                self.refuse(within, "every design runs the baseline already; leave it out, or make it the only design")
                continue
            if part.kind == "union":
                self.refuse(within, "a union cannot hold another; name its designs here")
            self.run(part, within)

    def _on(self, design: DesignSettings, keys: Keys) -> None:
        for name, level in design.on.items():
            if name not in self.factors:
                self.refuse((*keys, "on", name), f"there is no factor '{name}'; {nearest(name, self.factors)}")
            elif not among(level, levels := self.factors[name].levels):
                text = f"{shown(level)} is no level of factor '{name}'; {nearest(spelled(level), map(spelled, levels))}"
                self.refuse((*keys, "on", name), text)

    def _order(self, design: DesignSettings, keys: Keys) -> None:
        for index, name in enumerate(design.order):
            if name not in self.factors:
                self.refuse((*keys, "order", index), f"there is no factor '{name}'; {nearest(name, self.factors)}")
            elif name in design.order[:index]:
                self.refuse((*keys, "order", index), f"'{name}' is named twice; name it once")
        if design.order and (missing := [name for name in self.factors if name not in design.order]):
            self.refuse((*keys, "order"), f"leaves out {', '.join(missing)}; name every factor, or take it away")

    def _search(self, design: DesignSettings, keys: Keys) -> None:
        if design.trials is None:
            self.refuse((*keys, "trials"), "is missing; say how many runs the search may try, like trials: 40")
        if design.prune and design.sampler == "nsga2":
            text = "nsga2 weighs two outcomes, and Optuna prunes by one; leave prune out, or use sampler: tpe"
            self.refuse((*keys, "prune"), text)
        if design.prune and self.seconds:
            text = "runs are compared after equally many images, and here each has its seconds; use budget.images"
            self.refuse((*keys, "prune"), text)
