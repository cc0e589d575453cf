"""Databases of a team: PostgreSQL for both stores, an MLflow server; the same numbers, and no login anywhere."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import MetaData, create_engine, select

from harness.cli import main
from harness.design import plan as make_plan
from harness.errors import StudyError
from harness.report import Report, frames
from harness.spec import load
from harness.study.ablate import ablate
from harness.study.placement import Options
from harness.study.store import StudyStore, check

TOY = '''
import random

from harness import Run, recipe


@recipe(objective="error")
def toy(run: Run, lr: float = 0.1, bn: bool = True):
    """Its error is that of the seed and the rate, with some luck."""
    run.checkpoint({"lr": lr})
    value = lr + run.seed - 0.05 * bn + random.Random(f"{run.seed} {lr} {bn}").gauss(0, 0.01)
    run.report(5, error=value + 0.2)
    run.report(10, error=value)
    return {"error": value, "train_seconds": 5.0 + lr}
'''
SPEC = """
study: team
recipe: ./toy.py:toy
factors:
  lr: {baseline: 0.1, levels: [0.2]}
  bn: {baseline: true, levels: [false]}
seeds: 3
"""


@pytest.fixture
def started(project: Path) -> Callable[..., Report]:
    """Runs a study of the toy in stores at these addresses, in a folder of its own below the project's."""

    def start(folder: str, storage: str, tracking: str, text: str = SPEC) -> Report:
        place = project / folder
        place.mkdir(exist_ok=True)
        (place / "toy.py").write_text(TOY)
        (place / "spec.yaml").write_text(text)
        before = Path.cwd()
        os.chdir(place)
        try:
            options = Options(storage=storage, tracking_uri=tracking, launch="inline")
            return ablate(load("spec.yaml"), options, lambda line: None)[1]
        finally:
            os.chdir(before)

    return start


def _harness(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def _all_of(address: str) -> str:
    """Every value of every table of a database, as text."""
    engine = create_engine(address)
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        rows = [str(tuple(row)) for table in tables.tables.values() for row in connection.execute(select(table))]
    engine.dispose()
    return "\n".join(rows)


def _without_costs(report: Report) -> bytes:
    """The effects as CSV, but for what a run takes of time and memory, which the machine decides."""
    table = pd.read_csv(io.StringIO(frames.csv(report)["effects"]), dtype=str, keep_default_na=False)
    costs = [cost.name for cost in report.plan.costs]
    kept = [name for name in table.columns if not any(cost in name for cost in costs)]
    assert {"trick", "p_adjusted"} <= set(kept)
    return table[kept].to_csv(index=False).encode()


# ---------------------------------------------------------------------- PostgreSQL


def test_a_study_on_postgresql_has_the_same_effects_byte_for_byte_as_one_on_sqlite(
    started: Callable[..., Report], postgres: Any, project: Path
) -> None:
    ours = started("ours", "sqlite:///optuna.db", f"sqlite:///{project}/ours/mlflow.db")
    storage, tracking = postgres.address("same_optuna"), postgres.address("same_mlflow")
    theirs = started("theirs", storage, tracking)
    assert _without_costs(ours) == _without_costs(theirs)
    assert b"lr" in _without_costs(ours)
    again = started("theirs", storage, tracking)
    assert _without_costs(again) == _without_costs(ours)
    assert len(optuna.load_study(study_name=theirs.provenance["study"], storage=storage).trials) == 9


@pytest.mark.slow
def test_a_study_goes_on_when_its_server_is_started_anew(project: Path, postgres: Any) -> None:
    (project / "toy.py").write_text(TOY)
    (project / "spec.yaml").write_text(SPEC)
    spec = load("spec.yaml")
    plan = make_plan(spec)
    told: list[str] = []
    store = StudyStore(postgres.address("restarted"), "team", while_waiting=lambda reason, seconds: told.append(reason))
    store.create(spec, plan)
    with store.ownership():
        store.reconcile(plan)
        first = store.claim(plan)
        assert first is not None
        store.complete(first.number, {"error": 0.5})
        for again in ("fast", "immediate"):
            postgres.stop(again)
            later = threading.Timer(4.0, postgres.start)
            later.start()
            claim = store.claim(plan)
            assert claim is not None
            store.attach(claim.number, device="cpu")
            store.report(claim.number, 5, 0.25)
            store.complete(claim.number, {"error": 0.25})
            later.join()
        while (claim := store.claim(plan)) is not None:
            store.complete(claim.number, {"error": 0.25})
    assert told
    assert all("is lost" in reason or "is starting or stopping" in reason for reason in told)
    assert not any(postgres.password in reason for reason in told)
    runs = store.results(plan).runs
    assert list(runs["state"]) == ["complete"] * 9
    assert len(store.study.trials) == 9


@pytest.mark.slow
def test_a_table_that_another_program_has_locked_is_waited_for(project: Path, postgres: Any) -> None:
    (project / "toy.py").write_text(TOY)
    (project / "spec.yaml").write_text(SPEC)
    spec = load("spec.yaml")
    plan = make_plan(spec)
    told: list[str] = []
    address = postgres.address("locked")
    store = StudyStore(address, "team", while_waiting=lambda reason, seconds: told.append(reason))
    store.create(spec, plan)
    store.reconcile(plan)
    engine = create_engine(address)
    with engine.connect() as connection:
        connection.exec_driver_sql("LOCK TABLE trials IN ACCESS EXCLUSIVE MODE")
        later = threading.Timer(4.0, connection.rollback)
        later.start()
        began = time.monotonic()
        assert store.claim(plan) is not None
        assert time.monotonic() - began > 3
        later.join()
    engine.dispose()
    assert told
    assert all("is locked by another program" in reason for reason in told)


@pytest.mark.parametrize(
    ("login", "database", "said"),
    [
        ("harness:wrong-hidden", "there", "the login was refused"),
        ("nobody:wrong-hidden", "there", "the login was refused"),
        ("harness", "there", "the login was refused"),
        ("harness:correct-horse-battery", "missing", "the database is not there"),
    ],
)
@pytest.mark.slow
def test_a_wrong_login_or_database_is_said_in_one_line_with_a_remedy(
    project: Path, postgres: Any, monkeypatch: pytest.MonkeyPatch, login: str, database: str, said: str
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("HOME", str(project))
    (project / "toy.py").write_text(TOY)
    (project / "spec.yaml").write_text(SPEC)
    if database == "there":
        with suppress(subprocess.CalledProcessError):  # a case before has made it
            postgres.address("there")
    address = f"postgresql://{login}@127.0.0.1:{postgres.port}/{database}"
    for flag in ("--storage", "--tracking-uri"):
        program = "Optuna" if flag == "--storage" else "MLflow"
        with pytest.raises(StudyError, match=said) as refused:
            check(address, flag=flag, program=program)
        assert str(refused.value).startswith(f"{flag} postgresql://{login.partition(':')[0]}")
        assert "hidden" not in str(refused.value)
        assert "battery" not in str(refused.value)
        assert ("~/.pgpass" in str(refused.value)) == (said == "the login was refused")
    done = _harness("ablate", "spec.yaml", "--launch", "inline", "--storage", address)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


@pytest.mark.slow
def test_one_database_for_both_programs_is_refused_either_way_round(
    project: Path, postgres: Any, started: Callable[..., Report]
) -> None:
    first, second = postgres.address("only_optuna"), postgres.address("only_mlflow")
    started("apart", first, second)
    with pytest.raises(StudyError, match="is Optuna's database, which MLflow would break"):
        check(first, flag="--tracking-uri", program="MLflow")
    with pytest.raises(StudyError, match="is MLflow's database, which Optuna would break"):
        check(second, flag="--storage", program="Optuna")
    with pytest.raises(StudyError, match="is MLflow's database"):
        StudyStore.find(second, "team")


def test_a_server_without_studies_says_what_to_do_and_stays_empty(project: Path, postgres: Any) -> None:
    address = postgres.address("empty")
    for command in (("studies",), ("report", "team")):
        done = _harness(*command, "--storage", address)
        assert done.exit_code == 2
        assert "run `harness ablate` first" in done.stderr
    assert _all_of(address) == ""


# ---------------------------------------------------------------------- logins


@pytest.mark.slow
def test_no_login_is_left_in_any_output_file_or_table(
    project: Path, postgres: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    storage, tracking = postgres.address("secret_optuna"), postgres.address("secret_mlflow")
    (project / "toy.py").write_text(TOY)
    (project / "spec.yaml").write_text(SPEC)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ablation = ["ablate", "spec.yaml", "--storage", storage, "--tracking-uri", tracking]
    first = subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; main()", *ablation],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    said = first.stdout + first.stderr
    for command in (
        ablation,
        ["studies", "--storage", storage],
        ["report", "spec.yaml", "--storage", storage],
        ["report", "spec.yaml", "--storage", storage, "--format", "json"],
        ["report", "spec.yaml", "--storage", storage, "--format", "html", "--output", "report.html"],
        ["report", "nothing", "--storage", storage],
        ["report", "team", "--storage", tracking],
    ):
        done = _harness(*command)
        said += done.stdout + done.stderr
    left = capfd.readouterr()  # what went past the command line
    said += left.out + left.err
    assert "Traceback" not in said
    assert "postgresql://harness:***@" in said
    assert postgres.password not in said
    for path in project.rglob("*"):
        assert postgres.password.encode() not in (path.read_bytes() if path.is_file() else b""), path
    for address in (storage, tracking):
        held = _all_of(address)
        assert "lr=0.2" in held
        assert postgres.password not in held


@pytest.mark.parametrize("way", ["environment", "file"])
@pytest.mark.slow
def test_a_login_comes_from_the_environment_or_from_pgpass(
    project: Path, postgres: Any, started: Callable[..., Report], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    postgres.address(f"optuna_{way}"), postgres.address(f"mlflow_{way}")
    monkeypatch.setenv("HOME", str(project))
    if way == "environment":
        monkeypatch.setenv("PGUSER", "harness")
        monkeypatch.setenv("PGPASSWORD", postgres.password)
    else:
        monkeypatch.delenv("PGPASSWORD", raising=False)
        (project / ".pgpass").write_text(f"127.0.0.1:{postgres.port}:*:harness:{postgres.password}\n")
        (project / ".pgpass").chmod(0o600)
    who = "" if way == "environment" else "harness@"
    storage, tracking = (f"postgresql://{who}127.0.0.1:{postgres.port}/{name}_{way}" for name in ("optuna", "mlflow"))
    report = started(way, storage, tracking)
    assert set(report.runs["state"]) == {"complete"}
    monkeypatch.setenv("HARNESS_STORAGE", storage)
    assert report.provenance["study"] in _harness("studies").stdout


# ---------------------------------------------------------------------- an MLflow server


@pytest.mark.slow
def test_a_study_is_shown_by_an_mlflow_server_with_its_artifacts(
    project: Path, started: Callable[..., Report], mlflow_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = started("served", "sqlite:///optuna.db", mlflow_server.replace("://", "://someone:hidden@"))
    said = capsys.readouterr()
    assert "hidden" not in said.out + said.err
    assert b"hidden" not in b"".join(path.read_bytes() for path in (project / "served").rglob("*") if path.is_file())
    client = mlflow.MlflowClient(mlflow_server)
    (experiment,) = client.search_experiments(filter_string="name = 'team'")
    runs = client.search_runs([experiment.experiment_id], "tags.`harness.role` = 'run'")
    assert len(runs) == 9
    assert {run.info.status for run in runs} == {"FINISHED"}
    by_key = {run.data.tags["harness.key"]: run.data.metrics["error"] for run in runs}
    assert by_key == {row["key"]: pytest.approx(row["error"]) for _, row in report.runs.iterrows()}
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`harness.role` = 'study'")
    assert parent.info.status == "FINISHED"
    assert {"report.html", "report.md", "effects.csv"} <= {
        file.path for file in client.list_artifacts(parent.info.run_id)
    }
    kept = Path(client.download_artifacts(parent.info.run_id, "effects.csv", str(project)))
    assert kept.read_text() == frames.csv(report)["effects"]
    assert not (project / "served" / "mlruns").exists()  # the server keeps them
    assert list((project / "server" / "artifacts").rglob("report.html"))
