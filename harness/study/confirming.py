"""A designed study of the best cells that a search found, on seeds that it has not looked at."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import yaml

from harness.analysis.types import TriedCell
from harness.design import Cell, Plan
from harness.design import plan as make_plan
from harness.errors import StudyError
from harness.report import Report
from harness.spec import Spec, from_document
from harness.spec.documents import plain
from harness.spec.factors import assigned
from harness.spec.load import LONGEST
from harness.spec.seeds import USUAL_FIRST
from harness.study.answer import study_name
from harness.study.store import StudyStore

FACTOR = "cell"
_MOST = 20  # seeds that the study may take


def confirming(spec: Spec, report: Report, *, storage: str, top: int = 1) -> dict[str, Any]:
    """The document of a spec that holds the `top` best cells of a search against its control, on fresh seeds.

    Fresh are those after all that any study of the storage has used for the recipe and the objective; of a study of
    these very cells that was begun before they are its own.

    A cell is a level of one factor and sets all that the search's factors set. Of cells of few runs the best mean is
    partly luck: they are ranked by their means pulled towards that of all where that is known. Raises StudyError where
    the study is no search, or has not so many cells that are not the control.
    """
    plan = report.plan
    if plan.search is None:
        raise StudyError(
            f"study '{plan.study}' is no search: what a design finds is tested already, at the error that its report "
            "says; confirm a study of kind: search"
        )
    chosen = _best(report, top)
    cells = [plan.cell(plan.control), *chosen]
    document = {name: value for name, value in plain(spec.document).items() if not name.startswith("x-")}
    name = f"{spec.study}-confirm"
    if len(name) > LONGEST:
        raise StudyError(f"the name '{name}' is longer than {LONGEST} characters; give the search a shorter one")
    made = {
        **document,
        "study": name,
        "factors": {
            FACTOR: {
                "baseline": plan.control,
                "levels": [cell.name for cell in chosen],
                "sets": {cell.name: _settings(spec, cell) for cell in cells},
            }
        },
        "design": {"kind": "one-at-a-time"},
        "seeds": {"first": USUAL_FIRST, "most": _MOST, "start": max([*spec.seeds, *map(int, report.runs["seed"])]) + 1},
    }
    own = make_plan(confirm := spec_of(made, spec))
    try:
        before = StudyStore.find(storage, study_name(confirm, own)).recall("spec")
    except StudyError:
        before = None
    made["seeds"] = before["seeds"] if before else {**made["seeds"], "start": _fresh(storage, made["seeds"], own)}
    return made


def _fresh(storage: str, seeds: dict[str, int], plan: Plan) -> int:
    """The first seed after all that the search may use, and any study has used."""
    return max(seeds["start"], StudyStore(storage, plan.study).highest_seed(plan) + 1)


def spec_of(document: dict[str, Any], spec: Spec) -> Spec:
    """The spec of a document that `confirming` made, its recipe looked for where the search's is."""
    return from_document(document, origin=f"{document['study']}.yaml", folder=spec.address.folder)


def written(document: dict[str, Any], spec: Spec, folder: Path) -> str:
    """The document as YAML to be kept in `folder`: the recipe's file is named as it is seen from there."""
    recipe = document["recipe"]
    if isinstance(recipe, str) and recipe.startswith(".") and Path(spec.address.folder).resolve() != folder.resolve():
        file, colon, name = recipe.rpartition(":")
        seen = Path(os.path.relpath(Path(spec.address.folder, file).resolve(), folder.resolve())).as_posix()
        document = {**document, "recipe": f"{seen if seen.startswith('.') else f'./{seen}'}{colon}{name}"}
    text: str = yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False, allow_unicode=True)
    return text


def _best(report: Report, top: int) -> list[Cell]:
    plan = report.plan
    sign = plan.objective.sign

    def worse(cell: TriedCell) -> float:
        return -sign * (cell.objective.value if math.isnan(cell.shrunk) else cell.shrunk)

    ranked = sorted((cell for cell in report.answer.tried if cell.n and cell.cell != plan.control), key=worse)
    if len(ranked) < top:
        raise StudyError(
            f"--top {top}: the search has complete runs of {len(ranked)} cells beside its control; name no more, or "
            "let it try more first"
        )
    return [plan.cell(cell.cell) for cell in ranked[:top]]


def _settings(spec: Spec, cell: Cell) -> dict[str, Any]:
    """What the search's factors set in a cell, by settings that say their section."""
    values = assigned(spec.factors, cell.levels, spec.sections.recipe)
    return {f"{section}.{name}": value for (section, name), value in values.items()}
