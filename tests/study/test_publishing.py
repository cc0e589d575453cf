"""What is published can be published, and keeps what is private."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from mlflow.utils.validation import _validate_metric_name

from harness.analysis import answer
from harness.design import Cell, Contrast, Plan, PlannedRun
from harness.errors import SpecError, StudyError
from harness.recipes.dcgan.measures import MIFID
from harness.recipes.dcgan.settings import DcganBudget as Budget
from harness.recipes.dcgan.settings import EvaluateSettings
from harness.report import Report
from harness.spec import load
from harness.study.publishing import headline
from harness.study.store import StudyStore, without_password


@pytest.mark.parametrize("level", ["/data/clean/", "s3://bucket/../x", "a\\b", "x" * 500])
def test_a_level_that_is_a_path_makes_names_that_mlflow_takes(level: str) -> None:
    cells = ("baseline", "treated")
    plan = Plan(
        study="paths",
        recipe="dcgan",
        objective=MIFID,
        design="one-at-a-time",
        cells=tuple(Cell(name=name, levels={"root": name}, train={}, data={}) for name in cells),
        contrasts=(Contrast(name="root", factor="root", level=level, baseline="here", pairs=(cells[::-1],)),),
        runs=tuple(PlannedRun(cell=cell, seed=0, key=cell) for cell in cells),
        dropped=(),
        control="baseline",
        budget=Budget(images=1),
        evaluate=EvaluateSettings(),
        references={},
        fingerprint="",
    )
    runs = pd.DataFrame({"cell": cells, "seed": 0, "state": "complete", "mifid": [1.0, 2.0]})
    for name in headline(Report(answer=answer(runs, replace(plan)), runs=runs)):
        _validate_metric_name(re.sub(r"[^\w\-. /]", "-", name))


def test_no_reader_sees_a_password() -> None:
    assert without_password("postgresql://me:secret@db:5432/optuna") == "postgresql://me:***@db:5432/optuna"
    assert without_password("sqlite:///optuna.db") == "sqlite:///optuna.db"
    with pytest.raises(StudyError) as refused:
        StudyStore.find("sqlite:////nowhere/of:secret@db", "x")
    assert "does not exist" in str(refused.value)


def test_a_factor_whose_name_no_store_takes_is_refused(tmp_path: Path) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text(
        "study: s\nrecipe: dcgan\nseeds: 2\nbudget: {images: 640}\n"
        "factors:\n  'lr (G)': {baseline: 0.1, levels: [0.2], sets: learning_rate}\n",
        encoding="utf-8",
    )
    with pytest.raises(SpecError, match=r"lr \(G\).*is no name"):
        load(spec)
