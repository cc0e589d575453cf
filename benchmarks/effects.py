"""Do the answers keep their promises? Simulated studies with a known truth, and the time that a large one takes.

    make bench-stats

Every setting is 2,000 simulated studies of six tricks (one-at-a-time, normal outcomes paired by seed). Promised: 95 %
intervals that cover the truth in 93 to 97 % of the studies, and "helps" or "hurts" of any trick in at most 5 % of the
studies in which no trick does anything; "negligible" of any trick whose effect is as large as the worth in at most 5 %.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis import Verdict, answer, effects
from harness.analysis.interplay import fitted, shapley
from harness.analysis.outcomes import Outcomes
from harness.analysis.space import Space
from harness.design import Cell, Contrast, Plan, PlannedRun
from harness.measures import Measure
from harness.recipes.dcgan.measures import MIFID
from harness.recipes.dcgan.settings import DcganBudget as Budget
from harness.recipes.dcgan.settings import EvaluateSettings
from harness.report import Report, page, text

On = frozenset[int]

OTHER = Measure(name="mifid/other/square", title="MiFID (other, square)", yardstick_of="mifid")


def name(on: On) -> str:
    return "+".join(f"trick {i}" for i in sorted(on)) or "baseline"


def plan_of(tricks: int, cells: Iterable[On], seeds: int) -> Plan:
    """A plan over two-level tricks; every contrast holds the pairs of cells that differ in its trick alone."""
    cells = list(cells)
    present = set(cells)
    factors = [f"trick {i}" for i in range(tricks)]
    return Plan(
        objective=MIFID,
        measures=(OTHER,),
        study="simulated",
        recipe="dcgan",
        design="simulated",
        cells=tuple(
            Cell(
                name=name(on), levels={f: "on" if i in on else "off" for i, f in enumerate(factors)}, train={}, data={}
            )
            for on in cells
        ),
        contrasts=tuple(
            Contrast(
                name=f"{factor}: off -> on",
                factor=factor,
                level="on",
                baseline="off",
                pairs=tuple((name(on), name(on - {i})) for on in cells if i in on and on - {i} in present),
            )
            for i, factor in enumerate(factors)
        ),
        runs=tuple(PlannedRun(cell=name(on), seed=s, key=f"{name(on)} {s}") for s in range(seeds) for on in cells),
        dropped=(),
        control=name(cells[0]),
        budget=Budget(images=1000),
        evaluate=EvaluateSettings(),
        references={},
        fingerprint="",
    )


def runs_of(cells: Iterable[On], seeds: int, outcome: Callable[[On, int], float]) -> pd.DataFrame:
    rows = [(name(on), seed, outcome(on, seed)) for seed in range(seeds) for on in cells]
    table = pd.DataFrame(rows, columns=["cell", "seed", "mifid"])
    return table.assign(state="complete", slots_per_device=1, train_seconds=10.0, images_per_second=100.0)


def simulate(tricks: int, seeds: int, truth: float, studies: int, random: np.random.Generator) -> list[float]:
    """Coverage of the t and bootstrap intervals, and how often any trick, and the first, is said to help or hurt."""
    cells = [frozenset(), *(frozenset({i}) for i in range(tricks))]
    plan = plan_of(tricks, cells, seeds)
    order = {on: index for index, on in enumerate(cells)}
    rows = []
    for _ in range(studies):
        levels, noise = random.normal(0, 10, seeds), random.normal(0, 5, (len(cells), seeds))
        runs = runs_of(cells, seeds, lambda on, s: 100 + levels[s] + noise[order[on], s] + truth * (0 in on))  # noqa: B023
        found = effects(runs, plan, "mifid")
        covered = [each.low <= truth <= each.high for each in (found[0].change, found[0].bootstrap)]
        firm = [effect.verdict in (Verdict.HELPS, Verdict.HURTS) for effect in found]
        rows.append([*covered, any(firm), firm[0]])
    return np.mean(rows, axis=0).tolist()


def negligible(seeds: int, truth: float, studies: int, random: np.random.Generator) -> float:
    """How often any of two tricks is called negligible, whose effect of `truth` is held against 5 % of a noisy control.

    Six tricks; runs of 100 with a standard deviation of 4, three tenths of it shared by the runs of a seed.
    """
    cells = [frozenset(), *(frozenset({i}) for i in range(6))]
    plan = plan_of(6, cells, seeds)
    order = {on: index for index, on in enumerate(cells)}
    said = 0
    for _ in range(studies):
        noise = math.sqrt(0.3) * random.normal(0, 4, seeds) + math.sqrt(0.7) * random.normal(0, 4, (len(cells), seeds))
        runs = runs_of(cells, seeds, lambda on, s: 100 + noise[order[on], s] + truth * bool(on & {0, 1}))  # noqa: B023
        said += any(effect.verdict is Verdict.NEGLIGIBLE for effect in effects(runs, plan, "mifid")[:2])
    return said / studies


def interactions(studies: int, random: np.random.Generator) -> tuple[float, float, float]:
    """Mean estimate and coverage of an interaction of -4 in a 2^3 with 3 seeds, and the largest Shapley sum error.

    Both tricks together are 8 better than their sum.
    """
    cells = [frozenset(some) for size in range(4) for some in itertools.combinations(range(3), size)]
    plan = plan_of(3, cells, 3)
    order = {on: index for index, on in enumerate(cells)}
    estimates, covered, error = [], 0, 0.0
    for _ in range(studies):
        noise = random.normal(0, 3, (8, 3))
        runs = runs_of(cells, 3, lambda on, s: 100 + 10 * s + noise[order[on], s] - 8 * ({1, 2} <= on))  # noqa: B023
        space = Space.of(Outcomes.of(runs, plan, MIFID))
        factorial, shared = fitted(space), shapley(space)
        assert factorial is not None
        assert shared is not None
        (one,) = (term.estimate for term in factorial.terms if term.name == "trick 1 x trick 2")
        estimates.append(one.value)
        covered += one.low <= -4 <= one.high
        error = max(error, abs(sum(share.estimate.value for share in shared.shares) - shared.total.value))
    return float(np.mean(estimates)), covered / studies, error


def large(random: np.random.Generator) -> tuple[int, dict[str, float]]:
    """Runs of a large study of 12 tricks, and the seconds that each part of its answer takes."""
    cells = [frozenset(np.flatnonzero(random.random(12) < 0.5).tolist()) for _ in range(1200)]
    cells += [frozenset(), *(frozenset({i}) for i in range(12))]
    cells = list(dict.fromkeys([*cells[-13:], *cells]))
    seeds = math.ceil(10_000 / len(cells))
    plan = plan_of(12, cells, seeds)
    runs = runs_of(cells, seeds, lambda on, s: 100 + s - 2 * len(on) + random.normal())
    runs[OTHER.name] = runs["mifid"] + random.normal(size=len(runs))
    curves = {
        (cell, seed): [(images, mifid * 1000 / images) for images in (250, 500, 750, 1000)]
        for cell, seed, mifid in zip(runs["cell"], runs["seed"], runs["mifid"], strict=True)
    }
    times = {}

    def timed(part: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        found = call()
        times[part] = time.perf_counter() - start
        return found

    report = Report(answer=timed("answer", lambda: answer(runs, plan, curves)), runs=runs, curves=curves)
    assert "simulated" in timed("page", lambda: page.render(report))
    assert timed("tables", lambda: text.markdown(report) + text.latex(report))
    return len(runs), times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies a setting")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    print(f"{options.studies:,} simulated studies of 6 tricks a setting")
    print("| seeds | truth of trick 0 | t interval covers | bootstrap covers | any verdict | verdict on trick 0 |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for seeds, truth in ((3, 0.0), (5, 0.0), (10, 0.0), (3, -20.0), (5, -20.0), (10, -20.0)):
        shares = " | ".join(f"{share:.3f}" for share in simulate(6, seeds, truth, options.studies, random))
        print(f"| {seeds} | {truth:g} | {shares} |", flush=True)
    print("\n| seeds | truth of two tricks, where 5 are worth having | either is called negligible |")
    print("| ---: | ---: | ---: |")
    for seeds, truth in itertools.product((10, 20), (5.0, 0.0)):
        print(f"| {seeds} | {truth:g} | {negligible(seeds, truth, options.studies, random):.3f} |", flush=True)
    mean, covered, error = interactions(options.studies, random)
    print(f"\nAn interaction of -4 in a 2^3 with 3 seeds: mean estimate {mean:.3f}, interval covers {covered:.3f}")
    print(f"Shapley shares add up to the total within {error:.1e}")
    runs, times = large(random)
    parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in times.items())
    print(f"\n{runs:,} runs x 12 tricks, analysed and reported in {sum(times.values()):.1f} s ({parts})")


if __name__ == "__main__":
    main()
