"""A plan on the terminal, before anything runs: factors, cells, contrasts, what is confounded and what is dropped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.design import Plan, Search
from harness.spec import Factor, label
from harness.spec.described import written
from harness.spec.seeds import MOST_ANYTIME


def print_plan(console: Console, plan: Plan, factors: Mapping[str, Factor]) -> None:
    """Print all that a plan of a spec with these `factors` will run."""
    budget = f" of {plan.budget} each" if plan.budget.unit else ""
    if plan.search is None:
        _print_design(console, plan, budget)
    else:
        _print_search(console, plan, plan.search, budget)
    _section(console, _factors(factors))
    if plan.search is not None:
        return
    cells = empty_table("Cells", "cell", "differs from the control in")
    control = plan.cell(plan.control).settings
    for cell in plan.cells:
        changes = [
            f"{name.removeprefix('train.')}={written(value)}"
            for name, value in cell.settings.items()
            if control.get(name) != value
        ]
        cells.add_row(Text(cell.name), Text(", ".join(changes) or "(the control)"))
    _section(console, cells)
    contrasts = empty_table("Contrasts", "contrast", right=("pairs per seed",))
    for contrast in plan.contrasts:
        contrasts.add_row(Text(contrast.name), str(len(contrast.pairs)))
    _section(console, contrasts)
    if plan.confounding or plan.dropped:
        console.print()
    for line in plan.confounding:
        _line(console, f"confounded: {line}")
    names: dict[str, list[str]] = {}
    for dropped in plan.dropped:
        names.setdefault(dropped.reason, []).append(dropped.name)
    for reason, cells_of in names.items():
        _line(console, f"dropped: {'; '.join(cells_of)}: {reason}")


def empty_table(title: str, *headings: str, right: Iterable[str] = ()) -> Table:
    """An empty table: columns of text, then columns of numbers, at the `right`."""
    made = Table(title=title, box=None, title_justify="left", padding=(0, 2, 0, 0))
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for heading in right:
        made.add_column(heading, justify="right")
    return made


def _print_design(console: Console, plan: Plan, budget: str) -> None:
    seeds = len({run.seed for run in plan.runs})
    cells = f"{len(plan.cells)} cell{'s' * (len(plan.cells) != 1)} x {seeds} seed{'s' * (seeds != 1)}"
    size = f"{cells} = {len(plan.runs)} runs"
    if plan.waves is not None:
        most = (
            f"{plan.waves.first} to {seeds} seeds, at most {len(plan.runs)} runs"
            if plan.waves.most
            else f"{plan.waves.first} seeds or more, no maximum; ends after {MOST_ANYTIME:,} seeds at the latest"
        )
        size = f"{len(plan.cells)} cells x {most}"
    _line(console, f"{plan.study}: recipe {plan.recipe}, {plan.design}, {size}{budget}")
    if plan.trainings < len(plan.runs):
        _line(console, f"{plan.trainings} trainings: runs that differ at sampling only share theirs")
    _line(console, f"about {plan.objective.title}, {plan.objective.better} is better")


def _print_search(console: Console, plan: Plan, search: Search, budget: str) -> None:
    space = math.prod(len(levels) for levels in search.levels.values())
    seeds = f"{len(search.seeds)} seed{'s' * (len(search.seeds) > 1)}"
    _line(
        console,
        f"{plan.study}: recipe {plan.recipe}, search by {search.sampler}, {search.trials} runs{budget} among {space:,} "
        f"cells of up to {seeds} each",
    )
    wanted = " and ".join(f"{each.better} {each.title}" for each in plan.objectives)
    stops = "stops runs that are worse than the median" if search.prune else "stops no run early"
    _line(console, f"wants {wanted}; {stops}")


def _factors(factors: Mapping[str, Factor]) -> Table:
    made = empty_table("Factors", "factor", "levels, the baseline first")
    for name, factor in factors.items():
        levels = ", ".join(map(label, factor.every_level))
        where = " and ".join(f"{other} is {' or '.join(map(label, some))}" for other, some in factor.when.items())
        made.add_row(Text(name), Text(f"{levels}, where {where}" if where else levels))
    return made


def _section(console: Console, content: Table) -> None:
    console.print()
    console.print(content)


def _line(console: Console, text: str) -> None:
    """One line; in a file it stays whole, a terminal gets it broken between words."""
    console.print(text, markup=False, highlight=False, soft_wrap=not console.is_terminal)
