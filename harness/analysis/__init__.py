"""What the runs of a study say: effects paired by seed, and the answer. Pure: no files, torch, optuna or mlflow."""

from harness.analysis.effects import COSTS, HIGHER_IS_BETTER, effects, higher_is_better
from harness.analysis.table import answer, label, notes

__all__ = ["COSTS", "HIGHER_IS_BETTER", "answer", "effects", "higher_is_better", "label", "notes"]
