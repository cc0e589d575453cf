"""The options of where a study's runs are trained: here, on a Ray cluster, as jobs of Slurm's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

import click

from harness.errors import HarnessError
from harness.runs.launchers import LAUNCHERS

F = TypeVar("F", bound=Callable[..., Any])

_NAMES = ("slots", "launch", "ray_address", "slots_per_gpu", "replicates", "slurm", "hung_after")
_LAUNCH = (
    click.option(
        "--slots",
        type=click.IntRange(min=1),
        help="Runs at a time. Default: one per GPU; on a CPU one per core, at most 4 (on Ray: of every node).",
    ),
    click.option(
        "--launch",
        type=click.Choice([*LAUNCHERS]),
        default="processes",
        show_default=True,
        help="Where runs are trained: here, on the Ray cluster of $RAY_ADDRESS, or as jobs of Slurm's.",
    ),
    click.option(
        "--ray-address", metavar="HOST:PORT", help="The Ray cluster. Default: $RAY_ADDRESS, or this machine's."
    ),
    click.option(
        "--slots-per-gpu",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="With --launch ray: runs that share a GPU.",
    ),
    click.option(
        "--replicates",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Runs of a cell that a slot trains together, as one program, where the recipe can and so many wait.",
    ),
    click.option(
        "--slurm",
        "slurm",
        multiple=True,
        metavar="NAME=VALUE",
        help="With --launch slurm: an option of sbatch, like partition=gpu, gres=gpu:1 or time=4:00:00.",
    ),
    click.option(
        "--hung-after",
        type=click.FloatRange(min=0),
        metavar="MINUTES",
        help="Give up a run that tells nothing for so long, while it starts, trains or is scored, and try it again. "
        "Default: 2 hours while it starts (loads, prepares data), never after; 10 minutes in every phase where its "
        "process stands still. 0: none ever.",
    ),
)


def launched(command: F) -> F:
    """The options of where a study's runs are trained, which the command takes as the mapping `launching`."""

    @functools.wraps(command)
    def told(**given: Any) -> Any:
        launching = {name: given.pop(name) for name in _NAMES}
        return command(launching=launching, **given)

    for option in reversed(_LAUNCH):
        told = option(told)
    return cast(F, told)


def chosen(launching: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `study.placement.Options` that the options give. Raises HarnessError."""
    return {**launching, "slurm": _asked_of_slurm(launching["slurm"])}


def _asked_of_slurm(given: Iterable[str]) -> dict[str, str]:
    """Name -> value of options like "partition=gpu". Raises HarnessError."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip("-") or not value:
            raise HarnessError(f"--slurm {text}: must be NAME=VALUE, like --slurm partition=gpu")
        found[name.lstrip("-")] = value
    return found
