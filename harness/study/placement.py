"""Where a study runs: devices, slots and the threads of a slot, from what the machine has and the options ask for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.design import Cell, Plan, PlannedRun
from harness.errors import StudyError
from harness.machine import provenance
from harness.runs.description import RunDescription

_MOST_CPU_SLOTS = 4


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where and how a study runs: nothing here changes what is measured."""

    storage: str
    tracking_uri: str | None = None
    slots: int | None = None
    launch: str = "processes"
    take_over: bool = False
    reuse: bool = True
    retry: bool = False


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Devices, slots and CPU threads a slot; a device is a GPU, or a share of the CPU's cores. Slots may share one."""

    devices: list[str]
    slots: int
    threads: int | None

    def __str__(self) -> str:
        """In words: `2 slots on the CPU, 1 thread each`."""
        where = ", ".join(self.devices)
        if self.threads is not None:
            where = f"the CPU, {self.threads} thread{'s' * (self.threads > 1)} each"
        return f"{self.slots} slot{'s' * (self.slots > 1)} on {where}"


def place(plan: Plan, options: Options) -> Placement:
    """One slot per GPU; on a CPU one per core, at most 4, each with its own share of the cores; unless told otherwise.

    A small network gains next to nothing from a second core, so that runs side by side on cores of their own finish
    sooner; such a share of the cores counts as a device.
    """
    devices = [str(getattr(plan.cells[0].train, "device", "auto"))]
    if devices == ["auto"]:
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        devices = [f"cuda:{index}" for index in range(count)] or ["cpu"]
    if devices != ["cpu"]:
        return Placement(devices=devices, slots=_slots(options, len(devices)), threads=None)
    cores = provenance.cores()
    slots = _slots(options, min(cores, _MOST_CPU_SLOTS))
    return Placement(devices=["cpu"] * min(slots, cores), slots=slots, threads=max(1, cores // slots))


def describe(
    plan: Plan,
    cell: Cell,
    run: PlannedRun,
    placement: Placement,
    *,
    slot: int,
    folder: Path,
    trained: Path | None = None,
) -> RunDescription:
    """What the slot needs to train the run of the cell, or to go on from the run whose folder is `trained`."""
    return RunDescription(
        key=run.key,
        name=f"{cell.name} · seed {run.seed}",
        address=plan.address,
        objective=plan.objective,
        seed=run.seed,
        train=cell.train,
        data=cell.data,
        evaluate=plan.evaluate,
        references=plan.references,
        budget=plan.budget,
        directory=str(folder),
        identity=run.training,
        trained=str(trained) if trained else None,
        device=placement.devices[slot % len(placement.devices)],
        threads=placement.threads,
    )


def _slots(options: Options, preferred: int) -> int:
    if options.launch != "inline":
        return options.slots or preferred
    if options.slots not in (None, 1):
        raise StudyError(f"--slots {options.slots}: --launch inline has one slot; use --launch processes")
    return 1
