"""The global generators of torch, numpy and Python: read for a checkpoint and set again where a run goes on."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def state(device: str | None) -> dict[str, Any]:
    """Where every global generator is, as tensors and plain data; of GPUs that of `device`, or else the current one."""
    kind, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - recipes use it
    found: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "python": random.getstate(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        found["cuda"] = torch.cuda.get_rng_state(_gpu(device))
    return found


def restore(saved: Mapping[str, Any], device: str | None) -> None:
    """Set every global generator to where `saved` was taken, be it on another GPU than `device`."""
    torch.set_rng_state(saved["torch"])
    kind, keys, *rest = saved["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, inner, gauss = saved["python"]
    random.setstate((version, tuple(inner), gauss))
    if "cuda" in saved and torch.cuda.is_available():
        torch.cuda.set_rng_state(saved["cuda"], _gpu(device))


def _gpu(device: str | None) -> str:
    return device if device and device.startswith("cuda") else "cuda"
