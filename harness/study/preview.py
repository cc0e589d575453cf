"""What a study would run, on the terminal: cells, contrasts, what is confounded or dropped, and hours."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.design import Plan, Search
from harness.design import plan as make_plan
from harness.design.cap import cap
from harness.machine.provenance import cores
from harness.spec import Spec, label
from harness.study.ablate import Note, cap_line, run_seconds
from harness.study.answer import study_name
from harness.study.calibration import calibrate
from harness.study.placement import Options, place
from harness.study.progress import duration
from harness.study.store import StudyStore


def dry_run(study: Spec, options: Options, note: Note) -> None:
    """Print the plan, the time that its runs will take by a short timing, and what a cap on hours would drop.

    Writes nothing but prepared data into the cache. Raises HarnessError.
    """
    plan = make_plan(study)
    recipe = plan.address.load()
    recipe.check(plan.data, plan.evaluate)
    StudyStore(options.storage, study_name(study, plan)).refuse_used_seeds(plan)
    placement = place(plan, options)
    console = Console(highlight=False)
    _print_plan(console, plan)
    recipe.prepare(plan.data, plan.evaluate, workers=cores(), note=note)
    timed = _near(plan) if plan.search else plan
    note(f"timing: {len(timed.cells)} cells, a few seconds each")
    estimates = calibrate(timed, placement=placement)
    table = _table("Time, from a short run of every cell", "cell", right=("images/s", "training", "scoring"))
    for cell, times in estimates.items():
        spent = (duration(times[part]) for part in ("train_seconds", "other_seconds"))
        table.add_row(Text(cell), f"{times['images_per_second']:,.0f}", *spent)
    seconds = run_seconds(estimates, placement)
    mean = sum(seconds.values()) / len(seconds)
    total = mean * plan.size if plan.search else sum(seconds[run.cell] for run in plan.runs)
    console.print()
    console.print(table)
    console.print(f"\n{plan.size} runs, about {duration(total)} with {placement}")
    if study.design.max_hours:
        capped = cap(plan, seconds, study.design.max_hours)
        console.print(cap_line(capped, study.design.max_hours), soft_wrap=True)


def _table(title: str, *headings: str, right: Iterable[str] = ()) -> Table:
    """An empty table: columns of text, then columns of numbers, at the `right`."""
    table = Table(*headings, title=title, box=None, title_justify="left", padding=(0, 2, 0, 0))
    for heading in right:
        table.add_column(heading, justify="right")
    return table


def _near(plan: Plan) -> Plan:
    """The plan of a search with the cells that lie one level from its control, which stand for what it may try."""
    search = plan.search
    assert search is not None
    control = plan.cell(plan.control).levels
    around = [{**control, name: level} for name, levels in search.levels.items() for level in levels]
    return plan.with_tried(made for near in around if not isinstance(made := search.make(near, search.seeds[0]), str))


def _print_plan(console: Console, plan: Plan) -> None:
    budget = f" of {plan.budget} each" if plan.budget.unit else ""
    if plan.search is not None:
        _print_search(console, plan, plan.search, budget)
        return
    seeds = sorted({run.seed for run in plan.runs})
    console.print(
        f"[bold]{plan.study}[/bold]: {plan.design}, {len(plan.cells)} cells x {len(seeds)} seeds = "
        f"{len(plan.runs)} runs{budget}"
    )
    cells = _table("Cells", "cell", "differs from the control in")
    control = plan.cell(plan.control).settings
    for cell in plan.cells:
        changes = [
            f"{name.removeprefix('train.')}={value}"
            for name, value in cell.settings.items()
            if control.get(name) != value
        ]
        cells.add_row(Text(cell.name), Text(", ".join(changes) or "(the control)"))
    console.print(cells)
    contrasts = _table("Contrasts", "contrast", right=("pairs per seed",))
    for contrast in plan.contrasts:
        contrasts.add_row(Text(contrast.name), str(len(contrast.pairs)))
    console.print(contrasts)
    for line in plan.confounding:
        console.print(f"confounded: {line}", markup=False)
    for dropped in plan.dropped:
        console.print(f"dropped: {dropped.name}: {dropped.reason}", markup=False)


def _print_search(console: Console, plan: Plan, search: Search, budget: str) -> None:
    space = math.prod(len(levels) for levels in search.levels.values())
    seeds = f"{len(search.seeds)} seed{'s' * (len(search.seeds) > 1)}"
    console.print(
        f"[bold]{plan.study}[/bold]: search by {search.sampler}, {search.trials} runs{budget} among {space:,} "
        f"cells of up to {seeds} each",
        soft_wrap=True,
    )
    wanted = " and ".join(f"{each.better} {each.title}" for each in plan.objectives)
    stops = "stops runs that are worse than the median" if search.prune else "stops no run early"
    console.print(f"wants {wanted}; {stops}", soft_wrap=True)
    table = _table("Levels", "factor", "levels, the baseline first")
    for name, levels in search.levels.items():
        table.add_row(Text(name), Text(", ".join(map(label, levels))))
    console.print(table)
