"""The real side of every score of a study, computed once and kept on disk under the hash of what it depends on."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from harness.errors import CacheError, MetricError
from harness.files.caching import filled
from harness.metrics.extractors import Extractor
from harness.metrics.extractors.weights import file_sha256
from harness.metrics.frechet import Moments
from harness.metrics.scores import RealSide
from harness.settings import cache_folder

_FORMAT = 9
_MANIFEST = "manifest.json"
_ARRAYS = {  # a file's name -> the attribute of a Reference that is in it
    "features": "features",
    "mean": "moments.mean",
    "cov": "moments.cov",
    "factor": "moments.factor",
    "radii": "radii",
    "kernel_sums": "kernel_sums",
    "projections": "projections",
}


class Prepared(Protocol):
    """What a reference needs of a prepared data set: uint8 [N, 3, S, S] images, the photo of each, a fingerprint."""

    @property
    def images(self) -> np.ndarray[Any, Any]: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...


class Reference(RealSide):
    """The real features of one data set under one extractor, with everything precomputed and a fingerprint."""

    def __init__(self, features: torch.Tensor, fingerprint: str, names: Sequence[str] = ()) -> None:
        super().__init__(features, names)
        self.fingerprint = fingerprint


def reference(
    prepared: Prepared,
    extractor: Extractor,
    *,
    cache: Path | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Reference:
    """The reference of a prepared data set; see `stored`. Raises MetricError where it holds fewer than 2 images."""

    def compute() -> tuple[torch.Tensor, list[str]]:
        if len(prepared.images) < 2:
            raise MetricError(f"the reference data hold {len(prepared.images)} image(s); a score needs at least 2")
        # Part by part, so that a memory-mapped data set need not fit in memory.
        parts = (np.array(prepared.images[start : start + 1024]) for start in range(0, len(prepared.images), 1024))
        return torch.cat([extractor(torch.from_numpy(part)) for part in parts]), list(prepared.names)

    return stored(prepared.fingerprint, extractor, compute, cache=cache, note=note)


def stored(
    images: str,
    extractor: Extractor,
    compute: Callable[[], tuple[torch.Tensor, list[str]]],
    *,
    cache: Path | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Reference:
    """The reference of the images with fingerprint `images`, from the cache where it holds a sound one, else computed.

    `compute` gives the features [N, D] and a name per row (or none). `cache` is the folder of all references (default:
    under $HARNESS_CACHE). Entries are written aside and moved into place whole, so processes may share them; one whose
    files do not match their checksums is computed anew, and `note` told.
    """
    fingerprint = hashlib.sha256(f"{_FORMAT}|{images}|{extractor.fingerprint}".encode()).hexdigest()
    folder = (cache or cache_folder() / "references") / fingerprint[:32]
    found = _load(folder, fingerprint, extractor.device)
    if found is not None:
        return found
    if folder.exists():
        note(f"the reference features in {folder} are damaged: they are computed anew")
    features, names = compute()
    computed = Reference(features, fingerprint, names)
    try:
        _save(computed, folder)
    except CacheError as error:  # what was computed is good without its copy
        warnings.warn(f"the reference is not kept: {error}", stacklevel=2)
    return computed


def _save(found: Reference, folder: Path) -> None:
    with filled(folder, sound=lambda: _load(folder, found.fingerprint, torch.device("cpu")) is not None) as aside:
        for name, attribute in _ARRAYS.items():
            np.save(aside / f"{name}.npy", attrgetter(attribute)(found).cpu().numpy(), allow_pickle=False)
        manifest = {
            "format": _FORMAT,
            "fingerprint": found.fingerprint,
            "names": found.names,
            "memorization_baseline": found.memorization_baseline,
            "sha256": {name: file_sha256(aside / f"{name}.npy") for name in _ARRAYS},
        }
        manifest["checksum"] = _checksum(manifest)
        (aside / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _load(folder: Path, fingerprint: str, device: torch.device) -> Reference | None:
    """The entry in `folder`, or None where there is none or any of its files is not what was written."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if manifest.pop("checksum") != _checksum(manifest):
            return None
        if manifest["format"] != _FORMAT or manifest["fingerprint"] != fingerprint:
            return None
        if any(file_sha256(folder / f"{name}.npy") != manifest["sha256"][name] for name in _ARRAYS):
            return None
        # Mapped copy-on-write: torch wants writable memory, and no write may reach the file.
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in _ARRAYS}
        tensors = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        found = Reference(tensors["features"], fingerprint, manifest["names"])
        moments = Moments(len(found.features), tensors["mean"], tensors["cov"])
        moments.__dict__["factor"] = tensors["factor"]
        found.__dict__ |= {
            "moments": moments,
            "radii": tensors["radii"],
            "kernel_sums": tensors["kernel_sums"].cpu(),
            "projections": tensors["projections"],
            "memorization_baseline": float(manifest["memorization_baseline"]),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return found


def _checksum(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
