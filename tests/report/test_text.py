"""The answer on the terminal, in Markdown and in LaTeX: whole, grouped by design, escaped."""

from __future__ import annotations

import dataclasses
import io
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from rich.console import Console, RenderableType

from harness.analysis.types import Endings, Estimate, Verdict
from harness.design import Alias
from harness.report import Report, text
from harness.report.fitted import FittedTable
from harness.report.numbers import Spread
from harness.report.opening import headline, lines
from harness.report.sheets import sheets
from harness.report.sheets.sheet import Sheet
from harness.spec.worth import Worth


def printed(what: RenderableType, width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text().replace("\u00a0", " ")


def sheet(report: Report, title: str) -> Sheet:
    return next(each for each in sheets(report) if each.title == title)


@pytest.mark.parametrize("width", [80, 100])
def test_the_terminal_shows_every_answer_and_cuts_no_line(rich: Report, width: int) -> None:
    shown = printed(text.terminal(rich), width)
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    assert all(line.count("[") == line.count("]") for line in shown.splitlines())  # no interval is broken
    assert all(each.title in " ".join(shown.split()) for each in sheets(rich))
    assert " ".join(shown.split()).startswith(headline(rich))


def test_a_narrow_terminal_puts_intervals_below_their_values_before_it_breaks_words() -> None:
    rows = [[Spread("averaging=ema, width=wide"), Spread("−5.0", "[−10.0,\u00a0+0.5]")]]
    table = FittedTable(("what was tried", "Δ [95\u00a0%]"), (False, True), rows, [""])
    wide, narrow, least = (printed(table, width).split("\n") for width in (60, 34, 24))
    assert "averaging=ema, width=wide  −5.0 [−10.0, +0.5]" in wide[3]
    assert [" ".join(line.split()) for line in narrow[3:5]] == ["averaging=ema, −5.0", "width=wide [−10.0, +0.5]"]
    assert all(len(line) <= 24 for line in least)


def test_the_name_of_a_design_heads_its_rows_and_is_not_repeated(rich: Report, minimal: Report) -> None:
    answer = sheets(rich)[0]
    assert [name for name, _ in answer.groups] == ["one-at-a-time", "leave-one-out"]
    assert text.markdown(rich).split("## ")[1].count("one-at-a-time") == 1
    assert r"\multicolumn{6}{l}{\emph{leave-one-out}}" in text.latex(rich)
    assert "one-at-a-time" not in text.markdown(minimal)  # one design alone needs no name


def test_brief_is_the_headline_and_the_answer_alone(rich: Report, search: Report) -> None:
    shown = printed(text.brief(rich))
    assert "What each trick is worth" in shown
    assert "What each trick costs" not in shown
    assert "A search says where to look" in printed(text.brief(search))


def test_markdown_tables_are_whole_and_the_notes_are_last(rich: Report) -> None:
    shown = text.markdown(rich)
    assert shown.startswith("**Keep crop (")
    for block in re.findall(r"(?:^\|.*\|\n)+", shown, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert shown.endswith("## Notes\n\n- 4 runs diverged\n- 4 runs failed\n")


@pytest.mark.parametrize("which", ["rich", "minimal", "search", "bare"])
def test_latex_is_balanced_plain_and_has_as_many_cells_as_columns(which: str, request: pytest.FixtureRequest) -> None:
    shown = text.latex(request.getfixturevalue(which))
    assert shown.isascii()
    assert shown.count("{") == shown.count("}")
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", shown, flags=re.DOTALL):
        rows = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
        assert len(rows) >= 2
        assert all(len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1 for row in rows)


@pytest.mark.parametrize("which", ["rich", "minimal", "search", "bare"])
def test_no_reader_meets_nan_or_none(which: str, request: pytest.FixtureRequest) -> None:
    report = request.getfixturevalue(which)
    for shown in (text.markdown(report), text.latex(report), printed(text.terminal(report))):
        assert not re.search(r"\b(nan|None|inf)\b", shown)


def test_names_that_mean_something_to_a_format_are_escaped(hostile: Callable[[str], Report]) -> None:
    report = hostile("a|b_c&d%[bold]")
    assert r"a\|b\_c&d%\[bold]" in text.markdown(report)
    assert r"a\textbar{}b\_c\&d\%[bold]" in text.latex(report)
    assert "[bold]" in printed(text.terminal(report), 300)


def test_the_reading_is_shown_as_it_is_and_the_tone_comes_from_the_verdict(minimal: Report) -> None:
    (effect,) = minimal.answer.effects
    words = "hurts where the control trains; control: 2 of 5 diverged"
    for verdict, tone in ((Verdict.UNDECIDED, ""), (Verdict.HURTS, "bad"), (Verdict.HELPS, "good")):
        changed = dataclasses.replace(effect, reading=words, verdict=verdict)
        report = dataclasses.replace(minimal, answer=dataclasses.replace(minimal.answer, effects=(changed,)))
        (row,) = sheets(report)[0].rows
        assert (row.cells[-1], row.tone) == (words, tone)


def test_every_table_says_how_many_runs_are_behind_it_where_some_are_missing(rich: Report) -> None:
    costs = sheet(rich, "What each trick costs")
    assert costs.names[-1] == "runs"
    assert "7 of 8; 1 diverged" in {row.cells[-1] for row in costs.rows}
    assert "120 of 128; 4 diverged, 4 failed" in sheet(rich, "Shapley shares").reading
    assert "120 of 128; 4 diverged, 4 failed" in sheet(rich, "Main effects and interactions").reading
    assert "3 of 4; 1 failed" in {row.cells[-2] for row in sheet(rich, "The effects in full").rows}
    views = sheet(rich, "Each trick alone, in the full recipe and as a Shapley share")
    assert views.reading.endswith("Runs: 120 of 128; 4 diverged, 4 failed.")  # the same for all: said once
    first, second, *others = rich.answer.prices
    missing = dataclasses.replace(second, endings=Endings(planned=4, complete=3, diverged=1))
    answer = dataclasses.replace(rich.answer, prices=(first, missing, *others))
    prices = sheet(dataclasses.replace(rich, answer=answer), "MiFID against training time")
    assert "3 of 4; 1 diverged" in {row.cells[5] for row in prices.rows}


def test_a_cost_from_fewer_seeds_says_its_own_n(rich: Report) -> None:
    seconds = rich.answer.costs["train_seconds"]
    fewer = (dataclasses.replace(seconds[0], n=2), *seconds[1:])
    answer = dataclasses.replace(rich.answer, costs={**rich.answer.costs, "train_seconds": fewer})
    rows = sheets(dataclasses.replace(rich, answer=answer))[0].rows
    assert str(rows[0].cells[4]).endswith("n=2")
    assert "n=" not in str(rows[1].cells[4])


def test_seeds_needed_are_a_range(rich: Report) -> None:
    needed = {row.cells[-1] for row in sheet(rich, "Against the smallest effect worth having").rows}
    assert needed == {"–", "16 (6 to > 10,000)"}


def test_aliases_are_listed_with_their_share(rich: Report) -> None:
    first, *others = rich.plan.contrasts
    first = dataclasses.replace(first, aliases=(Alias(factors=("margin", "width"), share=-1 / 3),))
    plan = dataclasses.replace(rich.plan, contrasts=(first, *others))
    report = dataclasses.replace(rich, answer=dataclasses.replace(rich.answer, plan=plan))
    (row,) = sheet(report, "What an effect cannot be told from").rows
    assert row.cells[1] == "margin × width (−0.33)"


def test_a_sign_that_flips_between_yardsticks_is_flagged(rich: Report) -> None:
    assert rich.answer.agreement is not None
    first, *others = rich.answer.agreement.rows
    rows = (dataclasses.replace(first, signs_differ=True), *others)
    agreement = dataclasses.replace(rich.answer.agreement, rows=rows)
    shown = text.markdown(dataclasses.replace(rich, answer=dataclasses.replace(rich.answer, agreement=agreement)))
    assert "1 of 10 effects changes sign between the yardsticks." in shown
    assert "flips" in shown


def test_the_opening_keeps_what_helps_and_says_what_depends(rich: Report) -> None:
    found = [(line.kind, line.about.split(" ")[0]) for line in lines(rich)]
    assert found[:2] == [("Keep", "crop"), ("Keep", "averaging")]
    assert [about for kind, about in found if kind == "Mind"] == ["margin", "averaging"]
    assert found[-1] == ("Best cell", "crop=square,")


def test_designs_that_contradict_each_other_make_it_depend(rich: Report) -> None:
    effects = list(rich.answer.effects)
    effects[5] = dataclasses.replace(effects[5], verdict=Verdict.HURTS, reading="hurts")
    report = dataclasses.replace(rich, answer=dataclasses.replace(rich.answer, effects=tuple(effects)))
    (line,) = [line for line in lines(report) if line.kind == "It depends"]
    assert line.about.startswith("crop (")
    assert "(leave-one-out)" in line.how


def test_without_a_winner_the_headline_says_so(minimal: Report) -> None:
    assert headline(minimal) == "No trick is shown to help. Undecided: crop (resize → square)."


def judged(report: Report, position: int, **changes: object) -> Report:
    effects = list(report.answer.effects)
    effects[position] = dataclasses.replace(effects[position], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(report, answer=dataclasses.replace(report.answer, effects=tuple(effects)))


def test_what_hurts_and_what_is_negligible_are_both_to_be_dropped_and_what_that_saves_is_said(rich: Report) -> None:
    where = [effect.contrast.factor for effect in rich.answer.effects].index
    report = judged(rich, where("split_bn"), verdict=Verdict.NEGLIGIBLE, reading="negligible", p_within=0.012)
    report = judged(report, where("margin"), verdict=Verdict.HURTS, reading="hurts by more than the worth")
    found = {line.about.split(" ")[0]: line for line in lines(report) if line.kind == "Drop"}
    assert set(found) == {"split_bn", "margin"}
    assert found["split_bn"].how.startswith("negligible, ")
    assert "adjusted p 0.012, n=4" in found["split_bn"].how
    assert "dropping it saves 2.9 [1.5, 4.3] s a run" in found["split_bn"].how.replace("\u00a0", " ")  # made as 3.1 s
    assert found["margin"].how.startswith("hurts by more than the worth, ")
    assert " Drop split_bn (off → on) and margin (off → 0.8). Undecided: width (1 → 2)." in headline(report)


def test_a_trick_that_makes_runs_faster_costs_time_when_it_is_dropped(rich: Report) -> None:
    report = judged(rich, 0, verdict=Verdict.NEGLIGIBLE, reading="negligible")
    report = judged(report, 5, verdict=Verdict.NEGLIGIBLE, reading="negligible")
    seconds = list(report.answer.costs["train_seconds"])
    seconds[0] = dataclasses.replace(seconds[0], change=Estimate(-2.0, -2.5, -1.5))
    costs = {**report.answer.costs, "train_seconds": tuple(seconds)}
    report = dataclasses.replace(report, answer=dataclasses.replace(report.answer, costs=costs))
    (line,) = (line for line in lines(report) if line.about.startswith("crop (") and line.kind == "Drop")
    assert "dropping it costs 2.0 [1.5, 2.5] s a run" in line.how.replace("\u00a0", " ")


def test_a_trick_that_hurts_in_one_design_and_is_negligible_in_the_other_is_dropped(rich: Report) -> None:
    report = judged(rich, 0, verdict=Verdict.NEGLIGIBLE, reading="negligible")
    report = judged(report, 5, verdict=Verdict.HURTS, reading="hurts")
    (line,) = (line for line in lines(report) if line.about.startswith("crop (") and line.kind == "Drop")
    assert line.kind == "Drop"
    assert line.how.startswith("hurts, ")


def test_what_is_undecided_says_how_many_seeds_it_would_take(rich: Report) -> None:
    (line,) = (line for line in lines(rich) if line.about.startswith("width"))
    assert line.kind == "Undecided"
    assert line.how.endswith("would take 16 (6 to > 10,000) seeds to decide")


def test_many_undecided_tricks_are_counted_in_the_headline(rich: Report) -> None:
    effects = tuple(
        dataclasses.replace(
            rich.answer.effects[4], contrast=dataclasses.replace(rich.answer.effects[4].contrast, factor=f"trick {n}")
        )
        for n in range(7)
    )
    report = dataclasses.replace(rich, answer=dataclasses.replace(rich.answer, effects=effects, costs={}))
    assert headline(report) == "No trick is shown to help. Undecided: 7 tricks."


def test_every_report_says_the_worth_in_one_sentence(rich: Report, minimal: Report) -> None:
    share = "An effect is worth having from 5 % of the control’s mean on (the worth: "
    for report in (rich, minimal):
        assert text.markdown(report).replace("\\", "").count(share) == 2  # with the answer, and with its own table
        assert share in " ".join(printed(text.terminal(report), 100).split())
    plan = dataclasses.replace(rich.plan, worth=Worth(amount=10.0))
    report = dataclasses.replace(rich, answer=dataclasses.replace(rich.answer, plan=plan))
    assert "An effect is worth having from 10 MiFID on." in text.markdown(report)


def test_tables_import_nothing_heavy() -> None:
    heavy = "matplotlib plotly jinja2 torch optuna mlflow"
    code = (
        "import sys; from harness.report import text, frames, document, comparison; "
        f"sys.exit(' '.join(name for name in {heavy!r}.split() if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
