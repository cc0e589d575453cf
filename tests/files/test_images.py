"""Images are read by what they hold, within limits; those above their nearest real ones come back as they went in."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image

from harness.files.images import load_pairs, read_rgb, save_pairs


def test_pairs_come_back_as_they_were_saved(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    upper, lower = (torch.from_numpy(random.integers(0, 256, (3, 3, 8, 8), dtype=np.uint8)) for _ in range(2))
    save_pairs(upper, lower, tmp_path / "nearest.png")
    found = load_pairs(tmp_path / "nearest.png")
    assert len(found) == 3
    for position, pair in enumerate(found):
        for image, content in zip((upper[position], lower[position]), pair, strict=True):
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), image.permute(1, 2, 0).numpy())


def test_a_file_is_read_by_what_it_holds_and_no_program_is_called_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.eps")
    renamed = (tmp_path / "a.eps").rename(tmp_path / "a.png")

    def called(*args: object, **more: object) -> None:
        raise AssertionError("Pillow calls Ghostscript for a PostScript file")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", called)
    with pytest.raises(OSError, match="cannot identify"):
        read_rgb(renamed)
    Image.new("RGB", (4, 4), (1, 2, 3)).save(tmp_path / "b.png", "WEBP", lossless=True)
    assert read_rgb(tmp_path / "b.png").getpixel((0, 0)) == (1, 2, 3)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (12_000, 12_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    with pytest.raises(ValueError, match="12,000 x 12,000 pixels, more than 80,000,000"):
        read_rgb(tmp_path / "bomb.png")


def test_a_piece_that_claims_to_be_four_gigabytes_takes_no_room_for_them(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    at = content.index(b"IDAT")
    claimed = content[: at - 4] + b"\x7f\xff\xff\xff" + b"tEXt" + content[at + 4 :]
    (tmp_path / "b.png").write_bytes(claimed)
    script = (
        "import resource, sys; from pathlib import Path; from harness.files.images import read_rgb\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, resource.RLIM_INFINITY))\n"
        "try: read_rgb(Path(sys.argv[1]))\n"
        "except (OSError, ValueError): print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "b.png")], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("refused\n", 0), done.stderr
