"""`harness score`: sets of images against one reference set under every extractor, the real side computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.metrics.folders import Featured, ImageFiles, features_of
from harness.metrics.presets import tau_of
from harness.settings import Precision

if TYPE_CHECKING:
    import torch

    from harness.metrics.extractors import Extractor
    from harness.metrics.reference import Reference
    from harness.metrics.scores import Scores

_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One set under one extractor. `unread` are the reference's files that gave no image, each with the reason."""

    generated: ImageFiles
    reference: ImageFiles
    yardstick: str
    fingerprint: str
    tau: float
    images: Featured
    real: Reference
    unread: list[tuple[str, str]]
    scores: Scores

    def document(self) -> dict[str, Any]:
        """Everything but the pictures, as plain data for JSON."""
        return {
            "generated": str(self.generated.source),
            "reference": str(self.reference.source),
            "extractor": self.yardstick,
            "fingerprint": self.fingerprint,
            "tau": self.tau,
            "images": {"generated": len(self.images.names), "reference": len(self.real.features)},
            "skipped": [{"file": name, "reason": reason} for name, reason in self.images.skipped],
            "reference_skipped": [{"file": name, "reason": reason} for name, reason in self.unread],
            "memorization_baseline": self.real.memorization_baseline,
            "scores": self.scores.numbers(),
        }

    def notes(self) -> list[str]:
        """What a reader of the numbers must know of the generated images."""
        source = self.generated.source
        lines = _listed(source, self.images.skipped)
        if len(self.images.sizes) > 1:
            (width, height), _ = self.images.sizes.most_common(1)[0]
            odd = len(self.images.names) - self.images.sizes[width, height]
            lines.append(
                f"{source}: {odd} of {len(self.images.names)} images are not {width}x{height} like most; "
                "each was resized from its own size by the extractor's rule"
            )
        lines += _listed(self.reference.source, self.unread)
        lines.append(
            f"{self.reference.source}, {self.yardstick}: one half of the real images is at a memorisation distance of "
            f"{self.real.memorization_baseline:.4f} from the other; copies are far below that"
        )
        return lines


def _listed(source: Path, skipped: list[tuple[str, str]]) -> list[str]:
    lines = [f"{source}: skipped {name}: {reason}" for name, reason in skipped[:_LISTED]]
    if (more := len(skipped) - _LISTED) > 0:
        lines.append(f"{source}: skipped {more} more; --json lists them all")
    return lines


class Progress(Protocol):
    """Who is told how scoring gets on."""

    def begin(self, what: str, files: int) -> None:
        """`files` files of `what` are next."""

    def advance(self, count: int) -> None:
        """`count` more files are done with."""


def score_sets(
    generated: Sequence[Path],
    reference: Path,
    *,
    extractors: Sequence[str],
    tau: float | None,
    precision: Precision = "auto",
    infinity: bool = False,
    progress: Progress,
) -> Iterator[Scored]:
    """Every generated set under every extractor or preset, on the GPU where there is one.

    `tau` None means the preset's own, or 0.1; `precision` is the extractor's; `infinity` adds FID-infinity.

    The reference's features and all that follows from them come from the cache where the same files were a reference
    before. Raises DataError and MetricError.
    """
    sets = [ImageFiles(source) for source in generated]
    real_files = ImageFiles(reference)
    import torch

    from harness.metrics import extractor

    device = "cuda" if torch.cuda.is_available() else "cpu"
    networks = {name: extractor(name, precision=precision, device=device) for name in extractors}
    for name, network in networks.items():
        threshold = tau_of(name, 0.1) if tau is None else tau
        real = _real_side(real_files, network, progress)
        unread = _unread(real_files, real)
        for files in sets:
            progress.begin(f"{files.source} under {name}", len(files))
            images = features_of(files, network, progress.advance)
            yield Scored(
                generated=files,
                reference=real_files,
                yardstick=name,
                fingerprint=network.fingerprint,
                tau=threshold,
                images=images,
                real=real,
                unread=unread,
                scores=real.score(images.features, tau=threshold, interval=True, infinity=infinity),
            )


def _real_side(files: ImageFiles, network: Extractor, progress: Progress) -> Reference:
    from harness.metrics.reference import stored

    def compute() -> tuple[torch.Tensor, list[str]]:
        progress.begin(f"{files.source} under {network.name}", len(files))
        real = features_of(files, network, progress.advance)
        return real.features, real.names

    return stored(f"files {files.digest()}", network, compute)


def _unread(files: ImageFiles, real: Reference) -> list[tuple[str, str]]:
    """The files that have no row in the reference, with the reason; a cached one says only which rows it has."""
    found = []
    for name in sorted(set(files.names).difference(real.names)):
        try:
            files.pixels(name)
        except (OSError, ValueError) as error:
            found.append((name, str(error).replace("\n", " ")))
    return found
