"""The Optuna study of a spec. Nothing outside of this room imports optuna."""

from harness.study.store.store import Claim, Results, StudyStore, without_password

__all__ = ["Claim", "Results", "StudyStore", "without_password"]
