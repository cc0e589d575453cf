"""What a user may call something is no formula in any CSV that a study leaves; numbers stay numbers."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.report import frames
from harness.spec import load
from harness.study.ablate import ablate
from harness.study.answer import load_report
from harness.study.placement import Options

TOY = """
from harness import Measure, recipe

NAMES = ("=1+1", "+1+1", "@SUM(1)", "-1+1")


@recipe(objective="error", measures=[Measure(name=name, title=name) for name in NAMES])
def toy(run, text: str = "off", shift: float = 0.0):
    if text == "=HYPERLINK(0)" and run.seed == 1:
        raise RuntimeError("=cmd|' /C calc'!A0 is why")
    return {"error": shift + run.seed - 3.0, **{name: -1.5 for name in NAMES}}
"""
LEVELS = ("=cmd|' /C calc'!A0", "+1+1", "@SUM(1)", "-1+1", "\t=1", "\r=1", "\n=1", "=HYPERLINK(0)", "\uff1d1", "a;=1")
STORAGE = "sqlite:///optuna.db"


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def formulas(table: str) -> list[str]:
    """The cells that a spreadsheet would run."""
    cells = [cell for row in csv.reader(io.StringIO(table)) for cell in row]
    return [cell for cell in cells if cell.startswith(tuple("=+-@\t\r\n\uff1d")) and not is_number(cell)]


@pytest.mark.parametrize("design", ["one-at-a-time", "full-factorial", "search"])
@pytest.mark.slow
def test_no_table_of_a_study_holds_a_formula(project: Path, tracking: str, design: str) -> None:
    (project / "toy.py").write_text(TOY)
    kind = {"kind": design} | ({"trials": 14} if design == "search" else {})
    factors = {"text": {"baseline": "off", "levels": LEVELS}, "shift": {"baseline": 0.0, "levels": [-1.0]}}
    spec = {"study": "s", "recipe": "./toy.py", "factors": factors, "seeds": 2, "design": kind}
    (project / "spec.yaml").write_text(json.dumps(spec))
    ablate(load(project / "spec.yaml"), Options(storage=STORAGE, launch="inline"), lambda line: None)

    tables = frames.csv(load_report(STORAGE, "s"))
    assert {"tried", "runs"} <= set(tables) if design == "search" else {"effects", "statistics", "runs"} <= set(tables)
    for name, table in tables.items():
        assert not formulas(table), name
        shown = CliRunner().invoke(main, ["report", "s", "--format", "csv", "--table", name]).stdout
        assert shown == table

    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    (experiment,) = client.search_experiments(filter_string="name = 's'")
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`harness.role` = 'study'")
    left = [each.path for each in client.list_artifacts(parent.info.run_id) if each.path.endswith(".csv")]
    assert {path.removesuffix(".csv") for path in left} == set(tables)
    for path in left:
        assert not formulas(mlflow.artifacts.load_text(f"{parent.info.artifact_uri}/{path}")), path

    rows = list(csv.DictReader(io.StringIO(tables["runs"])))
    assert {row["'=1+1"] for row in rows if row["state"] == "complete"} == {"-1.5"}
    assert {float(row["error"]) for row in rows if row["state"] == "complete"} <= {-4.0, -3.0, -2.0}
    if design != "search":
        (shift, *_) = [row for row in csv.DictReader(io.StringIO(tables["effects"])) if row["trick"] == "shift"]
        assert (float(shift["to"]), float(shift["change"])) == (-1.0, -1.0)
    assert any("'=cmd|" in row["reason"] or "=cmd|" in row["reason"] for row in rows if row["state"] == "failed")
