"""The main job, with a recipe that trains in no time: both stores agree, nothing is lost, nothing is run twice."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import mlflow
import optuna
import optuna_dashboard
import pytest
import torch
from click.testing import CliRunner
from optuna.trial import TrialState

from harness.cli import main
from harness.design import Plan
from harness.design import plan as make_plan
from harness.errors import StudyError
from harness.files.images import save_pairs
from harness.recipes.events import DataUsed
from harness.runs.launchers import InlineLauncher
from harness.spec import Spec, label, load
from harness.study import ablate as main_job
from harness.study import publishing
from harness.study.answer import load_report, study_name
from harness.study.calibration import Estimate
from harness.study.coordinator import Coordinator
from harness.study.placement import Options, Placement, place
from harness.study.store import StudyStore
from harness.study.tracking import Tracker

STORAGE = "sqlite:///optuna.db"
OPTIONS = Options(storage=STORAGE, launch="inline")
SPEC = """
study: tiny
recipe: fake
data: {source: synthetic-dogs, count: 16, size: 32}
evaluate: {samples: 16, interim_samples: 16}
factors:
  margin: {baseline: null, levels: [0.8]}
  mood: {baseline: well, levels: [diverge]}
seeds: 3
budget: {images: 100}
"""


@pytest.fixture
def spec(project: Path, tracking: str, fake_recipe: object) -> Spec:
    (project / "tiny.yaml").write_text(SPEC)
    return load(project / "tiny.yaml")


def run(spec: Spec, options: Options = OPTIONS) -> tuple[object, object, list[str]]:
    lines: list[str] = []
    outcome, report = main_job.ablate(spec, options, lines.append)
    return outcome, report, lines


def trials() -> list[optuna.trial.FrozenTrial]:
    (name,) = optuna.get_all_study_names(STORAGE)
    return optuna.load_study(study_name=name, storage=STORAGE).trials


def client() -> mlflow.MlflowClient:
    return mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])


def mlflow_runs() -> list[mlflow.entities.Run]:
    return [run for e in client().search_experiments() for run in client().search_runs([e.experiment_id])]


def study_run() -> mlflow.entities.Run:
    (found,) = (r for r in mlflow_runs() if r.data.tags["harness.role"] == "study")
    return found


def children() -> list[mlflow.entities.Run]:
    return [r for r in mlflow_runs() if r.data.tags["harness.role"] == "run"]


def test_every_planned_run_is_one_trial_and_one_nested_mlflow_run(spec: Spec) -> None:
    outcome, report, _ = run(spec)
    assert (outcome.complete, outcome.diverged, outcome.failed) == (6, 3, 0)
    assert len(trials()) == 9
    parent = study_run()
    assert len(children()) == 9
    assert {r.data.tags["mlflow.parentRunId"] for r in children()} == {parent.info.run_id}
    assert sorted(r.info.status for r in children()) == ["FAILED"] * 3 + ["FINISHED"] * 6
    assert parent.info.status == "FINISHED"
    files = {file.path for file in client().list_artifacts(parent.info.run_id)}
    assert {"report.html", "report.md", "report.json", "runs.csv", "spec.json", "plan.json", "pictures"} <= files
    pictures = {file.path for file in client().list_artifacts(parent.info.run_id, "pictures")}
    assert {"pictures/forest.png", "pictures/pareto.png", "pictures/curves.png"} <= pictures
    complete = report.runs[report.runs["state"] == "complete"].set_index("mlflow_run_id")
    for child in children():
        if child.info.status == "FINISHED":
            assert child.data.metrics["mifid"] == pytest.approx(complete.loc[child.info.run_id, "mifid"])


def test_every_metric_of_a_run_has_one_point_at_the_last_step(spec: Spec) -> None:
    run(spec)
    finished = [r for r in children() if r.info.status == "FINISHED"]
    assert len(finished) == 6
    for child in finished:
        for name in child.data.metrics:
            steps = [point.step for point in client().get_metric_history(child.info.run_id, name)]
            assert len(steps) == len(set(steps)), name
        assert {"kid", "mifid", "train_seconds"} <= child.data.metrics.keys()


def test_mlflow_shows_where_runs_come_from_and_what_they_read(spec: Spec) -> None:
    run(spec)
    for child in [*children(), study_run()]:
        assert child.data.tags["mlflow.source.name"].endswith("/tiny.yaml")
        assert child.data.tags["mlflow.source.type"] == "LOCAL"
        assert child.data.tags["mlflow.user"]
    for child in children():
        (photos,) = child.inputs.dataset_inputs
        assert (photos.dataset.name, photos.dataset.digest) == ("thin air", "0123")
        assert [(tag.key, tag.value) for tag in photos.tags] == [("mlflow.data.context", "training, reference")]
    (photos,) = study_run().inputs.dataset_inputs
    assert photos.dataset.digest == "0123"


def test_the_answer_is_the_description_of_the_study_in_mlflow_and_in_optuna(spec: Spec) -> None:
    run(spec)
    parent = study_run()
    words = Path(client().download_artifacts(parent.info.run_id, "report.md", ".")).read_text()
    assert parent.data.tags["mlflow.note.content"] == words
    (name,) = optuna.get_all_study_names(STORAGE)
    assert optuna_dashboard.get_note(optuna.load_study(study_name=name, storage=STORAGE)) == words
    assert "margin" in words


def test_a_description_that_is_too_long_is_cut_at_a_line_and_says_where_the_rest_is(tracking: str) -> None:
    tracker = Tracker()
    tracker.open_study("long", "long-1", tags={})
    tracker.describe(tracker.parent, "a line of the answer\n" * 1000, whole="report.md")
    *lines, blank, last = study_run().data.tags["mlflow.note.content"].splitlines()
    assert (blank, last) == ("", "The rest is in the artifact `report.md`.")
    assert len(lines) > 300
    assert set(lines) == {"a line of the answer"}


def test_a_run_that_goes_on_names_its_data_once(tracking: str) -> None:
    tracker = Tracker()
    tracker.open_study("again", "again-1", tags={})
    name = tracker.make("k", "a run", at=0, tags={}).identity
    used = [DataUsed(name="photos", digest="1" * 64, source="/photos", role=role) for role in ("training", "reference")]
    for _ in range(2):
        tracker.inputs(name, used)
    (found,) = children()[0].inputs.dataset_inputs
    assert found.dataset.digest == "1" * 36
    assert found.dataset.source == '{"uri": "/photos"}'


def test_the_answer_finds_the_effect_that_the_recipe_has(spec: Spec) -> None:
    _, report, _ = run(spec)
    (margin,) = [effect for effect in report.answer.effects if effect.contrast.factor == "margin"]
    assert margin.n == 3
    assert margin.change.value == pytest.approx(-10)


def test_every_design_has_its_effects_among_the_metrics_of_the_study(spec: Spec, project: Path) -> None:
    factors = ["factors.mood=null", "factors.width={baseline: 4, levels: [8]}"]
    both = "design={kind: union, of: [one-at-a-time, leave-one-out]}"
    _, report, _ = run(load(project / "tiny.yaml", [*factors, both]))
    parent = study_run()
    effects = report.answer.effects
    assert {effect.contrast.design for effect in effects} == {"one-at-a-time", "leave-one-out"}
    for effect in effects:
        contrast = effect.contrast
        name = f"effect/{contrast.design}/{contrast.factor}-{label(contrast.level)}/delta_mifid"
        assert parent.data.metrics[name] == pytest.approx(effect.change.value)


def test_intermediate_mifid_reaches_the_trial(spec: Spec) -> None:
    run(spec)
    complete = [t for t in trials() if t.state == TrialState.COMPLETE]
    assert all(set(t.intermediate_values) == {50, 100} for t in complete)


def test_the_same_command_again_adds_nothing_and_says_so(spec: Spec) -> None:
    run(spec)
    before = [(t.number, t.state) for t in trials()], len(mlflow_runs())
    _, _, lines = run(spec)
    assert any("nothing to add" in line for line in lines)
    assert before == ([(t.number, t.state) for t in trials()], len(mlflow_runs()))


def test_an_answer_that_could_not_be_published_is_at_the_next_start(
    spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = publishing.page.render
    monkeypatch.setattr(publishing.page, "render", lambda report: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(spec)
    parent = study_run()
    assert parent.info.status == "FAILED"
    monkeypatch.setattr(publishing.page, "render", render)
    run(spec)
    parent = study_run()
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["runs_complete"] == 6
    assert len(trials()) == 9


def test_more_seeds_go_on_in_the_same_study_and_under_the_same_parent(spec: Spec, project: Path) -> None:
    run(spec)
    outcome, _, _ = run(load(project / "tiny.yaml", ["seeds=4"]))
    assert (outcome.complete, outcome.diverged) == (2, 1)
    assert len(trials()) == 12
    assert len(children()) == 12


@pytest.mark.slow
def test_a_cap_drops_whole_seeds_and_a_second_start_sticks_to_it(
    spec: Spec, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = {"now": 1.0}

    def calibrate(plan: Plan, **_: object) -> dict[str, Estimate]:
        seconds = 3600 * hours["now"] / len(plan.cells)
        return {cell.name: Estimate(train_seconds=seconds, other_seconds=0.0) for cell in plan.cells}

    monkeypatch.setattr(main_job, "calibrate", calibrate)
    capped = load(project / "tiny.yaml", ["design.max_hours=2.5"])
    _, report, lines = run(capped)
    assert len(trials()) == 6  # two of the three seeds, an hour each
    assert any("seeds 2 are dropped, in this order" in line for line in lines)
    assert set(report.runs["seed"]) == {0, 1}
    assert not any("missing" in note for note in report.notes)
    hours["now"] = 0.1  # a faster timing must not add runs to a study that was decided
    _, _, lines = run(capped)
    assert any("nothing to add" in line for line in lines)
    assert len(load_report(STORAGE, capped).runs) == 6
    run(spec)
    assert len(trials()) == 9  # without the cap the third seed goes on in the same study


def test_another_setting_is_another_study(spec: Spec, project: Path) -> None:
    run(spec)
    run(load(project / "tiny.yaml", ["train.batch=8"]))
    assert len(optuna.get_all_study_names(STORAGE)) == 2


def test_diverged_runs_are_outcomes_and_are_not_tried_again(spec: Spec) -> None:
    _, report, _ = run(spec)
    assert (report.runs["state"] == "diverged").sum() == 3
    assert "the generator's loss is nan" in set(report.runs["reason"])
    run(spec)
    assert len(trials()) == 9


def test_a_recipe_that_always_crashes_ends_the_study_early_with_its_reason(spec: Spec, project: Path) -> None:
    crashing = load(project / "tiny.yaml", ["factors.mood.baseline=crash", "factors.mood.levels=[well]"])
    with pytest.raises(StudyError, match="a fault of the recipe"):
        run(crashing)
    assert all(r.info.status != "RUNNING" for r in mlflow_runs())
    assert all(t.state != TrialState.RUNNING for t in trials())


def test_a_trial_whose_coordinator_died_is_failed_and_run_again(spec: Spec) -> None:
    plan = make_plan(spec)
    store = StudyStore(STORAGE, study_name(spec, plan))
    store.create(spec, plan)
    with store.ownership():
        store.reconcile(plan)
        claim = store.claim(plan)
        assert claim is not None
        store.attach(claim.number, mlflow_run_id="gone")
    outcome, report, lines = run(spec)
    assert any("1 left by a coordinator that died" in line for line in lines)
    assert outcome.complete == 6
    again = report.runs.set_index("key").loc[claim.run.key]
    assert again["attempt"] == 2
    assert again["state"] == "complete"


def test_ctrl_c_leaves_nothing_running_and_the_next_start_finishes(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Coordinator._place
    placed = []

    def interrupted(self: Coordinator, slot: int, claim: object) -> None:
        place(self, slot, claim)
        placed.append(claim)
        if len(placed) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Coordinator, "_place", interrupted)
    outcome, _, _ = run(spec)
    assert outcome.interrupted
    assert all(t.state != TrialState.RUNNING for t in trials())
    assert all(r.info.status != "RUNNING" for r in mlflow_runs())
    monkeypatch.setattr(Coordinator, "_place", place)
    _, report, _ = run(spec)
    assert set(report.runs["state"]) == {"complete", "diverged"}


def _hold(storage: str, name: str, spec_path: str, ready: object, release: object) -> None:
    store = StudyStore.find(storage, name)
    with store.ownership():
        ready.set()
        release.wait(60)


def test_a_second_coordinator_on_a_live_study_is_refused_by_name(spec: Spec, project: Path) -> None:
    plan = make_plan(spec)
    name = study_name(spec, plan)
    StudyStore(STORAGE, name).create(spec, plan)
    context = multiprocessing.get_context("fork")
    ready, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(STORAGE, name, "tiny.yaml", ready, release))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(StudyError, match=rf"{name}.*process {other.pid}"):
            run(spec)
    finally:
        release.set()
        other.join(60)


def test_a_study_is_reported_by_its_name_as_by_its_spec(spec: Spec) -> None:
    run(spec)
    by_name = load_report(STORAGE, "tiny")
    by_spec = load_report(STORAGE, spec)
    assert by_name.runs.equals(by_spec.runs)
    assert by_name.provenance == by_spec.provenance
    assert by_name.spec_text == by_spec.spec_text


def test_the_nearest_pairs_are_those_of_the_run_that_comes_closest(spec: Spec) -> None:
    _, report, _ = run(spec)
    complete = report.runs[report.runs["state"] == "complete"]
    folders = [Path("runs") / report.provenance["study"] / key for key in complete["key"]]
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    for distance, folder in zip((0.3, 0.1, 0.2), folders, strict=False):
        save_pairs(image, image, folder / "nearest.png")
        about = {"title": "Nearest", "reading": f"at {distance}", "distances": [distance]}
        (folder / "nearest.json").write_text(json.dumps(about))
    save_pairs(image, image, folders[3] / "nearest.png")
    (folders[3] / "nearest.json").write_text("[0.01]")  # as runs left it before they said what it shows
    nearest = load_report(STORAGE, spec, pictures=True).nearest
    assert nearest is not None
    assert (nearest.title, nearest.reading) == ("Nearest", "at 0.1")
    assert [distance for _, _, distance in nearest.pairs] == [0.1]
    assert load_report(STORAGE, spec).nearest is None


def test_a_later_report_names_the_commit_and_versions_that_trained_the_runs(
    spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, then, _ = run(spec)
    monkeypatch.setattr(
        "harness.machine.provenance.provenance", lambda: {"git.commit": "another", "version.torch": "9"}
    )
    now = load_report(STORAGE, spec)
    assert now.provenance == then.provenance
    assert now.provenance["git.commit"] != "another"
    _, again, _ = run(spec)  # nothing to add
    assert again.provenance == then.provenance


def test_reporting_an_unknown_study_names_the_known_ones(spec: Spec) -> None:
    run(spec)
    with pytest.raises(StudyError, match="known: tiny-"):
        load_report(STORAGE, "nope")


@pytest.mark.parametrize(
    ("cores", "asked", "slots", "threads", "devices"),
    [(1, None, 1, 1, 1), (2, None, 2, 1, 2), (16, None, 4, 4, 4), (2, 1, 1, 2, 1), (2, 6, 6, 1, 2)],
)
def test_a_cpu_is_shared_out_by_cores(
    spec: Spec,
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    asked: int | None,
    slots: int,
    threads: int,
    devices: int,
) -> None:
    monkeypatch.setattr("harness.machine.provenance.cores", lambda: cores)
    placement = place(make_plan(spec), Options(storage=STORAGE, slots=asked))
    assert placement == Placement(devices=["cpu"] * devices, slots=slots, threads=threads)


def test_inline_has_one_slot_and_says_so(spec: Spec) -> None:
    with pytest.raises(StudyError, match="--launch processes"):
        run(spec, Options(storage=STORAGE, launch="inline", slots=2))
    assert InlineLauncher.slots == 1
    assert not Path("optuna.db").exists()


@pytest.mark.slow
def test_the_same_trick_is_compared_across_studies_by_name_and_by_spec(spec: Spec, project: Path) -> None:
    run(spec)
    other = load(project / "tiny.yaml", ["train.batch=8"])
    run(other)
    names = [study_name(each, make_plan(each)) for each in (spec, other)]
    done = CliRunner().invoke(main, ["compare", *names, "--format", "markdown"], catch_exceptions=False)
    assert done.exit_code == 0
    (margin,) = [line for line in done.stdout.splitlines() if line.startswith("| margin")]
    assert "0.8" in margin
    elsewhere = CliRunner().invoke(main, ["compare", "tiny.yaml", f"{names[1]}@{STORAGE}"], catch_exceptions=False)
    assert elsewhere.exit_code == 0
    assert "margin" in elsewhere.stdout


@pytest.mark.parametrize(
    ("arguments", "said"), [(["a", "a"], "two different studies"), (["a", "b"], "run `harness ablate` first")]
)
def test_a_comparison_that_cannot_be_is_refused(project: Path, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(main, ["compare", *arguments])
    assert done.exit_code == 2
    assert said in done.stderr
