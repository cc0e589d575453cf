"""The training of a cell's replicates as one program: step by step, until the budget is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.errors import DivergedError
from harness.machine.precision import resolve_precision
from harness.recipes.dcgan.program import Program
from harness.recipes.dcgan.replicate import Replicate
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.dcgan.ways import WAYS, timed

_CHUNK = 50  # steps between looks at the losses: the only device syncs of training


class Trainer:
    """Trains one replicate per seed on uint8 images [N, 3, size, size]; every use of randomness has its own stream.

    `total_images` or `total_seconds` is the budget of each replicate; the other is None. All replicates are at the same
    step. `dtype` is the weights': float64 is for tests of the ways to train. `way` is one of WAYS, or None: see `way`.
    """

    def __init__(
        self,
        settings: DcganSettings,
        images: Tensor,
        groups: np.ndarray[Any, Any] | Tensor,
        *,
        seeds: Sequence[int],
        device: str | torch.device = "cpu",
        total_images: int | None = None,
        total_seconds: float | None = None,
        dtype: torch.dtype = torch.float32,
        way: str | None = None,
    ) -> None:
        assert (total_images is None) != (total_seconds is None), "one budget"
        assert way is None or way in WAYS, way
        self.settings = settings
        self.device, self.dtype = torch.device(device), dtype
        self.bf16 = resolve_precision(settings.precision, self.device) == "bf16"
        self.total_images, self.total_seconds = total_images, total_seconds
        self.data = images.to(self.device)
        self._groups = groups
        self.replicates = tuple(
            Replicate(settings, images.shape[-1], groups, seed=seed, device=self.device, dtype=dtype) for seed in seeds
        )
        self._way = way
        self._programs: list[Program] = []
        self._restored = 0

    @property
    def way(self) -> str:
        """How the replicates train: as they did before they were saved, or as is quickest here, timed at first use."""
        if self._way is None:
            self._way = next((one.way for one in self.replicates if one.way in WAYS), None)
        if self._way is None and len(self.replicates) == 1:
            self._way = "serial"
        if self._way is None:
            seconds = self.seconds_per_step()
            self._way = min(seconds, key=lambda way: seconds[way])
        return self._way

    def seconds_per_step(self) -> dict[str, float]:
        """Way -> seconds a step of all replicates on this machine, tried on copies that are thrown away."""
        about: dict[str, Any] = {"seeds": [one.seed for one in self.replicates], "device": self.device}
        about |= {"total_images": 2**62, "dtype": self.dtype}
        trials = {way: Trainer(self.settings, self.data, self._groups, way=way, **about) for way in WAYS}
        return timed({way: trial.step for way, trial in trials.items()}, self.device)

    @property
    def steps(self) -> int:
        """Steps done, the same number by each replicate."""
        return self.replicates[0].steps

    @property
    def seconds(self) -> float:
        """Seconds of training of one replicate: those of the program are shared equally."""
        return sum(one.seconds for one in self.replicates) / len(self.replicates)

    @property
    def images_shown(self) -> int:
        """Real images that the discriminator of each replicate has seen."""
        return self.steps * self.settings.batch

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent, 0 to 1."""
        if self.total_images is not None:
            return min(1.0, self.images_shown / self.total_images)
        assert self.total_seconds is not None
        return min(1.0, self.seconds / self.total_seconds)

    def step(self) -> None:
        """One batch of every replicate."""
        before = self.fraction
        after = before
        if self.total_images is not None:
            after = min(1.0, (self.images_shown + self.settings.batch) / self.total_images)
        for program in self._ready():
            program.step(before, after)
        for one in self.replicates:
            one.steps += 1

    def _ready(self) -> list[Program]:
        """The programs, with the weights as they are: made at the first step, and told when a state was restored."""
        if not self._programs:
            parts = WAYS[self.way](self.replicates)
            self._programs = [Program(part, self.data, bf16=self.bf16, dtype=self.dtype) for part in parts]
            for one in self.replicates:
                one.way = self.way if len(self.replicates) > 1 else None
        elif self._restored != (restored := sum(one.restored for one in self.replicates)):
            self._restored = restored
            for program in self._programs:
                program.refresh()
        return self._programs

    def train_until(
        self, fraction: float, should_stop: Callable[[], bool]
    ) -> Iterator[list[dict[str, float] | DivergedError]]:
        """Train to a share of the budget; after each chunk of steps, each replicate's mean losses and scores.

        Seconds exclude the time between chunks. A replicate that diverged has its DivergedError in their place, from
        then on; training ends where all have.
        """
        while self.fraction < fraction and not should_stop():
            # Chunks are aligned, so that a run that was stopped within one and resumed reports the same curves.
            until = self.steps - self.steps % _CHUNK + _CHUNK
            stopped = False
            began = self._clock()
            while self.steps < until and self.fraction < fraction and not (stopped := should_stop()):
                self.step()
                if self.total_seconds is not None:
                    now = time.perf_counter()
                    self._spend(now - began)
                    began = now
            self._spend(self._clock() - began)
            if stopped:
                return
            for one in self.replicates:
                one.timed_from = one.timed_from or (one.steps, one.seconds)
            yield [one.means() for one in self.replicates]
            if all(one.lost for one in self.replicates):
                return

    def _spend(self, seconds: float) -> None:
        for one in self.replicates:
            one.seconds += seconds / len(self.replicates)

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @property
    def images_per_second(self) -> float:
        """Images per second of training of one replicate after the first chunk of steps, which warms up.

        Of replicates that train together it is what the program trains in all: each pays for its share of the time.
        """
        rates = []
        for one in self.replicates:
            first_steps, first_seconds = one.timed_from or (0, 0.0)
            if one.steps <= first_steps:
                first_steps, first_seconds = 0, 0.0
            elapsed = one.seconds - first_seconds
            rates.append((one.steps - first_steps) * self.settings.batch / elapsed if elapsed > 0 else 0.0)
        return sum(rates) / len(rates)
