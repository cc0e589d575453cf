"""The report as one self-contained HTML page: opens from disk, needs no network and no scripts."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from harness.analysis import label
from harness.report import ReportData, svg
from harness.report.numbers import decimals, number
from harness.report.style import CSS
from harness.report.tables import CAPTION, cells, tone


def render(report: ReportData) -> str:
    """The whole page."""
    title = f"Ablation: {report.plan.study}"
    sections = (
        _opening(report),
        _section("Verdicts", _cards(report)),
        _section("Effects", _forest(report) + _table(report)),
        _section("Learning curves", _curves(report)),
        _section("Samples", _grids(report)),
        _section("Cells", _outcomes(report)),
        _section("What was run", _plan(report)),
        _section("Provenance", _facts(report.provenance)),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body><main>\n"
        f"{''.join(sections)}</main></body></html>\n"
    )


def _section(heading: str, body: str) -> str:
    return f"<section><h2>{escape(heading)}</h2>\n{body}</section>\n" if body else ""


def _opening(report: ReportData) -> str:
    plan = report.plan
    tricks = list(dict.fromkeys(contrast.factor for contrast in plan.contrasts))
    seeds = len({run.seed for run in plan.runs})
    complete = int((report.runs["state"] == "complete").sum())
    size = (
        f"{plan.budget.images:,} images" if plan.budget.images is not None else f"{plan.budget.seconds:g} s of training"
    )
    kept = _kept(report)
    found = (
        f"<strong>Keep {escape(', '.join(kept))}.</strong>" if kept else "<strong>No trick is shown to help.</strong>"
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    return (
        f"<header><h1>{escape(plan.study)}</h1>"
        f'<p class="lead">Which of {escape(_listing(tricks))} earns its keep, by how much, how surely, and at what '
        f"cost in run time?</p><p>{found} The {escape(plan.recipe)} recipe was trained in {len(plan.cells)} cells "
        f"({escape(plan.design)}), {seeds} {'seed' if seeds == 1 else 'seeds'} each, {size} a run; "
        f"{complete} of {len(plan.runs)} runs are complete.</p></header>"
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def _kept(report: ReportData) -> list[str]:
    """The tricks that are shown to help, each at its best such level."""
    shown = report.answer.assign(change=[text["change"] for text in cells(report.answer)])
    shown = shown[[tone(verdict) == "good" for verdict in shown["verdict"]]].sort_values("delta_mifid")
    return [f"{row['trick']} ({row['change']})" for row in shown.drop_duplicates("trick").to_dict("records")]


def _listing(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names) or "these tricks"


def _cards(report: ReportData) -> str:
    rows = report.answer.to_dict("records")
    cards = [_card(row, text) for row, text in zip(rows, cells(report.answer), strict=True)]
    return f'<div class="cards">{"".join(cards)}</div>'


def _card(row: Mapping[Any, Any], text: dict[str, str]) -> str:
    verdict = text["verdict"]
    lines = [
        f"<h3>{escape(text['trick'])} <span class='soft'>{escape(text['change'])}</span></h3>",
        f'<p class="verdict">{escape(verdict)}</p>',
        f'<p class="size">{escape(text["delta"])}</p>',
    ]
    if math.isfinite(row["delta_mifid_relative"]):
        change = 100 * row["delta_mifid_relative"]
        lines.append(
            f'<p class="small soft">MiFID, {number(change, 1, signed=True)} % of the control; '
            f"{text['n']} paired {'seed' if row['n_seeds'] == 1 else 'seeds'}, adjusted p {_p(row['p_holm'])}</p>"
        )
    if math.isfinite(row["delta_train_seconds"]):
        lines.append(
            f'<p class="small soft">Cost: {escape(text["seconds"])} s of training a run '
            f"(×{number(row['train_seconds_ratio'], 2)})</p>"
        )
    needed = row["seeds_needed"]
    if verdict.startswith(("no evidence", "may")) and needed is not None and needed == needed:  # NA is not itself
        lines.append(
            '<p class="small soft">If the effect is as large as it looks, '
            f"{f'about {needed}' if needed <= 1000 else 'more than 1,000'} seeds would show it (80 % power, corrected)."
            "</p>"
        )
    return f'<article class="card {tone(verdict)}">{"".join(lines)}</article>'


def _p(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"


def _forest(report: ReportData) -> str:
    return f"<figure>{svg.forest(report.answer)}</figure>" if len(report.answer) else ""


def _table(report: ReportData) -> str:
    heads = ("trick", "level", "n", "MiFID", "Δ MiFID [95 %]", "Δ train s [95 %]", "verdict")
    kinds = ("", "", "n", "n", "n", "n", "")
    head = "".join(f'<th class="{kind}">{escape(text)}</th>' for kind, text in zip(kinds, heads, strict=True))
    body = ""
    for text in cells(report.answer):
        several = [*kinds[:-1], tone(text["verdict"])]
        body += "<tr>" + "".join(
            f'<td class="{kind}">{escape(value)}</td>' for kind, value in zip(several, text.values(), strict=True)
        )
        body += "</tr>"
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f'<p class="small soft">{escape(CAPTION)} Runs are paired by seed: both runs of a pair share their initial '
        "weights where the networks are alike, their noise and their order of images. The intervals are not corrected "
        "for several tricks.</p>"
    )


def _curves(report: ReportData) -> str:
    names = [cell.name for cell in report.plan.cells]
    plots = svg.learning_curves(report.curves, names, report.plan.control)
    figures = "".join(f"<figure>{plot}<figcaption>{escape(name)}</figcaption></figure>" for name, plot in plots.items())
    if not figures:
        return ""
    return (
        '<p class="small soft">MiFID during training, on one scale: thin lines are seeds, the thick line their mean, '
        f"the dashed line the mean of {escape(report.plan.control)}. Interim scores may use fewer samples, which alone "
        f'makes them higher; the effects come from the final ones.</p><div class="many">{figures}</div>'
    )


def _grids(report: ReportData) -> str:
    order = [cell.name for cell in report.plan.cells if cell.name in report.grids]
    figures = "".join(
        f'<figure><img src="{source}" alt="Generated samples of {escape(name, quote=True)}">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for name in order
        if (source := _picture(report.grids[name]))
    )
    if not figures:
        return ""
    return (
        '<p class="small soft">Every grid is drawn from the same latents, so that images at the same place compare.</p>'
        f'<div class="many">{figures}</div>'
    )


def _picture(path: Path) -> str:
    try:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    except OSError:  # a grid that was tidied away is no reason for a report to fail
        return ""


def _outcomes(report: ReportData) -> str:
    """Per cell: how its runs ended and the mean outcomes of the complete ones."""
    measures = [
        ("mifid", "MiFID"),
        ("fid", "FID"),
        ("memorization_distance", "memorisation distance"),
        ("train_seconds", "train s"),
        ("images_per_second", "images/s"),
        ("peak_memory_mb", "peak MB"),
    ]
    runs = report.runs
    measures = [(name, title) for name, title in measures if name in runs and runs[name].notna().any()]
    done = runs[runs["state"] == "complete"]
    means = done.groupby("cell")[[name for name, _ in measures]].mean()
    places = {name: min(4, decimals(means[name], 3)) for name, _ in measures}
    head = "<th>cell</th><th>runs</th>" + "".join(f'<th class="n">{escape(title)}</th>' for _, title in measures)
    body = ""
    for cell in report.plan.cells:
        states = runs.loc[runs["cell"] == cell.name, "state"].value_counts()
        ended = ", ".join(f"{count} {state}" for state, count in states.items())
        known = dict(means.loc[cell.name]) if cell.name in means.index else {}
        values = "".join(f'<td class="n">{number(known.get(name), places[name])}</td>' for name, _ in measures)
        body += f"<tr><td>{escape(cell.name)}</td><td>{escape(ended)}</td>{values}</tr>"
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        '<p class="small soft">Means over the complete runs of a cell. Effects come from paired runs only, so that '
        "their means can differ from these where a run is missing.</p>"
    )


def _plan(report: ReportData) -> str:
    plan = report.plan
    control = next((cell for cell in plan.cells if cell.name == plan.control), None)
    evaluate = plan.evaluate
    facts = {
        "recipe": plan.recipe,
        "design": plan.design,
        "seeds": ", ".join(str(seed) for seed in sorted({run.seed for run in plan.runs})),
        "budget of a run": _settings(plan.budget.model_dump()),
        "evaluation": _settings(evaluate.model_dump(mode="json")),
        "plan fingerprint": plan.fingerprint,
    }
    if control is not None:
        facts[f"settings of {plan.control}"] = _settings(control.train)
        facts[f"data of {plan.control}"] = _settings(control.data)
    dropped = "".join(f"<li>{escape(cell.name)}: {escape(cell.reason)}</li>" for cell in plan.dropped)
    levels = {
        cell.name: ", ".join(f"{factor} {label(level)}" for factor, level in cell.levels.items()) for cell in plan.cells
    }
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in levels.items())
    return (
        _facts(facts) + f'<div class="scroll" tabindex="0"><table><thead><tr><th>cell</th><th>levels</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        + (f"<p>Combinations that the spec rules out and that were not run:</p><ul>{dropped}</ul>" if dropped else "")
    )


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_plain(value)}" for key, value in values.items() if value is not None)


def _plain(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else label(value)


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in facts.items() if value)
    return f"<dl>{rows}</dl>" if rows else ""
