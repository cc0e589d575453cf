"""What the person at the keyboard sees."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.measures import Direction, Measure
from harness.recipes.events import Progress, Scored
from harness.study.progress import Display, duration, shown

ACCURACY = Measure(name="accuracy", title="accuracy", unit="%", direction=Direction.MAXIMIZE)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")]
)
def test_durations_read_like_speech(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(301.24, "", "301.2"), (1234.56, "", "1,234.6"), (0.93123, "", "0.9312"), (98, "%", "98 %")],
)
def test_scores_read_well_on_any_scale(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_is_shown_while_it_runs_and_leaves_a_line(terminal: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=90)
    display = Display(console, ACCURACY, unit="epochs", total=3, done=1)
    with display.live():
        display.started(0, "baseline · seed 0")
        display.progressed(0, Progress(step=50, train_seconds=1, rate=50, fraction=0.5))
        display.scored(0, Scored(step=50, train_seconds=1, scores={"accuracy": 93.4}))
        if terminal:
            console.print(display._render())
            assert "93.4" in stream.getvalue()
            assert "accuracy, %" in stream.getvalue()
            assert "epochs/s" in stream.getvalue()
            assert "1 of 3 runs ended" in stream.getvalue()
        display.finished(0, "accuracy 94 %")
    assert "[2/3] baseline · seed 0: accuracy 94 %" in stream.getvalue()


def test_a_reason_in_square_brackets_is_shown_as_it_is() -> None:
    stream = io.StringIO()
    display = Display(Console(file=stream, width=200), ACCURACY, total=1, done=0)
    display.started(0, "lr=[/b]")
    display.finished(0, "error: [/pytorch/pair.cc:534] connection closed by peer [enforce fail]", failed=True)
    assert "lr=[/b]: error: [/pytorch/pair.cc:534] connection closed by peer [enforce fail]" in stream.getvalue()
