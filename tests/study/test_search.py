"""A search: the sampler picks, no run is made twice, bad ones are stopped, and the answer claims no effects."""

from __future__ import annotations

import dataclasses
import itertools
import random
import re
from collections import Counter
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState

from harness.cli import main
from harness.design import Plan
from harness.design import plan as make_plan
from harness.errors import SpecError
from harness.measures import Direction
from harness.recipes.events import Cause, Event, Failed, Finished, Scored
from harness.report import Report, page, text
from harness.runs.description import RunDescription
from harness.spec import Spec, load
from harness.study import ablate as main_job
from harness.study.answer import load_report, plan_document, study_name
from harness.study.calibration import Estimate
from harness.study.placement import Options
from harness.study.store import StudyStore

STORAGE = "sqlite:///optuna.db"
OPTIONS = Options(storage=STORAGE, launch="inline")
SPEC = """
study: hunt
recipe: fake
data: {source: synthetic-dogs, count: 16, size: 32}
evaluate: {samples: 16, interim_samples: 16}
factors:
  margin: {baseline: null, levels: [0.8]}
  width: {baseline: 40, levels: [30, 20, 10]}
  batch: {baseline: 4, levels: [8, 16], exclude: {width: [30]}}
design: {kind: search, trials: 12}
seeds: 2
budget: {images: 100}
"""


@pytest.fixture
def project_spec(project: Path, fake_recipe: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("harness.study.publishing.pictures", lambda *_: [])
    (project / "hunt.yaml").write_text(SPEC)
    return project / "hunt.yaml"


def spec_of(path: Path, *overrides: str) -> Spec:
    return load(path, overrides)


def trials() -> list[optuna.trial.FrozenTrial]:
    (name,) = optuna.get_all_study_names(STORAGE)
    return [t for t in optuna.load_study(study_name=name, storage=STORAGE).trials if "key" in t.user_attrs]


def search(store: StudyStore, plan: Plan, outcome: dict[str, float], most: int = 10_000) -> list[str]:
    """Cells in the order in which they were tried, MiFID being the sum of the levels' worths and some luck."""
    tried = []
    while len(tried) < most and (claim := store.claim(plan)) is not None:
        levels = claim.cell.levels
        luck = random.Random(f"{claim.cell.name} {claim.run.seed}").random()
        worth = sum(outcome.get(f"{name}={level}", 0.0) for name, level in levels.items())
        summary = {"mifid": 100 + worth + luck, "train_seconds": float(levels["width"])}  # type: ignore[arg-type]
        store.report(claim.number, 50, summary["mifid"] + 5)
        store.complete(claim.number, summary)
        tried.append(claim.cell.name)
    return tried


def opened(path: Path, *overrides: str) -> tuple[StudyStore, Plan]:
    spec = spec_of(path, *overrides)
    plan = make_plan(spec)
    store = StudyStore(STORAGE, study_name(spec, plan))
    store.create(spec, plan)
    return store, plan


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["design.trials=null"], "design.trials: is missing; say how many runs the search may try, like trials: 40"),
        (["design.trials=1"], "design.trials: 1 is not allowed: must be a whole number from 2 to 100000"),
        (["design.sampler=tpo"], "design.sampler: 'tpo' is not allowed"),
        (["design.sampler=nsga2", "design.prune=true"], "design.prune: nsga2 weighs two outcomes"),
        (["design.prune=true", "budget={seconds: 3, images: null}"], "design.prune: runs are compared after equally"),
        (["design.max_hours=2"], "design.max_hours: has no meaning for search; say how many runs it may try"),
        (["design.on={width: 10}"], "design.on: has no meaning for search"),
        (["design.kind=ladder"], "design.trials: has no meaning for ladder; leave it out or use kind: search"),
        (["design={kind: union, of: [{kind: search, trials: 3}], trials: null}"], "make it a study of its own"),
    ],
)
def test_a_search_that_cannot_be_is_refused_with_its_remedy(
    project_spec: Path, overrides: list[str], said: str
) -> None:
    with pytest.raises(SpecError, match=re.escape(said)):
        spec_of(project_spec, *overrides)


@pytest.mark.slow
def test_a_search_starts_with_the_control_and_repeats_no_run(project_spec: Path) -> None:
    store, plan = opened(project_spec)
    with store.ownership():
        store.reconcile(plan)
        tried = search(store, plan, {})
    assert len(tried) == 12
    assert tried[0] == "baseline"
    runs = [(t.user_attrs["cell"], t.user_attrs["seed"]) for t in trials()]
    assert len(set(runs)) == 12
    assert all(seed == 0 or (cell, 0) in runs for cell, seed in runs)  # a cell's seeds are used up in order


@pytest.mark.slow
def test_impossible_cells_are_never_tried(project_spec: Path) -> None:
    store, plan = opened(project_spec, "design.trials=1000")
    with store.ownership():
        store.reconcile(plan)
        tried = Counter(search(store, plan, {}))
    # 2 margins x (4 widths of the baseline's batch, 3 of either other batch) x 2 seeds
    assert len(tried) == 2 * (4 + 2 * 3)
    assert plan.size == 2 * len(tried)
    assert set(tried.values()) == {2}
    assert not any("width=30" in cell and "batch=" in cell for cell in tried)


@pytest.mark.parametrize("sampler", ["tpe", pytest.param("gp", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_sampler_comes_back_to_what_is_good(project_spec: Path, sampler: str) -> None:
    worths = {f"width={width}": 2.0 * width for width in (10, 20, 30, 40)} | {"margin=0.8": -30.0}
    store, plan = opened(project_spec, f"design.sampler={sampler}", "design.trials=60", "seeds=20")
    with store.ownership():
        store.reconcile(plan)
        tried = search(store, plan, worths)
    good = [("margin=0.8" in cell and "width=10" in cell) for cell in tried]
    assert sum(good[30:]) > 2 * 30 / 8  # at random an eighth of the space
    shares = store.results(plan).importances
    assert set(shares) == {"PED-ANOVA", "fANOVA"}
    for share in shares.values():
        assert sum(share.values()) == pytest.approx(1)
    assert shares["fANOVA"]["batch"] == min(shares["fANOVA"].values())


@pytest.mark.slow
def test_a_search_on_two_outcomes_keeps_both_and_its_curves(project_spec: Path) -> None:
    store, plan = opened(project_spec, "design.sampler=nsga2", "design.trials=20")
    with store.ownership():
        store.reconcile(plan)
        search(store, plan, {"width=10": 50.0})
    assert store.study.metric_names == ["mifid", "train_seconds"]
    assert all(len(t.values) == 2 for t in trials())
    curves = store.results(plan).curves
    assert len(curves) == 20
    assert all([images for images, _ in curve] == [50] for curve in curves.values())
    # The front: nothing is both better and cheaper.
    points = {tuple(t.values) for t in store.study.best_trials}
    assert not any(a != b and a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.permutations(points, 2))


def test_an_interrupted_search_goes_on_where_it_was(project_spec: Path) -> None:
    store, plan = opened(project_spec)
    with store.ownership():
        store.reconcile(plan)
        search(store, plan, {}, most=5)
        lost = store.claim(plan)
        assert lost is not None
    store, plan = opened(project_spec)
    with store.ownership():
        found = store.reconcile(plan)
        assert (found.done, found.stale, len(found.queued), found.pending) == (5, 1, 1, 7)
        again = store.claim(plan)
        assert again is not None
        assert (again.run, again.attempt) == (lost.run, 2)
        store.complete(again.number, {"mifid": 1.0, "train_seconds": 1.0})
        search(store, plan, {})
        assert store.reconcile(plan).pending == 0
    assert sum(t.state == TrialState.COMPLETE for t in trials()) == 12


def test_more_trials_go_on_in_the_same_study_and_a_design_does_not(project_spec: Path) -> None:
    few, more = (spec_of(project_spec, f"design.trials={n}") for n in (12, 20))
    one = spec_of(project_spec, "design={kind: one-at-a-time, trials: null}")
    names = [study_name(spec, make_plan(spec)) for spec in (few, more, one)]
    assert names[0] == names[1] != names[2]


@pytest.mark.slow
def test_the_whole_search_is_run_reported_and_left_alone_the_second_time(project_spec: Path) -> None:
    spec = spec_of(project_spec)
    outcome, report = main_job.ablate(spec, OPTIONS, lambda _: None)
    assert outcome.complete == 12
    assert report.answer.effects == ()
    best = report.answer.tried[0]
    assert best.objective.value == report.runs.groupby("cell")["mifid"].mean().min()
    assert report.answer.factorial is report.answer.shapley is None
    assert report.answer.views == report.answer.equal == ()
    assert set(report.importances) == {"PED-ANOVA", "fANOVA"}
    lines: list[str] = []
    main_job.ablate(spec, OPTIONS, lines.append)
    assert any("all 12 runs are done" in line for line in lines)
    assert len(trials()) == 12
    again = load_report(STORAGE, "hunt")
    assert [cell.cell for cell in again.answer.tried] == [cell.cell for cell in report.answer.tried]
    _says_no_effect(again)


def _says_no_effect(report: Report) -> None:
    for words in (page.render(report), text.markdown(report), text.latex(report)):
        assert "helps" not in words
        assert "Δ MiFID" not in words


@pytest.mark.slow
def test_the_formats_of_a_search_are_its_tables(project_spec: Path) -> None:
    main_job.ablate(spec_of(project_spec), OPTIONS, lambda _: None)
    for kind in ("table", "csv", "latex", "json"):
        done = CliRunner().invoke(main, ["report", "hunt.yaml", "--format", kind], catch_exceptions=False)
        assert done.exit_code == 0
        assert "margin=0.8" in done.stdout


class _Curves:
    """A launcher of two slots whose runs send one score at a time, MiFID being the number of the run, falling."""

    slots = 2

    def __init__(self) -> None:
        self.running: dict[int, tuple[int, int]] = {}
        self.begun = 0
        self.stopped: list[int] = []
        self.scored: Counter[int] = Counter()

    def submit(self, slot: int, description: RunDescription) -> None:
        self.running[slot] = (self.begun, 0)
        self.begun += 1

    def events(self, timeout: float) -> list[tuple[int, Event]]:
        found: list[tuple[int, Event]] = []
        for slot, (run, step) in list(self.running.items()):
            if run in self.stopped:
                found.append((slot, Failed(kind=Cause.INTERRUPTED, reason="asked to stop")))
                del self.running[slot]
            elif step == 4:
                summary = {"mifid": float(run), "train_seconds": 1.0, "images": 80}
                found.append((slot, Finished(step=80, summary=summary)))
                del self.running[slot]
            else:
                self.scored[run] += 1
                value = run + 4.0 - step
                found.append((slot, Scored(step=20 * (step + 1), train_seconds=1, scores={"mifid": value})))
                self.running[slot] = (run, step + 1)
        return found

    def interrupt(self, slot: int | None = None) -> None:
        self.stopped += [run for which, (run, _) in self.running.items() if slot in (None, which)]

    def close(self) -> None:
        self.running.clear()


@pytest.mark.slow
def test_pruning_stops_what_is_worse_than_the_median_and_counts_it_as_such(
    project_spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = _Curves()
    monkeypatch.setattr("harness.study.ablate.LAUNCHERS", {OPTIONS.launch: lambda slots: launcher})
    outcome, report = main_job.ablate(spec_of(project_spec, "design.prune=true"), OPTIONS, lambda _: None)
    # Every run is worse than all before it: five are let through, or six, since two run at a time.
    assert outcome.pruned == len(launcher.stopped) >= 6
    assert outcome.complete + outcome.pruned == 12
    assert outcome.complete >= 5
    assert not outcome.failed
    assert all(launcher.scored[run] < 4 for run in launcher.stopped)
    states = Counter(t.state for t in trials())
    assert states == {TrialState.COMPLETE: outcome.complete, TrialState.PRUNED: outcome.pruned}
    assert (report.runs["state"] == "pruned").sum() == outcome.pruned
    assert any(f"{outcome.pruned} of 12 runs were pruned" in note for note in report.notes)
    lines: list[str] = []
    main_job.ablate(spec_of(project_spec, "design.prune=true"), OPTIONS, lines.append)
    assert any("all 12 runs are done" in line for line in lines)


def test_the_dry_run_of_a_search_shows_its_space(project_spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "harness.study.preview.calibrate",
        lambda plan, **_: {cell.name: Estimate(train_seconds=60.0, other_seconds=0.0, rate=1.0) for cell in plan.cells},
    )
    done = CliRunner().invoke(
        main, ["ablate", "hunt.yaml", "--dry-run", "--launch", "inline", "--slots", "1"], catch_exceptions=False
    )
    assert "search by tpe, 12 runs of 100 images each among 24 cells of up to 2 seeds each" in done.stdout
    assert "width   40, 30, 20, 10" in done.stdout
    assert "12 runs, about 12 min" in done.stdout
    assert not Path("optuna.db").exists()


@pytest.mark.slow
def test_a_design_on_seeds_that_a_search_has_chosen_by_is_refused_with_fresh_ones(project_spec: Path) -> None:
    store, plan = opened(project_spec)
    with store.ownership():
        store.reconcile(plan)
        search(store, plan, {})
        store.remember(plan=plan_document(plan))
    design = "design={kind: one-at-a-time, trials: null}"
    for preview in ([], ["--dry-run"]):
        done = CliRunner().invoke(main, ["ablate", "hunt.yaml", "--set", design, *preview])
        assert done.exit_code == 2
        assert f"seeds 0, 1: the search '{store.name}' has chosen by these" in done.stderr
        assert "like seeds: [2, 3]" in done.stderr
    assert optuna.get_all_study_names(STORAGE) == [store.name]
    outcome, _ = main_job.ablate(spec_of(project_spec, design, "seeds=[2, 3]"), OPTIONS, lambda _: None)
    assert outcome.complete == 2 * (1 + 6)
    # A design that has runs of its own goes on, and other factors have nothing to do with the search.
    main_job.ablate(spec_of(project_spec, design, "seeds=[0, 2, 3]"), OPTIONS, lambda _: None)
    elsewhere = "factors={margin: null, width: null, batch: null, mood: {baseline: well, levels: [diverge]}}"
    main_job.ablate(spec_of(project_spec, design, elsewhere), OPTIONS, lambda _: None)


def test_a_search_for_more_is_told_so(project_spec: Path) -> None:
    _, plan = opened(project_spec)
    more = dataclasses.replace(plan, objective=dataclasses.replace(plan.objective, direction=Direction.MAXIMIZE))
    store = StudyStore("sqlite:///more.db", "more")
    store.create(spec_of(project_spec), more)
    assert store.study.direction is optuna.study.StudyDirection.MAXIMIZE
    with store.ownership():
        store.reconcile(more)
        search(store, more, {"width=10": 50.0})
    assert store.study.best_trial.user_attrs["levels"]["width"] == 10
    shares = store.results(more).importances
    assert shares["PED-ANOVA"]["width"] == max(shares["PED-ANOVA"].values())
