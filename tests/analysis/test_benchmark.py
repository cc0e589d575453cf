"""The benchmark of the statistics runs, and what it simulates comes out right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_benchmark_of_simulated_studies_runs_and_finds_what_was_put_in() -> None:
    call = [sys.executable, "benchmarks/effects.py", "--studies", "12"]
    printed = subprocess.run(call, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    rows = [line.split("|")[1:-1] for line in printed.splitlines() if re.match(r"\| \d", line)]
    rows, of_worth = rows[:6], rows[6:]
    assert [(int(seeds), float(truth)) for seeds, truth, _ in of_worth] == [
        (seeds, truth) for seeds in (10, 20) for truth in (5, 0)
    ]
    assert float(of_worth[-1][-1]) > 0.5  # 20 seeds show a trick that does nothing to be within the worth
    assert [(int(seeds), float(truth)) for seeds, truth, *_ in rows] == [
        (seeds, truth) for truth in (0, -20) for seeds in (3, 5, 10)
    ]
    assert float(rows[-1][-1]) == 1  # an effect of four standard deviations is found with ten seeds, always
    assert float(re.search(r"add up to the total within (\S+)", printed)[1]) < 1e-9  # type: ignore[index]
    estimate = float(re.search(r"mean estimate (\S+),", printed)[1])  # type: ignore[index]
    assert abs(estimate + 4) < 2
    assert "analysed and reported in" in printed


def test_the_benchmark_of_the_sequential_rule_runs_and_finds_what_was_put_in() -> None:
    call = [sys.executable, "benchmarks/sequential.py", "--studies", "10"]
    printed = subprocess.run(call, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if "seeds |" in line]
    assert [row[0] for row in rows] == ["fixed 12 seeds", "3 to 12 seeds", "3 to 20 seeds"] * 2
    assert [row[1] for row in rows] == ["0, 0, 0, 0, 0, 0"] * 3 + ["3, 2, 1, 0, 0, 0"] * 3
    assert all(row[3].startswith("1.00, 1.00, ") for row in rows[3:])  # effects of 2 and 3 are found, always
    runs = [float(row[-1]) for row in rows]
    assert runs[0] == runs[3] == 84
    assert max(runs[1], runs[2], runs[4], runs[5]) < 84
    assert re.search(r"the same answer in (\d+) of \1 studies", printed)


@pytest.mark.slow
def test_real_runs_split_at_random_are_answered_as_a_report_answers_them() -> None:
    call = [sys.executable, "benchmarks/aa.py", "--runs", "130", "--epochs", "3", "--studies", "100"]
    printed = subprocess.run(call, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if "seeds |" in line]
    assert [row[0] for row in rows] == ["fixed, 5 seeds", "3 to 20 seeds"]
    assert all(float(row[1]) <= 0.05 + 5 * 0.022 for row in rows)
    assert "steps of 0.000668" in printed  # 1,497 images
