"""Studies that reports are tried on: a rich one with every answer, as large as asked for, and the smallest."""

from __future__ import annotations

import io
import itertools
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from harness.analysis import COSTS, answer, effects, label
from harness.analysis.bought import bought
from harness.design import Cell, Contrast, Dropped, Plan, PlannedRun
from harness.recipes.dcgan.measures import MIFID
from harness.recipes.dcgan.settings import EvaluateSettings
from harness.report import ReportData
from harness.settings import Budget

TRICKS: dict[str, tuple[Any, Any, float, float]] = {  # baseline, level, change of MiFID, change of seconds
    "crop": ("resize", "square", -22.0, 0.4),
    "split_bn": (False, True, 0.6, 3.1),
    "margin": (None, 0.8, 9.0, 0.2),
    "averaging": (None, 0.5, -6.0, 1.4),
    "width": (1, 2, -3.0, 24.0),
}
PAIRED = {("crop", "width"): -5.0, ("margin", "averaging"): -8.0, ("split_bn", "width"): 1.5}
SPEC = """\
study: five <tricks> & friends
recipe: dcgan
seeds: 4
factors:
  crop: {baseline: resize, levels: [square]}
  averaging: {baseline: null, levels: [0.5]}
"""


def interval(values: Any) -> tuple[float, float, float]:
    """Mean and 95 % t interval."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return float(values.mean()), math.nan, math.nan
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def spread(name: str, values: Any) -> dict[str, float]:
    """Mean and interval as three columns."""
    mean, low, high = interval(values)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def make_plan(tricks: list[str], cells: list[tuple[Any, ...]], seeds: int) -> Plan:
    """Every combination in `cells` (0 or 1 per trick), with the contrasts of two designs."""

    def name(on: tuple[int, ...]) -> str:
        moved = [
            f"{t}={'on' if TRICKS[t][1] is True else TRICKS[t][1]}" for t, up in zip(tricks, on, strict=True) if up
        ]
        return ", ".join(moved) or "baseline"

    full, bare = tuple([1] * len(tricks)), tuple([0] * len(tricks))
    contrasts = []
    for position, trick in enumerate(tricks):
        base, level = TRICKS[trick][:2]
        alone, without = list(bare), list(full)
        alone[position], without[position] = 1, 0
        known = {"factor": trick, "level": level, "baseline": base}
        title = f"{trick}: {label(base)} -> {label(level)}"
        pair, other = (name(tuple(alone)), name(bare)), (name(full), name(tuple(without)))
        contrasts.append(Contrast(name=title, pairs=(pair,), design="one-at-a-time", **known))
        contrasts.append(Contrast(name=f"{title} (leave-one-out)", pairs=(other,), design="leave-one-out", **known))
    made = tuple(
        Cell(
            name=name(on),
            levels={t: TRICKS[t][up] for t, up in zip(tricks, on, strict=True)},
            train={"batch": 32, "width": 8},
            data={"size": 64, "crop": "square"},
        )
        for on in cells
    )
    return Plan(
        objective=MIFID,
        study="five <tricks> & friends",
        recipe="dcgan",
        design="one-at-a-time + leave-one-out + full-factorial",
        cells=made,
        contrasts=tuple(contrasts),
        runs=tuple(PlannedRun(cell=c.name, seed=s, key=f"{i}-{s}") for s in range(seeds) for i, c in enumerate(made)),
        dropped=(Dropped(name="crop=bbox", levels={"crop": "bbox"}, reason="needs boxes"),),
        control="baseline",
        budget=Budget(images=16_000),
        evaluate=EvaluateSettings(extractors=("efficientnet-lite0", "timm:resnet18"), references=("square", "resize")),
        references={},
        fingerprint="f00dfeed",
        confounding=("split_bn = crop x margin", "width = crop x averaging x margin"),
    )


def outcome(on: tuple[int, ...], tricks: list[str], seed: int, noise: np.random.Generator) -> tuple[float, float]:
    """MiFID and training seconds of one run."""
    up = {trick for trick, level in zip(tricks, on, strict=True) if level}
    mifid = 90 + 3 * math.sin(seed) + sum(TRICKS[trick][2] for trick in up)
    mifid += sum(value for pair, value in PAIRED.items() if up.issuperset(pair))
    return mifid + noise.normal(0, 1.2), 41 + sum(TRICKS[t][3] for t in up) + noise.normal(0, 0.5)


def make_study(folder: Path, seeds: int = 4) -> ReportData:
    """Five tricks in all 32 combinations, two designs, two yardsticks, runs that diverged and failed, every answer."""
    tricks, noise = list(TRICKS), np.random.default_rng(5)
    cells = list(itertools.product((0, 1), repeat=len(tricks)))
    plan = make_plan(tricks, cells, seeds)
    combination = dict(zip((cell.name for cell in plan.cells), cells, strict=True))
    rows: list[dict[str, Any]] = []
    for run in plan.runs:
        mifid, seconds = outcome(combination[run.cell], tricks, run.seed, noise)
        state = "complete"
        if combination[run.cell][2] and run.seed == 3 and not combination[run.cell][3]:
            state = "diverged" if combination[run.cell][0] else "failed"
        known = {"cell": run.cell, "seed": run.seed, "state": state, "slots_per_device": 1}
        if state == "complete":
            known |= {"mifid": mifid, "fid": mifid - 2, "memorization_distance": 0.2, "train_seconds": seconds}
            known |= {"images_per_second": 16_000 / seconds, "peak_memory_mb": 812.0}
            known |= {"mifid/timm:resnet18/square": 0.4 * mifid + noise.normal(0, 2)}
        rows.append(known)
    runs = pd.DataFrame(rows)
    found = answer(runs, plan)
    done = runs[runs["state"] == "complete"]
    table = {(row.cell, row.seed): row for row in done.itertuples()}
    truth = {cell.name: np.array([table[cell.name, s].mifid for s in range(seeds - 1)]) for cell in plan.cells}
    by_levels = {combination[name]: values for name, values in truth.items()}
    grids = {}
    for number, cell in enumerate(plan.cells[:3]):
        grids[cell.name] = folder / f"grid-{number}.png"
        Image.fromarray(noise.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(grids[cell.name])
    return ReportData(
        plan=plan,
        runs=runs,
        answer=found,
        curves=make_curves(done),
        grids=grids,
        provenance={
            "command": "harness ablate tricks.yaml --slots 2",
            "git.commit": "0123abcd",
            "git.dirty": "false",
            "version.torch": "2.11.0",
            "version.numpy": "2.3.1",
            "processor": "a CPU, 2 cores",
        },
        notes=found.attrs["notes"],
        effects={metric: effects(runs, plan, metric) for metric in ("mifid", *COSTS)},
        factorial=make_factorial(tricks, by_levels),
        shapley=make_shapley(tricks, by_levels),
        views=make_views(tricks, by_levels),
        bought=bought(runs, plan),
        pareto=make_pareto(done),
        equal=make_equal(plan, done),
        agreement=make_agreement(plan, done),
        importances={
            "fANOVA": {"crop": 0.62, "averaging": 0.2, "width": 0.1},
            "PED-ANOVA": {"crop": 0.7, "width": 0.1},
        },
        pairs=[(dot(noise), dot(noise), 0.01 * k) for k in range(1, 9)],
        spec_text=SPEC,
    )


def dot(noise: np.random.Generator) -> bytes:
    """A small PNG."""
    stream = io.BytesIO()
    Image.fromarray(noise.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(stream, format="png")
    return stream.getvalue()


def make_curves(done: pd.DataFrame) -> dict[tuple[str, int], list[tuple[int, float]]]:
    return {
        (row.cell, row.seed): [(k * 2000, row.mifid * (1 + 1.6 * math.exp(-k / 2))) for k in range(1, 9)]
        for row in done.itertuples()
    }


def make_factorial(tricks: list[str], by_levels: dict[tuple[int, ...], Any]) -> pd.DataFrame:
    rows = []
    for order in (1, 2):
        for several in itertools.combinations(range(len(tricks)), order):
            total = sum(math.prod(1 if on[k] else -1 for k in several) * values for on, values in by_levels.items()) / (
                len(by_levels) / 2 if order == 1 else len(by_levels) / 4
            )
            mean, low, high = interval(total)
            p = float(stats.ttest_1samp(total, 0).pvalue)
            rows.append(
                {"term": " x ".join(tricks[k] for k in several), "order": order, "estimate": mean, "low": low}
                | {"high": high, "p": p, "p_holm": min(1.0, 15 * p), "n_runs": 120, "aliased_with": ""}
            )
    frame = pd.DataFrame(rows)
    frame.attrs["note"] = "interactions of three and more tricks are taken to be zero"
    return frame


def make_shapley(tricks: list[str], by_levels: dict[tuple[int, ...], Any]) -> pd.DataFrame:
    rows, k = [], len(tricks)
    for position, trick in enumerate(tricks):
        share = 0.0
        for on, values in by_levels.items():
            if not on[position]:
                weight = math.factorial(sum(on)) * math.factorial(k - sum(on) - 1) / math.factorial(k)
                share = share + weight * (by_levels[(*on[:position], 1, *on[position + 1 :])] - values)
        mean, low, high = interval(share)
        rows.append({"factor": trick, "level": TRICKS[trick][1], "share": mean, "low": low, "high": high, "n": 3})
    frame = pd.DataFrame(rows)
    total = interval(by_levels[(1,) * k] - by_levels[(0,) * k])
    frame.attrs = dict(zip(("total", "total_low", "total_high"), total, strict=True))
    return frame


def make_views(tricks: list[str], by_levels: dict[tuple[int, ...], Any]) -> pd.DataFrame:
    shapley, rows, k = make_shapley(tricks, by_levels), [], len(tricks)
    for position, trick in enumerate(tricks):
        alone = tuple(int(position == other) for other in range(k))
        without = tuple(int(position != other) for other in range(k))
        share = shapley.iloc[position]
        row = {"factor": trick, "level": TRICKS[trick][1]}
        row |= spread("add_one", by_levels[alone] - by_levels[(0,) * k])
        row |= spread("leave_one_out", by_levels[(1,) * k] - by_levels[without])
        row |= {"shapley": share["share"], "shapley_low": share["low"], "shapley_high": share["high"]}
        partner = {"margin": "averaging", "averaging": "margin"}.get(trick, "")
        rows.append(row | {"disagree": bool(partner), "with_whom": partner})
    return pd.DataFrame(rows)


def make_pareto(done: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {"cell": cell, "n": len(of)} | spread("mifid", of["mifid"]) | spread("train_seconds", of["train_seconds"])
        for cell, of in done.groupby("cell", sort=False)
    ]
    frame = pd.DataFrame(rows)
    frame["on_front"] = [
        not (
            (frame["mifid"] <= row["mifid"]) & (frame["train_seconds"] <= row["train_seconds"]) & (frame.index != index)
        ).any()
        for index, row in frame.iterrows()
    ]
    base = frame[frame["cell"] == "baseline"].iloc[0]
    more = frame["train_seconds"] - base["train_seconds"]
    frame["mifid_per_second"] = ((base["mifid"] - frame["mifid"]) / more).where(more > 0)
    return frame


def differences(done: pd.DataFrame, contrast: Contrast, column: str) -> Any:
    values = done.pivot_table(index="seed", columns="cell", values=column)
    return (values[contrast.pairs[0][0]] - values[contrast.pairs[0][1]]).dropna().to_numpy()


def make_equal(plan: Plan, done: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for contrast in plan.contrasts:
        change = differences(done, contrast, "mifid")
        row = {"contrast": contrast.name, "factor": contrast.factor, "level": contrast.level, "n": len(change)}
        row |= spread("delta_equal_images", change)
        row |= spread("delta_equal_time", change + 0.3 * TRICKS[contrast.factor][3])
        rows.append(row | {"seconds": 40.0})
    return pd.DataFrame(rows)


def make_agreement(plan: Plan, done: pd.DataFrame) -> pd.DataFrame:
    names = ["mifid", "mifid/timm:resnet18/square"]
    rows = []
    for contrast in plan.contrasts:
        row: dict[str, Any] = {"contrast": contrast.name, "factor": contrast.factor, "level": contrast.level}
        for name in names:
            estimate = interval(differences(done, contrast, name))
            row |= dict(zip((f"effect[{name}]", f"low[{name}]", f"high[{name}]"), estimate, strict=True))
        signs = {row[f"effect[{name}]"] > 0 for name in names}
        rows.append(row | {"signs_differ": len(signs) == 2})
    frame = pd.DataFrame(rows)
    frame.attrs = {"rank_agreement": {(names[0], names[1]): 0.71}, "rank_statistic": "Kendall’s tau"}
    return frame


@pytest.fixture
def rich(tmp_path: Path) -> ReportData:
    """The study with everything in it."""
    return make_study(tmp_path)


@pytest.fixture
def minimal() -> ReportData:
    """One trick, one seed, nothing but the answer."""
    plan = make_plan(["crop"], [(0,), (1,)], 1)
    plan = Plan(**{**vars(plan), "contrasts": plan.contrasts[:1], "confounding": (), "dropped": ()})
    runs = pd.DataFrame(
        {"cell": [r.cell for r in plan.runs], "seed": 0, "state": "complete", "mifid": [90.0, 70.0]}
        | {"train_seconds": [40.0, 41.0], "slots_per_device": 1}
    )
    return ReportData(plan=plan, runs=runs, answer=answer(runs, plan))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """Headless Chromium that keeps its console."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs the Debian packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
        f"--user-data-dir={tmp_path / 'chromium'}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    yield chrome
    chrome.quit()
