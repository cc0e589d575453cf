"""The report of a study in waves: every format says what its looks say, how far each trick is, and what was planned."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import jsonschema
import pandas as pd
import pytest
from matplotlib import rc_context
from rich.console import Console

from harness.analysis.standing import UNLIKELY, Frozen, Standing
from harness.analysis.types import SeedsNeeded, Verdict
from harness.analysis.waves import narrowing
from harness.design import Alias
from harness.report import Report, declared, text
from harness.report.document import document, schema
from harness.report.figures.drawn import STYLE, draw
from harness.report.figures.interactive import interactive
from harness.report.figures.narrowing import funnels
from harness.report.frames import csv
from harness.report.opening import headline, lines, what_was_run
from harness.report.page import render
from harness.report.sheets import effects
from harness.report.sheets.looks import looks
from harness.spec.seeds import Waves

KINDS = {Verdict.HELPS: "Keep", Verdict.HURTS: "Drop", Verdict.NEGLIGIBLE: "Drop", Verdict.UNDECIDED: "Undecided"}


@pytest.fixture(scope="module")
def said(sequential: Report) -> dict[str, Verdict]:
    """What the last look said of each trick: all four verdicts are there."""
    course = sequential.answer.course
    assert course is not None
    assert course.last is not None
    found = {
        each.factor: verdict for each, verdict in zip(sequential.plan.contrasts, course.last.verdicts, strict=True)
    }
    assert set(found.values()) == set(Verdict)
    return found


def test_every_format_says_of_each_trick_what_the_last_look_says(sequential: Report, said: dict[str, Verdict]) -> None:
    kinds = {line.factor: line.kind for line in lines(sequential) if line.factor}
    assert kinds == {factor: KINDS[verdict] for factor, verdict in said.items()}
    sheet, last = effects.answer(sequential), looks(sequential)
    assert sheet is not None
    assert last is not None
    words = text.markdown(sequential) + text.latex(sequential)
    for row, (factor, verdict) in zip(sheet.rows, said.items(), strict=True):
        assert str(row.cells[0]).startswith(f"{factor}:")
        assert str(row.cells[-1]).startswith(verdict)
        assert str(row.cells[-1]) in words
    shown = [str(cell) for cell in last.rows[-1].cells[1:]]
    assert shown == [UNLIKELY if verdict is Verdict.UNDECIDED else str(verdict) for verdict in said.values()]
    found = document(sequential)
    assert [each["verdict"] for each in found["effects"]] == list(said.values())
    assert [each["verdict"] for each in found["looks"][-1]["tricks"]] == list(said.values())
    table = pd.read_csv(io.StringIO(csv(sequential)["effects"]))
    assert table["verdict"].tolist() == list(said.values())


def test_the_first_lines_say_after_how_many_seeds_and_the_headline_counts_tricks(sequential: Report) -> None:
    by_factor = {line.factor: line.how for line in lines(sequential)}
    for effect in sequential.answer.effects:
        if effect.verdict is not Verdict.UNDECIDED:
            assert f"after {effect.n} seeds" in by_factor[effect.contrast.factor]
    assert "of at most 20 seeds" in what_was_run(sequential)
    assert f"of {sequential.plan.size} runs" in what_was_run(sequential)
    undecided = tuple(
        replace(effect, verdict=Verdict.UNDECIDED, reading="undecided", contrast=replace(effect.contrast, factor=name))
        for effect, name in zip(sequential.answer.effects, "aabbcc", strict=True)
    )
    leveled = [replace(e, contrast=replace(e.contrast, level=n)) for n, e in enumerate(undecided)]
    report = replace(sequential, answer=replace(sequential.answer, effects=tuple(leveled)))
    assert headline(report).endswith("Undecided: 3 tricks at 6 levels.")


def test_an_undecided_trick_says_what_is_left_and_what_to_expect(sequential: Report) -> None:
    effect = replace(
        sequential.answer.effects[0],
        verdict=Verdict.UNDECIDED,
        standing=Standing(seeds=6, first=3, most=20),
        reading="undecided; at most 14 more seeds",
        seeds_needed=SeedsNeeded(9, 7, None),
    )
    report = replace(sequential, answer=replace(sequential.answer, effects=(effect, *sequential.answer.effects[1:])))
    how = next(line.how for line in lines(report) if line.factor == "crop")
    assert how.startswith("at most 14 more seeds, ")
    assert how.endswith("as it goes, decided after 9 (7 to > 20) seeds")
    assert document(report)["effects"][0]["standing"] == {"unlikely": False, "left": 14}


def test_the_table_of_looks_says_how_far_each_trick_was(sequential: Report) -> None:
    sheet, course = looks(sequential), sequential.answer.course
    assert sheet is not None
    assert course is not None
    assert [row.cells[0] for row in sheet.rows] == [str(look.wave) for look in course.looks]
    first, look = sheet.rows[0].cells[1], course.looks[0]
    assert look.towards_effect[0] > look.towards_negligible[0]
    assert first == f"{100 * look.towards_effect[0]:.0f}\u00a0% to helps"
    rows = pd.read_csv(io.StringIO(csv(sequential)["looks"]))
    assert len(rows) == len(course.looks) * len(sequential.plan.contrasts)
    assert rows["towards_effect"][0] == pytest.approx(look.towards_effect[0])


def test_the_figure_of_the_course_ends_in_the_intervals_of_the_answer(sequential: Report) -> None:
    made, course = funnels(sequential), sequential.answer.course
    assert made is not None
    assert course is not None
    for funnel, effect, path in zip(
        made.funnels, sequential.answer.effects, narrowing(course, sequential.plan), strict=True
    ):
        seeds, last = funnel.looks[-1]
        assert (seeds, last) == (effect.n, effect.change)
        assert funnel.looks == path
        assert funnel.reading == effect.reading
        widths = [each.high - each.low for _, each in path if each.bounded]
        assert widths[-1] < widths[0]
    low, high = made.frame[1]
    assert all(low <= each.change.value <= high for each in sequential.answer.effects)
    assert low == -high
    drawn = interactive(sequential)["course"]
    assert [list(trace.y)[-1] for trace in drawn.data] == [e.change.value for e in sequential.answer.effects]
    with rc_context(STYLE):
        axes = draw(made, 720).axes
    assert [each.get_title(loc="left") for each in axes] == [funnel.name for funnel in made.funnels]


def test_a_study_of_fixed_size_has_no_looks_and_no_course(rich: Report) -> None:
    assert looks(rich) is None
    assert funnels(rich) is None
    assert "looks" not in csv(rich)
    assert document(rich)["looks"] == []
    assert document(rich)["rule"] == {"test": "t", "seeds": 4}


def test_the_caption_says_which_rule_made_the_intervals(sequential: Report, rich: Report) -> None:
    def caption(report: Report) -> str:
        sheet = effects.answer(report)
        assert sheet is not None
        return sheet.reading

    assert "holds at all looks at once" in caption(sequential)
    assert "a look after each of at most 20 seeds from the 3rd on" in caption(sequential)
    assert "plain t intervals" in caption(sequential)
    assert "95 % t interval" in caption(rich)
    ranks = replace(rich, answer=replace(rich.answer, plan=replace(rich.plan, test="ranks")))
    assert "interval by signed ranks" in caption(ranks)
    assert "“helps” and “hurts”, tested by signed ranks, hold" in caption(ranks)
    endless = replace(sequential.plan, waves=Waves(first=3, most=None))
    anytime = replace(sequential, answer=replace(sequential.answer, plan=endless))
    assert "without a maximum" in caption(anytime)
    assert document(anytime)["rule"] == {"test": "t", "seeds": {"first": 3, "most": None}}


def test_json_holds_the_rule_the_looks_and_the_plan_made_beforehand(sequential: Report) -> None:
    said = "planned with 5 seeds, now 8"
    found = json.loads(json.dumps(document(replace(sequential, departures=(said,))), allow_nan=False))
    jsonschema.Draft202012Validator(schema()).validate(found)
    assert found["rule"] == {"test": "t", "seeds": {"first": 3, "most": 20}}
    assert found["declared"] == sequential.declared
    assert found["departures"] == [said]
    jsonschema.Draft202012Validator(schema()).validate(document(replace(sequential, declared=None)))


def test_departures_stand_up_front_and_beside_the_verdicts(sequential: Report) -> None:
    said = "planned with 5 seeds, now 8: looked at before"
    report = replace(sequential, departures=(said,))
    page, words = render(report), text.markdown(report)
    assert page.index(f"<b>Not as planned:</b> {said}") < page.index("What each trick is worth")
    assert words.index(f"Not as planned: {said}") < words.index("## What each trick is worth")
    sheet = effects.answer(report)
    assert sheet is not None
    assert f"Mind: {said}." in sheet.reading
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(text.brief(report))
    assert said in console.export_text()
    assert "Not as planned" not in render(sequential)
    assert "The study keeps to it." in render(sequential)


def test_the_plan_made_beforehand_is_shown_part_by_part(sequential: Report, rich: Report) -> None:
    assert declared.title(sequential) == "The plan, made on 2026-11-25 before the first run"
    facts = declared.facts(sequential)
    assert facts["worth"] == "5 % of the control’s mean"
    assert facts["seeds"] == "one after the other, at most 20; a look after each from the 3 first on"
    assert facts["most runs"] == "140"
    assert declared.title(rich) == ""
    assert declared.facts(rich) == {}
    laid_down = sequential.declared or {}
    fixed = replace(sequential, declared={**laid_down, "rule": {"seeds": [0, 1, 2]}, "runs_before": 3})
    assert declared.title(fixed).endswith("after 3 runs")
    assert declared.facts(fixed)["seeds"] == "3, laid down as 0, 1, 2"
    endless = replace(sequential, declared={**laid_down, "most_runs": None})
    assert declared.facts(endless)["most runs"] == "without a maximum"
    amount = replace(sequential, declared={**laid_down, "worth": {"amount": 4.0}})
    assert declared.facts(amount)["worth"] == "4"


def test_an_alias_that_may_be_to_blame_names_the_fold_over_and_what_it_costs(sequential: Report) -> None:
    aliased = replace(
        sequential.answer.effects[0],
        contrast=replace(sequential.plan.contrasts[0], aliases=(Alias(factors=("width", "ema"), share=1.0),)),
        verdict=Verdict.UNDECIDED,
        lean=Verdict.HELPS,
        reading="helps, or an alias of it does (width x ema)",
    )
    report = replace(sequential, answer=replace(sequential.answer, effects=(aliased,)))
    (first, *_) = lines(report)
    seeds = {run.seed for run in sequential.plan.runs if run.cell in ("crop", "baseline")}
    # The plan of a study in waves may not change any more.
    assert first.how.endswith("design.fold_over=true tells which it is, as another study with fresh seeds")
    fixed = replace(report, answer=replace(report.answer, plan=replace(report.plan, waves=None)))
    (first, *_) = lines(fixed)
    assert f"design.fold_over=true tells which it is, in {2 * len(seeds)} more runs of this study" in first.how


def test_the_table_of_looks_says_what_holds_under_a_condition_with_it(sequential: Report) -> None:
    words = "helps, or an alias of it does (width x ema)"
    first = replace(sequential.answer.effects[0], verdict=Verdict.UNDECIDED, lean=Verdict.HELPS, reading=words)
    report = replace(sequential, answer=replace(sequential.answer, effects=(first, *sequential.answer.effects[1:])))
    sheet, course = looks(report), report.answer.course
    assert sheet is not None
    assert course is not None
    for row, look in zip(sheet.rows, course.looks, strict=True):
        assert (row.cells[1] == words) == (look.verdicts[0] is Verdict.HELPS)
    *before, last = document(report)["looks"]
    assert [trick["reading"] for trick in last["tricks"]] == [effect.reading for effect in report.answer.effects]
    assert all(trick["reading"] is None for look in before for trick in look["tricks"])


def test_a_factor_that_is_kept_at_a_level_is_in_the_caption_and_in_json(sequential: Report) -> None:
    kept = Frozen(design="full-factorial", factor="crop", level="square", after=21)
    assert str(kept) == "from the 22nd seed on with crop at square"
    assert str(replace(kept, after=12)) == "from the 13th seed on with crop at square"
    effect = replace(sequential.answer.effects[1], frozen=(kept,))
    several = (sequential.answer.effects[0], effect, *sequential.answer.effects[2:])
    report = replace(sequential, answer=replace(sequential.answer, effects=several))
    sheet, plain = effects.answer(report), effects.answer(sequential)
    assert sheet is not None
    assert plain is not None
    assert "weighted to that level" in sheet.reading
    assert "weighted to that level" not in plain.reading
    found = json.loads(json.dumps(document(report), allow_nan=False))
    jsonschema.Draft202012Validator(schema()).validate(found)
    assert [each["frozen"] for each in found["effects"]][:2] == [
        [],
        [{"factor": "crop", "level": "square", "after": 21}],
    ]


def test_what_pairing_gained_is_said_in_a_sentence(sequential: Report) -> None:
    found = effects.pairing(sequential)
    r = [effect.pairing for effect in sequential.answer.effects]
    assert f"{max(r):+.2f}" in found
    gain = sorted(effect.pairing_gain for effect in sequential.answer.effects)
    middle = (gain[2] + gain[3]) / 2
    assert middle > 1
    assert f"saved about {100 * (1 - 1 / middle):.0f}\u00a0%" in found
    bare = replace(sequential.answer.effects[0], pairing_gain=math.nan)
    assert effects.pairing(replace(sequential, answer=replace(sequential.answer, effects=(bare,)))) == ""
    sheet = effects.paired(sequential)
    assert sheet is not None
    assert sheet.reading.startswith(found)
    assert [row.cells[-1] for row in sheet.rows] == [f"{each.pairing_gain:.2f}" for each in sequential.answer.effects]
