"""What was run and how to repeat it: cells and their outcomes, failures, the plan, the spec, provenance."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import pandas as pd

from harness.analysis import label
from harness.design import Search
from harness.report import ReportData, sheets
from harness.report.chosen import chosen
from harness.report.numbers import decimals, number
from harness.report.page.parts import facts, section, sheet_section, table
from harness.report.sheet import contrast as written

MOST_CELLS = 60
_MEASURES = {
    "mifid": "MiFID",
    "fid": "FID",
    "memorization_distance": "memorisation distance",
    "train_seconds": "train s",
    "images_per_second": "images/s",
    "peak_memory_mb": "peak MB",
}


def cells(report: ReportData) -> str:
    """Per cell: how its runs ended and the mean outcomes of the complete ones."""
    runs = report.runs
    measures = {name: title for name, title in _MEASURES.items() if name in runs and runs[name].notna().any()}
    means = runs[runs["state"] == "complete"].groupby("cell")[list(measures)].mean()
    places = {name: min(4, decimals(means[name], 3)) for name in measures}
    ended = pd.crosstab(runs["cell"], runs["state"])
    names, left_out = chosen(report, [cell.name for cell in report.plan.cells], MOST_CELLS)
    rows = []
    for name in names:
        states = dict(ended.loc[name]) if name in ended.index else {}
        words = ", ".join(f"{count} {state}" for state, count in states.items() if count)
        known = dict(means.loc[name]) if name in means.index else {}
        values = [(number(known.get(measure), places[measure]), "n") for measure in measures]
        rows.append([(name, ""), (words, ""), *values])
    heads = [("cell", ""), ("runs", ""), *((title, "n") for title in measures.values())]
    return section(
        "Cells",
        table(heads, rows) + '<p class="small soft">Means over the complete runs of a cell. Effects come from paired '
        f"runs only, so that their means can differ from these where a run is missing.{left_out}</p>",
    )


def failures(report: ReportData) -> str:
    """The failure rate of every level, where any run failed."""
    return sheet_section(sheets.failures(report))


def plan(report: ReportData) -> str:
    """Cells, contrasts, what cannot be told apart, and what was ruled out."""
    plan = report.plan
    control = next((cell for cell in plan.cells if cell.name == plan.control), None)
    values = {
        "recipe": plan.recipe,
        "design": plan.design,
        "search": _search(plan.search) if plan.search else "",
        "seeds": _seeds(report),
        "budget of a run": _settings(plan.budget.model_dump()),
        "evaluation": _settings(plan.evaluate.model_dump(mode="json")),
        "plan fingerprint": plan.fingerprint,
    }
    if control is not None:
        values[f"settings of {plan.control}"] = _settings(dict(control.train))
        values[f"data of {plan.control}"] = _settings(dict(control.data))
    return section("What was run", facts(values) + _levels(report) + _contrasts(report) + _limits(report))


def _search(search: Search) -> str:
    pruning = "runs worse than the median are pruned" if search.prune else "no run is pruned"
    return f"{search.sampler} over {search.trials} runs, lowering {' and '.join(search.objectives)}; {pruning}"


def _seeds(report: ReportData) -> str:
    return ", ".join(str(seed) for seed in sorted({run.seed for run in report.plan.runs}))


def _levels(report: ReportData) -> str:
    cells = report.plan.cells
    rows = [
        [(cell.name, ""), (", ".join(f"{factor} {label(level)}" for factor, level in cell.levels.items()), "")]
        for cell in cells[:MOST_CELLS]
    ]
    return table([("cell", ""), ("levels", "")], rows) + _first(len(cells), "cells")


def _contrasts(report: ReportData) -> str:
    contrasts = report.plan.contrasts
    if not contrasts:
        return ""
    rows = []
    for contrast in contrasts[:MOST_CELLS]:
        treated, control = contrast.pairs[0] if contrast.pairs else ("", "")
        more = f" and {len(contrast.pairs) - 1} pairs more" if len(contrast.pairs) > 1 else ""
        design = contrast.design or report.plan.design
        rows.append([(written(contrast.name), ""), (design, ""), (f"{treated} against {control}{more}", "")])
    return (
        "<h3>Contrasts</h3>"
        '<p class="small soft">An effect is the mean of treated minus control over these pairs of cells, seed by seed.'
        f"</p>{table([('contrast', ''), ('design', ''), ('cells', '')], rows)}{_first(len(contrasts), 'contrasts')}"
    )


def _limits(report: ReportData) -> str:
    plan, text = report.plan, ""
    if plan.confounding:
        lines = "".join(f"<li>{escape(line)}</li>" for line in plan.confounding[:MOST_CELLS])
        text += (
            '<h3>What cannot be told apart</h3><p class="small soft">The design runs only a share of all combinations; '
            "terms joined by = were estimated as one, so that an effect may be either’s.</p>"
            f"<ul>{lines}</ul>{_first(len(plan.confounding), 'lines')}"
        )
    if plan.dropped:
        lines = "".join(f"<li>{escape(cell.name)}: {escape(cell.reason)}</li>" for cell in plan.dropped[:MOST_CELLS])
        text += (
            "<h3>Not run</h3><p>Combinations that the spec rules out and that were not run:</p>"
            f"<ul>{lines}</ul>{_first(len(plan.dropped), 'combinations')}"
        )
    return text


def _first(count: int, what: str) -> str:
    return f'<p class="small soft">The first {MOST_CELLS} of {count:,} {what}.</p>' if count > MOST_CELLS else ""


def repeat(report: ReportData) -> str:
    """The command, the spec, the seeds and the versions that make these numbers again."""
    if not report.spec_text:
        return ""
    known, name = report.provenance, re.sub(r"[^\w.-]+", "-", report.plan.study).strip("-") + ".yaml"
    versions = {key.removeprefix("version."): value for key, value in known.items() if key.startswith("version.")}
    values = {
        "command": f"harness ablate {name}",
        "first run as": known.get("command", ""),
        "seeds": _seeds(report),
        "commit": known.get("git.commit", "")
        + (" with uncommitted changes" if known.get("git.dirty") == "true" else ""),
        "versions": ", ".join(f"{key} {value}" for key, value in versions.items()),
    }
    return section(
        "How to repeat it",
        f"<p>Save the spec below as <code>{name}</code>, check out the commit, and give the "
        "command; the seeds fix weights, noise and the order of images, so that a CPU makes the same numbers again "
        f"and a GPU nearly so.</p>{facts(values)}<pre class='spec'>{escape(report.spec_text)}</pre>",
    )


def provenance(report: ReportData) -> str:
    """Where the numbers were made."""
    return section("Provenance", facts(report.provenance))


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_plain(value)}" for key, value in values.items() if value is not None)


def _plain(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else label(value)
