"""Where a study runs: devices, slots and the threads of a slot, from what the machine has and the options ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.design import Cell, Plan, PlannedRun
from harness.errors import StudyError
from harness.machine import provenance
from harness.machine.devices import gpus
from harness.runs.description import RunDescription
from harness.runs.launchers import Seats

_MOST_CPU_SLOTS = 4


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where and how a study runs: nothing here changes what is measured."""

    storage: str
    tracking_uri: str | None = None
    slots: int | None = None
    launch: str = "processes"
    ray_address: str | None = None
    slots_per_gpu: int = 1
    replicates: int = 1
    slurm: Mapping[str, str] = field(default_factory=dict)
    hung_after: float | None = None
    take_over: bool = False
    reuse: bool = True
    retry: bool = False


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Devices, slots and CPU threads a slot; a device is a GPU, or a share of the CPU's cores. Slots may share one.

    `replicates` are the runs of a cell that a slot trains together at the most. `away` says in words where slots are,
    "" for this machine, and `there` is what each has there.
    """

    devices: list[str]
    slots: int
    threads: int | None
    replicates: int = 1
    away: str = ""
    there: Seats | None = None

    @property
    def seats(self) -> Seats:
        """What a launcher is made with."""
        return self.there or Seats(slots=self.slots)

    def __str__(self) -> str:
        """In words: `2 slots on the CPU, 1 thread each`."""
        where = self.away or ", ".join(self.devices)
        if self.threads is not None:
            where = f"{self.away or 'the CPU'}, {self.threads} thread{'s' * (self.threads > 1)} each"
        together = f", up to {self.replicates} runs of a cell together" if self.replicates > 1 else ""
        return f"{self.slots} slot{'s' * (self.slots > 1)} on {where}{together}"


def place(plan: Plan, options: Options) -> Placement:
    """One slot per GPU; on a CPU one per core, at most 4, each with its own share of the cores; unless told otherwise.

    A small network gains next to nothing from a second core, so that runs side by side on cores of their own finish
    sooner; such a share of the cores counts as a device. On a Ray cluster that is said of each of its nodes; Slurm's
    jobs have what they ask for. Raises StudyError.
    """
    devices = [str(getattr(plan.cells[0].train, "device", "auto"))]
    refuse_others(plan, options)
    if options.launch == "ray":
        return _on_ray(devices[0], options)
    if options.launch == "slurm":
        return _on_slurm(devices[0], options)
    if devices == ["auto"]:
        devices = [f"cuda:{index}" for index in range(gpus())] or ["cpu"]
    if devices != ["cpu"]:
        slots = _slots(options, len(devices))
        return Placement(devices=devices, slots=slots, threads=None, replicates=options.replicates)
    cores = provenance.cores()
    slots = _slots(options, min(cores, _MOST_CPU_SLOTS))
    threads = max(1, cores // slots)
    return Placement(devices=["cpu"] * min(slots, cores), slots=slots, threads=threads, replicates=options.replicates)


def _on_ray(device: str, options: Options) -> Placement:
    """The slots that the nodes of a cluster have together."""
    from harness.runs.ray import nodes

    found = [node for node in nodes(options.ray_address) if node.get("CPU", 0) >= 1]  # a head may have none to give
    cpus = [int(node["CPU"]) for node in found]
    gpus = [int(node.get("GPU", 0)) for node in found]
    where = f"a Ray cluster of {len(found)} node{'s' * (len(found) != 1)}"
    if device != "cpu" and (any(gpus) or device != "auto"):
        return _on_rays_gpus(cpus, gpus, where, options)
    if options.slots_per_gpu != 1:
        raise StudyError(f"--slots-per-gpu {options.slots_per_gpu}: {where} has no GPU that runs could share")
    wanted = options.slots or sum(min(each, _MOST_CPU_SLOTS) for each in cpus)
    fitting = [threads for threads in range(1, max(cpus, default=0) + 1) if sum(c // threads for c in cpus) >= wanted]
    if not fitting or not wanted:
        raise StudyError(
            f"--slots {options.slots or 1}: {where} has {sum(cpus)} CPUs, one for each slot; give fewer, or add nodes"
        )
    threads = fitting[-1]
    seats = Seats(slots=wanted, cpus=threads, cluster=options.ray_address)
    return Placement(devices=["cpu"] * wanted, slots=wanted, threads=threads, away=where, there=seats)


def _on_rays_gpus(cpus: list[int], gpus: list[int], where: str, options: Options) -> Placement:
    most = sum(min(gpu * options.slots_per_gpu, cpu) for gpu, cpu in zip(gpus, cpus, strict=True))
    slots = options.slots or most
    if not 0 < slots <= most:
        raise StudyError(
            f"--slots {slots}: {where} has {sum(gpus)} GPUs and {sum(cpus)} CPUs, which is {most} at "
            f"--slots-per-gpu {options.slots_per_gpu} and a CPU each; give fewer slots, more of them to a GPU, or nodes"
        )
    devices = ["cuda:0"] * -(-slots // options.slots_per_gpu)  # a slot sees its own GPU alone
    seats = Seats(slots=slots, gpu=1 / options.slots_per_gpu, cluster=options.ray_address)
    away = f"{len(devices)} GPU{'s' * (len(devices) > 1)} of {where}"
    return Placement(devices=devices, slots=slots, threads=None, away=away, there=seats)


def _on_slurm(device: str, options: Options) -> Placement:
    """As many jobs at a time as are asked for: nobody knows how many Slurm will run."""
    if options.slots is None:
        raise StudyError("--launch slurm: say how many jobs to keep in Slurm's queue at a time, like --slots 8")
    from harness.runs.slurm import asked as checked

    checked(options.slurm)
    slots, asked = options.slots, {name.replace("-", "_"): value for name, value in options.slurm.items()}
    seats = Seats(slots=slots, slurm=asked)
    gpu = any(name.startswith("gpus") for name in asked) or "gpu" in asked.get("gres", "")
    if gpu and device != "cpu":
        return Placement(devices=["cuda:0"] * slots, slots=slots, threads=None, away="GPUs of Slurm's", there=seats)
    if device not in ("auto", "cpu"):
        raise StudyError(f"train.device: {device}: jobs ask for no GPU; add --slurm gres=gpu:1, or take the device out")
    try:
        threads = int(asked.get("cpus_per_task", "1"))
    except ValueError:
        raise StudyError(f"--slurm cpus-per-task={asked['cpus_per_task']}: must be a whole number") from None
    return Placement(devices=["cpu"] * slots, slots=slots, threads=threads, away="CPUs of Slurm's", there=seats)


def refuse_others(plan: Plan, options: Options) -> None:
    """Raises StudyError for options of another way to launch, or that the plan does not take."""
    _refuse_together(plan, options)
    for name, given, launch in (
        ("--ray-address", options.ray_address, "ray"),
        ("--slots-per-gpu", options.slots_per_gpu != 1 and options.slots_per_gpu, "ray"),
        ("--slurm", " ".join(f"{name}={value}" for name, value in options.slurm.items()), "slurm"),
    ):
        if given and options.launch != launch:
            raise StudyError(f"{name} {given}: is for --launch {launch}; this is --launch {options.launch}")
    if options.hung_after is not None and options.launch not in ("processes", "ray"):
        where = "no other process watches it" if options.launch == "inline" else "Slurm ends jobs, by --slurm time=..."
        raise StudyError(f"--hung-after {options.hung_after:g}: is not for --launch {options.launch}: {where}")


def _refuse_together(plan: Plan, options: Options) -> None:
    """Raises StudyError where runs cannot be trained together that are asked to be."""
    if (asked := options.replicates) == 1:
        return
    why = ""
    if plan.search is not None:
        why = "the runs of a search are named one by one, by the results of those before"
    elif options.launch in ("ray", "slurm"):
        why = f"runs are trained together on this machine, and this is --launch {options.launch}"
    elif plan.budget.timed:
        why = "with a budget in seconds each would train for its share of them alone; give the budget in another unit"
    elif all(together(plan, cell, asked) == 1 for cell in plan.cells):
        why = f"recipe '{plan.recipe}' trains one run at a time"
    if why:
        raise StudyError(f"--replicates {asked}: {why}; leave --replicates out")


def together(plan: Plan, cell: Cell, most: int) -> int:
    """How many runs of the cell may be trained together, up to `most`, by the recipe."""
    if most == 1:
        return 1
    takes = plan.address.load().replicates(cell.train, plan.budget)
    return most if takes is None else max(1, min(most, takes))


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
