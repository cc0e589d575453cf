"""A Spec made into a Plan: the cells, the contrasts between them, and the runs that estimate them."""

from harness.design.layouts import ALL_ON, BASELINE, DESIGNS, MOST_CELLS
from harness.design.model import Alias, Cell, Contrast, Dropped, Plan, PlannedRun, Search, Tried
from harness.design.planning import plan

__all__ = [
    "ALL_ON",
    "BASELINE",
    "DESIGNS",
    "MOST_CELLS",
    "Alias",
    "Cell",
    "Contrast",
    "Dropped",
    "Plan",
    "PlannedRun",
    "Search",
    "Tried",
    "plan",
]
