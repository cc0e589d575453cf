"""The main job, with a recipe that trains in no time: both stores agree, nothing is lost, nothing is run twice."""

from __future__ import annotations

import dataclasses
import multiprocessing
from pathlib import Path

import mlflow
import optuna
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState

from harness.cli import main
from harness.design import Plan
from harness.design import plan as make_plan
from harness.errors import StudyError
from harness.report import html
from harness.runs.inline import InlineLauncher
from harness.spec import Spec, load
from harness.study import ablate as main_job
from harness.study.answer import load_report, study_name
from harness.study.coordinator import Coordinator
from harness.study.placement import Options, Placement, place
from harness.study.store import StudyStore

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
def spec(project: Path, fake_recipe: object) -> Spec:
    (project / "tiny.yaml").write_text(SPEC)
    return load(project / "tiny.yaml")


@pytest.fixture(autouse=True)
def _few_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than everything else here: one test has it done, the others do without."""
    if request.node.name != "test_every_planned_run_is_one_trial_and_one_nested_mlflow_run":
        monkeypatch.setattr("harness.report.pictures.pictures", lambda *_: [])


def run(spec: Spec, options: Options = OPTIONS) -> tuple[object, object, list[str]]:
    lines: list[str] = []
    outcome, report = main_job.ablate(spec, options, lines.append)
    return outcome, report, lines


def trials() -> list[optuna.trial.FrozenTrial]:
    (name,) = optuna.get_all_study_names(STORAGE)
    return optuna.load_study(study_name=name, storage=STORAGE).trials


def mlflow_runs(uri: str = "sqlite:///mlflow.db") -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(uri)
    return [run for e in client.search_experiments() for run in client.search_runs([e.experiment_id])]


def study_run() -> mlflow.entities.Run:
    """That of the only study here: MLflow keeps the database of a relative address open over several tests."""
    (name,) = optuna.get_all_study_names(STORAGE)
    (found,) = (r for r in mlflow_runs() if r.data.tags["harness.role"] == "study" and r.info.run_name == name)
    return found


def test_every_planned_run_is_one_trial_and_one_nested_mlflow_run(spec: Spec, project: Path) -> None:
    own = f"sqlite:///{project}/mlflow.db"
    outcome, report, _ = run(spec, dataclasses.replace(OPTIONS, tracking_uri=own))
    assert (outcome.complete, outcome.diverged, outcome.failed) == (6, 3, 0)
    assert len(trials()) == 9
    parents = [r for r in mlflow_runs(own) if r.data.tags["harness.role"] == "study"]
    children = [r for r in mlflow_runs(own) if r.data.tags["harness.role"] == "run"]
    assert len(parents) == 1
    assert len(children) == 9
    assert {r.data.tags["mlflow.parentRunId"] for r in children} == {parents[0].info.run_id}
    assert sorted(r.info.status for r in children) == ["FAILED"] * 3 + ["FINISHED"] * 6
    assert parents[0].info.status == "FINISHED"
    client = mlflow.MlflowClient(own)
    files = {file.path for file in client.list_artifacts(parents[0].info.run_id)}
    assert {"report.html", "report.md", "effects.csv", "pareto.csv", "spec.json", "plan.json", "pictures"} <= files
    pictures = {file.path for file in client.list_artifacts(parents[0].info.run_id, "pictures")}
    assert {"pictures/forest.png", "pictures/pareto.png", "pictures/curves.png"} <= pictures
    complete = report.runs[report.runs["state"] == "complete"].set_index("mlflow_run_id")
    for child in children:
        if child.info.status == "FINISHED":
            assert child.data.metrics["mifid"] == pytest.approx(complete.loc[child.info.run_id, "mifid"])


def test_the_answer_finds_the_effect_that_the_recipe_has(spec: Spec) -> None:
    _, report, _ = run(spec)
    margin = report.answer[report.answer["trick"] == "margin"].iloc[0]
    assert margin["n_seeds"] == 3
    assert margin["delta_mifid"] == pytest.approx(-10)


def test_every_design_has_its_effects_among_the_metrics_of_the_study(spec: Spec, project: Path) -> None:
    factors = ["factors.mood=null", "factors.width={baseline: 4, levels: [8]}"]
    both = "design={kind: union, of: [one-at-a-time, leave-one-out]}"
    _, report, _ = run(load(project / "tiny.yaml", [*factors, both]))
    parent = study_run()
    designs = [contrast.design for contrast in report.plan.contrasts]
    assert set(designs) == {"one-at-a-time", "leave-one-out"}
    for design, row in zip(designs, report.answer.to_dict("records"), strict=True):
        name = f"effect/{design}/{row['trick']}-{row['to']}/delta_mifid"
        assert parent.data.metrics[name] == pytest.approx(row["delta_mifid"])


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
    render = html.render
    monkeypatch.setattr(html, "render", lambda report: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(spec)
    parent = study_run()
    assert parent.info.status == "FAILED"
    monkeypatch.setattr(html, "render", render)
    run(spec)
    parent = study_run()
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["runs_complete"] == 6
    assert len(trials()) == 9


def test_more_seeds_go_on_in_the_same_study(spec: Spec, project: Path) -> None:
    run(spec)
    outcome, _, _ = run(load(project / "tiny.yaml", ["seeds=4"]))
    assert (outcome.complete, outcome.diverged) == (2, 1)
    assert len(trials()) == 12


def test_a_cap_drops_whole_seeds_and_a_second_start_sticks_to_it(
    spec: Spec, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = {"now": 1.0}

    def calibrate(plan: Plan, **_: object) -> dict[str, dict[str, float]]:
        seconds = 3600 * hours["now"] / len(plan.cells)
        return {cell.name: {"train_seconds": seconds, "other_seconds": 0.0} for cell in plan.cells}

    monkeypatch.setattr("harness.study.calibration.calibrate", calibrate)
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
    assert by_name.answer.equals(by_spec.answer)


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


def test_the_same_trick_is_compared_across_studies_by_name_and_by_spec(spec: Spec, project: Path) -> None:
    run(spec)
    other = load(project / "tiny.yaml", ["train.batch=8"])
    run(other)
    names = [study_name(each, make_plan(each)) for each in (spec, other)]
    done = CliRunner().invoke(main, ["compare", *names, "--format", "markdown"], catch_exceptions=False)
    assert done.exit_code == 0
    (margin,) = [line for line in done.stdout.splitlines() if line.startswith("| margin: 0.8")]
    assert margin.count("n=3") == 2
    assert "alike" in margin
    elsewhere = CliRunner().invoke(main, ["compare", "tiny.yaml", f"{names[1]}@{STORAGE}"], catch_exceptions=False)
    assert elsewhere.exit_code == 0
    assert "margin: 0.8" in elsewhere.stdout


@pytest.mark.parametrize(
    ("arguments", "said"), [(["a", "a"], "two different studies"), (["a", "b"], "run `harness ablate` first")]
)
def test_a_comparison_that_cannot_be_is_refused(project: Path, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(main, ["compare", *arguments])
    assert done.exit_code == 2
    assert said in done.stderr
