"""check: what a spec plans, said without running anything and without loading what runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from harness.errors import StudyError

ROOT = Path(__file__).resolve().parents[2]
TRICKS = str(ROOT / "ablations" / "tricks.yaml")

_LOADED = """
import sys

from harness.cli import main

main(sys.argv[1:], standalone_mode=False)
print("loaded:", *sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_it_says_cells_times_seeds_factors_and_their_levels(harness: Callable[..., Result], project: Path) -> None:
    done = harness("check", TRICKS)
    assert done.exit_code == 0
    assert (
        "tricks: recipe dcgan, one-at-a-time, 7 cells x 3 to 12 seeds, at most 84 runs of 22,000 images each"
        in done.stdout
    )
    assert "about MiFID, lower is better" in done.stdout
    rows = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert ["width", "base, wide, wide-generator"] in [[part.strip() for part in row] for row in rows]
    assert ["margin", "off, 0.8"] in [[part.strip() for part in row] for row in rows]
    assert not list(project.iterdir())


def test_it_plans_with_overrides_as_ablate_does(harness: Callable[..., Result]) -> None:
    done = harness("check", TRICKS, "--set", "seeds=2", "--set", "design.kind=full-factorial")
    assert "48 cells x 2 seeds = 96 runs" in done.stdout


def test_it_says_what_is_confounded_and_what_is_dropped_and_why(harness: Callable[..., Result]) -> None:
    done = harness(
        *("check", TRICKS, "--set", "design.kind=fractional-factorial", "--set", "design.resolution=3"),
        *("--set", "factors.width.levels=[wide]", "--set", "factors.width.sets={wide: {width: 12}}"),
    )
    assert any(line.startswith("confounded: ") and " x " in line for line in done.stdout.splitlines())
    done = harness(
        *("check", TRICKS, "--set", "design.kind=full-factorial", "--set", "factors.crop.requires={margin: [0.8]}")
    )
    (dropped,) = [line for line in done.stdout.splitlines() if line.startswith("dropped: ")]
    assert "crop=square; " in dropped  # one line for all cells that go for one reason
    assert dropped.endswith("crop=square requires margin at 0.8, here it is at off")
    assert dropped.count("; ") == 11  # of the 24 cells with crop=square, half have no margin


def test_a_search_is_described_by_its_space(harness: Callable[..., Result]) -> None:
    done = harness("check", str(ROOT / "ablations" / "search.yaml"))
    assert "search by tpe, 40 runs of 22,000 images each among 48 cells of up to 3 seeds each" in done.stdout
    assert "wants lower MiFID" in done.stdout


def test_every_mistake_is_a_line_and_the_exit_code_is_2(harness: Callable[..., Result]) -> None:
    done = harness("check", TRICKS, "--set", "train.batch=-3", "--set", "seeds=0", "--set", "trian=1")
    assert done.exit_code == 2
    assert not done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert any("train.batch: -3 is not allowed" in line for line in lines)


def test_a_spec_that_cannot_be_planned_is_refused(harness: Callable[..., Result]) -> None:
    done = harness("check", TRICKS, "--set", "factors.crop.requires={margin: [0.8]}", "--set", "design.kind=ladder")
    assert done.exit_code in (0, 2)  # the ladder drops its first rung, or nothing is left to compare
    done = harness("check", TRICKS, "--set", "design={kind: union}")
    assert done.exit_code == 2
    assert "name its designs" in done.stderr


@pytest.mark.parametrize("spec", ["tricks.yaml", "search.yaml"])
def test_it_loads_neither_networks_nor_stores_nor_tables(tmp_path: Path, spec: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, "check", str(ROOT / "ablations" / spec)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=tmp_path,
    )
    found = set(done.stdout.rpartition("loaded: ")[2].split())
    assert "rich" in found
    assert not {"torch", "pandas", "optuna", "mlflow", "scipy", "matplotlib", "plotly"} & found
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_dry_run_prints_the_very_same_plan(
    harness: Callable[..., Result], own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def untimed(*_: object, **__: object) -> None:
        raise StudyError("no timing here")

    monkeypatch.setattr("harness.study.preview.calibrate", untimed)
    assert harness("init", "./toys.py:toy", "--output", "spec.yaml").exit_code == 0
    checked = harness("check", "spec.yaml")
    dry = harness("ablate", "spec.yaml", "--dry-run", "--launch", "inline")
    assert dry.stdout.startswith(checked.stdout.rstrip())
    assert "no timing here" in dry.stderr
