"""Devices: which one `auto` is, what each is called, and the peak memory of a run on it."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import subprocess
import sys
from pathlib import Path

from harness.errors import StudyError
from harness.machine.provenance import processor

_COUNT = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"


def gpus() -> int:
    """How many GPUs torch sees: all, or those that CUDA_VISIBLE_DEVICES and the like leave. Loads no torch here.

    Where a GPU's driver is, torch is asked in a process that ends; where there is none, there is nothing to see.
    """
    if "torch" in sys.modules:
        import torch

        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not _has_driver():
        return 0
    done = subprocess.run([sys.executable, "-c", _COUNT], capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.strip().isdecimal():
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise StudyError(f"torch cannot say what GPUs there are ({last}); see harness doctor, or give train.device")
    return int(done.stdout)


def _has_driver() -> bool:
    """Whether the driver of a GPU is there: NVIDIA's library, or the kernel's device for AMD's."""
    if Path("/dev/kfd").exists():
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def resolve_device(wanted: str) -> str:
    """`auto` is the first GPU where there is one, else the CPU."""
    import torch

    if wanted == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and int(wanted.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise StudyError(f"device '{wanted}' is not here: torch sees {torch.cuda.device_count()} GPUs; use auto or cpu")
    return wanted


def device_name(device: str) -> str:
    """The GPU's or the processor's model name, with the threads in use on a CPU."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {torch.get_num_threads()} threads"


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
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
