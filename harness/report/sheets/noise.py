"""The noise floor as a table: the smallest effect that numbers of seeds show."""

from __future__ import annotations

import math

from harness.report import Report
from harness.report.numbers import decimals, number, percent
from harness.report.sheets.sheet import Sheet, table


def shown(report: Report) -> Sheet | None:
    """The smallest effect that numbers of seeds show; None where there is no noise."""
    noise, objective = report.answer.noise, report.plan.objective
    if noise is None or noise.sd.value == 0:
        return None
    sizes = [each.effect for each in noise.shown]
    share = abs(noise.control) if noise.relative.known else math.nan
    unit = f", {objective.unit}" if objective.unit else ""
    looks = any(each.own for each in noise.shown) and report.plan.waves is not None
    notes = [("in looks, as planned" if looks else "as planned") if each.own else "" for each in noise.shown]
    columns = [
        (">seeds", [str(each.seeds) for each in noise.shown]),
        (f">smallest effect{unit}", [number(size, decimals(sizes, 2)) for size in sizes]),
        (">of the control", [percent(size / share, signed=False) for size in sizes]),
    ]
    family = "one contrast" if noise.tests == 1 else f"one of {noise.tests} contrasts"
    return table(
        "What so many seeds can show",
        [*columns, ("", notes)] if any(notes) else columns,
        f"The smallest effect on {objective.title} that is shown with 80 % power, as {family} after Holm’s correction, "
        "from differences that vary as they do here.",
    )
