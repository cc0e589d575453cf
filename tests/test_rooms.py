"""The arrows of the design: nothing imports upward, one module per outside service, runs need PyTorch alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).resolve().parents[1] / "harness"
FILES = sorted(HARNESS.rglob("*.py"))

# From the ground up: a room imports from itself and from the rooms above it in this list.
STAIRS = [
    *("errors", "measures", "settings", "machine", "files"),
    *("data", "metrics", "recipes", "spec", "design", "runs", "analysis", "report", "study", "cli"),
]
HEIGHT = {room: height for height, room in enumerate(STAIRS)}
APART = [{"data", "metrics"}]  # neighbours that must not know of each other


def room(module: str) -> str:
    return module.split(".")[1]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"harness.{alias.name}" for alias in node.names} if node.module == "harness" else {node.module}
            found |= names
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(HARNESS).as_posix())
def test_a_room_imports_only_from_rooms_below(path: Path) -> None:
    own = path.relative_to(HARNESS).parts[0].removesuffix(".py")
    if own == "__init__":
        assert not imports(path) - {"__future__"}
        return
    for module in imports(path):
        if module.startswith("harness.") and room(module) in HEIGHT and room(module) != own:
            assert HEIGHT[room(module)] <= HEIGHT[own], f"{own} imports {module}, which is above it"
            assert not any({own, room(module)} <= apart for apart in APART), f"{own} imports its neighbour {module}"


def test_every_room_has_its_step() -> None:
    rooms = {path.relative_to(HARNESS).parts[0].removesuffix(".py") for path in FILES} - {"__init__"}
    assert rooms == set(HEIGHT)


@pytest.mark.parametrize(
    ("service", "own"),
    [("optuna", "study/store"), ("optuna_dashboard", "study/store"), ("mlflow", "study/tracking.py")],
)
def test_one_room_alone_imports_an_outside_service(service: str, own: str) -> None:
    users = [
        path.relative_to(HARNESS) for path in FILES if any(name.split(".")[0] == service for name in imports(path))
    ]
    assert users
    assert all(path.as_posix().startswith(own) for path in users)


_TRAIN_WITHOUT = """
import sys

for absent in ("optuna", "optuna_dashboard", "mlflow", "plotly", "alembic", "sqlalchemy"):
    sys.modules[absent] = None  # importing it raises ImportError, as where it is not installed

from harness.cli import main

settings = ["width=2", "data.size=32", "data.count=32", "budget.images=64", "evaluate.samples=16",
            "evaluate.interim_samples=16", "evaluate.times=1", "evaluate.grid=2", "device=cpu"]
main(["train", "dcgan", "--output", sys.argv[1], *(word for text in settings for word in ("--set", text))])
"""


def test_a_run_trains_and_is_scored_where_neither_optuna_nor_mlflow_is_installed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TRAIN_WITHOUT, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "mifid" in done.stdout
    assert (tmp_path / "run" / "generator.pt").stat().st_size > 0
