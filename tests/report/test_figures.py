"""Figures: what is prepared, and that every backend draws it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib import rc_context
from PIL import Image
from scipy import stats

from harness.analysis.types import Estimate
from harness.measures import Direction
from harness.report import Report
from harness.report.figures.curves import band, panels, thinned
from harness.report.figures.drawn import STYLE, draw
from harness.report.figures.inline import inline
from harness.report.figures.interactive import interactive
from harness.report.figures.pictures import pictures
from harness.report.figures.prepared import forest, interactions, pareto, prepare, shapley, span, views, window

NAMES = ["forest", "views", "interactions", "shapley", "pareto", "equal", "curves"]


def test_every_answer_has_its_figure_and_the_smallest_study_the_forest_alone(rich: Report, minimal: Report) -> None:
    assert list(prepare(rich)) == NAMES
    assert list(prepare(minimal)) == ["forest"]


def test_the_forest_is_grouped_by_design_the_best_on_top(rich: Report) -> None:
    found = forest(rich)
    assert found is not None
    assert [lane.group for lane in found.lanes] == ["one-at-a-time"] * 5 + ["leave-one-out"] * 5
    values = [lane.marks[0].estimate.value for lane in found.lanes]
    assert values[:5] == sorted(values[:5])
    assert found.lanes[0].marks[0].ink == "good"
    assert found.axis.endswith("(below 0 is better); shaded: less than the worth")
    assert all(lane.within == pytest.approx(0.05 * 90, rel=0.2) for lane in found.lanes[:5])


def test_the_forest_is_shaded_within_the_worth_by_both_backends(minimal: Report) -> None:
    (effect,) = minimal.answer.effects
    found = forest(minimal)
    assert found is not None
    assert found.frame[0] < -effect.worth < effect.worth < found.frame[1]
    with rc_context(STYLE):
        figure = draw(found, 1000)
    (shade,) = figure.axes[0].patches
    assert (shade.get_x(), shade.get_width()) == (-effect.worth, 2 * effect.worth)  # type: ignore[attr-defined]
    drawn = interactive(minimal)["forest"]
    (shape,) = [each for each in drawn.layout.shapes if each.type == "rect"]
    assert (shape.x0, shape.x1) == (-effect.worth, effect.worth)
    unknown = dataclasses.replace(effect, worth=math.nan)
    bare = forest(dataclasses.replace(minimal, answer=dataclasses.replace(minimal.answer, effects=(unknown,))))
    assert bare is not None
    assert bare.axis.endswith("(below 0 is better)")


def test_where_more_is_better_the_highest_is_on_top_and_gains_are_cool(rich: Report) -> None:
    objective = dataclasses.replace(rich.plan.objective, direction=Direction.MAXIMIZE)
    plan = dataclasses.replace(rich.plan, objective=objective)
    report = dataclasses.replace(rich, answer=dataclasses.replace(rich.answer, plan=plan))
    found, steps = forest(report), shapley(report)
    assert found is not None
    assert steps is not None
    values = [lane.marks[0].estimate.value for lane in found.lanes][:5]
    assert values == sorted(values, reverse=True)
    assert "above 0 is better" in found.axis
    assert (steps.steps[0].share.value > 0, steps.steps[0].ink) == (True, "cool")


def test_an_effect_without_a_pair_says_why_in_its_lane(minimal: Report) -> None:
    (effect,) = minimal.answer.effects
    gone = dataclasses.replace(effect, change=Estimate(), reading="diverged in all 5 runs")
    found = forest(dataclasses.replace(minimal, answer=dataclasses.replace(minimal.answer, effects=(gone,))))
    assert found is not None
    assert (found.lanes[0].marks, found.lanes[0].remark) == ((), "diverged in all 5 runs")


def test_the_interaction_map_is_symmetric_and_has_main_effects_on_its_diagonal(rich: Report) -> None:
    found = interactions(rich)
    assert found is not None
    assert found.fields[2, 3] == found.fields[3, 2]
    assert found.fields[2, 3].sure
    assert found.fields[2, 3].strength == 1
    assert found.fields[2, 3].value == pytest.approx(-4, abs=0.3)  # half of the −8 that the study was made with
    assert all(found.fields[k, k].strength == 0 for k in range(5))


def test_shares_are_steps_that_add_up(rich: Report) -> None:
    found = shapley(rich)
    assert found is not None
    *steps, total = found.steps
    assert steps[-1].begin + steps[-1].share.value == pytest.approx(total.share.value)


def test_the_front_is_a_staircase_that_only_falls(rich: Report) -> None:
    found = pareto(rich)
    assert found is not None
    assert found.front[0][1] == found.frame[1][1]
    assert all(b[0] >= a[0] and b[1] <= a[1] for a, b in zip(found.front, found.front[1:], strict=False))
    assert [point.number for point in found.points if point.on_front] == list(range(1, 7))


def test_views_leave_out_what_the_study_cannot_say(rich: Report) -> None:
    without = tuple(dataclasses.replace(view, share=None) for view in rich.answer.views)
    found = views(dataclasses.replace(rich, answer=dataclasses.replace(rich.answer, views=without)))
    assert found is not None
    assert found.title == "Each trick alone and in the full recipe"
    assert [name for name, *_ in found.legend] == ["alone", "in the full recipe"]


def test_a_huge_interval_does_not_make_the_others_unreadable() -> None:
    low, high = window([Estimate(-5, -6, -4), Estimate(2, -400, 400)])
    assert -20 < low < -6
    assert 4 < high < 20
    assert span([Estimate(10, -500, 600), Estimate(20, 19, 21)])[1] < 40


def test_the_band_is_students_interval_of_the_mean() -> None:
    values = [90.0, 94.0, 101.0]
    (point,) = band([[(100, value)] for value in values])
    expected = stats.t.interval(0.95, 2, loc=95.0, scale=stats.sem(values))
    assert point == pytest.approx((100, 95.0, *expected))


def test_curves_of_equal_time_have_a_band_where_they_overlap() -> None:
    points = band([[(0, 10.0), (100, 0.0)], [(10, 8.0), (90, 0.0)]])
    assert [point.images for point in points] == [10, 90]
    assert [point.mean for point in points] == pytest.approx([8.5, 0.5])


def test_curves_are_few_with_the_control_first_and_log_only_over_a_wide_range(rich: Report) -> None:
    found = panels(rich)
    assert found is not None
    assert len(found.panels) == 12
    assert (found.panels[0].name, found.panels[0].control) == ("baseline", ())
    assert not found.logarithmic
    wide = {key: [(x, y * 10 if x < 3000 else y) for x, y in points] for key, points in rich.curves.items()}
    stretched = panels(dataclasses.replace(rich, curves=wide))
    assert stretched is not None
    assert stretched.logarithmic
    assert thinned(range(1000), 5) == [0, 250, 500, 749, 999]


def test_plotly_holds_the_prepared_numbers(rich: Report, bare: Report) -> None:
    figures = interactive(rich)
    assert list(figures) == NAMES
    *shares, total = figures["shapley"].data[0].x
    assert sum(shares) == pytest.approx(total)
    for report in (rich, bare):
        for figure in interactive(report).values():
            figure.to_json()


def test_pictures_are_png_of_150_dpi_on_white_with_no_ink_at_their_edges(rich: Report, tmp_path: Path) -> None:
    paths = pictures(rich, tmp_path / "new")
    assert [path.stem for path in paths] == NAMES
    for path in paths:
        picture = Image.open(path)
        assert picture.info["dpi"][0] == pytest.approx(150, abs=0.5)
        grey = picture.convert("L")
        wide, high = grey.size
        for edge in ((0, 0, wide, 2), (0, high - 2, wide, high), (0, 0, 2, high), (wide - 2, 0, wide, high)):
            assert grey.crop(edge).getextrema() == (255, 255), path.name


@pytest.mark.slow
def test_one_seed_and_hostile_names_are_drawn_too(
    bare: Report, hostile: Callable[[str], Report], tmp_path: Path
) -> None:
    for report in (bare, hostile("$\\frac{a}$ <b> & _x")):
        assert len(pictures(report, tmp_path)) == 7


def test_inline_figures_take_the_pages_colours_and_font_and_keep_text(rich: Report) -> None:
    found = inline("forest", prepare(rich)["forest"])
    assert found.count("<svg") == 2  # for a wide screen and for a phone
    assert "var(--good)" in found
    assert not re.search(r"#[0-9a-f]{6}\b|DejaVu|<\?xml|<metadata", found)
    assert re.search(r"<text [^>]*>crop: resize → square</text>", found)


def test_the_interactive_forest_says_how_many_seeds_and_what_the_verdict_is(rich: Report) -> None:
    figure = interactive(rich)["forest"]
    hovers = {said for trace in figure.data for (said,) in trace.customdata}
    assert {f"n = {effect.n}: {effect.reading}" for effect in rich.answer.effects} == hovers
    lost = dataclasses.replace(rich.answer.effects[0], change=Estimate(), reading="diverged in all 5 runs")
    report = dataclasses.replace(rich, answer=dataclasses.replace(rich.answer, effects=(lost,)))
    assert "diverged in all 5 runs" in [note.text for note in interactive(report)["forest"].layout.annotations]
