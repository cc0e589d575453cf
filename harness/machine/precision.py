"""Where bf16 arithmetic is native, and so faster than float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch


def fast_bf16(device: str | torch.device = "cpu") -> bool:
    """Whether `device` has native bf16 arithmetic: AVX512-BF16 or AMX on a CPU, Ampere or later on CUDA."""
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def resolve_precision(precision: str, device: str | torch.device = "cpu") -> Literal["bf16", "fp32"]:
    """`auto` is bf16 where the device has it natively; bf16 and fp32 are taken as they are."""
    if precision == "auto":
        return "bf16" if fast_bf16(device) else "fp32"
    if precision not in ("bf16", "fp32"):
        raise ValueError(f"precision '{precision}' is unknown; allowed: auto, bf16, fp32")
    return "bf16" if precision == "bf16" else "fp32"


@contextlib.contextmanager
def whole_float32() -> Iterator[None]:
    """Convolutions of float32 in float32: by default cuDNN rounds what they multiply to the 10 bits of TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
