"""Noise studies, pilots, dry runs that say what designs can show, searches confirmed: docs/designs.md word for word."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from harness.cli import main
from harness.design import Plan
from harness.design import plan as make_plan
from harness.errors import StudyError
from harness.spec import load
from harness.study import preview
from harness.study.answer import load_report, load_study
from harness.study.calibration import Estimate
from harness.study.confirming import confirming, spec_of
from harness.study.placement import Options, Placement
from harness.study.spread import measured, stated

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "designs.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", TEXT, re.DOTALL))
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
STORAGE = "sqlite:///optuna.db"


@pytest.fixture
def folder(project: Path, tracking: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the document, in which runs are timed without processes."""
    for name, text in FILES.items():
        (project / name).write_text(text)

    def timed(plan: Plan, *, placement: Placement) -> Mapping[str, Estimate]:
        return {cell.name: Estimate(train_seconds=30.0, other_seconds=0.0) for cell in plan.cells}

    monkeypatch.setattr(preview, "calibrate", timed)
    return project


@pytest.fixture
def harness() -> Callable[[str], Result]:
    """Calls the command line in this process, runs inline."""

    def call(line: str) -> Result:
        arguments = shlex.split(line)
        inline = ["--launch", "inline"] if arguments[0] in ("ablate", "confirm") else []
        return CliRunner().invoke(main, [*arguments, *inline], catch_exceptions=False)

    return call


@pytest.mark.slow
def test_its_commands_do_what_the_document_says_one_after_the_other(
    folder: Path, harness: Callable[[str], Result]
) -> None:
    said = {}
    assert len(COMMANDS) >= 5
    for line in COMMANDS:
        program, _, rest = line.partition(" ")
        assert program == "harness"
        done = harness(rest)
        assert done.exit_code == 0, done.output
        said[rest] = done.stdout
    noise = said["ablate noise.yaml"]
    assert "8 runs" in noise
    assert "From seed to seed the loss of the control has a standard deviation of" in noise.replace("\n", " ")
    dry = said["ablate tricks.yaml --dry-run"]
    assert re.search(r"measured on 8 runs of the baseline", dry)  # the noise study's
    assert re.search(r"^one-at-a-time +6 +3–20 ", dry, re.MULTILINE)
    assert "Recommended: " in dry
    assert load(folder / "confirm.yaml").seeds[0] == 8  # the search had seeds 0, 1 and 2, the noise study 0 to 7


@pytest.mark.slow
def test_a_noise_study_needs_no_factors_compares_nothing_and_reports_what_seeds_can_show(
    folder: Path, harness: Callable[[str], Result]
) -> None:
    assert harness("ablate noise.yaml").exit_code == 0
    report = load_report(STORAGE, "floor")
    assert not report.answer.effects
    assert report.answer.noise is not None
    assert report.answer.noise.runs == 8
    for kind in ("markdown", "html", "json", "csv", "latex"):
        assert harness(f"report floor --format {kind}").exit_code == 0
    refused = harness("ablate noise.yaml --set 'seeds={first: 3, most: 9}'")
    assert refused.exit_code == 2
    assert "has no trick to settle and no waves" in refused.stderr


@pytest.mark.slow
def test_a_pilot_runs_the_baseline_alone_and_its_runs_are_the_studys(
    folder: Path, harness: Callable[[str], Result]
) -> None:
    done = harness("ablate tricks.yaml --dry-run --pilot 3")
    assert done.exit_code == 0, done.output
    assert "measured on 3 runs of the baseline" in done.stdout
    assert "117 of 120 runs are to do" in done.stdout
    spec, report = load_study(STORAGE, load(folder / "tricks.yaml"))
    complete = report.runs[report.runs["state"] == "complete"]
    assert [*zip(complete["cell"], complete["seed"], strict=True)] == [("baseline", seed) for seed in range(3)]
    found = measured(spec, make_plan(spec), Options(storage=STORAGE))
    assert found is not None
    assert found.amount == pytest.approx(complete["loss"].std(ddof=1))
    assert found.share == pytest.approx(complete["loss"].std(ddof=1) / complete["loss"].mean())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ablate tricks.yaml --pilot 3", "--pilot 3: is for planning; add --dry-run"),
        ("ablate tricks.yaml --dry-run --pilot 1", "--pilot 1: the first seeds of the baseline, from 2 to 20"),
        ("ablate tricks.yaml --dry-run --pilot 3 --set design.kind=leave-one-out", "has no run of the baseline"),
        ("ablate tricks.yaml --dry-run --spread lots", "--spread lots: is no spread"),
        ("ablate tricks.yaml --dry-run --spread 0%", "--spread 0%: is no spread"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_planned_with_is_refused(
    folder: Path, harness: Callable[[str], Result], line: str, said: str
) -> None:
    done = harness(line)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_spread_is_stated_as_a_share_or_in_the_unit() -> None:
    assert stated("8%").share == 0.08
    assert stated(" 5.2 ").amount == 5.2


@pytest.mark.slow
def test_a_search_is_confirmed_on_fresh_seeds_and_used_ones_are_refused(
    folder: Path, harness: Callable[[str], Result]
) -> None:
    assert harness("ablate hunt.yaml").exit_code == 0
    search, report = load_study(STORAGE, "hunt")
    document = confirming(search, report, storage=STORAGE, top=2)
    found = make_plan(spec_of(document, search))
    used = set(report.runs["seed"])
    assert not used & {run.seed for run in found.runs}
    # The very settings that the search tried: on a seed of the search the runs are the search's.
    best = [cell.cell for cell in report.answer.tried if cell.cell != report.plan.control][:2]
    assert {cell.name.removeprefix("cell=") for cell in found.cells} == {"baseline", *best}
    again = make_plan(spec_of({**document, "seeds": [0]}, search))
    assert {run.key for run in again.runs} <= {
        made[1].key
        for cell in report.plan.cells
        if not isinstance(made := report.plan.search.make(cell.levels, 0), str)
    }
    (folder / "used.yaml").write_text(yaml.safe_dump({**document, "seeds": {"first": 3, "most": 5, "start": 2}}))
    refused = harness("ablate used.yaml")
    assert refused.exit_code == 2
    assert "has chosen by these" in refused.stderr
    assert "--set seeds.start=3" in refused.stderr
    done = harness("confirm hunt")
    assert done.exit_code == 0, done.output
    assert "study: hunt-confirm" in done.stdout
    (effect,) = load_report(STORAGE, "hunt-confirm").answer.effects
    assert effect.verdict == "helps"
    first = {run.seed for run in load_study(STORAGE, "hunt-confirm")[1].plan.runs}
    more = make_plan(spec_of(confirming(search, report, storage=STORAGE, top=2), search))
    assert not first & {run.seed for run in more.runs}
    same = make_plan(spec_of(confirming(search, report, storage=STORAGE), search))
    assert first <= {run.seed for run in same.runs}
    assert load_study(STORAGE, "hunt")[0].study == "hunt"  # and is not mistaken for hunt-confirm


@pytest.mark.slow
def test_what_is_no_search_or_has_too_few_cells_is_not_confirmed(
    folder: Path, harness: Callable[[str], Result]
) -> None:
    assert harness("ablate noise.yaml").exit_code == 0
    assert "is no search" in harness("confirm floor").stderr
    assert harness("ablate hunt.yaml").exit_code == 0
    search, report = load_study(STORAGE, "hunt")
    with pytest.raises(StudyError, match="--top 99: the search has complete runs of"):
        confirming(search, report, storage=STORAGE, top=99)


@pytest.mark.slow
def test_a_written_spec_finds_its_recipe_from_another_folder(folder: Path, harness: Callable[[str], Result]) -> None:
    assert harness("ablate hunt.yaml").exit_code == 0
    assert harness("confirm hunt --output deep/er/confirm.yaml").exit_code == 0
    assert load(folder / "deep" / "er" / "confirm.yaml").recipe.name == "line"
    assert harness("confirm hunt --output deep/er/confirm.yaml").exit_code == 2


@pytest.mark.slow
def test_neither_a_pilot_nor_a_noise_study_lets_a_design_onto_the_seeds_of_a_search(
    folder: Path, harness: Callable[[str], Result]
) -> None:
    assert harness("ablate hunt.yaml").exit_code == 0
    text = FILES["hunt.yaml"].replace("design: {kind: search, trials: 12}", "design: {kind: noise}")
    (folder / "own.yaml").write_text(text.replace("study: hunt", "study: own"))
    assert harness("ablate own.yaml").exit_code == 0  # it compares nothing
    for kind in ("one-at-a-time", "leave-one-out"):
        refused = harness(f"ablate own.yaml --set design.kind={kind}")
        assert refused.exit_code == 2
        assert "has chosen by these" in refused.stderr
    waves = "--set design.kind=one-at-a-time --set 'seeds={first: 3, most: 5}'"
    hint = harness(f"ablate own.yaml {waves}").stderr.partition("like ")[2].strip().splitlines()[0]
    assert hint.startswith("--set seeds.start=")
    assert harness(f"ablate own.yaml {waves} {hint}").exit_code == 0  # what it says can be typed


@pytest.mark.slow
def test_a_dry_run_without_a_maximum_says_so_once_and_totals_nothing(
    folder: Path, harness: Callable[[str], Result]
) -> None:
    line = "ablate tricks.yaml --dry-run --spread 8% --set 'seeds={anytime: true, first: 30, most: null}'"
    said = harness(line)
    assert said.exit_code == 0, said.output
    assert said.stdout.count("no maximum") == 1
    assert "no maximum; ends after 1,000 seeds at the latest" in said.stdout
    assert "to the first look: 180 runs" in said.stdout
    assert not re.search(r"at most|6,?000", said.stdout)


@pytest.mark.slow
def test_a_rule_that_can_show_nothing_is_refused_with_the_fewest_seeds_that_would_do(
    folder: Path, harness: Callable[[str], Result]
) -> None:
    ranks = "--set design.test=ranks --set seeds.first=3"
    for more in ("--dry-run --spread 3%", ""):
        refused = harness(f"ablate tricks.yaml {ranks} --set seeds.most=6 {more}")
        assert refused.exit_code == 2
        assert "design.test: ranks can show nothing of 5 contrasts in at most 6 seeds" in refused.stderr
    assert not (folder / "optuna.db").exists()
    # Eight signs alike have a p of 2 / 2^8, which is below 0.05 / 5.
    assert "give it 8 or more, like --set seeds.most=8" in refused.stderr.replace("\n", " ")
    assert harness(f"ablate tricks.yaml {ranks} --set seeds.most=8 --dry-run --spread 3%").exit_code == 0


@pytest.mark.slow
def test_waves_are_told_that_hours_end_them_and_drop_no_seed(folder: Path, harness: Callable[[str], Result]) -> None:
    said = harness("ablate tricks.yaml --dry-run --spread 8% --set design.max_hours=0.2").stdout
    assert "max_hours 0.2: ends with the last wave that is over by then" in said
    assert "dropped" not in said
