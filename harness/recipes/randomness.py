"""The global generators of torch, numpy and Python: read for a checkpoint and set again where a run goes on."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def state() -> dict[str, Any]:
    """Where every global generator is, as tensors and plain data."""
    kind, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - recipes use it
    found: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "python": random.getstate(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        found["cuda"] = torch.cuda.get_rng_state_all()
    return found


def restore(saved: Mapping[str, Any]) -> None:
    """Set every global generator to where `saved` was taken."""
    torch.set_rng_state(saved["torch"])
    kind, keys, *rest = saved["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, inner, gauss = saved["python"]
    random.setstate((version, tuple(inner), gauss))
    if "cuda" in saved and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(saved["cuda"])
