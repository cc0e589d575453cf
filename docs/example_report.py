"""Make docs/example-report.html and docs/answer.png, from the finished study of ablations/tricks.yaml in this folder.

make example
"""

from __future__ import annotations

import io
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from harness.report import page
from harness.report.figures.pictures import pictures
from harness.spec import load
from harness.study.answer import load_report

OUTPUT = Path(__file__).with_name("example-report.html")
ANSWER = Path(__file__).with_name("answer.png")
MOST_BYTES = 800_000
_TILES = 4  # of a grid's eight on a side
_PAIRS = 12


def corner(grid: Path) -> bytes:
    """The first images of a sample grid as a PNG of 128 colours, to keep the page small."""
    with Image.open(grid) as whole:
        side = whole.width * _TILES // 8
        part = whole.convert("RGB").crop((0, 0, side, side)).quantize(128)
    stream = io.BytesIO()
    part.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def main() -> None:
    """Write the page, or refuse where it is too large for a repository, and the forest plot."""
    report = load_report("sqlite:///optuna.db", load("ablations/tricks.yaml"), pictures=True)
    grids = {cell: corner(grid) for cell, grid in report.grids.items() if isinstance(grid, Path)}
    nearest = report.nearest
    if nearest is not None:
        pairs = sorted(nearest.pairs, key=lambda pair: pair[2])
        nearest = replace(nearest, pairs=tuple(pairs[:_PAIRS]))
    text = page.render(replace(report, grids=grids, nearest=nearest))
    if (size := len(text.encode())) > MOST_BYTES:
        sys.exit(f"{size:,} bytes, more than {MOST_BYTES:,}: show fewer images")
    OUTPUT.write_text(text, encoding="utf-8")
    with TemporaryDirectory() as folder:
        shutil.copy(next(path for path in pictures(report, Path(folder)) if path.stem == "forest"), ANSWER)
    print(f"wrote {OUTPUT} ({size:,} bytes) and {ANSWER}")


if __name__ == "__main__":
    main()
