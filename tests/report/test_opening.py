"""The lines that lead every report, on answers that analysis gave."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

from harness.analysis import answer
from harness.design import Contrast
from harness.report import Report, text
from harness.report.opening import Line, lines, what_was_run
from harness.report.sheets.effects import agreement_in_words, equal

_SPEC = importlib.util.spec_from_file_location(
    "studies", Path(__file__).resolve().parents[1] / "analysis" / "studies.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
studies = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(studies)

OFF: frozenset[str] = frozenset()


def test_the_best_cell_is_not_the_one_that_happens_to_have_run_most() -> None:
    # An interim look: the control has both seeds, the trick one, and is far better.
    plan, runs = studies.study(
        "A", [OFF, frozenset("A")], lambda on, seed: "waiting" if on and seed else 100.0 + seed - 50 * bool(on), 2
    )
    found = lines(Report(answer=answer(runs, plan), runs=runs))
    (best,) = (line for line in found if line.kind == "Best cell")
    assert best.about == "A"
    assert "of baseline" in best.how


def test_a_number_of_another_design_than_the_first_names_it() -> None:
    plan, runs = studies.study("AB", studies.everything("AB"), lambda on, seed: 100.0 + seed - 9 * len(on), 4)
    a, _ = plan.contrasts
    first = replace(a, design="leave-one-out", pairs=(("AB", "B"),))
    second = Contrast(
        name="B", factor="B", level="on", baseline="off", pairs=(("B", "baseline"),), design="one-at-a-time"
    )
    mixed = replace(plan, design="union", contrasts=(first, second))
    report = Report(answer=answer(runs, mixed), runs=runs)
    found: dict[str, Line] = {line.about[0]: line for line in lines(report) if line.kind != "Best cell"}
    assert "leave-one-out" in what_was_run(report)
    assert "(one-at-a-time)" in found["B"].how
    assert "one-at-a-time" not in found["A"].how


def test_nothing_is_found_where_no_pair_of_runs_is_complete() -> None:
    plan, runs = studies.study("A", [OFF, frozenset("A")], lambda on, seed: "waiting" if on else 100.0, 2)
    curves = {("baseline", seed): [(500, 120.0), (1000, 100.0)] for seed in (0, 1)}
    report = Report(answer=answer(runs, plan, curves), runs=runs, curves=curves)
    assert equal(report) is None
    assert agreement_in_words(report) == []
    assert "either way" not in text.markdown(report)
