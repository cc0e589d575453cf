"""How often runs diverge or fail, per level of every factor."""

from __future__ import annotations

from harness.analysis.outcomes import Outcomes
from harness.analysis.types import Estimate, FailureRate
from harness.spec import label


def failure_rates(quality: Outcomes) -> tuple[FailureRate, ...]:
    """Per factor and level, over every run that ended at this level; empty where no run diverged or failed.

    The interval is Clopper and Pearson's exact 95 % one.
    """
    from scipy.stats import binomtest

    cells = quality.plan.cells
    everything = quality.endings(cell.name for cell in cells)
    if not everything.diverged + everything.failed:
        return ()
    found = []
    for factor in dict.fromkeys(name for cell in cells for name in cell.levels):
        levels = {label(cell.levels[factor]): cell.levels[factor] for cell in cells if factor in cell.levels}
        for text, level in levels.items():
            here = (cell.name for cell in cells if factor in cell.levels and label(cell.levels[factor]) == text)
            endings = quality.endings(here)
            if not endings.ended:
                continue
            bad = endings.diverged + endings.failed
            sure = binomtest(bad, endings.ended).proportion_ci(0.95)
            rate = Estimate(bad / endings.ended, float(sure.low), float(sure.high))
            found.append(FailureRate(factor=factor, level=level, endings=endings, rate=rate))
    return tuple(found)
