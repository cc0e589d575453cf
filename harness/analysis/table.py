"""The answer: one row per trick with what it does to MiFID and to run time, each with its interval, and a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.analysis.effects import effects

if TYPE_CHECKING:
    from harness.design import Plan


def label(level: Any) -> str:
    """A level as a reader says it: off, on, or its value."""
    if level is None or level is False:
        return "off"
    if level is True:
        return "on"
    return f"{level:g}" if isinstance(level, float) else str(level)


def answer(runs: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Per contrast: trick, from, to, n_seeds, MiFID with and without, changes of MiFID and train seconds, verdict.

    `attrs["notes"]` holds what a reader must know beside the numbers.
    """
    quality, cost = effects(runs, plan, "mifid"), effects(runs, plan, "train_seconds")
    table = pd.DataFrame(
        {
            "trick": quality["factor"],
            "from": [label(level) for level in quality["baseline"]],
            "to": [label(level) for level in quality["level"]],
            "n_seeds": quality["n"],
            "mifid": quality["mean_treated"],
            "mifid_without": quality["mean_control"],
            "delta_mifid": quality["effect"],
            "delta_mifid_low": quality["low"],
            "delta_mifid_high": quality["high"],
            "delta_mifid_relative": quality["relative"],
            "p_holm": quality["p_holm"],
            "seeds_needed": quality["seeds_needed"],
            "delta_train_seconds": cost["effect"],
            "delta_train_seconds_low": cost["low"],
            "delta_train_seconds_high": cost["high"],
            "train_seconds_ratio": cost["ratio"],
            "train_seconds_ratio_low": cost["ratio_low"],
            "train_seconds_ratio_high": cost["ratio_high"],
            "runs_with": quality["ended_treated"],
            "diverged_with": quality["diverged_treated"],
            "failed_with": quality["failed_treated"] - quality["diverged_treated"],
            "verdict": quality["verdict"],
        }
    )
    table.attrs["notes"] = notes(runs, plan, cost.attrs["note"])
    return table


def notes(runs: pd.DataFrame, plan: Plan, cost_note: str = "") -> list[str]:
    """Warnings that belong beside the answer: runs missing, diverged or failed, costs left out, equal-time budgets."""
    planned = {(run.cell, run.seed) for run in plan.runs}
    states: dict[str, set[tuple[str, int]]] = {}
    for cell, seed, state in zip(runs["cell"], runs["seed"], runs["state"], strict=True):
        states.setdefault(str(state), set()).add((str(cell), int(seed)))
    complete, diverged = states.get("complete", set()), states.get("diverged", set()) - states.get("complete", set())
    failed = states.get("failed", set()) - complete - diverged
    pruned = states.get("pruned", set()) - complete - diverged
    failed -= pruned
    missing = planned - complete - diverged - failed - pruned
    lines = []
    if plan.search is not None:
        lines.append(
            f"a search: {plan.search.sampler} picked the runs by the results of those before, so that the lowest MiFID "
            "is flattered, and no effect, interval or verdict is given; test what it found with a design on other seeds"
        )
        if (left := plan.size - len(planned) + len(missing)) > 0:
            lines.append(f"{left} of {plan.size} runs are still to come")
    elif missing:
        lines.append(
            f"{len(missing)} of {len(planned)} planned runs are still missing: this is an interim look; "
            "stopping as soon as it pleases would make false verdicts likelier than 5 %"
        )
    if diverged:
        lines.append(f"{len(diverged)} of {len(planned)} runs diverged: {_some(diverged)}")
    if pruned:
        lines.append(f"{len(pruned)} of {len(planned)} runs were pruned and have no final MiFID: {_some(pruned)}")
    if failed:
        lines.append(f"{len(failed)} of {len(planned)} runs failed and say nothing of their tricks: {_some(failed)}")
    if cost_note:
        lines.append(cost_note)
    if plan.budget.seconds is not None:
        lines.append(
            f"every run trains for {plan.budget.seconds:g} s (equal time), so that cost shows in MiFID, not in seconds"
        )
    return lines


def _some(runs: set[tuple[str, int]], most: int = 4) -> str:
    names = [f"{cell} (seed {seed})" for cell, seed in sorted(runs)]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
