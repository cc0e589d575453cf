"""The arrows of the design: nothing imports upward, one module per outside service, runs need PyTorch alone."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).resolve().parents[1] / "harness"
FILES = sorted(HARNESS.rglob("*.py"))

# From the ground up: a room imports from itself and from the rooms above it in this list.
STAIRS = [
    *("errors", "measures", "settings", "machine", "files"),
    *("data", "metrics", "recipes", "integrations", "spec", "design", "runs"),
    *("analysis", "report", "study", "cli", "__main__"),
]
HEIGHT = {room: height for height, room in enumerate(STAIRS)}
# Rooms that must not know of each other: neighbours, and recipes' own matters that a study leaves to the recipe.
APART = [{"data", "metrics"}, {"study", "data"}, {"study", "metrics"}]


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
    if own == "__init__":  # hands out names of every room, when they are asked for
        return
    for module in imports(path):
        if module.startswith("harness.") and room(module) in HEIGHT and room(module) != own:
            assert HEIGHT[room(module)] <= HEIGHT[own], f"{own} imports {module}, which is above it"
            assert not any({own, room(module)} <= apart for apart in APART), (
                f"{own} imports {module}, which it must not know"
            )


def test_every_room_has_its_step() -> None:
    rooms = {path.relative_to(HARNESS).parts[0].removesuffix(".py") for path in FILES} - {"__init__"}
    assert rooms == set(HEIGHT)


@pytest.mark.parametrize(
    ("service", "own"),
    [
        *(("optuna", "study/store"), ("optuna_dashboard", "study/store"), ("mlflow", "study/tracking.py")),
        *(("ray", "runs/ray.py"), ("submitit", "runs/slurm.py")),
    ],
)
def test_one_room_alone_imports_an_outside_service(service: str, own: str) -> None:
    users = [
        path.relative_to(HARNESS) for path in FILES if any(name.split(".")[0] == service for name in imports(path))
    ]
    assert users
    assert all(path.as_posix().startswith(own) for path in users)


_LOADED = """
import sys

from harness.cli import main

try:
    main(sys.argv[1:], standalone_mode=False)
finally:
    print("loaded:", *sorted({name.split(".")[0] for name in sys.modules}))
"""


def loaded(folder: Path, *arguments: str) -> set[str]:
    """The packages that a command loads."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=folder,
    )
    return set(done.stdout.rpartition("loaded: ")[2].split())


def test_the_list_of_commands_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = {
        "torch",
        "pandas",
        "numpy",
        "pydantic",
        "rich",
        "optuna",
        "mlflow",
        "yaml",
        "scipy",
        "matplotlib",
        "plotly",
    }
    found = loaded(tmp_path, "--help")
    assert "click" in found
    assert not heavy & found


@pytest.mark.parametrize(
    "command",
    [
        *("recipes", "init", "check", "ablate", "report", "compare", "studies", "train", "sample", "score", "data"),
        "doctor",
    ],
)
def test_help_of_a_command_loads_neither_networks_nor_stores(tmp_path: Path, command: str) -> None:
    found = loaded(tmp_path, command, "--help")
    assert "click" in found
    assert not {"torch", "pandas", "optuna", "mlflow", "matplotlib", "plotly", "ray", "submitit"} & found


_REPORT = """
from harness.design import plan
from harness.spec import load
from harness.spec.documents import plain
from harness.study.answer import study_name
from harness.study.store import StudyStore

spec = load("ablations/smoke.yaml")
store = StudyStore("sqlite:///optuna.db", study_name(spec, plan(spec)))
store.create(spec, plan(spec))
store.remember(spec=plain(spec.document))
"""


@pytest.mark.slow
def test_a_report_as_a_table_loads_nothing_that_it_does_not_show(tmp_path: Path) -> None:
    shutil.copytree(HARNESS.parent / "ablations", tmp_path / "ablations")
    subprocess.run([sys.executable, "-c", _REPORT], check=True, timeout=60, cwd=tmp_path)
    found = loaded(tmp_path, "report", "smoke")
    assert {"optuna", "pandas"} <= found
    assert not {"torch", "mlflow", "matplotlib", "plotly", "jinja2", "sklearn", "statsmodels"} & found


_STUB = """
from harness import Run, recipe

@recipe(objective="total")
def stub(run: Run, trick: bool = False):
    run.report(1, total=run.seed + trick)
    return {"total": run.seed + trick}
"""
_STUBS = """
study: stubs
recipe: ./stub.py:stub
factors: {trick: {baseline: false, levels: [true]}}
seeds: 2
"""


@pytest.mark.slow
def test_a_coordinator_loads_no_torch_and_a_start_with_nothing_to_do_no_mlflow_either(tmp_path: Path) -> None:
    (tmp_path / "stub.py").write_text(_STUB)
    (tmp_path / "stubs.yaml").write_text(_STUBS)
    found = loaded(tmp_path, "ablate", "stubs.yaml", "--slots", "1")
    assert {"optuna", "mlflow"} <= found
    assert "torch" not in found
    found = loaded(tmp_path, "ablate", "stubs.yaml")
    assert {"optuna", "pandas"} <= found
    assert not {"torch", "mlflow", "matplotlib", "plotly", "sklearn"} & found
    (tmp_path / "mlflow.db").unlink()  # what is gone is looked at again
    assert "mlflow" in loaded(tmp_path, "ablate", "stubs.yaml")


def test_the_package_itself_is_the_command_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.startswith("harness, version ")


_TRAIN_WITHOUT = """
import sys

for absent in ("optuna", "optuna_dashboard", "mlflow", "plotly", "alembic", "sqlalchemy"):
    sys.modules[absent] = None  # importing it raises ImportError, as where it is not installed

from harness.cli import main

settings = ["width=2", "data.size=32", "data.count=32", "budget.images=64", "evaluate.samples=16",
            "evaluate.interim_samples=16", "evaluate.times=1", "evaluate.grid=2", "device=cpu"]
main(["train", "dcgan", "--output", sys.argv[1], *(word for text in settings for word in ("--set", text))])
"""


@pytest.mark.slow
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


def test_every_file_that_contributing_names_is_there() -> None:
    table = (HARNESS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Where is what")[2]
    folder, missing = Path(), []
    for row in table.partition("\n## ")[0].splitlines():
        for name in re.findall(r"`([\w/.]+\.(?:py|json|html|css))`", row.rpartition(" | ")[2]):
            folder = Path(name).parent if "/" in name else folder
            if not (HARNESS / folder / Path(name).name).exists():
                missing.append(name)
    assert not missing
