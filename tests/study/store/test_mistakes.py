"""A user's mistake in a database's address is one line that says place, reason and remedy; nothing is written."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import optuna
import pytest
from click.testing import CliRunner, Result

from harness.cli import main
from harness.errors import StudyError
from harness.study.store import StudyStore, check
from harness.study.store.address import scrubbed, without_password

TOY = """
from harness import Run, recipe


@recipe(objective="error")
def toy(run: Run, lr: float = 0.1):
    return {"error": lr + run.seed}
"""
SPEC = "study: wrong\nrecipe: ./toy.py:toy\nfactors:\n  lr: {baseline: 0.1, levels: [0.2]}\nseeds: 2\n"


@pytest.fixture
def harness(project: Path) -> Callable[..., Result]:
    """Calls the command line in this process, beside a recipe and a spec."""
    (project / "toy.py").write_text(TOY)
    (project / "spec.yaml").write_text(SPEC)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), catch_exceptions=False)

    return call


def _closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


CLOSED = _closed_port()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nonsense", "is no address of a database; allowed: sqlite:///FILE.db, postgresql://USER@HOST/DATABASE"),
        ("optuna.db", "is no address of a database; for that file write sqlite:///optuna.db; allowed"),
        ("nonsense://somewhere/db", "is no address of a database; allowed: sqlite:///FILE.db"),
        ("://", "is no address of a database; allowed"),
        ("", "is no address of a database; allowed"),
        ("http://somewhere:5000", "is no address of a database; allowed"),
        ("sqlite://", "is a database in memory, which is gone when the command ends; name a file"),
        ("sqlite:///:memory:", "is a database in memory, which is gone when the command ends; name a file"),
        ("sqlite:///nowhere/optuna.db", "the folder nowhere does not exist; make it, or name a file in another one"),
        ("sqlite:///.", ". is a folder; name a file in it, like optuna.db"),
        ("nowhere/study.log", "the folder nowhere does not exist; make it"),
        ("mysql://user@host/db", "its driver MySQLdb is not installed; install it with `pip install mysqlclient`"),
        ("mysql+pymysql://user@host/db", "its driver pymysql is not installed; install it with `pip install pymysql`"),
        ("redis://host", "its driver redis is not installed; install it with `pip install redis`"),
    ],
)
@pytest.mark.slow
def test_an_address_that_cannot_be_used_is_refused_in_one_line_before_anything_is_written(
    harness: Callable[..., Result], project: Path, address: str, said: str
) -> None:
    before = sorted(project.rglob("*"))
    done = harness("ablate", "spec.yaml", "--launch", "inline", "--storage", address)
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith(f"error: --storage {address}: {said}")
    assert len(done.stderr.splitlines()) == 1
    assert [path for path in sorted(project.rglob("*")) if "__pycache__" not in str(path)] == before


@pytest.mark.parametrize("command", [("report", "wrong"), ("studies",), ("ablate", "spec.yaml", "--dry-run")])
def test_commands_that_only_read_say_the_same(
    harness: Callable[..., Result], project: Path, command: tuple[str, ...]
) -> None:
    done = harness(*command, "--storage", "nonsense://user:hidden@somewhere/db")
    assert done.exit_code == 2, done.output
    assert "error: --storage nonsense://user:***@somewhere/db: is no address of a database; allowed" in done.stderr
    assert "hidden" not in done.output


def test_without_its_driver_postgresql_names_the_extra(
    harness: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for address in ("postgresql://harness@localhost/harness", "postgresql+psycopg://harness@localhost/harness"):
        done = harness("ablate", "spec.yaml", "--launch", "inline", "--storage", address)
        assert done.exit_code == 2
        assert (
            done.stderr == f"error: --storage {address}: its driver psycopg is not installed; install it with "
            "`pip install 'harness[postgres]'`\n"
        )


def test_a_server_that_is_not_there_is_said_at_once(harness: Callable[..., Result]) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    address = f"postgresql://harness:hidden@127.0.0.1:{CLOSED}/harness"
    done = harness("ablate", "spec.yaml", "--launch", "inline", "--storage", address)
    assert done.exit_code == 2
    assert f"--storage postgresql://harness:***@127.0.0.1:{CLOSED}/harness: nothing answers there" in done.stderr
    assert "see that the server runs and that host and port are right" in done.stderr
    done = harness("ablate", "spec.yaml", "--launch", "inline", "--storage", "postgresql://a@nowhere.invalid/harness")
    assert "the host is not known" in done.stderr


def _study(path: Path) -> Path:
    study = optuna.create_study(study_name="theirs", storage=f"sqlite:///{path}")
    for number in range(300):
        study.enqueue_trial({"x": number}, user_attrs={"text": "x" * 200})
    return path


def test_a_damaged_database_is_refused_wherever_it_is_damaged_and_stays_as_it_is(
    harness: Callable[..., Result], project: Path
) -> None:
    whole = _study(project / "optuna.db").read_bytes()
    for at, said in (
        (0, "the file is no SQLite database, or is damaged"),
        (len(whole) // 2, "the database is damaged"),
    ):
        damaged = bytearray(whole)
        damaged[at : at + 4096] = bytes(index % 251 for index in range(4096))
        (project / "optuna.db").write_bytes(damaged)
        for command in (("ablate", "spec.yaml", "--launch", "inline"), ("report", "theirs"), ("studies",)):
            done = harness(*command)
            assert done.exit_code == 2, done.output
            assert f"error: --storage sqlite:///optuna.db: {said}" in done.stderr
            assert "restore a copy" in done.stderr
            assert len(done.stderr.splitlines()) == 1
        assert (project / "optuna.db").read_bytes() == damaged


@pytest.mark.slow
def test_a_database_cut_off_by_a_full_disk_is_refused(harness: Callable[..., Result], project: Path) -> None:
    whole = _study(project / "optuna.db").read_bytes()
    (project / "optuna.db").write_bytes(whole[: len(whole) // 3])
    done = harness("ablate", "spec.yaml", "--launch", "inline")
    assert done.exit_code == 2
    assert "the database is damaged" in done.stderr


def test_a_file_that_may_only_be_read_can_be_reported_but_not_run(
    harness: Callable[..., Result], project: Path
) -> None:
    _study(project / "optuna.db")
    address = "sqlite:///file:optuna.db?mode=ro&uri=true"
    assert harness("studies", "--storage", address).exit_code == 0
    done = harness("ablate", "spec.yaml", "--launch", "inline", "--storage", address)
    assert done.exit_code == 2
    assert "the file cannot be written (attempt to write a readonly database)" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may not write")
def test_a_file_of_another_user_is_refused_before_anything_is_written(project: Path) -> None:
    _study(project / "optuna.db").chmod(0o444)
    probe = (
        "import os, sys; os.setgid(65534); os.setuid(65534)\n"
        "from harness.errors import StudyError\n"
        "try: check(sys.argv[1], flag='--storage', program='Optuna')\n"
        "except StudyError as error: print(error)\n"
    )
    for folder in (project, *project.parents):
        if folder != Path("/tmp"):
            folder.chmod(0o755)
        if folder.parent == Path("/tmp"):
            break
    done = subprocess.run(
        [sys.executable, "-c", f"from harness.study.store import check\n{probe}", "sqlite:///optuna.db"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.startswith(
        "--storage sqlite:///optuna.db: optuna.db cannot be written; give this user the right"
    )


# ---------------------------------------------------------------------- one database taken for the other


@pytest.mark.slow
def test_mlflows_database_is_no_storage_and_optunas_no_tracking_uri(
    harness: Callable[..., Result], project: Path, tracking: str
) -> None:
    before = (project / "mlflow.db").read_bytes()
    done = harness("ablate", "spec.yaml", "--launch", "inline", "--storage", "sqlite:///mlflow.db")
    assert done.exit_code == 2
    assert (
        "--storage sqlite:///mlflow.db: is MLflow's database, which Optuna would break; each needs one" in done.stderr
    )
    assert (project / "mlflow.db").read_bytes() == before
    _study(project / "optuna.db")
    with pytest.raises(StudyError, match="is Optuna's database, which MLflow would"):
        check("sqlite:///optuna.db", flag="--tracking-uri", program="MLflow")
    check(tracking, flag="--tracking-uri", program="MLflow")
    check("sqlite:///new.db", flag="--tracking-uri", program="MLflow")
    assert not (project / "new.db").exists()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mlruns", "is no address of a database; allowed: sqlite:///FILE.db"),
        ("nonsense://somewhere", "is no address of a database; allowed: sqlite:///FILE.db"),
        ("sqlite:///nowhere/mlflow.db", "the folder nowhere does not exist; make it"),
        ("mysql://user@host/db", "its driver MySQLdb is not installed; install it with `pip install mysqlclient`"),
        ("http://127.0.0.1:CLOSED", "nothing answers there"),
    ],
)
def test_a_tracking_uri_that_cannot_be_used_is_refused(project: Path, address: str, said: str) -> None:
    address = address.replace("CLOSED", str(CLOSED))  # another in each of pytest's processes, which want equal names
    with pytest.raises(StudyError) as refused:
        check(address, flag="--tracking-uri", program="MLflow")
    assert str(refused.value).startswith(f"--tracking-uri {address}: {said}")
    assert not list(project.iterdir())


class _Nothing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    """A web server that knows no page."""
    server = HTTPServer(("127.0.0.1", 0), _Nothing)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_web_server_that_is_no_mlflow_server_is_refused(project: Path, web: str) -> None:
    with pytest.raises(StudyError, match="something answers there, but no MLflow server"):
        check(web, flag="--tracking-uri", program="MLflow")


# ---------------------------------------------------------------------- passwords


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://user:hidden@host/db", "postgresql://user:***@host/db"),
        ("postgresql+psycopg://user:hid/den@host:5432/db", "postgresql+psycopg://user:***@host:5432/db"),
        ("postgresql://user:hid@den@host/db", "postgresql://user:***@host/db"),
        ("postgresql://host/db?user=me&password=hidden", "postgresql://host/db?user=me&password=***"),
        ("postgresql://host/db?sslpassword=hidden&x=1", "postgresql://host/db?sslpassword=***&x=1"),
        ("redis://:hidden@host", "redis://:***@host"),
        ("https://user:hidden@host:5000", "https://user:***@host:5000"),
        ("postgresql://user@host/db", "postgresql://user@host/db"),
        ("sqlite:///optuna.db", "sqlite:///optuna.db"),
    ],
)
def test_no_password_of_an_address_is_shown(address: str, shown: str) -> None:
    assert without_password(address) == shown


def test_a_password_is_taken_out_of_a_drivers_words_as_it_is_typed_and_as_it_is_meant() -> None:
    address = "postgresql://user:a%2Fb@host/db"
    assert scrubbed("login a/b refused; dsn was user:a%2Fb@host", address) == "login *** refused; dsn was user:***@host"


def test_someone_elses_tables_do_not_stand_in_the_way(project: Path) -> None:
    with sqlite3.connect("shared.db") as connection:
        connection.execute("create table theirs (id integer)")
    connection.close()
    check("sqlite:///shared.db", flag="--storage", program="Optuna")
    assert not StudyStore("sqlite:///shared.db", "none").is_there()
