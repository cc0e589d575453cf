"""Images above their nearest real ones come back from the file as they went in."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from harness.files.images import load_pairs, save_pairs


def test_pairs_come_back_as_they_were_saved(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    upper, lower = (torch.from_numpy(random.integers(0, 256, (3, 3, 8, 8), dtype=np.uint8)) for _ in range(2))
    save_pairs(upper, lower, tmp_path / "nearest.png")
    found = load_pairs(tmp_path / "nearest.png")
    assert len(found) == 3
    for position, pair in enumerate(found):
        for image, content in zip((upper[position], lower[position]), pair, strict=True):
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), image.permute(1, 2, 0).numpy())
