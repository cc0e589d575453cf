"""Finding a finished run's folder, and writing its images as PNG files."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

from harness.errors import StudyError


def run_folder(run: str) -> Path:
    """The folder of a finished run, from its path or its key. Raises StudyError."""
    direct = Path(run)
    candidates = [direct] if direct.is_dir() else sorted(Path("runs").glob(f"*/{run}*"))
    candidates = [folder for folder in candidates if (folder / "generator.json").exists()]
    if len(candidates) != 1:
        what = "several runs match" if candidates else "no finished run is"
        known = ", ".join(sorted({path.parent.name for path in Path("runs").glob("*/*/generator.json")})[:6]) or "none"
        raise StudyError(f"{what} '{run}'; give a folder like runs/STUDY/KEY; keys under runs/: {known}")
    return candidates[0]


def write_images(images: Any, output: Path) -> None:
    """Write uint8 [N, 3, H, W] images as NNNNN.png into a folder, or into a zip file where `output` ends in .zip."""
    arrays = images.permute(0, 2, 3, 1).cpu().numpy()
    pictures = ((f"{index:05d}.png", Image.fromarray(array)) for index, array in enumerate(arrays))
    if output.suffix.lower() != ".zip":
        output.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures:
            picture.save(output / name)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    half_written = output.with_name(f".{output.name}.{os.getpid()}")
    with zipfile.ZipFile(half_written, "w", zipfile.ZIP_STORED) as archive:
        for name, picture in pictures:
            buffer = io.BytesIO()
            picture.save(buffer, format="PNG")
            archive.writestr(name, buffer.getvalue())
    half_written.replace(output)
