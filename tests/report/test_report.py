"""The report's tables, plots and page: right numbers, safe text, no network, no overflow."""

import csv
import dataclasses
import io
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from harness.analysis import answer
from harness.design import Cell, Contrast, Dropped, Plan, PlannedRun
from harness.recipes.dcgan.measures import MIFID
from harness.recipes.dcgan.settings import EvaluateSettings
from harness.report import ReportData, html, plots, tables
from harness.report.numbers import decimals, number, with_interval
from harness.report.svg import shapes
from harness.report.svg.curves import band
from harness.settings import Budget

TRICKS = {"crop": ("resize", "square", -22.0), "split_bn": (False, True, 0.3), "margin": (None, 0.8, 14.0)}


@pytest.fixture
def report(tmp_path: Path) -> ReportData:
    """Three tricks, four seeds; the margin diverges once."""
    cells = [Cell(name="baseline", levels={"crop": "resize"}, train={"batch": 32}, data={"size": 32})]
    cells += [Cell(name=f"{t}={to}", levels={t: to}, train={}, data={}) for t, (_, to, _) in TRICKS.items()]
    plan = Plan(
        objective=MIFID,
        study="tricks <&> friends",
        recipe="dcgan",
        design="one-at-a-time",
        cells=tuple(cells),
        contrasts=tuple(
            Contrast(name=t, factor=t, level=to, baseline=base, pairs=((f"{t}={to}", "baseline"),))
            for t, (base, to, _) in TRICKS.items()
        ),
        runs=tuple(PlannedRun(cell=c.name, seed=s, key=f"{c.name}-{s}") for s in range(4) for c in cells),
        dropped=(Dropped(name="crop=bbox", levels={"crop": "bbox"}, reason="needs boxes"),),
        control="baseline",
        budget=Budget(images=16_000),
        evaluate=EvaluateSettings(),
        references={},
        fingerprint="f00d",
    )
    rows: list[dict[str, Any]] = []
    for index, run in enumerate(plan.runs):
        trick = run.cell.split("=")[0]
        shift = TRICKS[trick][2] if trick in TRICKS else 0.0
        diverged = trick == "margin" and run.seed == 1
        mifid = math.nan if diverged else 90 + 3 * run.seed + shift + (index * 7 % 5) / 2
        rows.append(
            {"cell": run.cell, "seed": run.seed, "state": "diverged" if diverged else "complete", "mifid": mifid}
            | {"train_seconds": 40 + index % 3 + (9 if trick == "crop" else 0), "slots_per_device": 1}
        )
    runs = pd.DataFrame(rows)
    grid = tmp_path / "grid.png"
    Image.new("RGB", (32, 32), "teal").save(grid)
    found = answer(runs, plan)
    return ReportData(
        plan=plan,
        runs=runs,
        answer=found,
        curves={(r.cell, r.seed): [(8000, 150.0 + r.seed), (16000, 90.0 + r.seed)] for r in plan.runs},
        grids={"baseline": grid, "crop=square": tmp_path / "gone.png"},
        provenance={"git.commit": "0123abc", "command": "harness ablate <spec>"},
        notes=found.attrs["notes"],
    )


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [(1234.5, 0, "1,234"), (-0.04, 1, "0.0"), (-3.14, 1, "−3.1"), (math.nan, 2, "–"), (None, 2, "–")],
)
def test_numbers_read_well(value: float | None, places: int, text: str) -> None:
    assert number(value, places) == text


def test_intervals_show_signs_and_vanish_where_there_are_none() -> None:
    assert with_interval(-3.14, -4.0, 0.5, 1) == "−3.1 [−4.0, +0.5]"
    assert with_interval(2.0, math.nan, math.nan, 1) == "+2.0"
    assert with_interval(math.nan, 1, 2, 1) == "–"


def test_decimals_show_so_many_digits_of_the_typical_number() -> None:
    assert [decimals([v], 3) for v in (123.0, 12.3, 0.0123)] == [0, 1, 4]
    assert decimals([math.nan, 0.0]) == 1


def text_of(report: ReportData, width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(tables.terminal(report.answer))
    return console.export_text()


def test_the_terminal_table_fits_100_columns_and_says_it_all(report: ReportData) -> None:
    text = text_of(report)
    assert max(map(len, text.splitlines())) <= 100
    assert re.search(r"crop resize → square\s+4\s+\S+\s+−2\d\.\d \[−2\d\.\d, −\d+\.\d\].*helps", text)
    assert "margin off → 0.8" in text


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_terminal_table_loses_no_word_of_long_verdicts(report: ReportData, width: int) -> None:
    verdict = "may help (not after correction) where it trains; 2 of 5 diverged"
    long = report.answer.assign(verdict=verdict, trick="averaging")
    text = text_of(dataclasses.replace(report, answer=long), width)
    assert max(map(len, text.splitlines())) <= width
    assert all(text.count(word) >= 3 for word in ("may", "correction)", "trains;", "diverged", "averaging"))
    assert "…" not in text


def test_markdown_is_one_table_row_per_trick_and_escaped(report: ReportData) -> None:
    lines = tables.markdown(report.answer).splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 2 + len(TRICKS)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 8 for row in rows)
    assert "| split\\_bn | off → on |" in lines[3]
    assert any("1 of 16 runs diverged" in line for line in lines)


def test_latex_has_booktabs_rules_and_no_bare_special_characters(report: ReportData) -> None:
    text = tables.latex(report.answer.assign(trick=["a_b", "50%", r"x&y\z"]))
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"a\_b", r"50\%", r"x\&y\textbackslash{}z"):
        assert rule in text
    assert text.count("{") == text.count("}")
    assert text.isascii()
    assert all(len(re.findall(r"(?<!\\)&", line)) == 6 for line in text.splitlines() if line.endswith(r"\\"))


def test_csv_holds_every_column_at_full_precision(report: ReportData) -> None:
    rows = list(csv.DictReader(io.StringIO(tables.csv(report.answer))))
    assert float(rows[0]["delta_mifid"]) == report.answer["delta_mifid"][0]
    assert {"trick", "from", "to", "n_seeds", "delta_train_seconds_low", "verdict"} <= set(rows[0])


def test_the_forest_figure_has_every_trick_with_its_interval(report: ReportData) -> None:
    figure = plots.forest_figure(report.answer).to_dict()
    trace = figure["data"][0]
    assert sorted(trace["y"]) == ["crop: resize → square", "margin: off → 0.8", "split_bn: off → on"]
    assert trace["y"][-1].startswith("crop")  # the last category is on top


def test_ticks_are_round_and_inside() -> None:
    assert shapes.ticks(-23, 21) == [-20, -10, 0, 10, 20]
    assert shapes.ticks(0, 0.07) == [0, 0.02, 0.04, 0.06]
    assert shapes.ticks(3, 3) == [3]


def test_a_mean_curve_uses_only_the_points_that_every_seed_has() -> None:
    (only,) = band([[(1, 4.0), (2, 2.0)], [(1, 6.0)], []])
    assert (only.images, only.mean) == (1, 5.0)


class _Page(HTMLParser):
    """Tags left open and addresses used by a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_self_contained_and_without_scripts(report: ReportData) -> None:
    text = html.render(report)
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert "script" not in page.tags
    assert all(address.startswith("data:") for address in page.addresses)
    assert "url(" not in text
    assert "@import" not in text
    assert page.tags.count("img") == 1  # the other grid's file is gone
    assert page.tags.count("svg") == 1 + len(report.plan.cells)
    assert "nan" not in re.sub(r"<[^>]*>", " ", text).lower().split()


def test_the_page_escapes_what_the_user_named(report: ReportData) -> None:
    text = html.render(report)
    assert "<title>Ablation: tricks &lt;&amp;&gt; friends</title>" in text
    assert "harness ablate &lt;spec&gt;" in text
    assert "<&>" not in text


def test_the_page_alone_answers_which_trick_how_sure_at_what_price_and_what_was_run(report: ReportData) -> None:
    text = html.render(report)
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text.split("</style>")[1]))
    assert "Keep crop (resize → square)." in words
    assert "1 of 16 runs diverged" in words
    assert "4 seeds each, 16,000 images a run; 15 of 16 runs are complete" in words
    assert "crop=bbox: needs boxes" in words
    assert "0123abc" in words
    assert "s of training a run" in words


def test_a_study_without_any_finished_run_still_makes_a_page(report: ReportData) -> None:
    runs = report.runs.assign(state="missing", mifid=math.nan, train_seconds=math.nan)
    empty = dataclasses.replace(report, runs=runs, answer=answer(runs, report.plan), curves={}, grids={})
    text = html.render(empty)
    assert "No trick is shown to help." in text
    assert "no paired runs yet" in text
    assert "no paired runs yet" in text_of(empty)
    plots.forest_figure(empty.answer)
    tables.latex(empty.answer)


@pytest.mark.browser
def test_the_page_overflows_no_screen_and_logs_no_error(report: ReportData, browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(html.render(report), encoding="utf-8")
    for width in (390, 794, 1280):  # phone, A4 print, laptop
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(page.as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        hidden = "return [...document.querySelectorAll('svg.plot')].filter(s => s.getBoundingClientRect().height < 50)"
        assert browser.execute_script(hidden) == []
        outside = """return [...document.querySelectorAll('svg text')].filter(t => {
            const a = t.getBoundingClientRect(), b = t.ownerSVGElement.getBoundingClientRect();
            return a.left < b.left - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 2;
        }).map(t => t.textContent)"""
        assert browser.execute_script(outside) == []
    assert browser.get_log("browser") == []
