"""What a look at a study in waves says of a trick, in words; the display, MLflow and the report say the same."""

from __future__ import annotations

import math

from harness.analysis.sequential import Look
from harness.analysis.types import Effect, Verdict
from harness.design import Contrast, Plan
from harness.spec import label


def title(contrast: Contrast, plan: Plan) -> str:
    """A trick's short name: its factor, with the level where there are several, and the design of a union."""
    levels = {label(each.level) for each in plan.contrasts if each.factor == contrast.factor}
    name = contrast.factor if len(levels) == 1 else f"{contrast.factor}={label(contrast.level)}"
    several = len({each.design or plan.design for each in plan.contrasts}) > 1
    return f"{name} ({contrast.design or plan.design})" if several else name


def conditional(look: Look, place: int, effect: Effect) -> bool:
    """Whether the reading of the effect says what the look's verdict does not: a condition, or that no run trained.

    `effect` is that of the answer. A look tests differences; that a trick helps only where it trains, that an alias
    may be to blame, or that all runs diverged is in the effect.
    """
    if look.verdicts[place] is Verdict.UNDECIDED:
        return place in look.unlikely and not effect.n
    return effect.verdict is Verdict.UNDECIDED


def way(look: Look, place: int, effect: str) -> tuple[float, str] | None:
    """The share of the way that a trick has gone to the claim that it is nearest to, at most 1, and that claim.

    `effect` is what a claim of an effect is called. None of a trick without two differences.
    """
    ways = {effect: look.towards_effect[place], str(Verdict.NEGLIGIBLE): look.towards_negligible[place]}
    known = {name: share for name, share in ways.items() if not math.isnan(share)}
    if not known:
        return None
    nearest = max(known, key=lambda name: known[name])
    return min(1.0, max(0.0, known[nearest])), nearest
