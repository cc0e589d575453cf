"""What a study would run, on the terminal: cells, contrasts, what is confounded or dropped, and hours."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from harness.design import Plan
from harness.design import plan as make_plan
from harness.design.cap import cap
from harness.machine.provenance import cores
from harness.report.planned import empty_table, print_plan
from harness.spec import Spec
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
    print_plan(console, plan, study.factors)
    recipe.prepare(plan.data, plan.evaluate, workers=cores(), note=note)
    timed = _near(plan) if plan.search else plan
    note(f"timing: {len(timed.cells)} cells, a few seconds each")
    estimates = calibrate(timed, placement=placement)
    table = empty_table("Time, from a short run of every cell", "cell", right=("images/s", "training", "scoring"))
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


def _near(plan: Plan) -> Plan:
    """The plan of a search with the cells that lie one level from its control, which stand for what it may try."""
    search = plan.search
    assert search is not None
    control = plan.cell(plan.control).levels
    around = [{**control, name: level} for name, levels in search.levels.items() for level in levels]
    return plan.with_tried(made for near in around if not isinstance(made := search.make(near, search.seeds[0]), str))
