"""What each kind of design wants to run: cells by name, and contrasts between them, possible or not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from harness.design import fractions
from harness.design.model import Alias, Contrast
from harness.spec import DesignSettings, Spec, nesting
from harness.spec.factors import Level, label, same, spelled
from harness.spec.nesting import Levels

BASELINE = "baseline"
ALL_ON = "all on"
MOST_CELLS = 4096


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Cells by name, the control first; contrasts; what is confounded with what; whether every cell is needed."""

    cells: dict[str, Levels]
    contrasts: tuple[Contrast, ...]
    confounding: tuple[str, ...] = ()
    whole: bool = False


def one_at_a_time(spec: Spec, design: DesignSettings) -> Layout:
    """Every level alone against the baseline: what does each trick add to the plain recipe?

    A nested factor is held against the baseline with its condition's first level.
    """
    cells = _Cells(spec, {BASELINE: baseline_levels(spec)})
    contrasts = []
    for name, factor in spec.factors.items():
        control = _home(spec, name, baseline_levels(spec))
        below = cells.add(control)
        contrasts += [
            _contrast(spec, design, name, level, ((cells.add({**control, name: level}), below),))
            for level in factor.levels
        ]
    return Layout(cells=cells.levels, contrasts=tuple(contrasts))


def leave_one_out(spec: Spec, design: DesignSettings) -> Layout:
    """All tricks on against all but one: what does each trick still add to the full recipe?

    A contrast is all on (treated) against without (control), so that its sign means what it means elsewhere. Tricks
    that are nested under the one that is left out are off on both sides; one that does not exist where all are on is
    held against that with its condition's first level.
    """
    wanted = on_levels(spec, design)
    on = nesting.settled(spec.factors, wanted)
    cells = _Cells(spec, {ALL_ON: on})
    contrasts = []
    for name in spec.factors:
        if same(on[name], wanted[name]):
            treated, control = _matched(spec, name, wanted[name], on)
            with_it, without = (
                cells.add(levels, f"without {', '.join(other for other in on if not same(on[other], levels[other]))}")
                for levels in (treated, control)
            )
        else:
            treated, control = _matched(spec, name, wanted[name], _home(spec, name, on))
            with_it, without = cells.add(treated), cells.add(control)
        contrasts.append(_contrast(spec, design, name, wanted[name], ((with_it, without),)))
    return Layout(cells=cells.levels, contrasts=tuple(contrasts))


def ladder(spec: Spec, design: DesignSettings) -> Layout:
    """One trick on top of the other, in order, a nested one after its condition: the additive path of a paper's table.

    A contrast is a rung against the one below, so that what a trick seems worth depends on its place in the order.
    """
    on = on_levels(spec, design)
    cells = _Cells(spec, {BASELINE: baseline_levels(spec)})
    below, levels = BASELINE, baseline_levels(spec)
    contrasts = []
    for name in design.order or nesting.ordered(spec.factors):
        levels = {**levels, name: on[name]}
        kept = nesting.settled(spec.factors, levels)
        if lost := [other for other in kept if not same(kept[other], levels[other])]:
            where = nesting.condition(spec.factors[lost[0]])
            here = " and ".join(f"{other} at {spelled(levels[other])}" for other in spec.factors[lost[0]].when)
            text = (
                f"'{lost[0]}' exists only where {where}, and the rung '{name}' has {here}; name other levels under "
                "design.on, or put it after its condition in design.order"
            )
            raise spec.refusal(("design", "order" if design.order else "kind"), text)
        rung = cells.add(levels)
        contrasts.append(_contrast(spec, design, name, on[name], ((rung, below),)))
        below = rung
    return Layout(cells=cells.levels, contrasts=tuple(contrasts))


def full_factorial(spec: Spec, design: DesignSettings) -> Layout:
    """Every combination of levels: what does each trick add on average over all settings of the others?

    A nested factor stays at its baseline where it does not exist: such a cell is there once.
    """
    cells = _by_name(itertools.islice(nesting.every(spec.factors), MOST_CELLS + 1), spec)
    if len(cells) > MOST_CELLS:
        text = "'full-factorial' makes more cells than can be planned"
        raise spec.refusal(("design", "kind"), f"{text}, at most {MOST_CELLS}; take away factors or levels")
    contrasts = []
    for name, factor in spec.factors.items():
        for level in factor.levels:
            treated = [(cell, levels) for cell, levels in cells.items() if same(levels[name], level)]
            pairs = ((cell, cell_name({**levels, name: factor.baseline}, spec)) for cell, levels in treated)
            # Where others are nested under this level there is no cell that differs in this factor alone.
            matched = tuple((cell, control) for cell, control in pairs if control in cells)
            contrasts.append(_contrast(spec, design, name, level, matched))
    return Layout(cells=cells, contrasts=tuple(contrasts))


def fractional_factorial(spec: Spec, design: DesignSettings) -> Layout:
    """A fraction of the two-level factorial: main effects of many tricks from few cells, at a stated confounding."""
    resolution = design.resolution or fractions.DEFAULT_RESOLUTION
    if len(spec.factors) < resolution:
        text = (
            f"'fractional-factorial' of resolution {resolution} needs at least {resolution} factors, here are "
            f"{len(spec.factors)}; use full-factorial, or a lower resolution"
        )
        raise spec.refusal(("design", "kind"), text)
    return _two_level(spec, design, fractions.regular(len(spec.factors), resolution))


def plackett_burman(spec: Spec, design: DesignSettings) -> Layout:
    """The fewest cells that screen so many tricks for main effects, each mixed a little with all interactions."""
    try:
        signs = fractions.plackett_burman(len(spec.factors))
    except ValueError as error:
        text = f"'plackett-burman' is not known for {len(spec.factors)} factors: {error}; use fractional-factorial"
        raise spec.refusal(("design", "kind"), text) from None
    return _two_level(spec, design, signs)


def noise(spec: Spec, design: DesignSettings) -> Layout:
    """The baseline alone, seed by seed: how much do results differ where nothing does?"""
    return Layout(cells={BASELINE: baseline_levels(spec)}, contrasts=())


def union(spec: Spec, design: DesignSettings) -> Layout:
    """Several designs at once, a cell that several want being run once."""
    if not design.of:
        text = "'union' unites nothing; name its designs, like of: [one-at-a-time, leave-one-out]"
        raise spec.refusal(("design", "kind"), text)
    cells: dict[str, Levels] = {}
    names: dict[tuple[str, ...], str] = {}
    contrasts: dict[str, Contrast] = {}
    confounding: list[str] = []
    whole = False
    kinds = [part.kind for part in design.of]
    for position, part in enumerate(design.of):
        layout = DESIGNS[part.kind](spec, part)
        title = part.kind if kinds.count(part.kind) == 1 else f"{part.kind} {kinds[: position + 1].count(part.kind)}"
        own = {}
        for name, levels in layout.cells.items():
            # Two designs may mean other levels by the same name: the second is then called by its levels.
            free = name if name not in cells else cell_name(levels, spec)
            own[name] = names.setdefault(_labels(levels), free)
            cells.setdefault(own[name], levels)
        for contrast in layout.contrasts:
            pairs = tuple((own[treated], own[control]) for treated, control in contrast.pairs)
            name = contrast.name if contrast.name not in contrasts else f"{contrast.name} ({title})"
            contrasts[name] = replace(contrast, name=name, pairs=pairs, design=title)
        confounding += [f"{title}: {line}" for line in layout.confounding]
        whole = whole or layout.whole
    return Layout(cells=cells, contrasts=tuple(contrasts.values()), confounding=tuple(confounding), whole=whole)


DESIGNS: dict[str, Callable[[Spec, DesignSettings], Layout]] = {
    "one-at-a-time": one_at_a_time,
    "leave-one-out": leave_one_out,
    "ladder": ladder,
    "full-factorial": full_factorial,
    "fractional-factorial": fractional_factorial,
    "plackett-burman": plackett_burman,
    "union": union,
    "noise": noise,
}


def baseline_levels(spec: Spec) -> Levels:
    """Every factor at its baseline."""
    return {name: factor.baseline for name, factor in spec.factors.items()}


def on_levels(spec: Spec, design: DesignSettings) -> Levels:
    """Every factor at the level that counts as on: the one under `on`, else its first."""
    on = {name: factor.levels[0] for name, factor in spec.factors.items()}
    for name, wanted in design.on.items():
        on[name] = next(level for level in spec.factors[name].levels if same(level, wanted))
    return on


def cell_name(levels: Levels, spec: Spec) -> str:
    """A cell's name: the levels that are not the baseline's."""
    moved = [
        f"{name}={label(level)}" for name, level in levels.items() if label(level) != label(spec.factors[name].baseline)
    ]
    return ", ".join(moved) or BASELINE


def _two_level(spec: Spec, design: DesignSettings, signs: fractions.Signs) -> Layout:
    off, on = baseline_levels(spec), on_levels(spec, design)
    if design.fold_over:
        folded = fractions.fold_over(signs)
        if len(folded) == len(signs):
            text = "has nothing to add: the mirror of this fraction is the fraction itself; leave it out"
            raise spec.refusal(("design", "fold_over"), text)
        signs = folded
    # Signs are turned so that one row has every trick off, and is the control.
    signs = signs * -signs[signs.sum(axis=1).argmin()]
    rows = sorted(signs.tolist(), key=lambda row: (sum(row), [-sign for sign in row]))  # few tricks first
    names = list(spec.factors)
    turned = ({name: (on if sign > 0 else off)[name] for name, sign in zip(names, row, strict=True)} for row in rows)
    cells = _by_name(turned, spec)
    contrasts = []
    for name, held in zip(names, fractions.aliases(signs), strict=True):
        treated = [cell for cell, levels in cells.items() if label(levels[name]) == label(on[name])]
        pairs = tuple(zip(treated, [cell for cell in cells if cell not in treated], strict=True))
        aliases = tuple(Alias(factors=(names[a], names[b]), share=share) for (a, b), share in held.items())
        contrasts.append(replace(_contrast(spec, design, name, on[name], pairs), matched=False, aliases=aliases))
    lines = fractions.confounding(signs, names)
    return Layout(cells=cells, contrasts=tuple(contrasts), confounding=lines, whole=True)


class _Cells:
    """Cells by name, each combination of levels once, under the name that it was first given."""

    def __init__(self, spec: Spec, levels: dict[str, Levels]) -> None:
        self.levels = dict(levels)
        self._spec = spec
        self._names = {_labels(each): name for name, each in levels.items()}

    def add(self, levels: Levels, name: str = "") -> str:
        """The name of the cell at `levels`, which is `name` where it is new."""
        found = self._names.setdefault(_labels(levels), name or cell_name(levels, self._spec))
        self.levels.setdefault(found, levels)
        return found


def _labels(levels: Levels) -> tuple[str, ...]:
    return tuple(map(label, levels.values()))


def _home(spec: Spec, name: str, levels: Levels) -> Levels:
    """`levels` where the factor exists, it being at its baseline."""
    found = nesting.home(spec.factors, name, levels)
    assert found is not None, "conditions that can never hold are refused with the spec"
    return {**found, name: spec.factors[name].baseline}


def _matched(spec: Spec, name: str, level: Level, levels: Levels) -> tuple[Levels, Levels]:
    """`levels` with the factor at its level and at its baseline, and at their baselines what exists under one alone."""
    baseline = spec.factors[name].baseline
    while True:
        treated = nesting.settled(spec.factors, {**levels, name: level})
        control = nesting.settled(spec.factors, {**treated, name: baseline})
        if {**control, name: level} == treated:
            return treated, control
        levels = control


def _by_name(combinations: Iterable[Levels], spec: Spec) -> dict[str, Levels]:
    return {cell_name(levels, spec): levels for levels in combinations}


def _contrast(
    spec: Spec, design: DesignSettings, factor: str, level: Level, pairs: tuple[tuple[str, str], ...]
) -> Contrast:
    baseline = spec.factors[factor].baseline
    name = f"{factor}: {label(baseline)} -> {label(level)}"
    return Contrast(name=name, factor=factor, level=level, baseline=baseline, pairs=pairs, design=design.kind)
