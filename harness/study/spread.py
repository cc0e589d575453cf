"""How much runs differ over seeds, for a plan that is not run yet: stated, piloted, or measured on runs of before."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pandas as pd

from harness.analysis.foresight import Spread
from harness.analysis.noise import noise
from harness.analysis.outcomes import Outcomes, settled
from harness.design import Plan
from harness.design import plan as make_plan
from harness.design.layouts import BASELINE
from harness.errors import StudyError
from harness.measures import RunState
from harness.report.numbers import decimals, number
from harness.spec import DesignSettings, Spec
from harness.study.ablate import Note, ablate
from harness.study.answer import study_name
from harness.study.placement import Options
from harness.study.store import StudyStore

_LOOKED_FOR = 100  # seeds on which another study may have run the same baseline
_KNOWN = 10  # runs beyond one a cell from which a correlation of cells is believed


def stated(text: str) -> Spread:
    """The spread that `8%` says, or a number in the objective's unit. Raises StudyError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*", text)
    if found is None or not float(found[1]) > 0:
        raise StudyError(
            f"--spread {text}: is no spread; give the standard deviation of the baseline over seeds as a share of its "
            "mean, like 8%, or in the objective's unit, like 5.2"
        )
    value = float(found[1])
    return Spread(share=value / 100, source="stated") if found[2] else Spread(amount=value, source="stated")


def pilot(spec: Spec, seeds: int, options: Options, note: Note) -> None:
    """Run the baseline of the spec's study on its first seeds. Raises HarnessError."""
    if spec.design.kind == "search":
        raise StudyError(f"--pilot {seeds}: a search runs its baseline first by itself; leave it out")
    if not 2 <= seeds <= len(spec.seeds):
        most = f"from 2 to {len(spec.seeds)}, the seeds of the study"
        raise StudyError(f"--pilot {seeds}: the first seeds of the baseline, {most}; or state the spread, --spread 8%")
    if make_plan(spec).control != BASELINE:
        raise StudyError(f"--pilot {seeds}: {spec.design.kind} has no run of the baseline; state it, like --spread 8%")
    outcome, _ = ablate(pilot_of(spec, seeds), options, note)
    if outcome.interrupted:
        raise KeyboardInterrupt


def pilot_of(spec: Spec, seeds: int) -> Spec:
    """The noise study on the spec's first seeds, whose runs are runs of the spec's own study."""
    return replace(spec, design=DesignSettings(kind="noise"), seeds=spec.seeds[:seeds], waves=None)


def measured(spec: Spec, plan: Plan, options: Options) -> Spread | None:
    """The spread of the study's runs so far and of the same baseline in other studies of the storage; None of none."""
    store = StudyStore(options.storage, study_name(spec, plan))
    table = _of_study(store, plan)
    others = _of_others(store, spec, plan, options, set(table["seed"]) if len(table) else set())
    runs = settled(pd.concat([each for each in (table, others) if len(each)] or [table]), plan)
    if runs.empty or plan.objective.name not in runs:
        return None
    found = noise(Outcomes.of(runs, plan, plan.objective), runs)
    if found is None or found.sd.value == 0:
        return None
    where = "the baseline" if found.cells == 1 else f"{found.cells} cells"
    shares = found.relative.known
    ends = [100 * found.relative.low, 100 * found.relative.high] if shares else [found.sd.low, found.sd.high]
    interval = " to ".join(number(end, decimals(ends, 2)) for end in ends) + " %" * shares
    sure = found.runs - found.cells >= _KNOWN and math.isfinite(found.correlation)
    return Spread(
        share=found.relative.value,
        amount=found.sd.value,
        correlation=found.correlation if sure else 0.0,
        source=f"measured on {found.runs} runs of {where}, 95 % interval {interval}",
    )


def _of_study(store: StudyStore, plan: Plan) -> pd.DataFrame:
    """The run table of the study, empty where it has not begun."""
    try:
        return StudyStore.find(store.storage, store.name).results(plan).runs
    except StudyError:
        return pd.DataFrame()


def _of_others(store: StudyStore, spec: Spec, plan: Plan, options: Options, taken: set[int]) -> pd.DataFrame:
    """The baseline's runs that other studies of the storage have, on other seeds than those `taken`."""
    if plan.search or plan.control != BASELINE or not options.reuse:
        return pd.DataFrame()
    seeds = tuple(seed for seed in range(_LOOKED_FOR) if seed not in taken)
    baseline = make_plan(replace(spec, design=DesignSettings(kind="noise"), seeds=seeds, waves=None))
    reused = store.foresee(baseline, reuse=plan.address.load().lasting(plan.data)).reused
    rows = [
        {"cell": plan.control, "seed": run.seed, "state": RunState.COMPLETE, **reused[run.key].summary}
        for run in baseline.runs
        if run.key in reused and reused[run.key].state is RunState.COMPLETE
    ]
    return pd.DataFrame(rows)
