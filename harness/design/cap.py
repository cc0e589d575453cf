"""A plan cut down to a cap on hours: whole seeds go, the last first, so that what is left stays paired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.design.model import Plan
from harness.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Capped:
    """The plan that fits, the seeds that went in the order in which they went, and the hours before and after."""

    plan: Plan
    dropped: tuple[int, ...]
    hours: float
    hours_kept: float


def cap(plan: Plan, seconds: Mapping[str, float], max_hours: float) -> Capped:
    """`plan` without its last seeds, to take at most `max_hours`; `seconds` is what one run of each cell takes.

    Of a cell whose runs share another's training that is their drawing and scoring alone. Raises SpecError where not
    even one seed fits.
    """
    seeds = list(dict.fromkeys(run.seed for run in plan.runs))
    first = [run for run in plan.runs if run.seed == seeds[0]]
    hours_of_seed = sum(seconds[run.cell] for run in first) / 3600
    fitting = min(len(seeds), int(max_hours / hours_of_seed + 1e-9)) if hours_of_seed > 0 else len(seeds)
    if fitting < 1:
        raise SpecError(
            f"design.max_hours: {max_hours:g} is not enough: one seed of the {len(plan.cells)} cells takes about "
            f"{hours_of_seed:.2g} h; raise the cap, shorten the budget of a run, or take away levels"
        )
    return Capped(
        plan=keep(plan, seeds[:fitting]),
        dropped=tuple(reversed(seeds[fitting:])),
        hours=hours_of_seed * len(seeds),
        hours_kept=hours_of_seed * fitting,
    )


def keep(plan: Plan, seeds: list[int]) -> Plan:
    """`plan` with the runs of `seeds` alone."""
    return replace(plan, runs=tuple(run for run in plan.runs if run.seed in seeds))
