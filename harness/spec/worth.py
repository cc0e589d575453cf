"""The worth: the smallest effect that would be worth having, as a spec says it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import nearest
from harness.spec.refusals import shown

_SHARE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*%")


@dataclass(frozen=True, kw_only=True)
class Worth:
    """A share of the control's mean, or an amount in the objective's unit; one of the two, above 0."""

    share: float | None = None
    amount: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.share, self.amount) if value is not None]
        if len(given) != 1 or not 0 < given[0] < math.inf:
            raise ValueError(f"{self}: give one of share and amount, a number above 0")


USUAL = Worth(share=0.05)
"""What counts where nothing is said: 5 % of the control's mean."""


def worth_of(raw: Any, objective: str) -> Worth | str:
    """The worth that a spec says, `5%` or `{accuracy: 0.01}`, or why it is none; `objective` is the measure's name."""
    ways = f"write a share of the control's mean, like 5%, or an amount of the objective, like {{{objective}: 10}}"
    if raw is None:
        return USUAL
    if isinstance(raw, str) and (share := _SHARE.fullmatch(raw.strip())):
        percent = float(share[1])
        return Worth(share=percent / 100) if 0 < percent <= 100 else f"{raw} is not allowed: above 0% and up to 100%"
    if isinstance(raw, Mapping) and len(raw) == 1:
        ((name, amount),) = raw.items()
        if name != objective:
            return f"'{name}' is not what the study is about; {nearest(str(name), [objective])}"
        if isinstance(amount, int | float) and not isinstance(amount, bool) and 0 < amount < math.inf:
            return Worth(amount=float(amount))
        return f"{shown(amount)} is not allowed: the least {objective} worth having must be a number above 0"
    return f"{shown(raw)} is not allowed; {ways}"
