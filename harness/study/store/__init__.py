"""The Optuna study of a spec. Nothing outside of this room imports optuna."""

from harness.study.store.reuse import Reusable
from harness.study.store.standing import MOST_ATTEMPTS, Standing
from harness.study.store.store import Claim, Results, StudyStore, source_of, without_password

__all__ = [
    "MOST_ATTEMPTS",
    "Claim",
    "Results",
    "Reusable",
    "Standing",
    "StudyStore",
    "source_of",
    "without_password",
]
