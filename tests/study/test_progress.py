"""What the person at the keyboard sees."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.recipes.events import Progress, Scored
from harness.study.progress import Display, LiveDisplay, duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")]
)
def test_durations_read_like_speech(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("kind", [Display, LiveDisplay])
def test_a_run_is_shown_while_it_runs_and_leaves_a_line(kind: type[Display]) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=kind is LiveDisplay, width=90)
    with kind(console, total=3, done=1) as display:
        display.started(0, "baseline · seed 0")
        display.progressed(
            0, Progress(images=50, total_images=100, train_seconds=1, images_per_second=50, fraction=0.5)
        )
        display.scored(0, Scored(images=50, train_seconds=1, scores={"mifid": 123.4}))
        if isinstance(display, LiveDisplay):
            console.print(display._render())
            assert "123.4" in stream.getvalue()
            assert "1 of 3 runs ended" in stream.getvalue()
        display.finished(0, "MiFID 120.0")
    assert "[2/3] baseline · seed 0: MiFID 120.0" in stream.getvalue()
