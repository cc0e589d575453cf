"""What a study would run and could show, on the terminal: cells, contrasts, what is confounded, hours, power."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.analysis.foresight import Prospect, Spread, prospect
from harness.design import Plan
from harness.design import plan as make_plan
from harness.design.alternatives import alternatives
from harness.design.cap import cap, keep
from harness.report.planned import empty_table, print_plan
from harness.report.prospects import print_prospects
from harness.spec import Spec
from harness.study import notes
from harness.study.ablate import Note, cap_line, get_ready, run_seconds
from harness.study.answer import study_name
from harness.study.calibration import LIMIT, Estimate, calibrate, refuse_queued
from harness.study.declared import refuse_blind
from harness.study.placement import Options, Placement, place
from harness.study.progress import duration
from harness.study.spread import measured, pilot
from harness.study.store import Standing, StudyStore
from harness.study.trainings import leaders


def dry_run(
    study: Spec, options: Options, note: Note, *, spread: Spread | None = None, pilots: int | None = None
) -> None:
    """Print the plan, the time that its runs will take by a short timing, what a cap on hours would drop, and power.

    What the design and others can show is said by the `spread` that is stated, else by one that was measured. With
    `pilots` the baseline is run first on so many seeds, which count as runs of the study; else nothing is written but
    prepared data into the cache. Raises HarnessError.
    """
    if pilots is not None:
        pilot(study, pilots, options, note)
    plan = make_plan(study)
    recipe = plan.address.load()
    refuse_blind(plan)
    store = StudyStore(options.storage, study_name(study, plan))
    store.refuse_used_seeds(plan)
    placement = place(plan, options)
    refuse_queued(placement)
    console = Console(highlight=False)
    print_plan(console, plan, study.factors)
    get_ready(plan, options, placement, note)
    ahead = _ahead(plan)
    standing = store.foresee(ahead, reuse=options.reuse and recipe.lasting(plan.data), retry=options.retry)
    for line in notes.reused((each.study for each in standing.reused.values()), ahead.size):
        console.print(line, soft_wrap=True)
    timed = _near(plan) if plan.search else plan
    note(f"timing: {len(timed.cells)} cells, a few seconds each")
    estimates = calibrate(timed, placement=placement)
    console.print()
    console.print(_times(estimates, plan.unit))
    console.print()
    seconds = run_seconds(estimates, placement)
    console.print(_total(ahead, standing, estimates, seconds, placement), soft_wrap=True)
    if (hours := study.design.max_hours) and plan.waves:
        console.print(f"max_hours {hours:g}: ends with the last wave that is over by then", soft_wrap=True)
    elif hours:
        console.print(cap_line(cap(plan, seconds, hours), hours), soft_wrap=True)
    if plans := alternatives(study):
        spread = spread or measured(study, plan, options)
        prospects = [prospect(each, spread) for each in plans]
        print_prospects(console, prospects, spread, [_taking(each, seconds) for each in prospects])


def _taking(each: Prospect, seconds: Mapping[str, float]) -> str:
    """How long the runs of a design take, expected and at the most; of cells that were not timed as long as others."""
    usual = sum(seconds.values()) / len(seconds)
    expected = sum(seconds.get(cell, usual) * runs for cell, runs in each.by_cell.items())
    most = sum(seconds.get(run.cell, usual) for run in each.plan.runs)
    return f"{duration(expected)}–{duration(most)}" if each.plan.waves else duration(most)


def _times(estimates: Mapping[str, Estimate], unit: str) -> Table:
    """A row a cell: its pace where it is known, its training, and all else."""
    paced = any(found.rate for found in estimates.values())
    table = empty_table(
        "Time of a run, from short ones of every cell",
        "cell",
        right=(*([f"{unit}/s"] if paced else []), "training", "the rest"),
    )
    for cell, found in estimates.items():
        rate = [f"{found.rate:,.3g}" if 0 < found.rate < 100 else f"{found.rate:,.0f}" if found.rate else ""]
        spent = [duration(found.train_seconds) if found.train_seconds else "", duration(found.other_seconds)]
        if found.unknown:
            spent = [f"no progress in {LIMIT:.0f} s", ""]
        if found.failed:
            spent = ["fails", ""]
        table.add_row(Text(cell), *(rate if paced else []), *spent)
    return table


def _total(
    plan: Plan,
    standing: Standing,
    estimates: Mapping[str, Estimate],
    seconds: Mapping[str, float],
    placement: Placement,
) -> str:
    """How long all that is to be run will take, in words; what fails, and what is not known."""
    over = {*standing.settled, *standing.reused, *standing.spent}
    left = standing.pending if plan.search else sum(run.key not in over for run in plan.runs)
    if plan.search:
        total = sum(seconds.values()) / len(seconds) * left
    else:
        total = sum(seconds[run.cell] for run in plan.runs if run.key not in over)
    runs = notes.trainings(plan) if left == plan.size else f"{left} of {plan.size} runs are to do"
    unknown = any(found.unknown for found in estimates.values())
    more = "more than" if unknown else "about"
    until = ""
    if plan.waves is not None:
        until = "to the first look: " if plan.waves.most is None else "at most " * (not unknown)
    lines = [f"{until}{runs}, {more} {duration(total)} with {placement}"]
    lone = [leader for cell, leader in leaders(plan).items() if cell != leader and estimates[cell].train_seconds]
    if lone:
        lines.append(
            f"'{lone[0]}' left no checkpoint for others to go on from: each run counts with a training of its own"
        )
    lines += [f"{cell} fails: {found.failed}" for cell, found in estimates.items() if found.failed]
    return "\n".join(lines)


def _ahead(plan: Plan) -> Plan:
    """The plan with the runs that are sure to have an end: without a maximum those up to the first look."""
    if plan.waves is None or plan.waves.most is not None:
        return plan
    return keep(plan, list(dict.fromkeys(run.seed for run in plan.runs))[: plan.waves.first])


def _near(plan: Plan) -> Plan:
    """The plan of a search with the cells that lie one level from its control, which stand for what it may try."""
    search = plan.search
    assert search is not None
    control = plan.cell(plan.control).levels
    around = [{**control, name: level} for name, levels in search.levels.items() for level in levels]
    return plan.with_tried(made for near in around if not isinstance(made := search.make(near, search.seeds[0]), str))
