"""Common random numbers: each use of randomness has a generator of its own, seeded by (seed, its name) and no more."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from harness.errors import RecipeError


def generator(seed: int, name: str, device: str | torch.device = "cpu") -> torch.Generator:
    """The stream `name` of runs of `seed`, at its start. The treatment plays no part in it."""
    return torch.Generator(device).manual_seed(_start(seed, name))


def _start(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:7], "big")


class Streams:
    """The streams of one run by name, each made when it is first asked for, saved and restored together.

    A stream that a trick asks for moves no other, so that a run with the trick and one without share the rest.
    """

    def __init__(self, seed: int, device: str | torch.device = "cpu") -> None:
        self.seed, self.device = seed, torch.device(device)
        self._made: dict[str, torch.Generator] = {}
        self._restored: dict[str, Tensor] = {}  # states of streams that were not asked for yet

    def __call__(self, name: str) -> torch.Generator:
        """The stream `name` on the device of the run."""
        return self.generator(name)

    def generator(self, name: str, device: str | torch.device | None = None) -> torch.Generator:
        """The stream `name`, on `device` if it is asked for the first time; None: the device of the run."""
        if name not in self._made:
            made = self._made[name] = generator(self.seed, name, device or self.device)
            if (state := self._restored.pop(name, None)) is not None:
                try:
                    made.set_state(state)
                except (TypeError, RuntimeError) as error:
                    raise RecipeError(f"what is restored of the stream '{name}' is no state of it: {error}") from error
        return self._made[name]

    def state(self) -> dict[str, Tensor]:
        """Where each stream stands, for a checkpoint."""
        return self._restored | {name: made.get_state() for name, made in self._made.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Stand where `state` was taken: streams that were not made then are at their start."""
        self._restored = {name: tensor for name, tensor in state.items() if name not in self._made}
        for name, made in self._made.items():
            if name in state:
                made.set_state(state[name])
            else:
                made.manual_seed(_start(self.seed, name))
