"""What the page answers first: which trick to keep, how surely, at what price."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from harness.report import ReportData, evidence, searched
from harness.report.numbers import decimals, number, p_value
from harness.report.page.parts import section, sheet_section, table
from harness.report.sheet import joined
from harness.report.svg.forest import forest
from harness.report.tables import CAPTION, cells, tone

_MOST_NOTES = 12


def opening(report: ReportData) -> str:
    """The title, the answer in a few lines, what was run, and what a reader must know."""
    plan = report.plan
    tricks = list(plan.cells[0].levels) if plan.search else list(dict.fromkeys(c.factor for c in plan.contrasts))
    named = joined(tricks) or "these tricks"
    left = len(report.notes) - _MOST_NOTES
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes[:_MOST_NOTES])
    notes += f"<li>and {left} notes more</li>" if left > 0 else ""
    question = (
        f"Where among the levels of {named} is MiFID lowest?"
        if plan.search
        else f"Which of {named} earns its keep, by how much, how surely, and at what cost in run time?"
    )
    return (
        f"<header><h1>{escape(plan.study)}</h1>"
        f'<p class="lead">{escape(question)}</p>{_short(report)}<p>{escape(_what_was_run(report))}</p></header>'
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def _what_was_run(report: ReportData) -> str:
    plan = report.plan
    seeds = len({run.seed for run in plan.runs})
    complete = int((report.runs["state"] == "complete").sum())
    size = (
        f"{plan.budget.images:,} images" if plan.budget.images is not None else f"{plan.budget.seconds:g} s of training"
    )
    ended = f"{size} a run; {complete:,} of {plan.size:,} runs are complete."
    if plan.search:
        space = math.prod(len(levels) for levels in plan.search.levels.values())
        return (
            f"The {plan.search.sampler} sampler tried {len(plan.cells):,} of {space:,} combinations of levels, {ended}"
        )
    return (
        f"The {plan.recipe} recipe was trained in {len(plan.cells):,} cells ({plan.design}), {seeds} "
        f"{'seed' if seeds == 1 else 'seeds'} each, {ended}"
    )


def _short(report: ReportData) -> str:
    """One line per kind of answer: keep, leave out, depends on the design, undecided; of a search the best cell."""
    if report.plan.search:
        answer = "A search says where to look, not what a trick is worth."
        return f'<p class="found"><strong>{answer}</strong></p><ul class="short">{"".join(_best(report))}</ul>'
    kinds: dict[str, list[str]] = {"keep": [], "drop": [], "depends": [], "open": []}
    kept, winners = [], []
    rows = list(zip(report.answer.to_dict("records"), cells(report.answer), strict=True))
    for trick, to in dict.fromkeys((row["trick"], row["to"]) for row, _ in rows):
        same = [(row, text) for row, text in rows if (row["trick"], row["to"]) == (trick, to)]
        tones = {tone(text["verdict"]) for _, text in same} - {"open"}
        kind = {"good": "keep", "bad": "drop"}[tones.pop()] if len(tones) == 1 else "depends" if tones else "open"
        name = f"{trick} ({same[0][0]['from']} → {to})"
        if kind == "keep":
            kept.append(name)
            winners.append((trick, to))
        if kind == "open" and any("where it trains" in text["verdict"] for _, text in same):
            kind = "depends"
        how = [_how(row, text) if tone(text["verdict"]) in ("good", "bad") else _other(text) for row, text in same]
        kinds[kind].append(name if kind == "open" else f"{name}: {'; '.join(how)}")
    answer = f"Keep {joined(kept)}." if kept else "No trick is shown to help."
    if len({trick for trick, _ in winners}) < len(winners):
        answer += " Of two levels of one trick, keep one."
    lines = [f"<li><b>Keep</b> {escape(line)}</li>" for line in kinds["keep"]]
    lines += [f"<li><b>Leave out</b> {escape(line)}</li>" for line in kinds["drop"]]
    lines += [f"<li><b>It depends:</b> {escape(line)}</li>" for line in kinds["depends"]]
    if kinds["open"]:
        lines.append(f"<li><b>Undecided:</b> {escape(joined(kinds['open']))}</li>")
    if report.views is not None:
        lines += [
            f"<li><b>Mind</b> {escape(_changeable(row))}</li>"
            for row in report.views.to_dict("records")
            if row["disagree"]
        ]
    lines += _best(report)
    return f'<p class="found"><strong>{escape(answer)}</strong></p><ul class="short">{"".join(lines)}</ul>'


def _changeable(row: Mapping[Any, Any]) -> str:
    """A trick that is not worth the same in company."""
    worth = [row["add_one"], row["leave_one_out"]]
    alone, full = (number(value, decimals(worth, 2), signed=True) for value in worth)
    whom = row.get("with_whom")
    depends = f"; it depends on {whom}" if whom else "; a full factorial would tell which other trick it depends on"
    return f"{row['factor']}: {alone} MiFID alone, {full} in the full recipe, which differ beyond chance{depends}"


def _best(report: ReportData) -> list[str]:
    """The cell with the lowest MiFID and its price, beside the control's."""
    table = report.pareto
    if table is None or table.empty:
        return []
    places = decimals(table["mifid"], 3), decimals(table["train_seconds"], 3)

    def where(row: Mapping[Any, Any]) -> str:
        return f"MiFID {number(row['mifid'], places[0])} at {number(row['train_seconds'], places[1])} s a run"

    # A cell whose other runs diverged is no recipe to go home with.
    table = table[table["n"] == table["n"].max()]
    rows = table.sort_values("mifid").to_dict("records")
    control = [row for row in rows if row["cell"] == report.plan.control]
    against = f", against {where(control[0])} of {report.plan.control}" if control and control[0] != rows[0] else ""
    flattered = f"; the lowest of {len(rows):,} means is a little flattered" if len(rows) > 2 else ""
    text = f"{rows[0]['cell']}: {where(rows[0])}{against} (n={rows[0]['n']}{flattered})"
    return [f"<li><b>Best cell</b> {escape(text)}</li>"]


def _other(text: Mapping[str, str]) -> str:
    """What a design says that does not bear the answer out."""
    return f"{_design(text)}{text['verdict']} ({text['delta']})"


def _design(text: Mapping[str, str]) -> str:
    """The design that a row's change names, where there are several."""
    within = text["change"].rpartition(" (")
    return f"{within[2].removesuffix(')')} " if within[1] and text["change"].endswith(")") else ""


def _how(row: Mapping[Any, Any], text: Mapping[str, str]) -> str:
    """How much, how surely, at what price, in one line."""
    if text["verdict"].startswith("diverged"):
        return f"{_design(text)}{text['verdict']}"
    words = f"{_design(text)}{text['delta']} MiFID, adjusted p {p_value(row['p_holm'])}, n={text['n']}"
    if ";" in text["verdict"]:  # of runs that diverged or failed
        words += f" ({text['verdict'].partition('; ')[2]})"
    if math.isfinite(row["delta_train_seconds"]):
        words += f"; costs {text['seconds']} s a run"
        if math.isfinite(row["train_seconds_ratio"]):
            words += f" (×{number(row['train_seconds_ratio'], 2)})"
    return words


def verdicts(report: ReportData) -> str:
    """A card per contrast; a search has none, and says what it tried instead."""
    if report.plan.search:
        return sheet_section(searched.tried(report))
    rows = report.answer.to_dict("records")
    cards = [_card(row, text) for row, text in zip(rows, cells(report.answer), strict=True)]
    return section("Verdicts", f'<div class="cards">{"".join(cards)}</div>')


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
            f'<p class="small soft">MiFID, {number(change, 1, signed=True)} % of the control; {text["n"]} paired '
            f"{'seed' if row['n_seeds'] == 1 else 'seeds'}, adjusted p {escape(p_value(row['p_holm']))}</p>"
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
            f"{f'about {needed}' if needed <= 1000 else 'more than 1,000'} seeds would show it (80 % power, "
            "corrected); best fresh ones, since adding seeds until it shows would loosen the 5 %.</p>"
        )
    return f'<article class="card {tone(verdict)}">{"".join(lines)}</article>'


def effects(report: ReportData) -> str:
    """The forest plot and the table of effects."""
    if report.plan.search:
        return ""
    figure = f"<figure>{forest(report.answer)}</figure>" if len(report.answer) else ""
    heads = ("trick", "level", "n", "MiFID", "Δ MiFID [95 %]", "Δ train s [95 %]", "verdict")
    kinds = ("", "", "n", "n", "n", "n", "")
    rows = [zip(text.values(), [*kinds[:-1], tone(text["verdict"])], strict=True) for text in cells(report.answer)]
    return section(
        "Effects",
        figure + table(zip(heads, kinds, strict=True), rows) + f'<p class="small soft">{escape(CAPTION)} Runs are '
        "paired by seed: both runs of a pair share their initial weights where the networks are alike, their noise and "
        "their order of images. The intervals are not corrected for several tricks.</p>",
    )


def statistics(report: ReportData) -> str:
    """Every statistic of every effect, for readers who judge for themselves."""
    return sheet_section(evidence.statistics(report))
