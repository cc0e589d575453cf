"""The report as one self-contained HTML page: opens from disk, needs no network and no scripts."""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from itertools import accumulate
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.report import Picture, Report, declared, noise, opening
from harness.report.figures.inline import inline
from harness.report.figures.prepared import prepare
from harness.report.sheets import cells, effects, interplay, looks
from harness.report.sheets import noise as floor
from harness.report.sheets.sheet import MOST_ROWS, change, design, joined
from harness.spec import label

MOST_GRIDS = 12
MOST_PAIRS = 48
MOST_BYTES = 8_000_000  # of all pictures of a section together


def render(report: Report) -> str:
    """The whole page: the answer, how the tricks work together and what they cost, then what was run."""
    prepared = prepare(report)
    return fill(
        "report.html",
        report=report,
        plan=report.plan,
        opening=opening,
        effects=effects,
        interplay=interplay,
        cells=cells,
        looks=looks,
        noise=noise,
        noise_shown=floor.shown,
        declared=declared,
        figures=defaultdict(str, {name: Markup(inline(name, figure)) for name, figure in prepared.items()}),
        prepared=prepared,
        grids=_grids(report),
        pairs=_pairs(report),
        run=_what_was_run(report),
        repeat=_repeat(report),
        contrasts=[(change(each), design(report, each), each.pairs) for each in report.plan.contrasts[:MOST_ROWS]],
        levels=[
            (cell.name, ", ".join(f"{factor} {label(level)}" for factor, level in cell.levels.items()))
            for cell in report.plan.cells[:MOST_ROWS]
        ],
        most=MOST_ROWS,
    )


def fill(template: str, **values: Any) -> str:
    """A template of this folder, filled; every value is escaped but figures of our own."""
    style = files("harness.report.page").joinpath("style.css").read_text(encoding="utf-8")
    return _environment().get_template(template).render(style=Markup(style), **values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("harness.report.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def address(picture: Picture) -> str:
    """A PNG as the address of an image, empty where its file is gone: no reason for a report to fail."""
    try:
        content = picture if isinstance(picture, bytes) else picture.read_bytes()
    except OSError:
        return ""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _grids(report: Report) -> tuple[list[tuple[str, str]], str]:
    """Cells with their sample grids, and the sentence on what was left out."""
    names, sentence = cells.chosen(report, report.grids, MOST_GRIDS)
    found = [(name, source) for name in names if (source := address(report.grids[name]))]
    sizes = accumulate(len(source) for _, source in found)
    light = [grid for grid, size in zip(found, sizes, strict=True) if size <= MOST_BYTES]
    if heavy := len(found) - len(light):
        sentence += f" {heavy} more would make the page too heavy; they are with their runs."
    return light, sentence


def _pairs(report: Report) -> list[tuple[str, str, float]]:
    """The pairs that are most alike, as many as the page can hold."""
    known = sorted(report.nearest.pairs, key=lambda pair: pair[2]) if report.nearest else []
    pairs = [(address(generated), address(real), distance) for generated, real, distance in known[:MOST_PAIRS]]
    sizes = accumulate(len(left) + len(right) for left, right, _ in pairs)
    return [pair for pair, size in zip(pairs, sizes, strict=True) if all(pair[:2]) and size <= MOST_BYTES]


def _what_was_run(report: Report) -> dict[str, str]:
    plan = report.plan
    control = next((cell for cell in plan.cells if cell.name == plan.control), None)
    search = plan.search
    return {
        "recipe": plan.recipe,
        "objective": f"{plan.objective.title}: {plan.objective.better} is better",
        "design": plan.design,
        "search": f"{search.sampler} over {search.trials} runs by {joined([each.title for each in plan.objectives])}; "
        + ("runs worse than the median are pruned" if search.prune else "no run is pruned")
        if search
        else "",
        "seeds": _seeds(report),
        "tested by": plan.test,
        "budget of a run": _settings(plan.budget.model_dump()),
        "evaluation": _settings(plan.evaluate.model_dump(mode="json")),
        "plan fingerprint": plan.fingerprint,
        f"settings of {plan.control}": _settings(dict(control.train)) if control else "",
        f"data of {plan.control}": _settings(dict(control.data)) if control else "",
    }


def _seeds(report: Report) -> str:
    return ", ".join(map(str, sorted({run.seed for run in report.plan.runs})))


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_plain(value)}" for key, value in values.items() if value is not None)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_settings(value)})"
    return "/".join(map(_plain, value)) if isinstance(value, Iterable) and not isinstance(value, str) else label(value)


def _repeat(report: Report) -> tuple[str, dict[str, str]]:
    """The name of a file for the spec, and the facts that make these numbers again."""
    known = report.provenance
    name = re.sub(r"[^\w.-]+", "-", report.plan.study).strip("-") + ".yaml"
    changed = " with uncommitted changes" if known.get("git.dirty") == "true" else ""
    versions = (f"{key.removeprefix('version.')} {known[key]}" for key in known if key.startswith("version."))
    return name, {
        "command": f"harness ablate {name}",
        "seeds": _seeds(report),
        "commit": known.get("git.commit", "") + changed,
        "versions": ", ".join(versions),
    }
