"""The page of a rich study and of the smallest one: everything is there, nothing overflows, nothing is puzzling."""

from __future__ import annotations

import dataclasses
import html as entities
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.analysis.types import CellPrice, Endings, Estimate, Term, Verdict
from harness.design import Cell, Contrast, PlannedRun
from harness.report import Nearest, Report
from harness.report.page import render

SECTIONS = [
    *("What each trick is worth", "What each trick costs"),
    *("Each trick alone, in the full recipe and as a Shapley share", "Main effects and interactions"),
    *("Shapley shares", "MiFID against training time", "At equal images and at equal time"),
    *("The same effects by other yardsticks", "Learning curves", "Samples", "Nearest photos", "Runs that ended badly"),
    *("For the record", "The effects in full", "Against the smallest effect worth having", "What MiFID is made of"),
    *("Optuna’s importances", "Cells"),
    *("What was run", "How to repeat it", "Provenance"),
]
VOID = ("meta", "link", "img", "br")


class Page(HTMLParser):
    """What a page is made of: tags left open, addresses, ids, the roles of plots."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.handle_startendtag(tag, attrs)
        if tag == "svg":
            assert known["role"] == "img"
            assert known["aria-label"]
        if tag == "img":
            assert known["alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.tags.append(tag)
        self.ids += [known["id"] or ""] if "id" in known else []
        self.addresses += [known[name] or "" for name in ("src", "href", "xlink:href") if name in known]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def words(text: str) -> str:
    return re.sub(r"\s+", " ", entities.unescape(re.sub(r"<[^>]*>", " ", text.split("</style>", 1)[1])))


def headings(text: str) -> list[str]:
    return [entities.unescape(found) for found in re.findall(r"<h2[^>]*>(.*?)</h2>", text)]


@pytest.mark.slow
def test_a_rich_study_shows_every_section_and_every_plot_without_script_or_network(rich_page: str) -> None:
    page = Page(rich_page)
    assert headings(rich_page) == SECTIONS
    assert page.open == []
    assert page.tags.count("svg") == 6 * 2 + 12
    assert not {"script", "iframe"} & set(page.tags)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert len(page.ids) == len(set(page.ids))
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert not re.search(r"url\([^#]|@import|javascript:|\son\w+=", rich_page)
    assert not {"nan", "inf", "nat"} & set(re.sub(r"[^\w ]", " ", words(rich_page).lower()).split())


def test_the_smallest_study_shows_only_what_it_has(minimal: Report) -> None:
    text = render(minimal)
    shown = ["What each trick is worth", "For the record", "The effects in full"]
    shown += ["Against the smallest effect worth having", "Cells", "What was run"]
    assert headings(text) == shown
    assert Page(text).tags.count("svg") == 2
    assert "one seed says nothing" in words(text)


def test_a_search_shows_what_it_tried_and_no_effects(search: Report) -> None:
    text = render(search)
    assert headings(text)[:2] == ["What the search tried", "MiFID against training time"]
    assert "Where among the levels of crop and width is MiFID lowest?" in words(text)
    assert "A search says where to look, not what a trick is worth." in words(text)


def test_the_answer_leads_and_what_only_a_statistician_reads_is_folded(rich_page: str) -> None:
    assert rich_page.index("Keep crop") < rich_page.index("<svg") < rich_page.index("<table")
    folded = "".join(re.findall(r"<details.*?</details>", rich_page, flags=re.DOTALL))
    assert set(headings(folded)) == set(SECTIONS[SECTIONS.index("For the record") + 1 :])
    assert folded.count("<summary>The numbers</summary>") == 5


@pytest.mark.parametrize(
    "sentence",
    [
        "adjusted p < 0.001, n=4",  # how sure
        "s a run (×1.01)",  # at what price
        "120 of 128 runs are complete",  # what was run
        "Best cell crop=square, averaging=0.5, width=2 MiFID 55.6 at 67.2 s a run, against MiFID 90.7 at 40.9 s a run",
        "differ: depends on averaging",
        "margin × averaging −4.1",
        "better together",
        "all of them −33.3",
        "better either way",
        "in much the same order (Kendall’s tau-b 0.71, p < 0.001)",
        "No effect changes its sign between the yardsticks.",
        "below 0.25 a set is penalised",  # by the recipe
        "They are not effects",
        "margin: 0.8 64 4 4 12 % [6, 23]",  # Clopper and Pearson: 5.6 % to 23.2 % for 8 of 64
        "split_bn = crop x margin",
        "crop=bbox: needs boxes",
        "harness ablate five-tricks-friends.yaml",  # how to repeat it
        "study: five <tricks> & friends recipe: dcgan seeds: 4",
        "seeds 0, 1, 2, 3",
        "torch 2.11.0, numpy 2.3.1",
        "harness ablate tricks.yaml --slots 2",
    ],
)
def test_the_page_alone_answers(rich_page: str, sentence: str) -> None:
    assert sentence in words(rich_page)


def test_what_is_named_by_others_is_escaped(hostile: Callable[[str], Report]) -> None:
    evil = '"><script>alert(1)</script>{{ 7 * 7 }}'
    report = hostile(evil)
    report = dataclasses.replace(report, nearest=Nearest(evil, evil, ((b"png", b"png", 0.1),)))
    text = render(report)
    page = Page(text)
    assert "script" not in page.tags
    assert page.open == []
    assert "{{ 7 * 7 }}" in words(text)


def test_a_picture_that_is_gone_fails_no_page(rich: Report, tmp_path: Path) -> None:
    grids = {**rich.grids, "baseline": tmp_path / "gone.png"}
    assert "Generated samples of baseline" not in render(dataclasses.replace(rich, grids=grids))


def large(rich: Report, factors: int = 12, cells: int = 1000, seeds: int = 10) -> Report:
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
    table = pd.DataFrame({"cell": [r.cell for r in runs], "seed": [r.seed for r in runs], "state": "complete"})
    table = table.assign(mifid=noise.normal(90, 5, len(runs)), train_seconds=noise.normal(40, 2, len(runs)))
    table.loc[::97, "state"] = "diverged"
    every = Endings(planned=10_000, complete=9_896, diverged=104)
    one = Estimate(-1.0, -2.0, 0.5)
    open_: dict[str, Any] = {"estimate": one, "p": 0.5, "p_adjusted": 1.0, "verdict": Verdict.UNDECIDED}
    terms = [(a,) for a in names] + [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    prices = tuple(
        CellPrice(
            cell=cell.name,
            n=seeds,
            objective=Estimate(level, level - 1, level + 1),
            seconds=Estimate(seconds, seconds - 1, seconds + 1),
            on_front=False,
            gain=float("nan"),
            endings=every,
        )
        for cell, level, seconds in zip(made, noise.normal(90, 5, cells), noise.normal(40, 2, cells), strict=True)
    )
    effects = tuple(
        dataclasses.replace(rich.answer.effects[k % 10], contrast=contrast) for k, contrast in enumerate(contrasts)
    )
    assert rich.answer.factorial is not None
    factorial = dataclasses.replace(
        rich.answer.factorial,
        terms=tuple(Term(factors=several, reading="undecided", **open_) for several in terms),
    )
    answer = dataclasses.replace(
        rich.answer, plan=plan, effects=effects, costs={}, parts={}, factorial=factorial, prices=prices, equal=()
    )
    curves = {(r.cell, r.seed): [(k * 100, 90.0 + k % 7) for k in range(1, 41)] for r in runs}
    return dataclasses.replace(rich, answer=answer, runs=table, curves=curves)


@pytest.mark.slow
def test_ten_thousand_runs_of_twelve_factors_make_a_bounded_page_quickly(rich: Report) -> None:
    report = large(rich)
    began = time.process_time()
    text = render(report)
    assert time.process_time() - began < 12
    assert len(text) < 2_000_000
    found = words(text)
    assert "Of 1,000 cells, the control and those with the best MiFID are shown, 12 in all." in found
    assert "The first 60 of 1,000 cells." in found
    assert "The first 60 of 78 are shown." in found


_CUT_TABLES = """return [...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth + 1)
    .map(box => box.textContent.slice(0, 60))"""
_CUT_TEXTS = """return [...document.querySelectorAll('svg text')].filter(text => {
    const a = text.getBoundingClientRect(), b = text.ownerSVGElement.getBoundingClientRect();
    return a.width && (a.left < b.left - 2 || a.right > b.right + 2 || a.top < b.top - 3 || a.bottom > b.bottom + 3);
}).map(text => text.textContent)"""


@pytest.mark.browser
@pytest.mark.parametrize("which", ["rich", "large", "minimal", "search", "sequential"])
@pytest.mark.slow
def test_no_table_is_cut_on_a_laptop_and_no_page_on_a_phone_or_on_paper(
    which: str, request: pytest.FixtureRequest, rich: Report, rich_page: str, browser: Any, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    report = large(rich) if which == "large" else request.getfixturevalue(which)
    page.write_text(rich_page if which == "rich" else render(report), encoding="utf-8")
    for width, media, scheme in (
        (390, "screen", "light"),
        (1280, "screen", "light"),
        (1280, "screen", "dark"),
        (1920, "screen", "light"),
        (794, "print", "light"),
    ):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        wanted = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": wanted})
        browser.get(page.as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        root = "document.documentElement"
        assert browser.execute_script(f"return {root}.scrollWidth <= {root}.clientWidth"), (width, media)
        assert width < 500 or browser.execute_script(_CUT_TABLES) == [], (width, media)
        assert browser.execute_script(_CUT_TEXTS) == [], (width, media)
    assert browser.get_log("browser") == []


@pytest.mark.browser
def test_on_paper_the_folded_parts_are_open(rich_page: str, browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(rich_page, encoding="utf-8")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    browser.get(page.as_uri())
    hidden = "return [...document.querySelectorAll('details table')].filter(t => !t.checkVisibility()).length"
    assert browser.execute_script(hidden) == 0


def test_the_example_report_is_small_whole_and_of_no_machine() -> None:
    page = Path(__file__).parents[2] / "docs" / "example-report.html"
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 800_000
    assert all(not address.startswith(("http", "/")) for address in Page(text).addresses)
    assert "/tmp/" not in words(text)
    assert "43 of 43 runs are complete" in words(text)
