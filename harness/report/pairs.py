"""Each generated image beside its nearest real one, as one HTML page: the picture that shows memorisation."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from harness.report.numbers import number
from harness.report.style import CSS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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


def closest_pairs(scored: Scored, count: int = CLOSEST) -> list[Pair]:
    """The `count` generated images that are most like a real one, the most alike first."""
    import torch

    nearest = scored.scores.nearest.cpu()
    kept = (nearest >= 0).nonzero().flatten()
    ours = torch.nn.functional.normalize(scored.images.features.cpu()[kept].double(), dim=1)
    theirs = torch.nn.functional.normalize(scored.real.features[nearest[kept]].cpu().double(), dim=1)
    distances = 1 - (ours * theirs).sum(dim=1).abs()
    order = distances.argsort(stable=True)[:count].tolist()
    return [
        Pair(
            scored.images.names[int(kept[i])],
            scored.real.names[int(nearest[kept[i]])],
            max(0.0, float(distances[i])),
        )
        for i in order
    ]


def render(scored: Sequence[Scored]) -> str:
    """The page: for every set and extractor its score, and its closest pairs."""
    body = "".join(_section(one) for one in scored)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>Nearest real images</title><style>{CSS}</style></head>\n<body><main>"
        "<header><h1>Nearest real images</h1>"
        '<p class="lead">Left: a generated image. Right: the real image most like it to the feature network. Pairs are '
        "sorted, the most alike first.</p><p>A copy shows as two equal pictures and a distance near 0. The "
        "memorisation distance of a set is the mean of these distances over all its images; MiFID is penalised where "
        "that mean falls below tau.</p></header>"
        f"{body}</main></body></html>\n"
    )


def _section(scored: Scored) -> str:
    scores = scored.scores
    figures = "".join(_figure(pair, scored) for pair in closest_pairs(scored))
    penalty = "penalised" if scores.memorization_distance < scored.tau else "no penalty"
    return (
        f"<section><h2>{escape(str(scored.generated.source))} <span class='soft'>{escape(scored.yardstick)}</span></h2>"
        f"<p>MiFID {number(scores.mifid, 2)}, FID {number(scores.fid, 2)}, memorisation distance "
        f"{number(scores.memorization_distance, 4)} (tau {scored.tau:g}: {penalty}); "
        f"{len(scored.images.names):,} images against {len(scored.real.features):,} of "
        f"{escape(str(scored.reference.source))}.</p>"
        f'<div class="pairs">{figures}</div></section>'
    )


def _figure(pair: Pair, scored: Scored) -> str:
    left = _picture(scored.generated, pair.generated)
    right = _picture(scored.reference, pair.real)
    return (
        f'<figure><div><img src="{left}" alt="{escape(pair.generated, quote=True)}">'
        f'<img src="{right}" alt="{escape(pair.real, quote=True)}"></div>'
        f"<figcaption>{pair.distance:.4f} · {escape(pair.generated)} · {escape(pair.real)}</figcaption></figure>"
    )


def _picture(files: ImageFiles, name: str) -> str:
    from PIL import Image

    pixels: NDArray[np.uint8] = files.pixels(name)
    picture = Image.fromarray(pixels.transpose(1, 2, 0))
    kind = "png"
    if max(picture.size) > _SIDE:  # a photo: small is enough, and JPEG is smaller still
        picture.thumbnail((_SIDE, _SIDE))
        kind = "jpeg"
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, quality=88)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
