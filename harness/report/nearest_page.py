"""Each generated image beside its nearest real one, as one HTML page: the picture that shows memorisation."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.report.numbers import number
from harness.report.page import fill

if TYPE_CHECKING:
    from harness.metrics.folders import ImageFiles
    from harness.metrics.scoring import Scored

CLOSEST = 48
_SIDE = 160  # pixels of the longer side on the page


@dataclass(frozen=True)
class Pair:
    """A generated image, its nearest real one, and 1 - |cos| of their features."""

    generated: str
    real: str
    distance: float


def closest_pairs(scored: Scored) -> list[Pair]:
    """The `CLOSEST` generated images that are most like a real one, the most alike first."""
    import torch

    nearest = scored.scores.nearest.cpu()
    kept = (nearest >= 0).nonzero().flatten()
    ours = torch.nn.functional.normalize(scored.images.features.cpu()[kept].double(), dim=1)
    theirs = torch.nn.functional.normalize(scored.real.features[nearest[kept]].cpu().double(), dim=1)
    distances = 1 - (ours * theirs).sum(dim=1).abs()
    order = distances.argsort(stable=True)[:CLOSEST].tolist()
    found = ((int(kept[i]), max(0.0, float(distances[i]))) for i in order)
    return [Pair(scored.images.names[n], scored.real.names[int(nearest[n])], distance) for n, distance in found]


def render(scored: Sequence[Scored]) -> str:
    """The page: for every set and extractor its scores, and its closest pairs."""
    return fill("nearest.html", sets=[(one, closest_pairs(one)) for one in scored], picture=_picture, number=number)


def _picture(files: ImageFiles, name: str) -> str:
    from PIL import Image

    picture = Image.fromarray(files.pixels(name).transpose(1, 2, 0))
    kind = "png"
    if max(picture.size) > _SIDE:  # a photo: small is enough, and JPEG is smaller still
        picture.thumbnail((_SIDE, _SIDE))
        kind = "jpeg"
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, quality=88)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
