"""The statistics behind the verdicts, and what tricks cost, as tables of text."""

from __future__ import annotations

from typing import Any

from harness.report import ReportData
from harness.report.numbers import ABSENT, number, p_value
from harness.report.sheet import Sheet, contrast, estimate, places_for, places_of, plain_interval

_COSTS = {"train_seconds": "training seconds", "images_per_second": "images/s", "peak_memory_mb": "peak memory"}


def statistics(report: ReportData) -> Sheet | None:
    """Every statistic of every effect on MiFID."""
    table = report.effects.get("mifid")
    if table is None or table.empty:
        return None
    places = max(places_of(table[name], 2) for name in ("boot_low", "boot_high"))
    spread = places_of(table["sd_control"], 2)
    rows = []
    for row in table.to_dict("records"):
        rows.append(
            (
                contrast(row["contrast"]),
                str(row["n"]),
                _percent(row["relative"]),
                _between(row["boot_low"], row["boot_high"], places),
                p_value(row["p_t"]),
                p_value(row["p_holm"]),
                p_value(row["p_sign_flip"]),
                _percent(row["probability_better"], signed=False),
                number(row["standardised"], 2, signed=True),
                number(row["sd_control"], spread),
                _needed(row["seeds_needed"]),
            )
        )
    return Sheet(
        "The effects in full",
        (
            *("contrast", ">n", ">relative", ">bootstrap [95 %]", ">p (t)", ">p (Holm)", ">p (signs)"),
            *(">wins", ">size", ">control sd", ">seeds"),
        ),
        rows,
        "n: paired seeds. Relative: the change as a share of the control. Bootstrap: bias-corrected and accelerated, "
        "too narrow for a handful of seeds (the t interval decides). p: of the paired t test; after Holm’s correction "
        "over all tricks; and exactly, over every assignment of signs, which n seeds cannot bring below 2 / 2^n. Wins: "
        "the share of paired runs that the trick makes better, a diverged run counting as the worst. Size: the mean "
        "change in standard deviations of the changes. Control sd: the standard deviation from seed to seed of the "
        "control, or of the mean over its cells where a design has several. Seeds: how many would show an effect of "
        "the size seen with 80 % power, after correction.",
        wide=True,
    )


def _percent(value: float, *, signed: bool = True) -> str:
    return f"{number(100 * value, 1 if signed else 0, signed=signed)} %" if value == value else ABSENT


def _between(low: float, high: float, places: int) -> str:
    if low != low or high != high:
        return ABSENT
    return f"[{number(low, places, signed=True)}, {number(high, places, signed=True)}]"


def _needed(value: Any) -> str:
    if value is None or value != value:
        return ABSENT
    return f"{value:,}" if value <= 1000 else "> 1,000"


def costs(report: ReportData) -> Sheet | None:
    """What every trick does to training seconds, images/s and memory, as ratios."""
    known = {
        name: title
        for name, title in _COSTS.items()
        if name in report.effects and report.effects[name]["ratio"].notna().any()
    }
    if not known:
        return None
    tables = {name: report.effects[name].to_dict("records") for name in known}
    rows = []
    gains = _gains(report)
    for position, row in enumerate(tables[next(iter(known))]):
        several = [tables[name][position] for name in known]
        ratios = [plain_interval(one["ratio"], one["ratio_low"], one["ratio_high"], 2) for one in several]
        texts = [f"× {text}" if text != ABSENT else text for text in ratios]
        rows.append((contrast(row["contrast"]), str(row["n"]), *texts, *gains[position : position + 1]))
    reading = (
        "Ratios of the treated run to its control, averaged on the log scale over paired seeds, from runs that had "
        "their device alone: × 1.00 costs nothing. Training seconds leave out scoring and start-up."
    )
    if gains:
        reading += (
            " MiFID gained per extra second: how much a trick lowers MiFID for each second that it adds to training, "
            "with Fieller’s interval; only of tricks that are shown to take longer."
        )
    heads = ("contrast", ">n", *(f">{title} [95 %]" for title in known.values()))
    return Sheet(
        "What each trick costs", heads + (">MiFID gained per extra second [95 %]",) * bool(gains), rows, reading
    )


def _gains(report: ReportData) -> list[str]:
    """What a second buys, contrast by contrast; [] where no trick is shown to take longer."""
    table = report.bought
    if table is None or table["mifid_per_second"].isna().all():
        return []
    places = places_for(table, ["mifid_per_second"])
    return [estimate(row, "mifid_per_second", places) for row in table.to_dict("records")]
