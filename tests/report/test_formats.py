"""The further answers on the terminal, in Markdown, LaTeX and CSV, as figures and as pictures."""

from __future__ import annotations

import dataclasses
import io
import math
import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from rich.console import Console, RenderableType
from rich.text import Text
from scipy import stats

from harness.report import ReportData, html, pictures, plots, summary
from harness.report.compare import compare_markdown, comparison, render_compare
from harness.report.failures import failure_rates
from harness.report.fitted import FittedTable
from harness.report.labels import Box, place
from harness.report.sheet import contrast
from harness.report.sheets import numbered, sheets
from harness.report.svg.curves import band, thinned
from harness.report.svg.heat import matrix
from harness.report.svg.scatter import staircase

NAMES = ["forest", "views", "interactions", "shapley", "pareto", "curves"]


def printed(what: RenderableType, width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


@pytest.mark.parametrize("width", [80, 100])
def test_the_terminal_shows_every_answer_and_cuts_no_line(rich: ReportData, width: int) -> None:
    text = printed(summary.terminal(rich), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert all(line.count("[") == line.count("]") for line in text.splitlines())  # no interval is broken
    for sheet in sheets(rich):
        assert sheet.title in text
        assert sheet.wide or all(word in text for name in sheet.names for word in name.split())


def test_a_narrow_terminal_puts_intervals_below_their_values_before_it_breaks_words() -> None:
    table = FittedTable(
        ("what was tried", "Δ [95 %]"), (False, True), [[Text("averaging=ema, width=wide"), Text("−5.0 [−10.0, +0.5]")]]
    )
    wide, narrow, least = (printed(table, width).split("\n") for width in (60, 34, 24))
    assert "averaging=ema, width=wide  −5.0 [−10.0, +0.5]" in wide[3]
    assert [" ".join(line.split()) for line in narrow[3:5]] == ["averaging=ema, −5.0", "width=wide [−10.0, +0.5]"]
    assert any("[−10.0," in line and "+0.5]" in line for line in narrow)
    assert all(len(line) <= 24 for line in least)


@pytest.mark.parametrize("rows", [0, 1, None])
def test_one_seed_gives_no_interval_and_still_every_format(rich: ReportData, tmp_path: Path, rows: int | None) -> None:
    names = ["factorial", "shapley", "views", "pareto", "equal", "agreement"]
    bare = {}
    for name in names:
        table = getattr(rich, name)
        attrs = {key: math.nan if key in ("total_low", "total_high") else value for key, value in table.attrs.items()}
        gone = [column for column in table if re.search(r"low|high|^p$|p_holm", str(column))]
        bare[name] = table.assign(**dict.fromkeys(gone, math.nan)).iloc[:rows]
        bare[name].attrs = attrs
    report = dataclasses.replace(rich, **bare)
    for text in (
        html.render(report),
        summary.markdown(report),
        summary.latex(report),
        printed(summary.terminal(report)),
    ):
        assert not re.search(r"\bnan\b", text)
    pictures.pictures(report, tmp_path)
    for figure in plots.figures(report).values():
        figure.to_json()


def test_markdown_holds_the_effects_first_and_then_every_answer_as_a_whole_table(rich: ReportData) -> None:
    text = summary.markdown(rich)
    assert text.startswith("| trick | level | n |")
    titles = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert titles[:4] == [
        "The effects in full",
        "Add-one, leave-one-out and Shapley side by side",
        "Main effects and interactions",
        "Shapley shares",
    ]
    for block in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(counts) == 1


def test_latex_is_balanced_plain_and_has_as_many_cells_as_columns(rich: ReportData) -> None:
    text = summary.latex(rich)
    assert text.isascii()
    assert text.count("{") == text.count("}")
    opened: list[str] = []
    for way, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if way == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, flags=re.DOTALL):
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) >= 2
        assert all(len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1 for row in rows)
    bare = re.sub(r"\\[&%$#_{}]|\$\\?[\w-]+\$|\\begin\{tabular\}\{\w+\}|% needs.*|\\\w+", "", text)
    assert not re.search(r"[%$#_^~]", bare)


def test_csv_has_every_answer_at_full_precision(rich: ReportData) -> None:
    tables = summary.csv(rich)
    assert list(tables) == [
        *("effects", "statistics", "views", "interactions", "shapley"),
        *("bought", "pareto", "equal", "agreement", "runs"),
    ]
    full = pd.read_csv(io.StringIO(tables["statistics"]))
    assert set(full["metric"]) == {"mifid", "train_seconds", "images_per_second", "peak_memory_mb"}
    assert {"boot_low", "p_sign_flip", "probability_better", "ratio_high"} <= set(full)
    back = pd.read_csv(io.StringIO(tables["shapley"]))
    assert rich.shapley is not None
    assert back["share"].sum() == pytest.approx(rich.shapley.attrs["total"], rel=1e-12)


def test_costs_are_ratios_of_time_rate_and_memory(rich: ReportData) -> None:
    (sheet,) = [sheet for sheet in sheets(rich) if sheet.title == "What each trick costs"]
    assert sheet.names[2:5] == ["training seconds [95 %]", "images/s [95 %]", "peak memory [95 %]"]
    width = next(row for row in sheet.rows if row[0].startswith("width"))
    seconds, rate, memory = (float(text.split()[1]) for text in width[2:5])
    assert seconds > 1.2  # the study was made so that width costs time, and memory is the same in all its runs
    assert rate == pytest.approx(1 / seconds, abs=0.02)
    assert memory == 1


def test_what_an_extra_second_buys_is_said_of_tricks_that_take_longer(rich: ReportData) -> None:
    (sheet,) = [sheet for sheet in sheets(rich) if sheet.title == "What each trick costs"]
    assert sheet.names[5] == "MiFID gained per extra second [95 %]"
    assert "Fieller" in sheet.reading
    bought = {row[0]: row[5] for row in sheet.rows}
    # The study was made so that width takes 24 s longer and lowers MiFID by 3 alone; margin takes none.
    assert float(bought["width: 1 → 2"].split()[0]) == pytest.approx(3 / 24, abs=0.1)
    assert bought["margin: off → 0.8"] == "–"
    assert rich.bought is not None
    without = dataclasses.replace(rich, bought=rich.bought.assign(mifid_per_second=math.nan))
    (sheet,) = [sheet for sheet in sheets(without) if sheet.title == "What each trick costs"]
    assert len(sheet.names) == len(sheet.rows[0]) == 5
    assert "Fieller" not in sheet.reading


def test_contrasts_say_off_and_on_as_the_effects_do() -> None:
    assert contrast("margin: null -> 0.8") == "margin: off → 0.8"
    assert contrast("ema: false -> true (leave-one-out)") == "ema: off → on (leave-one-out)"
    assert contrast("crop: resize -> square") == "crop: resize → square"


def test_a_study_of_two_designs_tells_its_rows_apart(rich: ReportData) -> None:
    text = summary.markdown(rich)
    assert "resize → square (one-at-a-time)" in text
    assert "resize → square (leave-one-out)" in text


def test_the_smallest_study_has_its_effects_and_nothing_else(minimal: ReportData, tmp_path: Path) -> None:
    assert "##" not in summary.markdown(minimal)
    assert list(summary.csv(minimal)) == ["effects", "runs"]
    assert list(plots.figures(minimal)) == ["forest"]
    assert [path.name for path in pictures.pictures(minimal, tmp_path)] == ["forest.png"]


def test_figures_hold_the_numbers_of_the_answers(rich: ReportData) -> None:
    figures = plots.figures(rich)
    assert list(figures) == NAMES
    *shares, total = list(figures["shapley"].data[0].x)
    assert sum(shares) == pytest.approx(total)
    assert list(figures["shapley"].data[0].base)[1] == pytest.approx(shares[0])
    heat = figures["interactions"].data[0].z
    assert heat[2][3] == heat[3][2] == pytest.approx(-8, abs=0.5)  # margin with averaging, as the study was made
    assert all(row[k] is None or math.isnan(row[k]) for k, row in enumerate(heat))
    for figure in figures.values():
        figure.to_json()


def test_pictures_are_png_of_150_dpi_with_the_figures_names_and_no_ink_at_their_edges(
    rich: ReportData, tmp_path: Path
) -> None:
    paths = pictures.pictures(rich, tmp_path / "new")
    assert [path.name for path in paths] == [f"{name}.png" for name in NAMES]
    for path in paths:
        picture = Image.open(path)
        assert picture.info["dpi"][0] == pytest.approx(150, abs=0.5)
        grey = picture.convert("L")
        wide, high = grey.size
        edges = [(0, 0, wide, 2), (0, high - 2, wide, high), (0, 0, 2, high), (wide - 2, 0, wide, high)]
        assert all(grey.crop(edge).getextrema() == (255, 255) for edge in edges), path.name


def test_labels_lie_apart_inside_and_off_all_points() -> None:
    points = [(float(x), float(y)) for x in range(20, 200, 30) for y in range(20, 200, 25)]
    frame = Box(0, 0, 220, 220)
    placed = place(
        points,
        [[f"a long name {k}", f"#{k}"] for k in range(len(points))],
        frame=frame,
        size=lambda t: (6.0 * len(t), 12.0),
    )
    boxes = [label.box for label in placed if label is not None]
    assert len(boxes) > len(points) / 2
    for index, box in enumerate(boxes):
        assert box.inside(frame)
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
        assert not any(box.overlaps(Box(x - 6, y - 6, x + 6, y + 6)) for x, y in points)


def test_a_label_without_room_gives_way_to_its_short_form_and_then_to_nothing() -> None:
    size = {"long name": (90.0, 10.0), "#1": (12.0, 10.0)}
    found = place([(20, 20)], [["long name", "#1"]], frame=Box(0, 0, 50, 50), size=size.__getitem__)
    assert found[0] is not None
    assert found[0].text == "#1"
    assert place([(20, 20)], [["long name"]], frame=Box(0, 0, 50, 50), size=size.__getitem__) == [None]


def test_the_band_is_students_interval_of_the_mean() -> None:
    values = [90.0, 94.0, 101.0]
    (point,) = band([[(100, value)] for value in values])
    expected = stats.t.interval(0.95, 2, loc=95.0, scale=stats.sem(values))
    assert (point.images, point.mean, point.low, point.high) == pytest.approx((100, 95.0, *expected))


def test_curves_of_equal_time_have_a_band_where_they_overlap() -> None:
    points = band([[(0, 10.0), (100, 0.0)], [(10, 8.0), (90, 0.0)]])
    assert [point.images for point in points] == [10, 90]
    assert [point.mean for point in points] == pytest.approx([8.5, 0.5])


def test_thinning_keeps_the_ends_and_the_order() -> None:
    assert thinned(range(1000), 5) == [0, 250, 500, 749, 999]
    assert thinned([1, 2], 5) == [1, 2]


def test_the_front_is_a_staircase_that_only_falls() -> None:
    table = pd.DataFrame(
        {"cell": list("abcd"), "train_seconds": [30.0, 10.0, 20.0, 25.0], "mifid": [50.0, 90.0, 70.0, 95.0]}
        | {"on_front": [True, True, True, False]}
    )
    assert staircase(table) == [(10, 90), (20, 90), (20, 70), (30, 70), (30, 50)]
    assert numbered(table)["cell"].tolist() == ["b", "c", "a", "d"]


def test_the_interaction_matrix_is_symmetric_and_holds_main_effects_on_its_diagonal() -> None:
    rows = [("a", 1, -3.0, 0.01), ("x y", 1, 2.0, 0.9), ("a x x y", 2, 1.5, 0.04)]
    table = pd.DataFrame(rows, columns=["term", "order", "estimate", "p_holm"])
    factors, entries = matrix(table)
    assert factors == ["a", "x y"]
    assert entries["a", "x y"] == entries["x y", "a"] == (1.5, True)
    assert entries["a", "a"] == (-3.0, True)
    assert entries["x y", "x y"] == (2.0, False)


def test_failure_rates_count_every_ended_run_at_a_level(rich: ReportData) -> None:
    found = failure_rates(rich.runs, rich.plan)
    assert found is not None
    rows = {(row["factor"], row["level"]): row for row in found.to_dict("records")}
    assert (rows["margin", "0.8"]["ended"], rows["margin", "0.8"]["diverged"], rows["margin", "0.8"]["failed"]) == (
        64,
        4,
        4,
    )
    assert rows["margin", "off"]["rate"] == 0
    # Clopper and Pearson by quantiles of the beta distribution.
    assert rows["margin", "0.8"]["low"] == pytest.approx(stats.beta.ppf(0.025, 8, 57))
    assert rows["margin", "0.8"]["high"] == pytest.approx(stats.beta.ppf(0.975, 9, 56))
    waiting = rich.runs.assign(state="waiting")
    assert failure_rates(waiting, rich.plan) is None


@pytest.fixture
def compared() -> pd.DataFrame:
    """Two studies: one trick alike, one that differs, one that the second study lacks."""
    rows = [("crop", "square", 0.76, 0.70, 0.83, 5, 0.78, 0.7, 0.86, 4, True, False)]
    rows.append(("margin", 0.8, 1.1, 1.05, 1.15, 5, 0.9, 0.85, 0.95, 4, False, True))
    names = [f"{part}[{study}]" for study in ("dogs", "cats") for part in ("ratio", "low", "high", "n")]
    table = pd.DataFrame(rows, columns=["factor", "level", *names, "same_sign", "differ"])
    return table.assign(**{"verdict[dogs]": ["helps", "hurts"], "verdict[cats]": ["helps", "helps"]})


def test_compared_studies_show_per_cent_of_each_and_what_differs(compared: pd.DataFrame) -> None:
    rows = comparison(compared).rows
    assert rows[0] == (
        "crop: square",
        "−24.0 % [−30.0, −17.0] n=5, helps",
        "−22.0 % [−30.0, −14.0] n=4, helps",
        "alike",
    )
    assert rows[1][-1] == "differ, signs differ"
    assert "crop: square" in printed(render_compare(compared))
    assert "| trick | dogs | cats | together |" in compare_markdown(compared)


def test_studies_with_nothing_in_common_say_so(compared: pd.DataFrame) -> None:
    assert "no trick at the same level in common" in compare_markdown(compared.iloc[:0])
    assert "no trick at the same level in common" in printed(render_compare(compared.iloc[:0]))


def test_levels_and_names_that_mean_something_to_a_format_are_escaped(rich: ReportData) -> None:
    assert rich.views is not None
    named = dataclasses.replace(rich, views=rich.views.assign(factor="a|b_c&d%"))
    assert r"a\|b\_c&d%" in summary.markdown(named)
    assert r"a|b\_c\&d\%" in summary.latex(named)
    assert "[bold]" in printed(summary.terminal(dataclasses.replace(rich, views=rich.views.assign(factor="[bold]"))))
