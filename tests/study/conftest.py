"""Stores and servers of a test's own, and no pictures but where a test looks at them."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
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


# ---------------------------------------------------------------------- real servers

_PASSWORD = "correct-horse-battery"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _postgres(program: str) -> str | None:
    """A program of PostgreSQL's server, wherever Debian keeps it."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *folders]))


@dataclass(frozen=True)
class Postgres:
    """A server of a test's own. The role `harness` may log in with `password` and make databases."""

    folder: Path
    port: int
    user: str | None
    password: str = _PASSWORD

    def call(self, program: str, *arguments: str) -> None:
        """Run a program of the server's, as the user that it belongs to: it refuses root."""
        path = _postgres(program)
        assert path is not None
        subprocess.run(
            [path, *arguments],
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "stderr.txt").open("a"),
            user=self.user,
            env={**os.environ, "PGPASSWORD": self.password, "HOME": str(self.folder)},
        )

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off"
        data, log = str(self.folder / "data"), str(self.folder / "log.txt")
        self.call("pg_ctl", "start", "-w", "-t", "60", "-D", data, "-l", log, "-o", options)

    def stop(self, mode: str = "fast") -> None:
        self.call("pg_ctl", "stop", "-w", "-D", str(self.folder / "data"), "-m", mode)

    def address(self, database: str, *, login: str = f"harness:{_PASSWORD}") -> str:
        """The URL of a new database of the server, with the login in it."""
        connected = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "harness")
        self.call("createdb", *connected, database)
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server on 127.0.0.1, with passwords; skipped where it or its driver is not installed."""
    pytest.importorskip("psycopg", reason="needs the extra postgres: pip install 'harness[postgres]'")
    if not all(_postgres(program) for program in ("initdb", "pg_ctl", "createdb")):
        pytest.skip("needs PostgreSQL's server: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    user = next((name for name in ("postgres", "nobody") if _known(name)), None) if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    (folder / "password").write_text(_PASSWORD)
    (folder / "password").chmod(0o644)
    server = Postgres(folder, _free_port(), user)
    try:
        server.call(
            "initdb", "-D", str(folder / "data"), "-U", "harness", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync",
            f"--pwfile={folder / 'password'}",
        )  # fmt: skip
        server.start()
        yield server
        server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    """A real MLflow server on 127.0.0.1, which keeps artifacts too; its address."""
    folder, port = tmp_path / "server", _free_port()
    folder.mkdir()
    address = f"http://127.0.0.1:{port}"
    store = f"sqlite:///{folder}/mlflow.db"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while not _answers(f"{address}/health"):
            assert server.poll() is None, (folder / "log.txt").read_text()
            assert time.monotonic() < until, "no MLflow server within 120 s"
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
