"""Common random numbers: each use of randomness has a generator of its own, seeded by (seed, use) and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def generator(seed: int, use: str, device: str | torch.device = "cpu") -> torch.Generator:
    """The stream for one use of randomness in runs of `seed`. The treatment plays no part in it."""
    digest = hashlib.sha256(f"{seed}/{use}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))


class Streams:
    """The streams of one run by name, made on demand, saved and restored by themselves."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._made: dict[str, torch.Generator] = {}
        self._saved: dict[str, Tensor] = {}

    def generator(self, name: str, device: str | torch.device = "cpu") -> torch.Generator:
        """The stream called `name`, on the device where it is first asked for."""
        if name not in self._made:
            self._made[name] = generator(self.seed, name, device)
            if name in self._saved:
                self._made[name].set_state(self._saved.pop(name))
        return self._made[name]

    def state(self) -> dict[str, Tensor]:
        """Where every stream is, for a checkpoint."""
        return {**self._saved, **{name: made.get_state() for name, made in self._made.items()}}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from where `state` was taken."""
        self._saved = dict(state)
        for name, made in self._made.items():
            if name in self._saved:
                made.set_state(self._saved.pop(name))
