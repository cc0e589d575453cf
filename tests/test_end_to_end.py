"""The command itself on the smoke spec, with the real recipe: kill it, start it again, read it in both dashboards."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
DOGS = Path(os.environ.get("HARNESS_DOGS", ROOT / ".." / "shared" / "data" / "stanford-dogs"))


def harness(folder: Path, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "harness"), *arguments], cwd=folder, capture_output=True, text=True, timeout=timeout, check=False
    )


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = f"sqlite:///{folder}/optuna.db"
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage).trials


def wait_until(condition: object, *, seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if condition():  # type: ignore[operator]
                return
        except Exception:
            pass
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds} s: {what}")


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the smoke study was killed in the middle and then finished by the same command."""
    folder = tmp_path_factory.mktemp("smoke")
    shutil.copytree(ROOT / "ablations", folder / "ablations")
    killed = subprocess.Popen(
        [str(BIN / "harness"), "ablate", "ablations/smoke.yaml"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(
            lambda: any(t.state == TrialState.COMPLETE for t in trials(folder)), seconds=120, what="a complete run"
        )
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    finished = harness(folder, "ablate", "ablations/smoke.yaml")
    assert finished.returncode == 0, finished.stderr
    return folder


def test_after_kill_9_the_same_command_finishes_what_is_missing(smoke: Path) -> None:
    complete = [t.user_attrs["key"] for t in trials(smoke) if t.state == TrialState.COMPLETE]
    assert len(complete) == len(set(complete)) == 6
    assert all(t.state in (TrialState.COMPLETE, TrialState.FAIL) for t in trials(smoke))


def test_a_further_start_adds_nothing_and_says_so(smoke: Path) -> None:
    before = len(trials(smoke))
    again = harness(smoke, "ablate", "ablations/smoke.yaml")
    assert again.returncode == 0
    assert "nothing to add" in again.stdout
    assert len(trials(smoke)) == before


def test_the_report_has_an_effect_with_an_interval_per_trick(smoke: Path) -> None:
    done = harness(smoke, "report", "ablations/smoke.yaml", "--format", "csv")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["trick"] for row in rows] == ["crop", "margin"]
    for row in rows:
        assert row["n"] == "2"
        assert float(row["change_low"]) <= float(row["change"]) <= float(row["change_high"])


def test_the_report_as_json_is_read_by_scripts_and_its_exit_code_says_whether_all_is_decided(smoke: Path) -> None:
    done = harness(smoke, "report", "ablations/smoke.yaml", "--format", "json", "--exit-code")
    found = json.loads(done.stdout)
    assert [effect["factor"] for effect in found["effects"]] == ["crop", "margin"]
    assert done.returncode == (0 if all(effect["verdict"] != "undecided" for effect in found["effects"]) else 3)


def test_any_table_of_the_report_can_be_had_as_csv(smoke: Path) -> None:
    runs = harness(smoke, "report", "ablations/smoke.yaml", "--format", "csv", "--table", "runs")
    assert runs.returncode == 0, runs.stderr
    rows = list(csv.DictReader(io.StringIO(runs.stdout)))
    assert len(rows) == 6
    assert all(float(row["mifid"]) > 0 for row in rows)
    refused = harness(smoke, "report", "ablations/smoke.yaml", "--format", "csv", "--table", "run")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: --table run: this report has no such table; allowed: ")
    assert refused.stderr.rstrip().endswith("did you mean 'runs'?")
    refused = harness(smoke, "report", "ablations/smoke.yaml", "--table", "runs")
    assert refused.returncode == 2
    assert "add --format csv" in refused.stderr


@pytest.mark.parametrize("kind", ["table", "markdown", "latex", "html"])
def test_every_format_of_the_report_names_both_tricks(smoke: Path, kind: str) -> None:
    done = harness(smoke, "report", "ablations/smoke.yaml", "--format", kind)
    assert done.returncode == 0, done.stderr
    assert "crop" in done.stdout
    assert "margin" in done.stdout


def test_a_finished_run_gives_images(smoke: Path) -> None:
    key = next(t.user_attrs["key"] for t in trials(smoke) if t.state == TrialState.COMPLETE)
    done = harness(smoke, "sample", key, "--count", "5", "--output", "images.zip")
    assert done.returncode == 0, done.stderr
    assert (smoke / "images.zip").stat().st_size > 1000


@pytest.mark.slow
def test_the_dry_run_prints_the_plan_and_writes_no_study(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ablations", tmp_path / "ablations")
    done = harness(tmp_path, "ablate", "ablations/smoke.yaml", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "3 cells x 2 seeds = 6 runs" in done.stdout
    assert "crop=square" in done.stdout
    assert "images/s" in done.stdout
    assert not (tmp_path / "optuna.db").exists()
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["ablate", "missing.yaml"], "missing.yaml"),
        (
            ["ablate", "ablations/smoke.yaml", "--set", "data.source=stanford-dogs", "--set", "data.root=nowhere"],
            "nowhere",
        ),
        (["report", "ablations/smoke.yaml"], "run `harness ablate`"),
        (["report", "unheard-of"], "run `harness ablate`"),
        (["sample", "nothing", "--output", "x"], "runs/STUDY/KEY"),
        (["score", "nowhere", "nothing"], "nowhere"),
        (["train", "dcgna"], "dcgan"),
        (["train", "dcgan", "--set", "widht=8"], "width"),
        (["data", "info", "--set", "source=folder"], "allowed: resize"),
    ],
)
def test_bad_input_is_one_line_with_the_remedy_and_exit_code_2(
    tmp_path: Path, arguments: list[str], remedy: str
) -> None:
    shutil.copytree(ROOT / "ablations", tmp_path / "ablations")
    done = harness(tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert remedy in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"ablations"}


@pytest.mark.slow
def test_the_smoke_study_runs_on_real_photos(tmp_path: Path) -> None:
    if not DOGS.is_dir():
        pytest.skip(f"no real photos at {DOGS}; set HARNESS_DOGS to a folder in the layout of Stanford Dogs")
    shutil.copytree(ROOT / "ablations", tmp_path / "ablations")
    real = ["--set", "data.source=stanford-dogs", "--set", f"data.root={DOGS.resolve()}", "--set", "data.limit=200"]
    done = harness(tmp_path, "ablate", "ablations/smoke.yaml", *real)
    assert done.returncode == 0, done.stderr
    assert "crop" in done.stdout


# ---------------------------------------------------------------------- dashboards


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(folder: Path, *command: str, url: str) -> Iterator[None]:
    with open(folder / f"{command[0]}.log", "w") as log:
        process = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]], cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: urllib.request.urlopen(url, timeout=2).status == 200, seconds=90, what=url)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or chromium is None:
        pytest.skip("chromium and chromedriver are not installed (Debian packages chromium, chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1400,1000",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(flag)
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


def page_text(browser: object) -> str:
    return str(browser.execute_script("return document.body.innerText"))  # type: ignore[attr-defined]


def shows(browser: object, *texts: str) -> None:
    try:
        wait_until(lambda: all(t in page_text(browser) for t in texts), seconds=60, what=str(texts))
    except AssertionError as error:
        raise AssertionError(f"{error}; the page says:\n{page_text(browser)}") from None


@pytest.mark.browser
def test_mlflow_ui_shows_the_study_and_its_runs_by_name(smoke: Path, browser: object) -> None:
    import mlflow

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    client = mlflow.MlflowClient(f"sqlite:///{smoke}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "smoke"]
    with server(smoke, "mlflow", "ui", "--port", str(port), url=f"{url}/health"):
        browser.get(f"{url}/#/experiments/{experiment.experiment_id}/runs")  # type: ignore[attr-defined]
        shows(browser, "smoke-", "matching runs")
        runs = client.search_runs([experiment.experiment_id], "tags.`harness.role` = 'run'")
        finished = [run for run in runs if run.info.status == "FINISHED"]  # those killed may have no metric yet
        assert len({run.info.run_name for run in finished}) == 6
        for run in finished:
            browser.get(f"{url}/#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}")  # type: ignore[attr-defined]
            shows(browser, run.info.run_name, "memorization_distance", "smoke.yaml", "synthetic-dogs, crop ")
        (study,) = client.search_runs([experiment.experiment_id], "tags.`harness.role` = 'study'")
        browser.get(f"{url}/#/experiments/{experiment.experiment_id}/runs/{study.info.run_id}")  # type: ignore[attr-defined]
        shows(browser, "Description", "What each trick is worth", "smoke.yaml")
        browser.save_screenshot(str(smoke / "mlflow.png"))  # type: ignore[attr-defined]


@pytest.mark.browser
@pytest.mark.slow
def test_optuna_dashboard_shows_the_study_and_its_trials_by_name(smoke: Path, browser: object) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with server(smoke, "optuna-dashboard", "sqlite:///optuna.db", "--port", str(port), url=f"{url}/dashboard"):
        browser.get(f"{url}/dashboard")  # type: ignore[attr-defined]
        shows(browser, "smoke-")
        browser.get(f"{url}/dashboard/studies/1/note")  # type: ignore[attr-defined]
        shows(browser, "crop", "margin")
        browser.get(f"{url}/dashboard/studies/1/trials")  # type: ignore[attr-defined]
        shows(browser, "baseline · seed 0")
        browser.save_screenshot(str(smoke / "optuna.png"))  # type: ignore[attr-defined]
