"""Does the whole pipeline keep its error on real runs? One cell trained on hundreds of seeds, split at random.

    make bench-stats

The digits example is trained with one setting on many seeds, by the program's own machinery. Then studies are made of
those runs: each cell of the example's design is given runs drawn at random without replacement, so that no trick does
anything, and the study is answered as any other. Promised: some trick is said to help or to hurt in at most 5 % of
them, with 5 seeds and with waves of 3 to 20. The verdicts of thousands of studies are counted by the tests alone, and
those of some are held to the answer that a report is drawn from.

The standard error is that of splitting; the runs themselves are the same in all studies.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from harness.analysis import Verdict, answer, paired
from harness.analysis.course import course, rule_of
from harness.analysis.grain import Grain, step_of
from harness.analysis.sequential import looks
from harness.design import Plan, plan
from harness.measures import RunState
from harness.recipes.events import Finished
from harness.runs.execute import execute
from harness.runs.single import describe
from harness.spec import load

DIGITS = Path(__file__).resolve().parents[1] / "examples" / "digits"
FIRM = (Verdict.HELPS, Verdict.HURTS)
Matrix = NDArray[np.float64]


def trained(seeds: int, epochs: int) -> Matrix:
    """The accuracy of one cell with so many seeds: real runs, one after the other."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            events: list[object] = []
            run = describe(
                f"{DIGITS / 'digits.py'}:digits", [f"budget.epochs={epochs}"], seed=seed, directory=Path(folder) / "run"
            )
            execute(run, events.append)
            assert isinstance(events[-1], Finished), events[-1]
            found.append(events[-1].summary["accuracy"])
    return np.array(found)


def table(outcomes: Matrix, of: Plan) -> pd.DataFrame:
    """The run table of a study whose cells have these outcomes [cell, seed]."""
    return pd.DataFrame(
        [
            {"cell": cell.name, "seed": seed, "state": RunState.COMPLETE, "accuracy": float(value)}
            for cell, row in zip(of.cells, outcomes, strict=True)
            for seed, value in enumerate(row)
        ]
    )


def fixed(outcomes: Matrix) -> list[bool]:
    """Which tricks a fixed number of seeds calls helps or hurts."""
    p = np.array([paired.t_p(row - outcomes[0], step_of(outcomes)) for row in outcomes[1:]])
    return [bool(each) for each in paired.holm(p) < paired.ALPHA]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400, help="real training runs of the one cell")
    parser.add_argument("--epochs", type=int, default=6, help="that each takes")
    parser.add_argument("--studies", type=int, default=4000, help="splits of them at random")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.perf_counter()
    pool, random = trained(arguments.runs, arguments.epochs), np.random.default_rng(0)
    print(
        f"{arguments.runs} runs of one cell in {time.perf_counter() - begun:.0f} s: accuracy {pool.mean():.4f}, "
        f"standard deviation {pool.std(ddof=1):.4f}, {len(np.unique(pool))} values, steps of {step_of(pool[None]):.6f}"
    )
    options = ["worth={accuracy: 0.000001}"]  # nothing is negligible
    five = plan(load(DIGITS / "digits.yaml", ["design.kind=one-at-a-time", "seeds=5", *options]))
    waves = plan(load(DIGITS / "digits.yaml", ["design.kind=one-at-a-time", "seeds={first: 3, most: 20}", *options]))
    assert waves.waves is not None
    rule, cells = rule_of(waves.waves, waves.test), len(five.cells)
    said = {"fixed, 5 seeds": 0, "3 to 20 seeds": 0}
    held = 0
    for number in range(arguments.studies):
        drawn = random.permutation(pool)[: cells * 20].reshape(cells, 20)
        claims = fixed(drawn[:, :5])
        last = looks(list(drawn[1:] - drawn[0]), None, rule, grain=Grain(drawn))[-1]
        said["fixed, 5 seeds"] += any(claims)
        said["3 to 20 seeds"] += any(verdict in FIRM for verdict in last.verdicts)
        if number % max(1, arguments.studies // 20) == 0 or (any(claims) and held < 40):
            effects = answer(table(drawn[:, :5], five), five).effects
            assert [effect.verdict in FIRM for effect in effects] == claims
            at_last = course(table(drawn, waves), waves).last
            assert at_last is not None
            assert [each in FIRM for each in at_last.verdicts] == [each in FIRM for each in last.verdicts]
            held += 1
    print(f"{arguments.studies:,} studies of {cells - 1} tricks that do nothing, {held} of them answered in full")
    print("| rule | some false helps or hurts | standard error |")
    print("| --- | ---: | ---: |")
    for name, false in said.items():
        share = false / arguments.studies
        print(f"| {name} | {share:.4f} | {math.sqrt(max(share, 0.001) * (1 - share) / arguments.studies):.4f} |")


if __name__ == "__main__":
    main()
