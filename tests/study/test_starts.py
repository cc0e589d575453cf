"""Starts of a study: what is tried again, other studies' runs are taken over, trainings are shared."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from harness.design import plan as make_plan
from harness.errors import StudyError
from harness.measures import RunState
from harness.recipes.events import Cause, Failed, Finished
from harness.report import Report, frames
from harness.spec import load
from harness.study.ablate import ablate
from harness.study.answer import load_report
from harness.study.coordinator import Coordinator, Outcome
from harness.study.placement import Options
from harness.study.store import RETRIED, Standing, StudyStore
from harness.study.trainings import Trainings

STORAGE = "sqlite:///optuna.db"
TOY = '''
from pathlib import Path
from typing import Annotated

from harness import Run, recipe
from harness.settings import SAMPLING


@recipe(objective="error")
def toy(run: Run, lr: float = 0.1, psi: Annotated[float, SAMPLING] = 1.0):
    """Its error is that of the seed and the rate, times psi; what it does is written down."""
    saved = run.restore()
    with open("log.txt", "a") as log:
        print("sampled" if saved else "trained", lr, psi, run.seed, file=log)
    if Path(f"broken-{lr}-{psi}").exists():
        raise RuntimeError("a fault")
    weight = saved["weight"] if saved else float("nan") if Path(f"lost-{lr}").exists() else lr + run.seed
    run.checkpoint({"weight": weight})
    if Path(f"undrawn-{lr}-{psi}").exists():
        psi = float("nan")
    run.report(10, error=weight * psi)
    return {"error": weight * psi, "train_seconds": 5.0 + lr}
'''
TIMED = TOY.replace("    weight =", "    for _ in run.until_budget(steps=1):\n        pass\n    weight =")
SPEC = """
study: NAME
recipe: ./toy.py:toy
factors:
  lr: {baseline: 0.1, levels: [LEVELS]}
seeds: 2
"""
SHARED = """
study: shared
recipe: ./toy.py
factors:
  lr: {baseline: 0.1, levels: [0.2]}
  psi: {baseline: 1.0, levels: [0.5, 0.7]}
seeds: 2
"""
Start = Callable[..., tuple[Outcome, Report, str]]


@pytest.fixture
def start(project: Path, tracking: str) -> Start:
    """Starts a study of the toy, and gives its outcome, its report and the lines that were said."""
    (project / "toy.py").write_text(TOY)

    def begin(text: str, **options: Any) -> tuple[Outcome, Report, str]:
        (project / "spec.yaml").write_text(text)
        lines: list[str] = []
        spec = load(project / "spec.yaml")
        outcome, report = ablate(spec, Options(storage=STORAGE, launch="inline", **options), lines.append)
        return outcome, report, "\n".join(lines)

    return begin


def of(name: str, levels: str = "0.2") -> str:
    return SPEC.replace("NAME", name).replace("LEVELS", levels)


def _pretend(study: str, keys: set[str], device: str | None) -> None:
    """Let runs of a stored study have been trained on that device; on one that nobody knows where it is None."""
    with sqlite3.connect("optuna.db") as database:
        for trial in optuna.load_study(study_name=study, storage=STORAGE).trials:
            if trial.user_attrs["key"] in keys:
                at = (trial._trial_id,)
                where = "WHERE trial_id = ? AND key = 'device_name'"
                assert trial.user_attrs["device_name"]
                if device is None:
                    database.execute(f"DELETE FROM trial_user_attributes {where}", at)
                else:
                    new = json.dumps(device)
                    database.execute(f"UPDATE trial_user_attributes SET value_json = ? {where}", (new, *at))
    database.close()


def done() -> Counter[str]:
    """How often the toy has trained, and sampled what was trained."""
    return Counter(line.split()[0] for line in Path("log.txt").read_text().splitlines())


def trials(study: str) -> list[FrozenTrial]:
    (name,) = (name for name in optuna.get_all_study_names(STORAGE) if name.startswith(f"{study}-"))
    return optuna.load_study(study_name=name, storage=STORAGE).trials


def children(study: str) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    (experiment,) = client.search_experiments(filter_string=f"name = '{study}'")
    return client.search_runs([experiment.experiment_id], "tags.`harness.role` = 'run'")


# ---------------------------------------------------------------------- faults


@pytest.mark.slow
def test_an_error_of_a_recipe_is_said_and_not_tried_again_until_the_source_changes_or_retry_is_given(
    start: Start, project: Path
) -> None:
    (project / "broken-0.2-1.0").touch()
    outcome, _, said = start(of("faults"))
    assert (outcome.failed, outcome.given_up, done()["trained"]) == (2, 0, 4)
    assert "--retry" not in said
    outcome, report, said = start(of("faults"))
    assert (outcome.failed, outcome.given_up, done()["trained"]) == (0, 2, 4)
    assert "2 of 4 runs are done" in said
    assert "2 runs have failed and will not be tried again: recipe './toy.py:toy': RuntimeError: a fault" in said
    assert "add --retry" in said
    assert list(report.runs["state"]).count("failed") == 2
    start(of("faults"), retry=True)
    assert done()["trained"] == 6
    start(of("faults"))
    assert done()["trained"] == 6
    (project / "toy.py").write_text(TOY + "# mended\n")
    _, _, said = start(of("faults"))
    assert done()["trained"] == 8
    assert "./toy.py has changed since 2 of 2 runs were trained" in said
    (project / "broken-0.2-1.0").unlink()
    outcome, report, _ = start(of("faults"), retry=True)
    assert (outcome.complete, outcome.given_up) == (2, 0)
    assert set(report.runs["state"]) == {"complete"}
    assert any(
        note.startswith("./toy.py has changed since 2 of 4 runs were trained") and "raise its version" in note
        for note in report.notes
    )


@pytest.mark.parametrize(
    ("causes", "given_up"),
    [
        ([Cause.ERROR], True),
        ([Cause.LOST, Cause.HUNG], False),
        ([Cause.LOST, Cause.HUNG, Cause.LOST], True),
        ([Cause.MEMORY, Cause.MEMORY], False),
        ([Cause.MEMORY, Cause.LOST, Cause.MEMORY], True),
        ([Cause.INTERRUPTED] * 5, False),
        ([Cause.INTERRUPTED, Cause.LOST, Cause.INTERRUPTED, Cause.LOST], False),
    ],
)
def test_errors_end_a_run_at_once_what_may_not_happen_again_at_the_third_time_and_interruptions_never(
    start: Start, project: Path, causes: list[Cause], given_up: bool
) -> None:
    (project / "spec.yaml").write_text(of("causes"))
    spec = load(project / "spec.yaml")
    plan = make_plan(spec)
    store = StudyStore(STORAGE, "causes")
    store.create(spec, plan)
    for number, cause in enumerate(causes):
        if cause not in RETRIED:
            store.reconcile(plan)
        claim = store.claim(plan)
        while claim is not None and claim.run.key != plan.runs[0].key:
            claim = store.claim(plan)
        if claim is None:  # the one before was tried again at once
            store.reconcile(plan)
            claim = store.claim(plan)
        assert claim is not None
        assert (claim.run.key, claim.attempt) == (plan.runs[0].key, number + 1)
        store.fail(claim.number, cause, f"failed as {cause.value}")
        over = given_up and number == len(causes) - 1
        assert store.try_again(plan, claim.run, cause) == (cause in RETRIED and not over)
    standing = store.reconcile(plan)
    assert dict(standing.spent) == ({plan.runs[0].key: f"failed as {causes[-1].value}"} if given_up else {})


def test_a_trial_whose_end_is_known_elsewhere_is_told_it_rather_than_trained_again(start: Start, project: Path) -> None:
    (project / "spec.yaml").write_text(of("ended"))
    spec = load(project / "spec.yaml")
    plan = make_plan(spec)
    store = StudyStore(STORAGE, "ended")
    store.create(spec, plan)
    store.reconcile(plan)
    claims = [store.claim(plan) for _ in range(3)]
    keys = [claim.run.key for claim in claims if claim is not None]
    known = {
        (keys[0], 1): Finished(step=10, summary={"error": 0.25, "train_seconds": 3.0}, trained_from="another"),
        (keys[1], 1): Failed(kind=Cause.DIVERGED, reason="not a number"),
    }
    after = StudyStore(STORAGE, "ended")  # the next coordinator
    after.create(spec, plan)
    standing = after.reconcile(plan, ended=lambda key, attempt: known.get((key, attempt)))
    assert dict(standing.settled) == {keys[0]: RunState.COMPLETE, keys[1]: RunState.DIVERGED}
    assert standing.stale == 1
    assert [run.key for run in standing.queued] == [keys[2]]
    by_key = {trial.user_attrs["key"]: trial for trial in trials_of("ended") if trial.state.is_finished()}
    assert by_key[keys[0]].values == [0.25]
    assert by_key[keys[0]].user_attrs["summary"] == {"error": 0.25, "train_seconds": 3.0}
    assert by_key[keys[0]].user_attrs["trained_from"] == "another"
    assert by_key[keys[1]].user_attrs["failure"] == {"kind": "diverged", "reason": "not a number"}


def trials_of(study: str) -> list[FrozenTrial]:
    return optuna.load_study(study_name=study, storage=STORAGE).trials


def test_an_interruption_is_no_attempt_and_a_death_of_the_process_inline_is_one(start: Start, project: Path) -> None:
    (project / "spec.yaml").write_text(of("deaths"))
    spec = load(project / "spec.yaml")
    plan = make_plan(spec)
    for launch, deaths in (("processes", 5), ("inline", 3)):
        store = StudyStore(STORAGE, launch)
        store.create(spec, plan)
        with store.ownership():
            for _ in range(deaths):
                assert len(store.reconcile(plan).spent) == 0
                claim = store.claim(plan)
                assert claim is not None
                while claim.run.key != plan.runs[0].key:
                    claim = store.claim(plan)
                    assert claim is not None
                store.attach(claim.number, launch=launch)
            spent = store.reconcile(plan).spent
        assert list(spent) == ([plan.runs[0].key] if launch == "inline" else [])


def test_a_coordinator_whose_study_was_taken_over_is_told_so(start: Start, project: Path) -> None:
    (project / "spec.yaml").write_text(of("taken"))
    spec = load(project / "spec.yaml")
    plan = make_plan(spec)
    ours, theirs = (StudyStore(STORAGE, "taken-1") for _ in range(2))
    for store in (ours, theirs):
        store.create(spec, plan)
    ours.reconcile(plan)
    claim = ours.claim(plan)
    assert claim is not None
    assert theirs.reconcile(plan).stale == 1
    for tell in (
        lambda: ours.report(claim.number, 1, 0.5),
        lambda: ours.complete(claim.number, {"error": 0.5}),
        lambda: ours.fail(claim.number, Cause.ERROR, "a fault"),
    ):
        with pytest.raises(StudyError, match="was ended by another coordinator"):
            tell()


def test_the_source_of_a_recipe_is_on_its_trials_runs_and_provenance(start: Start) -> None:
    _, report, _ = start(of("sources"))
    (digest,) = {trial.user_attrs["source"] for trial in trials("sources")}
    assert digest
    assert {run.data.tags["harness.source.digest"] for run in children("sources")} == {digest}
    assert report.provenance["recipe.source"] == digest
    assert set(report.runs["source"]) == {digest}


def test_a_stored_study_is_reported_by_name_where_its_recipe_lies_beside_its_spec(start: Start, project: Path) -> None:
    (project / "deep").mkdir()
    (project / "deep" / "toy.py").write_text(TOY)
    (project / "deep" / "spec.yaml").write_text(of("deep"))
    ablate(load(Path("deep/spec.yaml")), Options(storage=STORAGE, launch="inline"), lambda _: None)
    (project / "toy.py").unlink()
    assert (load_report(STORAGE, "deep").runs["state"] == "complete").all()


# ---------------------------------------------------------------------- runs of other studies


def test_runs_of_another_study_are_taken_over_with_all_that_they_are_known_by(start: Start) -> None:
    _, first, said = start(of("one"))
    assert "those of" not in said
    name = first.provenance["study"]
    outcome, report, said = start(of("two", "0.2, 0.4"))
    assert (outcome.complete, done()["trained"]) == (2, 6)
    assert f"4 of 6 runs are those of study {name}" in said
    assert f"4 of 6 runs are those of study {name}" in report.notes
    taken = report.runs[report.runs["reused_from"] == name].set_index("key")
    ours = first.runs.set_index("key")
    assert len(taken) == 4
    assert (taken["error"] == ours["error"]).all()
    assert (taken["train_seconds"] == ours["train_seconds"]).all()
    assert report.curves == {(run["cell"], run["seed"]): [(10, run["error"])] for _, run in report.runs.iterrows()}
    assert "reused_from" in frames.csv(report)["runs"].splitlines()[0]
    originals = {run.data.tags["harness.key"]: run for run in children("one")}
    copies = [run for run in children("two") if "harness.reused" in run.data.tags]
    assert len(copies) == 4
    assert len(children("two")) == 6
    for copy in copies:
        original = originals[copy.data.tags["harness.key"]]
        assert copy.info.status == "FINISHED"
        assert copy.data.metrics == original.data.metrics
        assert copy.data.params == original.data.params
        assert copy.data.tags["harness.reused"] == name
        assert copy.data.tags["harness.study"] == report.provenance["study"]
        place = f"#/experiments/{original.info.experiment_id}/runs/{original.info.run_id}"
        assert place in copy.data.tags["mlflow.note.content"]
    assert [t.state for t in trials("two")] == [TrialState.COMPLETE] * 6
    _, _, said = start(of("two", "0.2, 0.4"))
    assert "all 6 runs are done, nothing to add" in said
    said = start(of("two", "0.2, 0.4"), reuse=False)[2]
    assert "4 of 6 runs were taken over from another study at an earlier start and stay" in said
    assert "--set study=two-anew" in said


def test_runs_on_data_that_may_have_been_replaced_are_trained_anew(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(of("one"))
    monkeypatch.setattr("harness.recipes.function.FunctionRecipe.lasting", lambda self, data: False, raising=False)
    outcome, _, said = start(of("two"))
    assert outcome.complete == 4
    assert "those of" not in said


@pytest.mark.slow
def test_several_studies_are_named_and_the_first_hand_is_the_one(start: Start) -> None:
    names = [start(of(name, levels))[1].provenance["study"] for name, levels in (("a", "0.2"), ("b", "0.2, 0.4"))]
    outcome, report, said = start(of("c", "0.4"))
    assert outcome.complete == 0
    assert "0 of 4 runs are done" in said
    assert f"4 of 4 runs are those of other studies: 2 of {names[0]}, 2 of {names[1]}" in said
    assert Counter(report.runs["reused_from"]) == {names[0]: 2, names[1]: 2}
    assert done()["trained"] == 6


@pytest.mark.slow
def test_what_is_not_the_same_is_not_taken_over(start: Start, project: Path) -> None:
    start(of("one"))
    assert start(of("anew"), reuse=False)[0].complete == 4
    start(of("after").replace("seeds: 2", "seeds: [5, 6]"))
    assert done()["trained"] == 12
    (project / "toy.py").write_text(TOY + "# another\n")
    _, report, said = start(of("edited"))
    assert done()["trained"] == 16
    assert "those of" not in said
    assert "reused_from" not in report.runs
    start(of("hunt") + "design: {kind: search, trials: 4}\n")
    assert done()["trained"] == 20


def test_runs_of_so_many_seconds_are_trained_anew(start: Start, project: Path) -> None:
    (project / "timed.py").write_text(TIMED)
    for name in ("one", "two"):
        said = start(of(name).replace("./toy.py:toy", "./timed.py") + "budget: {seconds: 0.01}\n")[2]
        assert "those of" not in said
    assert done()["trained"] == 8


def test_runs_whose_source_nobody_knows_are_trained_anew(start: Start, project: Path) -> None:
    command = """{command: [python, -c, "print('{{\\"error\\": {lr}}}')"], settings: {lr: 0.1}}"""
    spec = of("NAME").replace("./toy.py:toy", command).replace("seeds: 2", "seeds: 1\nobjective: {metric: error, ")
    for name in ("one", "two"):
        outcome, _, said = start(spec.replace("NAME", name) + "  direction: minimize}\n")
        assert outcome.complete == 2
        assert "those of" not in said


@pytest.mark.parametrize("elsewhere", ["another device", None])
@pytest.mark.slow
def test_costs_of_a_run_from_another_device_are_not_taken_over_and_its_quality_is(
    start: Start, elsewhere: str | None
) -> None:
    first = start(of("one"))[1].runs.set_index("key")
    (name,) = optuna.get_all_study_names(STORAGE)
    study = optuna.load_study(study_name=name, storage=STORAGE)
    moved = {trial.user_attrs["key"] for trial in study.trials[:2]}
    _pretend(name, moved, elsewhere)
    runs = start(of("two", "0.2, 0.4"))[1].runs.set_index("key")
    assert (runs["reused_from"] == name).sum() == 4
    assert (runs.loc[first.index, "error"] == first["error"]).all()
    for cost in ("train_seconds", "peak_memory_mb"):
        assert set(runs.index[runs[cost].isna()]) == moved


def test_a_study_all_of_whose_runs_were_trained_on_one_device_keeps_their_costs(start: Start) -> None:
    first = start(of("one"))[1].runs.set_index("key")
    _pretend(optuna.get_all_study_names(STORAGE)[0], set(first.index), "another device")
    taken = start(of("two"))[1].runs.set_index("key")
    assert (taken["train_seconds"] == first["train_seconds"]).all()


@pytest.mark.slow
def test_runs_of_a_search_are_not_taken_over_by_a_design(start: Start, project: Path) -> None:
    start(of("hunt") + "design: {kind: search, trials: 4}\n")
    store = StudyStore(STORAGE, "design-1")
    (project / "spec.yaml").write_text(of("later"))
    spec = load(project / "spec.yaml")
    store.create(spec, make_plan(spec))
    with store.ownership():
        assert not store.reconcile(make_plan(spec)).reused


def test_a_diverged_run_is_taken_over_as_diverged(start: Start, project: Path) -> None:
    (project / "lost-0.2").touch()
    _, first, _ = start(of("one"))
    outcome, report, _ = start(of("two"))
    assert (outcome.complete, outcome.diverged, done()["trained"]) == (0, 0, 4)
    assert Counter(report.runs["state"]) == {"complete": 2, "diverged": 2}
    lost = report.runs[report.runs["state"] == "diverged"]
    assert all("is nan" in reason for reason in lost["reason"])
    assert set(lost["reused_from"]) == {first.provenance["study"]}
    failed = [run for run in children("two") if run.info.status == "FAILED"]
    assert {run.data.tags["harness.failure"] for run in failed} == {"diverged"}


# ---------------------------------------------------------------------- shared trainings


@pytest.mark.slow
def test_runs_that_differ_at_sampling_alone_share_one_training(start: Start) -> None:
    outcome, report, said = start(SHARED)
    assert "8 runs, 4 trainings (psi plays a part at sampling only), 0 done, 8 to do" in said
    assert outcome.complete == 8
    assert done() == {"trained": 4, "sampled": 4}
    for _, run in report.runs.iterrows():
        settings = {"baseline": (0.1, 1), "psi=0.5": (0.1, 0.5), "psi=0.7": (0.1, 0.7), "lr=0.2": (0.2, 1)}[run["cell"]]
        assert run["error"] == pytest.approx((settings[0] + run["seed"]) * settings[1])
        assert run["train_seconds"] == pytest.approx(5 + settings[0])
    memory = report.runs.set_index(["cell", "seed"])["peak_memory_mb"]
    assert memory["psi=0.5", 1] == memory["baseline", 1]
    assert any(note.startswith("psi plays a part at sampling only: 4 of 8 runs went on from") for note in report.notes)
    keys = report.runs.set_index(["cell", "seed"])["key"]
    led = report.runs.set_index(["cell", "seed"])["trained_from"]
    assert all(led[cell, seed] == (keys["baseline", seed] if "psi" in cell else "") for cell, seed in led.index)
    assert not list(Path("runs").glob("*/*/checkpoint.pt"))


@pytest.mark.parametrize("ended", [1, 2, 4])
@pytest.mark.slow
def test_a_study_that_is_stopped_between_trainings_and_samples_goes_on(
    start: Start, monkeypatch: pytest.MonkeyPatch, ended: int
) -> None:
    finish = Coordinator._finish
    finished = []

    def interrupted(self: Coordinator, *arguments: Any) -> None:
        finish(self, *arguments)
        finished.append(arguments)
        if len(finished) == ended:
            raise KeyboardInterrupt

    monkeypatch.setattr(Coordinator, "_finish", interrupted)
    outcome, _, _ = start(SHARED)
    assert outcome.interrupted
    monkeypatch.setattr(Coordinator, "_finish", finish)
    _, report, _ = start(SHARED)
    assert set(report.runs["state"]) == {"complete"}
    assert done() == {"trained": 4, "sampled": 4}
    assert not list(Path("runs").glob("*/*/checkpoint.pt"))


@pytest.mark.slow
def test_a_follower_whose_checkpoint_is_gone_trains_and_the_next_goes_on_from_it(start: Start) -> None:
    start(SHARED.replace("[0.5, 0.7]", "[0.5]"))
    assert done() == {"trained": 4, "sampled": 2}
    start(SHARED)  # its name says other levels: another study, with runs of the first
    assert done() == {"trained": 6, "sampled": 2}
    more = SHARED.replace("[0.5, 0.7]", "[0.5, 0.7, 0.8, 0.9]")
    _, report, _ = start(more)
    assert set(report.runs["state"]) == {"complete"}
    assert done() == {"trained": 8, "sampled": 4}
    assert not list(Path("runs").glob("*/*/checkpoint.pt"))


@pytest.mark.slow
def test_a_training_that_diverges_is_tried_by_each_run_that_shares_it(start: Start, project: Path) -> None:
    (project / "lost-0.1").touch()
    outcome, report, _ = start(SHARED)
    assert done() == {"trained": 2 * 3 + 2}
    assert (outcome.complete, outcome.diverged) == (2, 6)
    states = report.runs.groupby("cell")["state"].agg(set)
    assert states.to_dict() == {
        "baseline": {"diverged"},
        "psi=0.5": {"diverged"},
        "psi=0.7": {"diverged"},
        "lr=0.2": {"complete"},
    }
    assert all("is nan" in reason for reason in report.runs[report.runs["state"] == "diverged"]["reason"])
    _, _, said = start(SHARED)
    assert "nothing to add" in said


@pytest.mark.slow
def test_a_run_that_diverges_in_drawing_at_its_own_level_loses_no_other(start: Start, project: Path) -> None:
    (project / "undrawn-0.1-1.0").touch()
    outcome, report, _ = start(SHARED)
    assert (outcome.complete, outcome.diverged) == (6, 2)
    assert set(report.runs[report.runs["cell"] == "baseline"]["state"]) == {"diverged"}
    assert set(report.runs[report.runs["cell"] != "baseline"]["state"]) == {"complete"}
    assert done() == {"trained": 2 + 2 + 2, "sampled": 2}
    assert not list(Path("runs").glob("*/*/checkpoint.pt"))


@pytest.mark.slow
def test_a_level_added_to_a_training_that_one_level_diverged_at_is_run(start: Start, project: Path) -> None:
    (project / "undrawn-0.1-0.5").touch()
    start(SHARED.replace("[0.5, 0.7]", "[0.5]"))
    assert done() == {"trained": 4, "sampled": 2}
    _, report, _ = start(SHARED)  # all checkpoints are gone: one is trained anew
    assert report.runs.groupby("cell")["state"].agg(set).to_dict() == {
        "baseline": {"complete"},
        "psi=0.5": {"diverged"},
        "psi=0.7": {"complete"},
        "lr=0.2": {"complete"},
    }
    assert done() == {"trained": 6, "sampled": 2}


@pytest.mark.parametrize("line", ["run.checkpoint({", "saved = run.restore()"])
def test_a_recipe_that_keeps_or_reads_no_checkpoint_trains_every_run_and_the_report_says_so(
    start: Start, project: Path, line: str
) -> None:
    other = {"run.checkpoint({": "print({", "saved = run.restore()": "saved = None"}
    (project / "toy.py").write_text(TOY.replace(line, other[line]).replace(', "train_seconds": 5.0 + lr', ""))
    _, report, _ = start(SHARED.replace("seeds: 2", "seeds: 1"))
    assert set(report.runs["state"]) == {"complete"}
    assert done() == {"trained": 4}
    assert report.runs["train_seconds"].nunique() == 4  # each its own
    assert any(note.startswith("psi plays a part at sampling only: 0 of 4 runs went on") for note in report.notes)


@pytest.mark.slow
def test_where_checkpoints_are_deleted_one_of_the_runs_that_wait_leads(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Coordinator._finish

    def interrupted(self: Coordinator, *arguments: Any) -> None:
        finish(self, *arguments)
        raise KeyboardInterrupt

    one = SHARED.replace("seeds: 2", "seeds: 1").replace("  lr: {baseline: 0.1, levels: [0.2]}\n", "")
    monkeypatch.setattr(Coordinator, "_finish", interrupted)
    start(one)
    monkeypatch.setattr(Coordinator, "_finish", finish)
    shutil.rmtree("runs")
    (spec := Path("spec.yaml")).write_text(one)
    ablate(load(spec), Options(storage=STORAGE, launch="processes", slots=2), lambda _: None)
    assert done() == {"trained": 2, "sampled": 1}
    assert (load_report(STORAGE, "shared").runs["state"] == "complete").all()


@pytest.mark.parametrize("leaves", [True, False])
def test_runs_without_a_checkpoint_wait_for_one_of_them_unless_the_recipe_leaves_none(
    start: Start, project: Path, leaves: bool
) -> None:
    (project / "spec.yaml").write_text(SHARED.replace("[0.5, 0.7]", "[0.5, 0.7, 0.9]"))
    plan = make_plan(load(project / "spec.yaml"))
    first, *others = (run for run in plan.runs if run.training == plan.runs[0].training)
    waiting = frozenset(run.key for run in others)
    trainings = Trainings(
        Path("runs", "s"), Standing(plan=plan, settled={first.key: RunState.COMPLETE}, waiting=waiting)
    )
    assert [trainings.holds(run) for run in others] == [False, True, True]
    if leaves:
        folder = Path("runs", "s", others[0].key)
        folder.mkdir(parents=True)
        (folder / "checkpoint.pt").touch()
    assert trainings.complete(others[0]) == others[1:]
    if leaves:
        assert [trainings.folder(run) for run in others[1:]] == [folder] * 2
    else:
        assert [trainings.holds(run) for run in others[1:]] == [False, False]


def test_where_a_leader_fails_the_next_run_of_its_training_leads(start: Start, project: Path) -> None:
    (project / "broken-0.1-1.0").touch()
    outcome, report, _ = start(SHARED)
    assert (outcome.complete, outcome.failed) == (6, 2)
    assert set(report.runs[report.runs["cell"] != "baseline"]["state"]) == {"complete"}
    assert done() == {"trained": 2 + 2 + 2, "sampled": 2}
    (project / "broken-0.1-1.0").unlink()
    _, report, _ = start(SHARED, retry=True)
    assert set(report.runs["state"]) == {"complete"}
    assert done() == {"trained": 6, "sampled": 4}
    assert not list(Path("runs").glob("*/*/checkpoint.pt"))


def test_where_nothing_completes_the_start_ends_with_an_error(start: Start, project: Path) -> None:
    for lr in (0.1, 0.2):
        (project / f"lost-{lr}").touch()
    with pytest.raises(StudyError, match=r"no run is complete \(8 diverged\): recipe 'toy': .* is nan"):
        start(SHARED)
