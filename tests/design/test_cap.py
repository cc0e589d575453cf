"""A cap on hours takes whole seeds away, the last first; a plan has at most so many runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.design import Cell, Plan, PlannedRun, plan
from harness.design.cap import cap, keep
from harness.errors import SpecError
from harness.recipes.dcgan.measures import MIFID
from harness.recipes.dcgan.settings import DcganBudget as Budget
from harness.recipes.dcgan.settings import EvaluateSettings
from harness.spec import load


def planned(seeds: list[int]) -> Plan:
    cells = ("baseline", "wide")
    return Plan(
        objective=MIFID,
        study="toy",
        recipe="dcgan",
        design="one-at-a-time",
        cells=tuple(Cell(name=name, levels={}, train={}, data={}) for name in cells),
        contrasts=(),
        runs=tuple(PlannedRun(cell=cell, seed=seed, key=f"{cell}-{seed}") for seed in seeds for cell in cells),
        dropped=(),
        control="baseline",
        budget=Budget(images=1),
        evaluate=EvaluateSettings(),
        references={},
        fingerprint="f",
    )


SECONDS = {"baseline": 600.0, "wide": 1200.0}  # half an hour a seed


@pytest.mark.parametrize(
    ("hours", "kept", "dropped"),
    [(10, [4, 2, 9], ()), (1.5, [4, 2, 9], ()), (1.49, [4, 2], (9,)), (1, [4, 2], (9,)), (0.5, [4], (9, 2))],
)
def test_the_last_seeds_go_first(hours: float, kept: list[int], dropped: tuple[int, ...]) -> None:
    capped = cap(planned([4, 2, 9]), SECONDS, hours)
    assert [run.seed for run in capped.plan.runs] == [seed for seed in kept for _ in range(2)]
    assert capped.dropped == dropped
    assert capped.hours == pytest.approx(1.5)
    assert capped.hours_kept == pytest.approx(len(kept) / 2)
    assert capped.plan.fingerprint == "f"


def test_a_cap_below_one_seed_is_refused_with_what_it_takes() -> None:
    with pytest.raises(SpecError, match=r"max_hours: 0\.4 is not enough: one seed of the 2 cells takes about 0\.5 h"):
        cap(planned([0]), SECONDS, 0.4)


def test_runs_that_share_a_training_take_what_their_own_scores_do() -> None:
    made = planned([4, 2, 9])
    shared = tuple(replace(run, training=f"baseline-{run.seed}") for run in made.runs)
    times = {"baseline": 600.0, "wide": 120.0}  # a training with its scores, and scores alone
    capped = cap(replace(made, runs=shared), times, 0.41)
    assert capped.hours == pytest.approx(0.6)
    assert [run.seed for run in capped.plan.runs] == [4, 4, 2, 2]


def test_keeping_seeds_keeps_every_cell_of_theirs() -> None:
    assert [run.key for run in keep(planned([0, 1]), [1]).runs] == ["baseline-1", "wide-1"]


def test_a_plan_of_more_runs_than_anyone_trains_is_refused_before_they_are_made(tmp_path: Path) -> None:
    levels = ", ".join(str(width) for width in range(9, 40))
    (tmp_path / "spec.yaml").write_text(
        f"study: much\nrecipe: dcgan\nbudget: {{images: 640}}\nseeds: 10000\n"
        f"factors:\n  width: {{baseline: 8, levels: [{levels}]}}\n"
    )
    with pytest.raises(SpecError, match="10,000 seeds of 32 cells are 320,000 runs, more than 200,000"):
        plan(load(tmp_path / "spec.yaml"))
