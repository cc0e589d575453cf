"""Studies that reports are tried on: a rich one with every answer, a search, and the smallest; answers made by hand."""

from __future__ import annotations

import io
import itertools
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from harness.analysis.answer import answer, rows_of
from harness.analysis.types import (
    Agreement,
    Answer,
    AtEqual,
    Bought,
    CellPrice,
    Effect,
    Endings,
    Estimate,
    Factorial,
    FailureRate,
    RankAgreement,
    SeedsNeeded,
    Shapley,
    Share,
    Term,
    TriedCell,
    UnderYardsticks,
    Verdict,
    View,
)
from harness.design import Alias, Cell, Contrast, Dropped, Plan, PlannedRun
from harness.measures import COSTS, Direction, Measure, RunState
from harness.recipes.dcgan.settings import DcganBudget as Budget
from harness.recipes.dcgan.settings import EvaluateSettings
from harness.report import Nearest, Report
from harness.report.page import render
from harness.spec import label
from harness.spec.seeds import Waves

MIFID = Measure(name="mifid", title="MiFID")
OTHER = Measure(name="mifid/timm:resnet18/square", title="MiFID (timm:resnet18, square)", yardstick_of="mifid")
PARTS = (
    Measure(name="fid", title="FID", part_of="mifid"),
    Measure(name="memorization_distance", title="memorisation distance", direction=Direction.MAXIMIZE, part_of="mifid"),
)
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


def estimate(values: Any) -> Estimate:
    """Mean and 95 % t interval."""
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return Estimate(float(values.mean())) if len(values) else Estimate()
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return Estimate(float(values.mean()), float(values.mean() - half), float(values.mean() + half))


def make_plan(tricks: list[str], cells: list[tuple[int, ...]], seeds: int) -> Plan:
    """Every combination in `cells` (0 or 1 per trick), with the contrasts of two designs."""

    def name(on: tuple[int, ...]) -> str:
        moved = [f"{t}={label(TRICKS[t][1])}" for t, up in zip(tricks, on, strict=True) if up]
        return ", ".join(moved) or "baseline"

    full, bare = tuple([1] * len(tricks)), tuple([0] * len(tricks))
    contrasts = []
    for position, trick in enumerate(tricks):
        base, level = TRICKS[trick][:2]
        alone, without = list(bare), list(full)
        alone[position], without[position] = 1, 0
        known: dict[str, Any] = {"factor": trick, "level": level, "baseline": base}
        pair, other = (name(tuple(alone)), name(bare)), (name(full), name(tuple(without)))
        contrasts.append(Contrast(name=trick, pairs=(pair,), design="one-at-a-time", **known))
        contrasts.append(Contrast(name=f"{trick} (loo)", pairs=(other,), design="leave-one-out", **known))
    contrasts.sort(key=lambda contrast: contrast.design == "leave-one-out")
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
        measures=(*PARTS, OTHER),
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
        confounding=("split_bn = crop x margin",),
    )


def outcome(on: tuple[int, ...], tricks: list[str], seed: int, noise: np.random.Generator) -> tuple[float, float]:
    """MiFID and training seconds of one run."""
    up = {trick for trick, level in zip(tricks, on, strict=True) if level}
    mifid = 90 + 3 * math.sin(seed) + math.fsum(TRICKS[trick][2] for trick in up)
    mifid += sum(value for pair, value in PAIRED.items() if up.issuperset(pair))
    return mifid + noise.normal(0, 1.2), 41 + math.fsum(TRICKS[t][3] for t in up) + noise.normal(0, 0.5)


def make_runs(plan: Plan, combination: Mapping[str, tuple[int, ...]], tricks: list[str]) -> pd.DataFrame:
    """A run table in which some runs with the margin diverged or failed."""
    noise = np.random.default_rng(5)
    rows = []
    for run in plan.runs:
        on = combination[run.cell]
        mifid, seconds = outcome(on, tricks, run.seed, noise)
        state = "complete"
        if len(on) > 3 and on[2] and run.seed == 3 and not on[3]:
            state = "diverged" if on[0] else "failed"
        row: dict[str, Any] = {"key": run.key, "cell": run.cell, "seed": run.seed, "state": state}
        if state == "complete":
            row |= {"mifid": mifid, "fid": mifid - 2, "memorization_distance": 0.2, "train_seconds": seconds}
            row |= {"images_per_second": 16_000 / seconds, "peak_memory_mb": 812.0}
            row |= {OTHER.name: 0.4 * mifid + noise.normal(0, 2)}
        rows.append(row)
    return pd.DataFrame(rows).assign(slots_per_device=1, reason="")


def endings(states: pd.Series[str]) -> Endings:
    counts = states.value_counts()
    return Endings(planned=len(states), **{str(s): int(counts.get(s, 0)) for s in ("complete", "diverged", "failed")})


def make_effect(runs: pd.DataFrame, contrast: Contrast, measure: Measure) -> Effect:
    """An effect by scipy, its verdict by a plain t test."""
    sides = [runs[runs["cell"] == cell].set_index("seed") for cell in contrast.pairs[0]]
    treated, control = (side[measure.name].astype(float) for side in sides)
    both = pd.concat([treated, control], axis=1, keys=["t", "c"]).dropna()
    difference = (both["t"] - both["c"]).to_numpy()
    change = estimate(difference)
    spread = difference.std(ddof=1) if len(difference) > 1 else math.nan
    p = float(stats.ttest_1samp(difference, 0).pvalue) if len(difference) > 1 and spread else math.nan
    adjusted = min(1.0, 10 * p)
    verdict = Verdict.UNDECIDED
    if adjusted < 0.05:
        verdict = Verdict.HELPS if measure.improves(change.value) else Verdict.HURTS
    logs = estimate(np.log(both["t"]) - np.log(both["c"]))
    lean = Verdict.HELPS if change.excludes_zero and measure.improves(change.value) else None
    words = "one seed says nothing" if len(difference) == 1 else "undecided: may help" if lean else "undecided"
    return Effect(
        contrast=contrast,
        measure=measure,
        n=len(both),
        treated_mean=float(both["t"].mean()),
        control_mean=float(both["c"].mean()),
        control_sd=float(both["c"].std(ddof=1)),
        change=change,
        bootstrap=replace(change, low=change.low + 0.5, high=change.high - 0.5),
        ratio=Estimate(*(math.exp(each) for each in (logs.value, logs.low, logs.high))),
        relative=change.value / float(both["c"].mean()),
        size=change.value / spread if spread else math.nan,
        wins=float(np.mean([measure.improves(each) for each in difference])),
        p=p,
        p_adjusted=adjusted,
        p_signs=0.125,
        worth=0.05 * float(both["c"].mean()),
        p_within=1.0,
        p_beyond=0.5,
        treated=endings(sides[0]["state"]),
        control=endings(sides[1]["state"]),
        seeds_needed=None if verdict is not Verdict.UNDECIDED else SeedsNeeded(typical=16, low=6, high=None),
        verdict=verdict,
        lean=None if verdict is not Verdict.UNDECIDED else lean,
        reading=str(verdict) if verdict is not Verdict.UNDECIDED else words,
    )


def make_report(folder: Path, seeds: int = 4) -> Report:
    """Five tricks in all 32 combinations, two designs, two yardsticks, runs that diverged and failed, every answer."""
    tricks = list(TRICKS)
    cells = list(itertools.product((0, 1), repeat=len(tricks)))
    plan = make_plan(tricks, cells, seeds)
    combination = dict(zip((cell.name for cell in plan.cells), cells, strict=True))
    runs = make_runs(plan, combination, tricks)
    done = runs[runs["state"] == "complete"]
    table = done.pivot_table(index="seed", columns="cell", values="mifid").loc[: seeds - 2]
    by_levels = {combination[str(name)]: table[name].to_numpy() for name in table}
    every = endings(runs["state"])
    shapley = make_shapley(tricks, by_levels, every)
    answer = Answer(
        plan=plan,
        effects=tuple(make_effect(runs, contrast, MIFID) for contrast in plan.contrasts),
        costs={m.name: tuple(make_effect(runs, contrast, m) for contrast in plan.contrasts) for m in COSTS},
        parts={m.name: tuple(make_effect(runs, contrast, m) for contrast in plan.contrasts) for m in PARTS},
        factorial=make_factorial(tricks, by_levels, every),
        shapley=shapley,
        views=make_views(tricks, by_levels, shapley, every),
        bought=tuple(make_bought(runs, contrast) for contrast in plan.contrasts),
        prices=make_prices(plan, runs),
        equal=tuple(make_equal(runs, contrast) for contrast in plan.contrasts),
        agreement=make_agreement(plan, runs),
        failures=make_failures(plan, runs),
    )
    noise = np.random.default_rng(7)
    grids = {}
    for number, cell in enumerate(plan.cells[:3]):
        grids[cell.name] = folder / f"grid-{number}.png"
        grids[cell.name].write_bytes(dot(noise, 64))
    return Report(
        answer=answer,
        runs=runs,
        curves={
            (str(row.cell), int(row.seed)): [(k * 2000, row.mifid * (1 + 1.6 * math.exp(-k / 2))) for k in range(1, 9)]
            for row in done.itertuples()
        },
        grids=grids,
        provenance={
            "command": "harness ablate tricks.yaml --slots 2",
            "git.commit": "0123abcd",
            "git.dirty": "false",
            "version.torch": "2.11.0",
            "version.numpy": "2.3.1",
            "processor": "a CPU, 2 cores",
        },
        notes=("4 runs diverged", "4 runs failed"),
        importances={
            "fANOVA": {"crop": 0.62, "averaging": 0.2, "width": 0.1},
            "PED-ANOVA": {"crop": 0.7, "width": 0.1},
        },
        nearest=Nearest(
            "Nearest photos",
            "A copy shows as two equal pictures; below 0.25 a set is penalised.",
            tuple((dot(noise), dot(noise), 0.01 * k) for k in range(1, 9)),
        ),
        spec_text=SPEC,
    )


def dot(noise: np.random.Generator, side: int = 32) -> bytes:
    """A small PNG."""
    stream = io.BytesIO()
    Image.fromarray(noise.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(stream, format="png")
    return stream.getvalue()


def make_factorial(tricks: list[str], by_levels: dict[tuple[int, ...], Any], every: Endings) -> Factorial:
    terms = []
    for several in itertools.chain(*(itertools.combinations(range(len(tricks)), order) for order in (1, 2))):
        total = sum(math.prod(1 if on[k] else -1 for k in several) * values for on, values in by_levels.items())
        found = estimate(total / (len(by_levels) / 2))
        p = float(stats.ttest_1samp(total, 0).pvalue)
        sure = 15 * p < 0.05
        good = found.value < 0
        verdict = (Verdict.HELPS if good else Verdict.HURTS) if sure else Verdict.UNDECIDED
        words = str(verdict) if len(several) == 1 else ("better" if good else "worse") + " together"
        terms.append(
            Term(
                factors=tuple(tricks[k] for k in several),
                estimate=found,
                p=p,
                p_adjusted=min(1.0, 15 * p),
                verdict=verdict,
                reading=words if sure else "undecided",
            )
        )
    levels = {trick: TRICKS[trick][1] for trick in tricks}
    return Factorial(levels=levels, terms=tuple(terms), runs=120, seeds=4, cells_left_out=0, endings=every)


def make_shapley(tricks: list[str], by_levels: dict[tuple[int, ...], Any], every: Endings) -> Shapley:
    shares, k = [], len(tricks)
    for position, trick in enumerate(tricks):
        share = 0.0
        for on, values in by_levels.items():
            if not on[position]:
                weight = math.factorial(sum(on)) * math.factorial(k - sum(on) - 1) / math.factorial(k)
                share = share + weight * (by_levels[(*on[:position], 1, *on[position + 1 :])] - values)
        shares.append(Share(factor=trick, level=TRICKS[trick][1], estimate=estimate(share)))
    total = estimate(by_levels[(1,) * k] - by_levels[(0,) * k])
    return Shapley(shares=tuple(shares), total=total, n=3, endings=every)


def make_views(
    tricks: list[str], by_levels: dict[tuple[int, ...], Any], shapley: Shapley, every: Endings
) -> tuple[View, ...]:
    views, k = [], len(tricks)
    for position, trick in enumerate(tricks):
        alone = tuple(int(position == other) for other in range(k))
        without = tuple(int(position != other) for other in range(k))
        partner = {"margin": "averaging", "averaging": "margin"}.get(trick, "")
        views.append(
            View(
                factor=trick,
                level=TRICKS[trick][1],
                alone=estimate(by_levels[alone] - by_levels[(0,) * k]),
                full=estimate(by_levels[(1,) * k] - by_levels[without]),
                share=shapley.shares[position].estimate,
                p=0.01,
                p_adjusted=0.02 if partner else 0.6,
                disagree=bool(partner),
                partner=partner,
                endings=every,
            )
        )
    return tuple(views)


def make_prices(plan: Plan, runs: pd.DataFrame) -> tuple[CellPrice, ...]:
    done = runs[runs["state"] == "complete"]
    means = done.groupby("cell")[["mifid", "train_seconds"]].mean()
    base = means.loc["baseline"]
    prices = []
    for cell, of in done.groupby("cell", sort=False):
        here = means.loc[cell]
        beaten = ((means < here).all(axis=1)).any()
        more = here["train_seconds"] - base["train_seconds"]
        prices.append(
            CellPrice(
                cell=str(cell),
                n=len(of),
                objective=estimate(of["mifid"]),
                seconds=estimate(of["train_seconds"]),
                on_front=not beaten,
                gain=float((base["mifid"] - here["mifid"]) / more) if more > 1 else math.nan,
                endings=endings(runs.loc[runs["cell"] == cell, "state"]),
            )
        )
    return tuple(prices)


def differences(runs: pd.DataFrame, contrast: Contrast, column: str) -> Any:
    values = runs.pivot_table(index="seed", columns="cell", values=column)
    return (values[contrast.pairs[0][0]] - values[contrast.pairs[0][1]]).dropna().to_numpy()


def make_bought(runs: pd.DataFrame, contrast: Contrast) -> Bought:
    gained, extra = -differences(runs, contrast, "mifid"), differences(runs, contrast, "train_seconds")
    known = TRICKS[contrast.factor][3] > 1
    ends = endings(runs.loc[runs["cell"].isin(contrast.pairs[0]), "state"])
    ratio = gained.mean() / extra.mean()
    gain = Estimate(ratio, ratio - 0.1, ratio + 0.1) if known else Estimate()
    return Bought(contrast=contrast, n=len(gained), gain=gain, endings=ends)


def make_equal(runs: pd.DataFrame, contrast: Contrast) -> AtEqual:
    change = differences(runs, contrast, "mifid")
    time = estimate(change + 0.3 * TRICKS[contrast.factor][3])
    n = len(change)
    return AtEqual(contrast=contrast, images=estimate(change), n_images=n, time=time, n_time=n, seconds=40.0)


def make_agreement(plan: Plan, runs: pd.DataFrame) -> Agreement:
    rows = []
    for contrast in plan.contrasts:
        changes = {measure.name: estimate(differences(runs, contrast, measure.name)) for measure in (MIFID, OTHER)}
        rows.append(UnderYardsticks(contrast=contrast, changes=changes, signs_differ=False))
    ranks = (RankAgreement(one=MIFID, other=OTHER, tau=0.71, p=0.0001, cells=32, reading="much the same order"),)
    return Agreement(measures=(MIFID, OTHER), rows=tuple(rows), ranks=ranks)


def make_failures(plan: Plan, runs: pd.DataFrame) -> tuple[FailureRate, ...]:
    rates = []
    for factor, (baseline, level, *_) in TRICKS.items():
        for each in (baseline, level):
            cells = [cell.name for cell in plan.cells if cell.levels[factor] == each]
            ends = endings(runs.loc[runs["cell"].isin(cells), "state"])
            bad = ends.diverged + ends.failed
            sure = stats.binomtest(bad, ends.ended).proportion_ci(0.95)
            rate = Estimate(bad / ends.ended, float(sure.low), float(sure.high))
            rates.append(FailureRate(factor=factor, level=each, endings=ends, rate=rate))
    return tuple(rates)


@pytest.fixture(scope="session")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The study with everything in it."""
    return make_report(tmp_path_factory.mktemp("rich"))


@pytest.fixture(scope="session")
def rich_page(rich: Report) -> str:
    """Its page."""
    return render(rich)


@pytest.fixture(scope="session")
def minimal() -> Report:
    """One trick, one seed, nothing but the answer."""
    plan = make_plan(["crop"], [(0,), (1,)], 1)
    plan = replace(plan, contrasts=plan.contrasts[:1], confounding=(), dropped=(), design="one-at-a-time")
    runs = make_runs(plan, {cell.name: on for cell, on in zip(plan.cells, [(0,), (1,)], strict=True)}, ["crop"])
    answer = Answer(plan=plan, effects=(make_effect(runs, plan.contrasts[0], MIFID),))
    return Report(answer=answer, runs=runs)


@pytest.fixture(scope="session")
def search(rich: Report) -> Report:
    """A search over two tricks: cells and prices, no effects."""
    levels = {trick: (TRICKS[trick][0], TRICKS[trick][1]) for trick in ("crop", "width")}
    made: Any = SimpleNamespace(sampler="tpe", trials=40, prune=True, levels=levels, objectives=("mifid",))
    plan = replace(rich.plan, search=made, contrasts=(), design="search", confounding=())
    tried = tuple(
        TriedCell(
            cell=price.cell,
            n=price.n,
            objective=price.objective,
            shrunk=price.objective.value + 1,
            seconds=price.seconds.value,
            states={RunState.COMPLETE: price.n, RunState.PRUNED: 1},
        )
        for price in sorted(rich.answer.prices, key=lambda price: price.objective.value)
    )
    return replace(rich, answer=Answer(plan=plan, tried=tried, prices=rich.answer.prices))


@pytest.fixture(scope="session")
def hostile(rich: Report) -> Callable[[str], Report]:
    """The rich report with every name in it replaced."""
    return lambda name: renamed(rich, name)


@pytest.fixture(scope="session")
def bare(rich: Report) -> Report:
    """The rich report as one seed would give it: no interval and no p anywhere."""
    return without_intervals(rich)


def renamed(report: Report, name: str) -> Report:
    """The report with every factor, cell and reading called `name`."""

    def contrast(each: Contrast) -> Contrast:
        return replace(each, factor=name, level=name, design=name, aliases=(Alias(factors=(name, name), share=0.33),))

    def effects(several: tuple[Effect, ...]) -> tuple[Effect, ...]:
        return tuple(replace(each, contrast=contrast(each.contrast), reading=name) for each in several)

    answer = report.answer
    plan = replace(report.plan, contrasts=tuple(map(contrast, report.plan.contrasts)), study=name)
    assert answer.factorial is not None
    return replace(
        report,
        notes=(name,),
        spec_text=name,
        provenance={name: name},
        importances={name: {name: 1.0}},
        answer=replace(
            answer,
            plan=plan,
            effects=effects(answer.effects),
            costs={key: effects(several) for key, several in answer.costs.items()},
            parts={key: effects(several) for key, several in answer.parts.items()},
            views=tuple(replace(view, factor=name, partner=name) for view in answer.views),
            prices=tuple(replace(price, cell=name) for price in answer.prices),
            factorial=replace(answer.factorial, terms=tuple(replace(t, reading=name) for t in answer.factorial.terms)),
        ),
    )


def without_intervals(report: Report) -> Report:
    """The report as one seed would give it: no interval and no p anywhere."""

    def bare(record: Any) -> Any:
        if isinstance(record, Estimate):
            return Estimate(record.value)
        if isinstance(record, tuple):
            return tuple(map(bare, record))
        if isinstance(record, dict):
            return {key: bare(value) for key, value in record.items()}
        if isinstance(record, Plan | Measure | Contrast | Endings) or not hasattr(record, "__dataclass_fields__"):
            return record
        gone = {"p": math.nan, "p_adjusted": math.nan, "p_signs": math.nan, "control_sd": math.nan}
        known = {name: bare(getattr(record, name)) for name in record.__dataclass_fields__}
        return replace(record, **{**known, **{name: value for name, value in gone.items() if name in known}})

    return replace(report, answer=bare(report.answer))


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


def make_sequential() -> Report:
    """Six tricks, each alone, by waves of at most twenty seeds; the study ran what its looks asked for, to its end."""
    noise = np.random.default_rng(4)
    changes = {"crop": -28.0, "averaging": -9.0, "margin": 12.0, "split_bn": 0.3, "width": -1.5, "ema": -3.5}
    made = [
        Cell(name=name, levels={each: "on" if each == name else "off" for each in changes}, train={}, data={})
        for name in ("baseline", *changes)
    ]
    plan = Plan(
        objective=MIFID,
        study="six-tricks",
        recipe="dcgan",
        design="one-at-a-time",
        cells=tuple(made),
        contrasts=tuple(
            Contrast(name=f"{n}: off -> on", factor=n, level="on", baseline="off", pairs=((n, "baseline"),))
            for n in changes
        ),
        runs=tuple(PlannedRun(cell=c.name, seed=s, key=f"{c.name}-{s}") for s in range(20) for c in made),
        dropped=(),
        control="baseline",
        budget=Budget(images=16_000),
        evaluate=EvaluateSettings(),
        references={},
        fingerprint="5e9",
        waves=Waves(first=3, most=20),
    )
    rows = [
        {
            "key": run.key,
            "cell": run.cell,
            "seed": run.seed,
            "state": "complete",
            "mifid": 90 + 2 * math.sin(run.seed) + changes.get(run.cell, 0.0) + noise.normal(0, 3),
            "train_seconds": 41 + 2.0 * (run.cell == "width") + noise.normal(0, 0.5),
            "slots_per_device": 1,
        }
        for run in plan.runs
    ]
    found = answer(pd.DataFrame(rows), plan)
    runs = rows_of(pd.DataFrame(rows), found.plan)
    laid_down = {
        "question": "Which of these tricks earns its keep?",
        "recipe": "dcgan",
        "objective": {"name": "mifid", "title": "MiFID", "unit": "", "direction": "minimize"},
        "worth": {"share": 0.05},
        "design": "one-at-a-time",
        "test": "t",
        "family": [contrast.name for contrast in plan.contrasts],
        "rule": {"first": 3, "most": 20, "start": 0},
        "most_runs": 140,
        "made": "2026-11-25T03:00:00+00:00",
        "digest": "0123abcd",
    }
    return Report(answer=found, runs=runs, declared=laid_down, notes=found.notes)


@pytest.fixture(scope="session")
def sequential() -> Report:
    """A study in waves."""
    return make_sequential()
