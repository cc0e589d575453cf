"""What the runs of a study say: effects paired by seed, and the answer. Pure: no files, torch, optuna or mlflow."""

from harness.analysis.answer import answer, effects
from harness.analysis.compare import compare
from harness.analysis.types import Answer, Effect, Estimate, Verdict

__all__ = ["Answer", "Effect", "Estimate", "Verdict", "answer", "compare", "effects"]
