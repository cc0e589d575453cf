"""An extractor, and the kind that is one network over resized, normalised images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import torch
from torch import nn

from harness.errors import MetricError
from harness.machine.precision import resolve_precision, whole_float32
from harness.settings import Precision

_CACHED_PIXELS = 2**18


class Extractor(Protocol):
    """A map from images to features. `fingerprint` names everything that its numbers depend on."""

    @property
    def name(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def device(self) -> torch.device: ...
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """float32 [N, dim] features of uint8 [N, 3, H, W] images in RGB, on the extractor's device."""
        ...


class BatchedNetwork(ABC):
    """An extractor made of one network, which sees `batch` images at a time and never TF32."""

    name: str
    dim: int
    fingerprint: str
    device: torch.device
    batch: int

    @abstractmethod
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """[N, dim] of one batch of uint8 [N, 3, H, W] images."""

    @torch.inference_mode()
    def _features(self, images: torch.Tensor) -> torch.Tensor:
        out = torch.empty(len(images), self.dim, dtype=torch.float32, device=self.device)
        for start in range(0, len(images), self.batch):
            with whole_float32():
                out[start : start + self.batch] = self.forward(images[start : start + self.batch].to(self.device))
        return out

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
            raise MetricError(
                f"{self.name} was given {images.dtype} of shape {list(images.shape)}; "
                "give uint8 [images, 3, height, width]"
            )
        # An inference tensor could not be saved for backward or changed in place by a caller; a clone can.
        return self._features(images).clone()


class ImageNetwork(BatchedNetwork):
    """An extractor made of a network that maps normalised [N, 3, S, S] images to [N, dim].

    Images are resized as float32 in 0..255, without rounding, by `interpolate(mode, antialias=True,
    align_corners=False)` straight to `size` x `size` (an oblong image is squashed), then (x - mean) / std per channel.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        *,
        dim: int,
        size: int,
        mode: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        weights: str,
        precision: Precision,
        device: str | torch.device,
    ) -> None:
        self.name = name
        self.dim = dim
        self.device = torch.device(device)
        self.size = size
        self.mode = mode
        self.dtype = torch.bfloat16 if resolve_precision(precision, self.device) == "bf16" else torch.float32
        self._mean = torch.tensor(mean, device=self.device).view(-1, 1, 1)
        self._scale = 1 / torch.tensor(std, device=self.device).view(-1, 1, 1)
        network = network.eval().requires_grad_(False)
        self.network = network.to(self.device, self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.fingerprint = (
            f"{name}; dim {dim}; weights sha256 {weights}; input {size} {mode} antialias; "
            f"mean {','.join(f'{m:g}' for m in mean)} std {','.join(f'{s:g}' for s in std)}; "
            f"precision {'bf16' if self.dtype == torch.bfloat16 else 'fp32'}"
        )
        # On a CPU the activations of few pixels stay in its cache. EfficientNet-Lite0 on one core: 8 images of 224 px
        # measured a fifth faster than 32, and so did 16 of 128 px than 64, and 64 of 64 px than 8 or 256.
        self.batch = max(8, _CACHED_PIXELS // size**2) if self.device.type == "cpu" else 256

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.network(self.prepare(images))
        return features

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """The network's input for uint8 [N, 3, H, W] images."""
        batch = images.float()
        if batch.shape[-2:] != (self.size, self.size):
            batch = nn.functional.interpolate(
                batch, size=(self.size, self.size), mode=self.mode, antialias=True, align_corners=False
            )
        batch = (batch - self._mean) * self._scale
        return batch.to(self.dtype, memory_format=torch.channels_last)
