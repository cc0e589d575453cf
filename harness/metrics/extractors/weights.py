"""Weights files: found, downloaded with their checksum, read without running anything that is in them."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from harness.errors import MetricError
from harness.settings import cache_folder


@dataclass(frozen=True)
class Weights:
    """A published weights file: its name, where it is to be had, and (the beginning of) its SHA-256."""

    file: str
    url: str
    sha256: str

    def find(self, extractor: str) -> Path:
        """The file under $HARNESS_CACHE/weights, downloaded there if it is missing. Raises MetricError."""
        path = cache_folder() / "weights" / self.file
        if not path.exists():
            self._download(path, extractor)
        self.check(path, extractor)
        return path

    def check(self, path: Path, extractor: str) -> None:
        """Refuse a file that is not the published one. Raises MetricError."""
        if not path.exists():
            raise MetricError(f"extractor '{extractor}': weights file {path} does not exist")
        found = file_sha256(path)
        if not found.startswith(self.sha256):
            raise MetricError(
                f"extractor '{extractor}': {path} is not the published file: its SHA-256 begins with {found[:8]}, not "
                f"{self.sha256[:8]}; delete it and start again, or fetch {self.url}"
            )

    def _download(self, path: Path, extractor: str) -> None:
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(self.url, str(aside), progress=False)
            os.replace(aside, path)
        except OSError as error:
            raise MetricError(
                f"extractor '{extractor}': its weights could not be downloaded to {path.parent} ({error}); fetch "
                f"{self.url} on a machine with network and put it at {path}"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                aside.unlink()


def load_state(path: Path) -> dict[str, torch.Tensor]:
    """The state dict in a file, of which nothing but tensors is read. Raises MetricError."""
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError as error:
        raise MetricError(f"weights file {path} does not exist") from error
    except Exception as error:  # torch raises many kinds for what is not a plain state dict
        raise MetricError(f"weights file {path} is not a state dict of tensors ({type(error).__name__})") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_sha256(network: nn.Module) -> str:
    """SHA-256 of a network's parameters and buffers with their names."""
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        digest.update(f"{key} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
