"""Stores of a test's own, made quickly, and no pictures but where a test looks at them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.study import publishing
from harness.study.tracking import Tracker


@pytest.fixture(scope="session")
def empty_tracking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs: making one takes seconds, a copy none."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    Tracker(f"sqlite:///{path}")
    return path


@pytest.fixture
def tracking(project: Path, empty_tracking: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of the test's own: MLflow keeps that of a relative address open over several tests."""
    shutil.copy(empty_tracking, project / "mlflow.db")
    uri = f"sqlite:///{project}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture(autouse=True)
def _few_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than everything else here: one test has it done, the others do without."""
    if request.node.name != "test_every_planned_run_is_one_trial_and_one_nested_mlflow_run":
        monkeypatch.setattr(publishing, "pictures", lambda *_: [])
