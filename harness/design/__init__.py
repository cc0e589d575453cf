"""A Spec made into a Plan: the cells, the contrasts between them, and the runs that estimate them."""

from harness.design.layouts import DESIGNS
from harness.design.model import Alias, Cell, Contrast, Dropped, Plan, PlannedRun, Search
from harness.design.planning import plan

__all__ = ["DESIGNS", "Alias", "Cell", "Contrast", "Dropped", "Plan", "PlannedRun", "Search", "plan"]
