"""Where a study runs: devices, slots and the threads of a slot, from what the machine has and the options ask for."""

from __future__ import annotations

from dataclasses import dataclass

from harness.design import Plan
from harness.errors import StudyError
from harness.machine import provenance

_MOST_CPU_SLOTS = 4


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where and how a study runs: nothing here changes what is measured."""

    storage: str
    tracking_uri: str | None = None
    slots: int | None = None
    launch: str = "processes"
    take_over: bool = False


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Devices, slots and CPU threads a slot; a device is a GPU, or a share of the CPU's cores. Slots may share one."""

    devices: list[str]
    slots: int
    threads: int | None

    @property
    def where(self) -> str:
        """The devices in words."""
        if self.threads is None:
            return ", ".join(self.devices)
        return f"the CPU, {self.threads} thread{'s' * (self.threads > 1)} each"


def place(plan: Plan, options: Options) -> Placement:
    """One slot per GPU; on a CPU one per core, at most 4, each with its own share of the cores; unless told otherwise.

    A small network gains next to nothing from a second core, so that runs side by side on cores of their own finish
    sooner; such a share of the cores counts as a device.
    """
    wanted = str(getattr(plan.cells[0].train, "device", "auto"))
    devices = _devices(wanted)
    if devices != ["cpu"]:
        return Placement(devices=devices, slots=_slots(options, len(devices)), threads=None)
    cores = provenance.cores()
    slots = _slots(options, min(cores, _MOST_CPU_SLOTS))
    return Placement(devices=["cpu"] * min(slots, cores), slots=slots, threads=max(1, cores // slots))


def _slots(options: Options, preferred: int) -> int:
    if options.launch != "inline":
        return options.slots or preferred
    if options.slots not in (None, 1):
        raise StudyError(f"--slots {options.slots}: --launch inline has one slot; use --launch processes")
    return 1


def _devices(wanted: str) -> list[str]:
    if wanted == "auto":
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return [f"cuda:{index}" for index in range(count)] or ["cpu"]
    return [wanted]
