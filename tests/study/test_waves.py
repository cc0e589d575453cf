"""A study whose seeds come in waves, through the whole main job: what it runs, says, stores and refuses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pytest

from harness.analysis.types import Verdict
from harness.errors import HarnessError, SpecError, StudyError
from harness.recipes.events import Cause
from harness.report import Report
from harness.spec import load
from harness.study import queue
from harness.study.ablate import ablate
from harness.study.answer import load_report
from harness.study.coordinator import Outcome
from harness.study.placement import Options
from harness.study.store import StudyStore

STORAGE = "sqlite:///optuna.db"
RECIPE = '''
import os
import random
import signal
from pathlib import Path

from harness import Run, recipe


@recipe(objective="error", maximize=False)
def known(run: Run, good: bool = False, nil: bool = False, slow: float = 0.0):
    """An error around 100; `good` takes 20 of it. Runs are counted, and may fail or end their coordinator."""
    name = f"{run.seed}-{good}-{nil}"
    with open("log.txt", "a") as log:
        print(name, file=log)
    if Path(f"kill-{name}").exists():
        Path(f"kill-{name}").unlink()
        os.kill(os.getpid(), signal.SIGINT)
    if Path(f"fail-{name}").exists():
        count = int(Path(f"fail-{name}").read_text()) - 1
        Path(f"fail-{name}").write_text(str(count))
        if count >= 0:
            raise RuntimeError("a fault")
    noise = random.Random(f"{name}, a third try").gauss(0, 2)
    run.report(1, error=100 - 20 * good + noise)
    return {"error": 100 - 20 * good + noise}
'''
SPEC = """
study: known
recipe: ./known.py:known
worth: 8%
factors:
  good: {baseline: false, levels: [true]}
  nil: {baseline: false, levels: [true]}
seeds: {first: 3, most: 12}
"""
Start = Callable[..., tuple[Outcome, Report, str]]


@pytest.fixture
def start(project: Path, tracking: str) -> Start:
    """Starts a study of the recipe, and gives its outcome, its report and the lines that were said."""
    (project / "known.py").write_text(RECIPE)

    def begin(text: str = SPEC, **options: Any) -> tuple[Outcome, Report, str]:
        (project / "spec.yaml").write_text(text)
        lines: list[str] = []
        spec = load(project / "spec.yaml")
        outcome, report = ablate(spec, Options(storage=STORAGE, launch="inline", **options), lines.append)
        return outcome, report, "\n".join(lines)

    return begin


def trained() -> Counter[str]:
    return Counter(Path("log.txt").read_text().split())


def study() -> optuna.Study:
    (name,) = [each for each in optuna.get_all_study_names(STORAGE) if each.startswith("known-")]
    return optuna.load_study(study_name=name, storage=STORAGE)


def verdicts(report: Report) -> dict[str, Verdict]:
    return {effect.contrast.factor: effect.verdict for effect in report.answer.effects}


def test_it_runs_until_all_is_decided_and_no_run_more(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    outcome, report, said = start()
    assert verdicts(report) == {"good": Verdict.HELPS, "nil": Verdict.NEGLIGIBLE}
    assert report.answer.course is not None
    last = report.answer.course.last
    assert last is not None
    seeds = dict(zip(("good", "nil"), last.seeds, strict=True))
    assert max(seeds.values()) < 12
    assert outcome.complete == sum(seeds.values()) + max(seeds.values()) == sum(trained().values())
    assert set(trained().values()) == {1}
    assert "a look after every seed from 3 on, at most 12 seeds (36 runs)" in said
    shown = capsys.readouterr().out
    assert "look after 3 seeds: " in shown
    assert f"good helps after {seeds['good']} seeds" in shown
    assert f"nil is negligible after {seeds['nil']} seeds" in shown
    assert " of at most 12, " in shown
    assert " % of the way to " in shown


@pytest.mark.slow
def test_the_looks_are_in_optuna_and_in_mlflow_once_each(start: Start) -> None:
    _, report, _ = start()
    assert report.answer.course is not None
    waves = [look.wave for look in report.answer.course.looks]
    assert [look["wave"] for look in study().user_attrs["looks"]] == waves
    (parent,) = mlflow.search_runs(
        search_all_experiments=True, filter_string="tags.`harness.role` = 'study'", output_format="list"
    )
    client = mlflow.MlflowClient()
    for name in ("undecided", "good/seeds", "nil/towards_negligible"):
        points = client.get_metric_history(parent.info.run_id, f"looks/{name}")
        assert [point.step for point in points] == waves
    assert "looks.json" in [file.path for file in client.list_artifacts(parent.info.run_id)]


def test_the_same_command_again_adds_nothing(start: Start) -> None:
    _, first, _ = start()
    before = trained()
    outcome, again, said = start()
    assert trained() == before
    assert outcome.complete == 0
    assert "nothing to add" in said
    assert again.answer.course is not None
    assert first.answer.course is not None
    assert again.answer.course.looks == first.answer.course.looks
    assert len(study().trials) == sum(before.values())


@pytest.mark.parametrize("where", ["1-False-False", "2-False-True", "3-False-False"])
def test_interrupted_in_any_wave_it_goes_on_to_the_same_answer(start: Start, project: Path, where: str) -> None:
    (project / f"kill-{where}").touch()
    outcome, _, _ = start()
    assert outcome.interrupted
    outcome, report, _ = start()
    assert not outcome.interrupted
    broken, broken_runs = report.answer.course, sorted(report.runs["key"])
    for file in ("optuna.db", "log.txt"):
        (project / file).unlink()
    _, straight, _ = start()
    assert straight.answer.course is not None
    assert broken is not None
    assert broken.looks == straight.answer.course.looks
    assert broken_runs == sorted(straight.runs["key"])


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults are those of machines: what a run fails by is that its process died."""
    fail = StudyStore.fail

    def told(store: StudyStore, number: int, cause: Cause, reason: str, details: str = "") -> None:
        fail(store, number, Cause.LOST if cause is Cause.ERROR else cause, reason, details)

    monkeypatch.setattr(StudyStore, "fail", told)


@pytest.mark.slow
def test_a_run_that_is_lost_is_tried_again_and_the_looks_wait_for_it(start: Start, project: Path, lost: None) -> None:
    (project / "fail-1-True-False").write_text("2")
    outcome, report, _ = start()
    assert trained()["1-True-False"] == 3
    assert outcome.failed == 0
    assert verdicts(report)["good"] is Verdict.HELPS


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.slow
def test_a_run_that_will_fail_again_is_left_out_and_the_study_goes_on(
    start: Start, project: Path, request: pytest.FixtureRequest, attempts: int
) -> None:
    if attempts == 3:
        request.getfixturevalue("lost")
    (project / "fail-1-True-False").write_text("99")
    outcome, report, _ = start()
    assert trained()["1-True-False"] == attempts
    assert outcome.failed == 1
    assert verdicts(report)["nil"] is Verdict.NEGLIGIBLE
    assert report.answer.course is not None
    assert report.answer.course.over


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("most: 12", "most: 20"), "seeds was laid down as first 3, most 12, start 0 before the first look"),
        (("worth: 8%", "worth: 4%"), "worth was laid down as 8 % before the first look, and is 4 % now"),
        (("seeds: {first: 3, most: 12}", "seeds: 5"), "and is 5 seeds now"),
        (("levels: [true]}\nseeds", "levels: [true]}\ndesign: full-factorial\nseeds"), "design was laid down"),
    ],
)
@pytest.mark.slow
def test_what_was_laid_down_before_the_first_look_cannot_change(
    start: Start, change: tuple[str, str], said: str
) -> None:
    start()
    text = SPEC.replace(*change).replace("design: full-factorial", "design: {kind: full-factorial}")
    with pytest.raises(StudyError, match=said.replace("(", r"\(")) as refused:
        start(text)
    assert "study=known-2" in str(refused.value)


@pytest.mark.slow
def test_waves_on_a_study_whose_results_are_known_are_refused_with_fresh_seeds(start: Start) -> None:
    fixed = SPEC.replace("seeds: {first: 3, most: 12}", "seeds: 3")
    start(fixed)
    with pytest.raises(StudyError, match="was begun with 3 seeds") as refused:
        start()
    assert "seeds.start=12" in str(refused.value)
    again = SPEC.replace("study: known", "study: known-2").replace("most: 12", "most: 12, start: 3")
    _, report, _ = start(again)
    assert set(report.runs["seed"]) == set(range(3, 3 + report.runs["seed"].nunique()))


@pytest.mark.slow
def test_a_known_result_is_no_run_of_a_plan_made_afterwards(start: Start) -> None:
    start()
    other = SPEC.replace("study: known", "study: other").replace("worth: 8%", "worth: 2%")
    with pytest.raises(StudyError, match="are known from study 'known-") as refused:
        start(other)
    seed = int(str(refused.value).rpartition("seeds.start=")[2])
    _, report, _ = start(other.replace("most: 12", f"most: 12, start: {seed}"))
    assert set(report.runs["seed"]) >= {seed}
    assert report.departures == ()
    fixed = SPEC.replace("study: known", "study: fixed").replace("{first: 3, most: 12}", "4")
    _, report, _ = start(fixed)
    assert any("runs were known before this plan was laid down" in said for said in report.departures)


@pytest.mark.slow
def test_known_runs_of_the_control_alone_are_a_pilot_and_count(start: Start) -> None:
    noise = "study: pilot\nrecipe: ./known.py:known\nseeds: 3\ndesign: {kind: noise}\n"
    start(noise)
    _, report, _ = start()
    assert report.answer.course is not None
    assert trained()["0-False-False"] == 1
    assert report.departures == ("3 runs were known before this plan was laid down",)


@pytest.mark.slow
def test_before_any_run_has_ended_the_plan_may_still_change(start: Start, project: Path) -> None:
    with pytest.raises(SpecError):
        start(SPEC + "design: {max_hours: 0.000000000001}\n")
    _, report, _ = start(SPEC.replace("most: 12", "most: 20"))
    assert report.declared is not None
    assert report.declared["rule"]["most"] == 20


@pytest.mark.slow
def test_a_fixed_study_says_that_seeds_were_left_out_and_the_test_changed(start: Start) -> None:
    fixed = SPEC.replace("{first: 3, most: 12}", "[0, 1, 2, 3]")
    start(fixed)
    _, report, _ = start(fixed.replace("[0, 1, 2, 3]", "[0, 3]") + "design: {test: ranks}\n")
    seeds, test = report.departures
    assert "planned with 4 seeds, now 2, without seeds 1, 2" in seeds
    assert "design.test t, now ranks" in test


@pytest.mark.slow
def test_what_a_look_has_counted_as_given_up_stays_so(start: Start, project: Path) -> None:
    (project / "fail-1-False-True").write_text("1")
    _, before, _ = start()
    assert before.answer.course is not None
    assert len(study().user_attrs["given_up"]) == 1
    with open(project / "known.py", "a") as source:
        source.write("# another source\n")
    named = load_report(STORAGE, study().study_name)
    assert named.answer.course is not None
    assert named.answer.course.looks == before.answer.course.looks
    _, after, _ = start(retry=True)
    assert trained()["1-False-True"] == 1
    assert after.answer.course is not None
    assert after.answer.course.looks == before.answer.course.looks


@pytest.mark.slow
def test_a_topped_up_study_says_what_that_does(start: Start) -> None:
    fixed = SPEC.replace("seeds: {first: 3, most: 12}", "seeds: 3")
    _, report, _ = start(fixed)
    assert report.declared is not None
    assert report.declared["rule"] == {"seeds": [0, 1, 2]}
    assert report.departures == ()
    _, report, _ = start(fixed.replace("seeds: 3", "seeds: 5"))
    (said,) = report.departures
    assert "planned with 3 seeds, now 5" in said
    assert "14 to 20 %" in said


@pytest.mark.slow
def test_the_plan_is_stored_before_the_first_run(start: Start, project: Path) -> None:
    (project / "kill-0-False-False").touch()
    start()
    (kept,) = study().user_attrs["declared"].values()
    assert kept["rule"] == {"first": 3, "most": 12, "start": 0}
    assert len(kept["family"]) == 2
    assert kept["most_runs"] == 36
    assert kept["runs_before"] == 0
    _, report, _ = start()
    assert report.declared == kept


@pytest.mark.slow
def test_max_hours_end_it_at_a_look_that_is_valid_and_more_hours_go_on(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.study.ablate._refuse_less_than_a_look", lambda *_: None)
    # Runs of a minute each: 12 make the first look at 4 seeds, 3 more the next.
    monkeypatch.setattr(
        queue.StudyStore, "seconds", lambda self: {t.user_attrs["key"]: 60.0 for t in self.study.get_trials()}
    )
    short = SPEC.replace("first: 3", "first: 4").replace("worth: 8%", "worth: 2%") + "design: {max_hours: 0.21}\n"
    outcome, report, _ = start(short)
    assert outcome.complete == 12
    assert report.answer.course is not None
    assert [look.wave for look in report.answer.course.looks] == [4]
    assert len(report.runs) == 12
    assert any("stopped after 4 seeds" in note for note in report.notes)
    outcome, _, _ = start(short)
    assert outcome.complete == 0
    outcome, report, _ = start(short.replace("0.21", "10"))
    assert outcome.complete > 0
    assert not any("stopped after" in note for note in report.notes)
    assert verdicts(report)["good"] is Verdict.HELPS


@pytest.mark.slow
def test_hours_that_are_not_enough_for_a_look_are_refused_before_anything_runs(start: Start) -> None:
    with pytest.raises(SpecError, match=r"design\.max_hours: 1e-12 is not enough: 3 seeds of the 3 cells"):
        start(SPEC + "design: {max_hours: 0.000000000001}\n")
    assert not [trial for trial in study().trials if trial.state.is_finished()]


@pytest.mark.slow
def test_a_full_factorial_runs_the_rest_of_it_once_a_trick_is_decided(start: Start) -> None:
    _, report, _ = start(SPEC + "design: {kind: full-factorial}\n")
    course = report.answer.course
    assert course is not None
    assert course.frozen["good"].level is True
    decided = course.looks[-1].seeds[0]
    assert all(name.split("-")[1] == "True" for name in trained() if int(name.split("-")[0]) >= decided)


@pytest.mark.slow
def test_without_a_maximum_it_goes_on_until_all_is_decided(start: Start) -> None:
    _, report, said = start(SPEC.replace("{first: 3, most: 12}", "{anytime: true}"))
    assert verdicts(report) == {"good": Verdict.HELPS, "nil": Verdict.NEGLIGIBLE}
    assert "with no maximum" in said


@pytest.mark.slow
def test_a_report_by_name_in_the_middle_says_what_the_looks_say(start: Start, project: Path) -> None:
    (project / "kill-3-False-False").touch()
    start()
    report = load_report(STORAGE, study().study_name)
    assert report.answer.course is not None
    assert [look.wave for look in report.answer.course.looks] == [3]
    assert json.dumps(report.declared)


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ("{first: 3}", "most is missing"),
        ("{first: 1, most: 9}", "1 is not allowed: the seeds before the first look must be a whole number from 2 to 9"),
        ("{first: 3, most: 400}", "400 is not allowed: the most seeds must be a whole number from 2 to 200"),
        ("{most: 9, anytime: true}", "has no meaning beside anytime: true"),
        ("{anytime: 5}", "5 is not allowed: true, or leave it out"),
        ("{last: 3, most: 9}", "unknown key"),
        ("{most: 9, start: -1}", "-1 is not allowed: the first seed"),
    ],
)
@pytest.mark.slow
def test_wrong_waves_are_refused_at_their_line(project: Path, seeds: str, said: str) -> None:
    (project / "known.py").write_text(RECIPE)
    (project / "spec.yaml").write_text(SPEC.replace("{first: 3, most: 12}", seeds))
    with pytest.raises(HarnessError) as refused:
        load(project / "spec.yaml")
    assert said in str(refused.value)
    assert "spec.yaml:8" in str(refused.value)
