"""The page of a rich study and of the smallest one: everything is there, nothing overflows, nothing is puzzling."""

from __future__ import annotations

import dataclasses
import html as entities
import math
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.design import Cell, Contrast, PlannedRun
from harness.report import ReportData, html
from harness.report.svg import shapes
from harness.report.svg.forest import forest
from harness.report.tables import cells

SECTIONS = [
    *("Verdicts", "Effects", "The effects in full", "Add-one, leave-one-out and Shapley side by side"),
    *(
        "Main effects and interactions",
        "Shapley shares",
        "What each trick costs",
        "MiFID against training time",
        "At equal images and at equal time",
        "Two yardsticks",
    ),
    *("Learning curves", "Samples", "Nearest training images", "Failures", "Cells", "Optuna’s importances"),
    *("What was run", "How to repeat it", "Provenance"),
]
VOID = ("meta", "link", "img", "br")


class Page(HTMLParser):
    """What a page is made of: tags left open, addresses, ids of plots, texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.plots: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.tags.append(tag)
        self.addresses += [known[name] or "" for name in ("src", "href", "xlink:href") if name in known]
        if tag == "svg":
            self.plots.append(str(known["class"]).split()[1])
            assert known["role"] == "img"
            assert known["aria-label"]
        if tag == "img":
            assert known["alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def words(text: str) -> str:
    return re.sub(r"\s+", " ", entities.unescape(re.sub(r"<[^>]*>", " ", text.split("</style>")[1])))


def headings(text: str) -> list[str]:
    return [entities.unescape(found) for found in re.findall(r"<h2>(.*?)</h2>", text)]


def test_a_rich_study_shows_every_section_and_every_plot_without_script_or_network(rich: ReportData) -> None:
    text = html.render(rich)
    page = Page(text)
    assert headings(text) == SECTIONS
    assert page.open == []
    assert page.plots == ["forest", "dots", "heat", "waterfall", "scatter", "dots", *["curve"] * 12]
    assert not {"script", "iframe", "details", "style"} & set(page.tags) - {"style"}
    assert all(address.startswith("data:") for address in page.addresses)
    assert not re.search(r"url\(|@import|https?://|javascript:|\son\w+=", text)
    assert not {"nan", "none", "inf", "nat"} & set(re.sub(r"[^\w ]", " ", words(text).lower()).split())


def test_the_smallest_study_shows_only_what_it_has(minimal: ReportData) -> None:
    text = html.render(minimal)
    assert headings(text) == ["Verdicts", "Effects", "Cells", "What was run", "Provenance"][:4]
    assert Page(text).plots == ["forest"]
    assert "one seed says nothing" in words(text)


def test_every_section_that_answers_says_how_to_read_it(rich: ReportData) -> None:
    for section in re.findall(r"<section>(.*?)</section>", html.render(rich), flags=re.DOTALL):
        heading = re.findall(r"<h2>(.*?)</h2>", section)[0]
        if heading not in ("Verdicts", "Provenance"):
            assert '<p class="small soft">' in section or heading == "How to repeat it", heading


@pytest.mark.parametrize(
    "sentence",
    [
        "Keep crop (resize → square), averaging (off → 0.5) and width (1 → 2).",  # which
        "adjusted p < 0.001, n=4",  # how sure
        "s a run (×1.51)",  # at what price
        "120 of 128 runs are complete",  # what was run
        "Best cell crop=square, averaging=0.5, width=2: MiFID 55.6 at 67.2 s a run, against MiFID 90.7 at 40.9 s a run",
        "disagree: depends on averaging",
        "margin × averaging −8.2",
        "better together",
        "all of them −33.3",
        "a gain at equal images",
        "put the cells in much the same order (Kendall’s tau 0.71)",
        "No effect changes its sign between them.",
        "They are not effects",
        "split_bn = crop x margin",
        "crop=bbox: needs boxes",
        "harness ablate five-tricks-friends.yaml",  # how to repeat it
        "study: five <tricks> & friends recipe: dcgan seeds: 4",
        "seeds 0, 1, 2, 3",
        "torch 2.11.0, numpy 2.3.1",
        "harness ablate tricks.yaml --slots 2",
    ],
)
def test_the_page_alone_answers(rich: ReportData, sentence: str) -> None:
    assert sentence in words(html.render(rich))


def test_a_sign_that_flips_between_yardsticks_is_flagged(rich: ReportData) -> None:
    assert rich.agreement is not None
    flipped = rich.agreement.assign(signs_differ=[True] + [False] * (len(rich.agreement) - 1))
    text = words(html.render(dataclasses.replace(rich, agreement=flipped)))
    assert "1 of 10 effects changes sign between the yardsticks." in text
    assert "flips" in text


def test_failures_are_counted_per_level_with_exact_intervals(rich: ReportData) -> None:
    found = words(html.render(rich))
    # 8 of the 64 runs with the margin ended badly; Clopper and Pearson: 5.6 % to 23.2 %, and 0 to 5.6 % for 0 of 64.
    assert "margin: 0.8 64 4 4 12 % [6, 23]" in found
    assert "margin: off 64 0 0 0 % [0, 6]" in found


def test_what_is_named_by_others_is_escaped(rich: ReportData) -> None:
    evil = '"><script>alert(1)</script>'
    table = rich.views.assign(factor=evil, with_whom=evil)  # type: ignore[union-attr]
    pareto = rich.pareto.assign(cell=evil)  # type: ignore[union-attr]
    text = html.render(
        dataclasses.replace(
            rich, views=table, pareto=pareto, spec_text=evil, notes=[evil], importances={evil: {evil: 1.0}}
        )
    )
    page = Page(text)
    assert "script" not in page.tags
    assert page.open == []


@pytest.mark.parametrize("more", ["", " (leave-one-out)", " of the generator alone (leave-one-out)"])
def test_a_forest_of_long_names_still_shows_every_number_and_covers_none(rich: ReportData, more: str) -> None:
    answer = rich.answer.assign(to=[f"{to}{more}" for to in rich.answer["to"]])
    plot = forest(answer)
    texts = re.findall(r'<text x="\S+" y="(\S+)" text-anchor="\w+" class="(label|value)">(.*?)</text>', plot)
    at: dict[str, list[str]] = {}
    for y, _, inner in texts:
        at.setdefault(y, []).append(entities.unescape(inner))
    assert sorted(inner for _, kind, inner in texts if kind == "value") == sorted(row["delta"] for row in cells(answer))
    assert all(sum(shapes.width_of(inner, 12.5, bold=True) for inner in line) < 400 for line in at.values())
    names = [entities.unescape(inner) for _, kind, inner in texts if kind == "label"]
    assert len({"→" in name for name in names}) == 1


def test_a_study_without_shares_names_none(rich: ReportData) -> None:
    assert rich.views is not None
    views = rich.views.assign(
        **dict.fromkeys(("shapley", "shapley_low", "shapley_high"), math.nan), disagree=True, with_whom=""
    )
    text = words(html.render(dataclasses.replace(rich, views=views, shapley=None, factorial=None)))
    assert "Add-one and leave-one-out side by side" in text
    assert "a full factorial would tell which other trick it depends on" in text
    assert "Shapley" not in text


def texts_outside(text: str) -> list[str]:
    """Texts of the page's plots that leave their view box, by a generous estimate of their width."""
    found = []
    for width, height, body in re.findall(r'<svg viewBox="0 0 (\S+) (\S+)"(.*?)</svg>', text, flags=re.DOTALL):
        for x, y, anchor, kind, inner in re.findall(
            r'<text x="(\S+)" y="(\S+)" text-anchor="(\w+)" class="([^"]*)">(.*?)</text>',
            re.sub(r"<g .*?</g>", "", body),
        ):
            wide = shapes.width_of(entities.unescape(inner), 11 if "tick" in kind or "name" in kind else 12) * 0.9
            left = float(x) - wide * {"start": 0, "middle": 0.5, "end": 1}[anchor]
            if left < -1 or left + wide > float(width) + 1 or not 8 <= float(y) <= float(height):
                found.append(inner)
    return found


def test_texts_of_plots_stay_inside_them(rich: ReportData, minimal: ReportData) -> None:
    assert texts_outside(html.render(rich)) == []
    assert texts_outside(html.render(minimal)) == []


def test_texts_stay_inside_even_with_long_names_and_one_sided_effects(rich: ReportData) -> None:
    name = "normalisation_of_every_layer_of_the_generator"
    views = rich.views.assign(factor=name, with_whom=name)  # type: ignore[union-attr]
    answer = rich.answer.assign(trick=name)
    assert texts_outside(html.render(dataclasses.replace(rich, views=views, answer=answer))) == []


def test_labels_of_the_pareto_plot_lie_on_no_other(rich: ReportData) -> None:
    plot = re.findall(r'class="plot scatter".*?</svg>', html.render(rich), flags=re.DOTALL)[0]
    boxes = []
    for x, y, inner in re.findall(r'<text x="(\S+)" y="(\S+)" text-anchor="middle" class="name">(.*?)</text>', plot):
        half = shapes.width_of(entities.unescape(inner), 11) / 2
        boxes.append((float(x) - half, float(y) - 10, float(x) + half, float(y) + 3))
    assert len(boxes) >= 20
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def large(rich: ReportData, factors: int = 12, cells: int = 1000, seeds: int = 10) -> ReportData:
    """10,000 runs over twelve factors."""
    noise = np.random.default_rng(0)
    names = [f"factor_{k}" for k in range(factors)]
    made = [
        Cell(
            name="baseline" if not index else ", ".join(f"{n}=on" for k, n in enumerate(names) if index >> k & 1),
            levels={n: bool(index >> k & 1) for k, n in enumerate(names)},
            train={},
            data={},
        )
        for index in range(cells)
    ]
    runs = [PlannedRun(cell=cell.name, seed=seed, key=f"{cell.name}-{seed}") for cell in made for seed in range(seeds)]
    contrasts = tuple(
        Contrast(name=n, factor=n, level=True, baseline=False, pairs=((f"{n}=on", "baseline"),)) for n in names
    )
    plan = dataclasses.replace(rich.plan, cells=tuple(made), runs=tuple(runs), contrasts=contrasts)
    values = noise.normal(90, 5, len(runs))
    table = pd.DataFrame({"cell": [r.cell for r in runs], "seed": [r.seed for r in runs], "mifid": values})
    table = table.assign(state="complete", slots_per_device=1, train_seconds=noise.normal(40, 2, len(runs)))
    table.loc[::97, "state"] = "diverged"
    terms = [(a,) for a in names] + [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    factorial = pd.DataFrame(
        [
            {"term": " x ".join(t), "order": len(t), "estimate": noise.normal(), "low": -1.0, "high": 1.0, "p": 0.5}
            | {"p_holm": 1.0, "n_runs": 10_000, "aliased_with": ""}
            for t in terms
        ]
    )
    means = table.groupby("cell", sort=False)[["mifid", "train_seconds"]].mean().reset_index()
    pareto = means.assign(n=seeds, on_front=False, mifid_per_second=math.nan)
    for column in ("mifid", "train_seconds"):
        pareto = pareto.assign(**{f"{column}_low": pareto[column] - 1, f"{column}_high": pareto[column] + 1})
    curves = {(r.cell, r.seed): [(k * 100, 90.0 + k % 7) for k in range(1, 41)] for r in runs}
    answer = pd.concat([rich.answer.iloc[:6], rich.answer.iloc[:6]], ignore_index=True).assign(trick=names)
    return dataclasses.replace(
        rich, plan=plan, runs=table, answer=answer, factorial=factorial, pareto=pareto, curves=curves
    )


def test_ten_thousand_runs_of_twelve_factors_make_a_bounded_page_quickly(rich: ReportData) -> None:
    report = large(rich)
    began = time.process_time()
    text = html.render(report)
    assert time.process_time() - began < 8
    assert len(text) < 2_000_000
    assert Page(text).plots.count("curve") == 12
    found = words(text)
    assert "Of 1,000 cells, the control and those with the lowest MiFID are shown, 12 in all." in found
    assert "The first 60 of 1,000 cells." in found
    assert "The first 60 of 78 are shown." in found
    assert texts_outside(text) == []


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_screen_and_no_sheet_of_paper_is_overflown(
    rich: ReportData, minimal: ReportData, browser: Any, tmp_path: Path, scheme: str
) -> None:
    for report in (rich, large(rich), minimal):
        page = tmp_path / "report.html"
        page.write_text(html.render(report), encoding="utf-8")
        for width, media in ((360, "screen"), (1280, "screen"), (794, "print")):
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            wanted = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": wanted})
            browser.get(page.as_uri())
            root = "document.documentElement"
            assert browser.execute_script(f"return {root}.scrollWidth <= {root}.clientWidth"), (width, media)
            outside = """return [...document.querySelectorAll('svg text')].filter(t => {
                const a = t.getBoundingClientRect(), b = t.ownerSVGElement.getBoundingClientRect();
                return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 2 || a.bottom > b.bottom + 2;
            }).map(t => t.textContent)"""
            assert browser.execute_script(outside) == [], (width, media)
    assert browser.get_log("browser") == []


def test_the_example_report_is_small_whole_and_of_no_machine() -> None:
    page = Path(__file__).parents[2] / "docs" / "example-report.html"
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 800_000
    assert all(not address.startswith(("http", "/")) for address in Page(text).addresses)
    assert "/tmp/" not in words(text)
    assert "65 of 65 runs are complete" in words(text)
