"""Devices by name: which one `auto` is, and what it is called."""

from __future__ import annotations

from harness.errors import StudyError
from harness.machine.provenance import processor


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
