"""The Optuna study of a spec. Nothing outside of this room imports optuna."""

from harness.study.store.address import without_password
from harness.study.store.opening import check
from harness.study.store.records import Claim, Results, source_of
from harness.study.store.reuse import Reusable
from harness.study.store.standing import MOST_ATTEMPTS, RETRIED, Standing
from harness.study.store.store import StudyStore

__all__ = [
    "MOST_ATTEMPTS",
    "RETRIED",
    "Claim",
    "Results",
    "Reusable",
    "Standing",
    "StudyStore",
    "check",
    "source_of",
    "without_password",
]
