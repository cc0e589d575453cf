"""Studies side by side, and the page of nearest images."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from harness.analysis.compare import Compared, Comparison
from harness.analysis.types import Estimate, Verdict
from harness.report import Report, nearest_page
from harness.report.comparison import markdown, render, sheet


@pytest.fixture
def comparison(rich: Report) -> Comparison:
    """Two studies: one trick alike, one that differs."""
    effect = rich.answer.effects[0]
    ours = dataclasses.replace(effect, ratio=Estimate(0.76, 0.7, 0.83), n=5, reading="helps", verdict=Verdict.HELPS)
    theirs = dataclasses.replace(ours, ratio=Estimate(0.78, 0.7, 0.86), n=4)
    shared: dict[str, Any] = {"baseline": "resize", "design": "one-at-a-time", "held": "", "p": 0.4}
    alike = Compared(
        factor="crop",
        level="square",
        effects={"ours": ours, "theirs": theirs},
        same_sign=True,
        ratio_of_ratios=Estimate(1.03, 0.9, 1.2),
        p_adjusted=0.8,
        differ=False,
        **shared,
    )
    other = dataclasses.replace(
        alike, factor="margin", level=0.8, effects={"ours": ours}, same_sign=False, differ=True, held="crop=square"
    )
    return Comparison(studies=("ours", "theirs"), measure=rich.plan.objective, tricks=(alike, other))


def test_compared_studies_show_per_cent_of_each_and_what_differs(comparison: Comparison) -> None:
    first, second = sheet(comparison).rows
    assert [str(cell).replace("\u00a0", " ") for cell in first.cells] == [
        "crop: resize → square",
        "−24.0 % [−30.0, −17.0] n=5, helps",
        "−22.0 % [−30.0, −14.0] n=4, helps",
        "× 1.03 [0.90, 1.20]",
        "0.800",
        "alike",
    ]
    assert str(second.cells[0]).endswith("(at crop=square)")
    assert str(second.cells[2]) == "–"
    assert (str(second.cells[-1]), second.tone) == ("differ, signs differ", "bad")
    assert "| trick | ours | theirs |" in markdown(comparison)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render(comparison))
    assert "per cent of MiFID" in console.export_text()


def test_studies_with_nothing_in_common_say_so(comparison: Comparison) -> None:
    assert "no trick at the same level in common" in markdown(dataclasses.replace(comparison, tricks=()))


def test_the_nearest_pairs_come_most_alike_first_and_names_are_escaped() -> None:
    class Files:
        source = Path("<set>")

        def pixels(self, name: str) -> Any:
            return np.zeros((3, 200, 100), dtype=np.uint8)

    scores = SimpleNamespace(
        nearest=torch.tensor([1, 0]), memorization_distance=0.05, numbers=lambda: {"memorization_distance": 0.05}
    )
    scored: Any = SimpleNamespace(
        scores=scores,
        tau=0.1,
        yardstick="net",
        generated=Files(),
        reference=Files(),
        images=SimpleNamespace(names=["far", "<copy>"], features=torch.tensor([[1.0, 1.0], [2.0, 0.0]])),
        real=SimpleNamespace(names=["a", "b"], features=torch.tensor([[1.0, 0.0], [0.0, 1.0]])),
    )
    pairs = nearest_page.closest_pairs(scored)
    assert [(pair.generated, pair.real) for pair in pairs] == [("<copy>", "a"), ("far", "b")]
    assert pairs[1].distance == pytest.approx(1 - 2**-0.5)
    text = nearest_page.render([scored])
    assert "&lt;copy&gt;" in text
    assert "<copy>" not in text
    assert "memorization distance 0.0500 (tau 0.1: penalised)" in text
    assert "data:image/jpeg;base64," in text
