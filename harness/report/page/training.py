"""What the runs looked like: learning curves, samples, the nearest training images."""

from __future__ import annotations

import base64
from html import escape

from harness.report import Picture, ReportData
from harness.report.chosen import MOST_CURVES, chosen
from harness.report.page.parts import reading, section
from harness.report.svg.curves import MOST_SEEDS, learning_curves

MOST_GRIDS = 12
MOST_PAIRS = 48
MOST_BYTES = 8_000_000  # of all pictures of a section together


def curves(report: ReportData) -> str:
    """A small plot per cell."""
    names, left_out = chosen(report, {cell for cell, _ in report.curves}, MOST_CURVES)
    control = report.plan.control
    plots = learning_curves(report.curves, names, control)
    if not plots:
        return ""
    figures = "".join(f"<figure>{plot}<figcaption>{escape(name)}</figcaption></figure>" for name, plot in plots.items())
    some = "seeds" if len({seed for _, seed in report.curves}) <= MOST_SEEDS else f"the first {MOST_SEEDS} seeds"
    text = (
        f"MiFID during training, on one scale: the thick line is the mean over seeds in its 95 % band, thin lines are "
        f"{some}, the dashed line is the mean of {control}; bands that leave each other are a difference, bands that "
        "overlap may still hide one, since runs are paired by seed. Interim scores may use fewer samples, which alone "
        f"makes them higher; the effects come from the final ones.{left_out}"
    )
    return section("Learning curves", f'{reading(text)}<div class="many">{figures}</div>')


def grids(report: ReportData) -> str:
    """The sample grids."""
    names, left_out = chosen(report, report.grids, MOST_GRIDS)
    figures, size, heavy = "", 0, 0
    for name in names:
        source = picture(report.grids[name])
        if size + len(source) > MOST_BYTES:
            heavy += 1
        elif source:
            size += len(source)
            caption = escape(name, quote=True)
            figures += (
                f'<figure><img src="{source}" alt="Generated samples of {caption}"><figcaption>{caption}</figcaption>'
                "</figure>"
            )
    if not figures:
        return ""
    text = f"Every grid is drawn from the same latents, so that images at the same place compare.{left_out}"
    if heavy:
        text += f" {heavy} more would make the page too heavy; they are with their runs."
    return section("Samples", f'{reading(text)}<div class="many">{figures}</div>')


def pairs(report: ReportData) -> str:
    """Generated images beside the real ones that they are nearest to."""
    figures, shown, size = "", 0, 0
    for generated, real, distance in sorted(report.pairs, key=lambda pair: pair[2])[:MOST_PAIRS]:
        left, right = picture(generated), picture(real)
        size += len(left) + len(right)
        if left and right and size <= MOST_BYTES:
            shown += 1
            figures += (
                f'<figure><div><img src="{left}" alt="Generated image"><img src="{right}" alt="Its nearest training '
                f'image"></div><figcaption>distance {distance:.4f}</figcaption></figure>'
            )
    if not figures:
        return ""
    text = (
        "Left a generated image, right the training image most like it to the feature network, the most alike first: a "
        "copy shows as two equal pictures and a distance near 0, and MiFID is penalised where the mean distance of all "
        f"images is below {report.plan.evaluate.tau:g}."
    )
    if shown < len(report.pairs):
        text += f" {shown} of {len(report.pairs):,} pairs are shown."
    return section("Nearest training images", f'{reading(text)}<div class="pairs">{figures}</div>')


def picture(source: Picture) -> str:
    """A PNG as the address of an image, empty where its file is gone: no reason for a report to fail."""
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
    except OSError:
        return ""
    return "data:image/png;base64," + base64.b64encode(content).decode()
