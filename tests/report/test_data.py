"""The answer for other programs: CSV that is flat, full and safe; JSON that its schema holds."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable

import jsonschema
import pandas as pd
import pytest

from harness.analysis.types import Answer, Verdict
from harness.report import Report
from harness.report.document import decided, document, schema
from harness.report.frames import csv
from harness.spec.worth import Worth


def test_csv_has_every_answer_at_full_precision(rich: Report) -> None:
    tables = csv(rich)
    names = "effects statistics views interactions shapley bought prices equal agreement failures runs"
    assert list(tables) == names.split()
    effects = pd.read_csv(io.StringIO(tables["effects"]), keep_default_na=False)
    assert effects["change"].tolist() == [effect.change.value for effect in rich.answer.effects]
    assert effects["verdict"].tolist() == [str(effect.verdict) for effect in rich.answer.effects]
    assert {"train_seconds_low", "train_seconds_n", "design", "reading"} <= set(effects)
    full = pd.read_csv(io.StringIO(tables["statistics"]))
    assert set(full["measure"]) == {"mifid", "fid", "memorization_distance", *rich.answer.costs}
    assert {"bootstrap_low", "p_signs", "wins", "ratio_high", "treated_diverged", "seeds_needed_low"} <= set(full)
    views = pd.read_csv(io.StringIO(tables["views"]))
    assert {"alone", "full_low", "share_high", "diverged"} <= set(views)


def test_a_search_gives_what_it_tried_and_a_small_study_what_it_has(search: Report, minimal: Report) -> None:
    tables = csv(search)
    assert next(iter(tables)) == "tried"
    tried = pd.read_csv(io.StringIO(tables["tried"]))
    assert {"cell", "objective", "objective_low", "shrunk", "complete", "pruned"} <= set(tried)
    assert list(csv(minimal)) == ["effects", "statistics", "runs"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_text_that_a_spreadsheet_would_run_is_defused_and_numbers_are_not(
    hostile: Callable[[str], Report], start: str
) -> None:
    tables = csv(hostile(f"{start}cmd|' /C calc'!A0"))
    for table in tables.values():
        frame = pd.read_csv(io.StringIO(table), dtype=str, keep_default_na=False)
        for column in frame:
            for cell in [str(column), *frame[column]]:
                assert not cell.startswith(("=", "@", "\t", "\r", "\n", "\uff1d"))
                assert not cell.startswith(("+", "-")) or float(cell) < 0
    assert "'" + start.replace("\r", "\n") in pd.read_csv(io.StringIO(tables["effects"]))["trick"][0]
    negative = pd.read_csv(io.StringIO(tables["effects"]))["change"]
    assert negative.dtype == float


@pytest.mark.parametrize("which", ["rich", "minimal", "search", "bare"])
def test_every_document_is_json_and_holds_the_schema(which: str, request: pytest.FixtureRequest) -> None:
    report = request.getfixturevalue(which)
    jsonschema.Draft202012Validator.check_schema(schema())
    found = json.loads(json.dumps(document(report), allow_nan=False))
    jsonschema.Draft202012Validator(schema()).validate(found)
    assert found["decided"] is decided(report)


def test_the_document_holds_the_answers_numbers_and_levels_as_they_are(rich: Report, search: Report) -> None:
    found = document(rich)
    assert [each["value"] for each in found["effects"]] == [effect.change.value for effect in rich.answer.effects]
    assert [(each["from"], each["to"]) for each in found["effects"][:3]] == [
        ("resize", "square"),
        (False, True),
        (None, 0.8),
    ]
    assert found["effects"][0]["costs"]["train_seconds"]["n"] == 4
    assert found["runs"] == {"complete": 120, "diverged": 4, "failed": 4}
    assert found["objective"] == {"name": "mifid", "title": "MiFID", "unit": "", "direction": "minimize"}
    searched = document(search)
    assert searched["effects"] == []
    assert searched["cells"][0]["runs"] == {"complete": 4, "pruned": 1}


def test_what_is_not_a_number_is_null(bare: Report) -> None:
    (first, *_) = document(bare)["effects"]
    assert (first["low"], first["high"], first["p_adjusted"]) == (None, None, None)


def test_a_report_is_decided_when_every_effect_is(rich: Report, search: Report) -> None:
    def verdicts(verdict: Verdict) -> Answer:
        effects = tuple(dataclasses.replace(effect, verdict=verdict) for effect in rich.answer.effects)
        return dataclasses.replace(rich.answer, effects=effects)

    assert not decided(rich)
    assert not decided(search)
    assert decided(dataclasses.replace(rich, answer=verdicts(Verdict.NEGLIGIBLE)))
    assert not decided(dataclasses.replace(rich, answer=verdicts(Verdict.UNDECIDED)))


def test_the_worth_and_its_tests_are_in_json_and_csv(rich: Report) -> None:
    found = document(rich)
    assert found["worth"] == {"share": 0.05, "amount": None}
    (effect, *_), (typed, *_) = found["effects"], rich.answer.effects
    assert (effect["worth"], effect["p_within"], effect["p_beyond"]) == (typed.worth, 1.0, 0.5)
    table = pd.read_csv(io.StringIO(csv(rich)["effects"]))
    assert table[["worth", "p_within", "p_beyond"]].iloc[0].tolist() == [pytest.approx(typed.worth), 1.0, 0.5]
    plan = dataclasses.replace(rich.plan, worth=Worth(amount=3.0))
    amount = document(dataclasses.replace(rich, answer=dataclasses.replace(rich.answer, plan=plan)))
    assert amount["worth"] == {"share": None, "amount": 3.0}
    jsonschema.Draft202012Validator(schema()).validate(amount)
