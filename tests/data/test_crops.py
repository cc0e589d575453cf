"""Each crop against numbers worked by hand from the recipe's facts, at the borders too."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.crops import CROPS, Box


@pytest.mark.parametrize(
    ("crop", "size", "box", "expected"),
    [
        ("resize", (500, 375), (10, 20, 30, 40), (0, 0, 500, 375)),
        ("bbox", (500, 375), (10, 20, 30, 90), (10, 20, 30, 90)),
        # s = min(200, 100) = 100
        ("left", (500, 375), (50, 60, 250, 160), (50, 60, 150, 160)),
        ("right", (500, 375), (50, 60, 250, 160), (150, 60, 250, 160)),
        # a tall box: s = 80
        ("left", (500, 375), (100, 10, 180, 300), (100, 10, 180, 90)),
        ("right", (500, 375), (100, 10, 180, 300), (100, 10, 180, 90)),
        # wide: (200 - 100) // 2 = 50 above and below
        ("square", (500, 375), (50, 100, 250, 200), (50, 50, 250, 250)),
        # tall: (290 - 80) // 2 = 105 to the left and right, the left clamped at 0
        ("square", (500, 375), (100, 10, 180, 300), (0, 10, 285, 300)),
        # wide at the bottom: 365 + 50 clamped to H - 1 = 374
        ("square", (500, 375), (50, 265, 250, 365), (50, 215, 250, 374)),
        # tall at the right: 480 + 60 clamped to W - 1 = 499
        ("square", (500, 375), (400, 50, 480, 250), (340, 50, 499, 250)),
        # an odd difference is floored: (101 - 50) // 2 = 25
        ("square", (500, 375), (100, 100, 150, 201), (75, 100, 175, 201)),
        # c = (100, 180), m = 100 touches the left; free: top 80, right 300, bottom 95; e = floor(22.4) = 22;
        # it grows by 22 up and down and by 44 to the right
        ("centre", (500, 375), (50, 130, 150, 230), (0, 58, 244, 302)),
        # c = (250, 60), m = 60 touches the top; left 190, right 190, bottom 255; e = floor(53.2) = 53
        ("centre", (500, 375), (200, 30, 300, 90), (137, 0, 363, 226)),
        # c = (450, 200), m = 50 touches the right; left 400, top 150, bottom 125; e = 35, so 70 to the left
        ("centre", (500, 375), (420, 150, 480, 250), (330, 115, 500, 285)),
        # c = (250, 340), m = 35 touches the bottom; left 215, right 215, top 305; e = floor(60.2) = 60
        ("centre", (500, 375), (200, 310, 300, 370), (155, 185, 345, 375)),
    ],
)
def test_a_crop_is_what_the_facts_say(
    crop: str, size: tuple[int, int], box: tuple[int, int, int, int], expected: tuple[int, int, int, int]
) -> None:
    assert CROPS[crop](size, Box(*box)) == Box(*expected)


def test_centre_skips_a_box_whose_centre_lies_outside_the_image() -> None:
    assert CROPS["centre"]((100, 100), Box(90, 10, 130, 50)) is None


@st.composite
def images_and_boxes(draw: st.DrawFn) -> tuple[tuple[int, int], Box]:
    width, height = draw(st.integers(2, 600)), draw(st.integers(2, 600))
    xmin, ymin = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (width, height), Box(xmin, ymin, draw(st.integers(xmin + 1, width)), draw(st.integers(ymin + 1, height)))


@given(images_and_boxes(), st.sampled_from(sorted(CROPS)))
def test_every_crop_lies_within_the_image(case: tuple[tuple[int, int], Box], crop: str) -> None:
    (width, height), box = case
    area = CROPS[crop]((width, height), box)
    if area is not None:
        assert 0 <= area.xmin <= area.xmax <= width
        assert 0 <= area.ymin <= area.ymax <= height


@given(images_and_boxes(), st.sampled_from(["left", "right", "centre"]))
def test_left_right_and_centre_are_square(case: tuple[tuple[int, int], Box], crop: str) -> None:
    area = CROPS[crop](*case)
    if area is not None:
        assert area.width == area.height
