"""How much of a study does one coordinator hold? Thousands of runs of a stub, with both dashboards read all along.

    make bench-load                                      5,000 runs, 16 slots, a browser on both dashboards
    python benchmarks/load.py --runs 500 --slots 4       smaller
    python benchmarks/load.py --no-browser               where Chromium is not installed

The command line itself runs the study in a folder of its own, as anybody would. Every 500 runs: the seconds that they
took, the coordinator's part of a processor, its memory, and what the pages of `mlflow ui` and `optuna-dashboard` took
to load. At the end both databases are read: each planned run must be there once, with each of its points once, and no
page, server or start may have shown an error. Ends with 1 where one did.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[1]
STEPS = 3
STUB = f"""
import random
from harness import Run, recipe

@recipe(objective="total", maximize=False)
def stub(run: Run, trick: bool = False):
    stream, total = random.Random(f"{{run.seed}}/{{trick}}"), 0.0
    for step in range(1, {STEPS} + 1):
        total += stream.random()
        run.report(step, total=total)
    return {{"total": total}}
"""
SPEC = """
study: load
recipe: ./stub.py:stub
factors: {{trick: {{baseline: false, levels: [true]}}}}
design: {{kind: one-at-a-time}}
seeds: {seeds}
"""
_DONE = re.compile(r"^\[(\d+)/\d+\]", re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=5000, help="Runs of the study, an even number.")
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--every", type=int, default=500, help="Runs between two lines of the table.")
    parser.add_argument("--browser", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--keep", type=Path, help="The study's folder; default: one that is deleted.")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="load-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return _measured(folder, given)
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _measured(folder: Path, given: argparse.Namespace) -> int:
    (folder / "stub.py").write_text(STUB)
    (folder / "load.yaml").write_text(SPEC.format(seeds=given.runs // 2))
    runs = given.runs // 2 * 2
    out = open(folder / "out.txt", "w")  # noqa: SIM115 - the study's own
    print(f"{runs} runs of {STEPS} steps, {given.slots} slots, {os.cpu_count()} cores")
    study = subprocess.Popen(
        [BIN / "harness", "ablate", "load.yaml", "--slots", str(given.slots)],
        cwd=folder,
        stdout=out,
        stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), _path()])},
    )
    watched = Watched(folder)
    try:
        if given.browser:
            _wait_for(folder / "mlflow.db", study)
            watched.begin()
        _table(folder, study, watched, runs, given.every)
        code = study.wait()
    finally:
        study.terminate()
        study.wait()
        watched.end()
        out.close()
    amiss = [*_amiss(folder, runs, code), *watched.amiss]
    print(f"exit code {code}; {watched.loads} pages were loaded, {watched.slowest:.1f} s the slowest")
    for each in amiss[:20]:
        print(f"AMISS: {each}")
    print("nothing was lost or doubled, and nothing showed an error" if not amiss else f"{len(amiss)} things are amiss")
    return 1 if amiss else 0


def _path() -> str:
    return os.environ.get("PYTHONPATH", "")


def _wait_for(path: Path, study: subprocess.Popen[bytes]) -> None:
    while not path.exists() and study.poll() is None:
        time.sleep(0.2)


def _table(folder: Path, study: subprocess.Popen[bytes], watched: Watched, runs: int, every: int) -> None:
    print(
        f"\n{'runs':>6}{'seconds':>9}{'ms a run':>10}{'CPU a run, ms':>15}{'memory, MB':>12}{'pages':>7}{'page, s':>9}"
    )
    began, used, at, loads = time.monotonic(), 0.0, every, 0
    printed = open(folder / "out.txt", errors="replace")  # noqa: SIM115
    done, rest = 0, ""
    with printed:
        while study.poll() is None and at <= runs:
            rest += printed.read()
            whole, _, rest = rest.rpartition("\n")
            done = max([done, *map(int, _DONE.findall(whole))])
            if done >= at:
                now, spent = time.monotonic(), _seconds(study.pid)
                pages = watched.times[loads:]
                loads += len(pages)
                page = f"{sum(pages) / len(pages):9.1f}" if pages else f"{'':>9}"
                print(
                    f"{at:>6}{now - began:>9.0f}{(now - began) / every * 1000:>10.0f}"
                    f"{(spent - used) / every * 1000:>15.0f}{_memory(study.pid):>12.0f}{len(pages):>7}{page}",
                    flush=True,
                )
                began, used, at = now, spent, at + every
            time.sleep(0.1)


def _memory(pid: int) -> float:
    """What a process holds for itself and shares, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def _seconds(pid: int) -> float:
    """Processor time of a process, its ended children without."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


# ---------------------------------------------------------------------- the dashboards


@dataclass
class Watched:
    """Both dashboards of a study's folder, whose pages a browser loads again and again."""

    folder: Path
    times: list[float] = field(default_factory=list)
    amiss: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def loads(self) -> int:
        return len(self.times)

    @property
    def slowest(self) -> float:
        return max(self.times, default=0.0)

    def begin(self) -> None:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        try:
            ports = str(_free_port()), str(_free_port())
            mlflow, optuna = (f"http://127.0.0.1:{port}" for port in ports)
            with (
                _served(
                    self.folder,
                    "mlflow",
                    "ui",
                    "--workers",
                    "1",
                    "--port",
                    ports[0],
                    url=f"{mlflow}/health",
                ),
                _served(
                    self.folder,
                    "optuna-dashboard",
                    "sqlite:///optuna.db",
                    "--port",
                    ports[1],
                    url=f"{optuna}/dashboard",
                ),
                _browser(self.folder) as browser,
            ):
                pages = (
                    (f"{mlflow}/#/experiments/1/runs", "matching runs"),
                    (f"{optuna}/dashboard", "load-"),
                    (f"{mlflow}/#/experiments", "load"),
                    (f"{optuna}/dashboard/studies/1/note", "load-"),
                )
                turn = 0
                while not self._stop.is_set():
                    self._load(browser, *pages[turn % len(pages)])
                    turn += 1
                    self._stop.wait(2.0)
        except Exception as error:
            self.amiss.append(f"the dashboards could not be watched: {type(error).__name__}: {error}")

    def _load(self, browser: Any, url: str, wanted: str) -> None:
        began = time.monotonic()
        browser.get("about:blank")
        browser.get(url)
        text = ""
        while time.monotonic() - began < 120:
            text = str(browser.execute_script("return document.body.innerText"))
            if wanted in text:
                break
            if self._stop.is_set():
                return
            time.sleep(0.2)
        else:
            self.amiss.append(f"{url} did not show '{wanted}' within 120 s but: {text[:200]!r}")
        self.times.append(time.monotonic() - began)
        if found := re.search(r"Something went wrong|Internal Server Error|failed to fetch|Failed to load", text, re.I):
            self.amiss.append(f"{url} shows '{found[0]}'")
        for entry in browser.get_log("browser"):
            if re.search(r"status of 5\d\d", entry["message"]):
                self.amiss.append(f"{url}: {entry['message'][:200]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _served(folder: Path, *command: str, url: str) -> Iterator[None]:
    log = open(folder / f"{command[0]}.log", "w")  # noqa: SIM115
    process = subprocess.Popen(
        [str(BIN / command[0]), *command[1:]], cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        until = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).read()
                break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise RuntimeError(f"{command[0]} does not answer at {url}") from None
                time.sleep(0.3)
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait()
        log.close()


@contextmanager
def _browser(folder: Path) -> Iterator[Any]:
    from selenium import webdriver

    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or chromium is None:
        raise RuntimeError("needs Debian's packages chromium and chromium-driver, or --no-browser")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1600,1200",
    ):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={folder / 'chromium'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    opened.set_page_load_timeout(120)
    try:
        yield opened
    finally:
        opened.quit()


# ---------------------------------------------------------------------- what is there


def _amiss(folder: Path, runs: int, code: int) -> Iterator[str]:
    """What is lost, doubled or wrong, read from both databases."""
    if code != 0:
        yield f"harness ablate ended with {code}"
    printed = (folder / "out.txt").read_text(errors="replace")
    if "Traceback" in printed:
        yield f"a traceback was printed: {printed[printed.index('Traceback') :][:300]!r}"
    for log in folder.glob("*.log"):
        if "Traceback" in (text := log.read_text(errors="replace")):
            yield f"{log.name}: {text[text.index('Traceback') :][-300:]!r}"
    optuna, mlflow = (sqlite3.connect(folder / f"{name}.db") for name in ("optuna", "mlflow"))
    states = dict(optuna.execute("SELECT state, count(*) FROM trials GROUP BY state"))
    if states != {"COMPLETE": runs}:
        yield f"Optuna has {states}, not {runs} complete trials"
    (keys,) = optuna.execute(
        "SELECT count(DISTINCT value_json) FROM trial_user_attributes WHERE key = 'key'"
    ).fetchone()
    if keys != runs:
        yield f"Optuna has {keys} runs, not {runs}"
    (values,) = optuna.execute("SELECT count(*) FROM trial_intermediate_values").fetchone()
    if values != runs * STEPS:
        yield f"Optuna has {values} intermediate values, not {runs * STEPS}"
    statuses = dict(
        mlflow.execute(
            "SELECT status, count(*) FROM runs JOIN tags ON runs.run_uuid = tags.run_uuid "
            "AND tags.key = 'harness.role' AND tags.value = 'run' WHERE lifecycle_stage = 'active' GROUP BY status"
        )
    )
    if statuses != {"FINISHED": runs}:
        yield f"MLflow has {statuses}, not {runs} finished runs"
    (points, different) = mlflow.execute(
        "SELECT count(*), count(DISTINCT run_uuid || '/' || step) FROM metrics WHERE key = 'total'"
    ).fetchone()
    if points != runs * STEPS or different != points:
        yield f"MLflow has {points} points, {different} of them different, not {runs * STEPS}"


if __name__ == "__main__":
    sys.exit(main())
