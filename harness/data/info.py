"""What a data set holds, in numbers."""

from __future__ import annotations

from harness.data.prepared import prepare
from harness.data.settings import DataSettings
from harness.data.sources import SOURCES, photos
from harness.machine.provenance import cores


def info(settings: DataSettings) -> dict[str, object]:
    """Counts of images, photos, classes and skipped photos, by name. Raises DataError."""
    prepared = prepare(settings, workers=cores())
    facts: dict[str, object] = {
        "source": settings.source,
        "root": settings.root or "drawn into the cache",
        "crop": settings.crop,
        "images": f"{len(prepared.images):,} of {settings.size}x{settings.size} px",
        "photos": f"{len(set(prepared.names)):,}",
        "classes": len({name.rpartition("/")[0] for name in prepared.names}),
        "skipped": len(prepared.skipped),
        "fingerprint": prepared.fingerprint,
    }
    if not SOURCES[settings.source].drawn:
        facts["photos found"] = f"{len(photos(settings)):,}"
    for entry in prepared.skipped[:10]:
        facts[f"skipped {entry.path}"] = entry.reason
    return facts
