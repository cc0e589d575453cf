"""Peak memory of a run, on a GPU or in this process."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path


def reset_peak_memory(device: str) -> None:
    """Start a new peak. On a CPU this needs Linux; elsewhere the peak is that of the process so far."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: str) -> float:
    """MiB at the highest since the reset: allocated by torch on a GPU, resident in this process on a CPU."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
