"""Which image comes next: reshuffled passes over the photos, from the data stream, restartable at any point."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class Order:
    """Batches of image indices. A pass visits every photo once in a fresh order; the incomplete last batch is dropped.

    `groups` int64 [P + 1]: photo p owns images groups[p] to groups[p + 1], of which one is drawn per visit.
    """

    def __init__(self, groups: np.ndarray[Any, Any] | Tensor, batch: int, generator: torch.Generator) -> None:
        self._starts = torch.as_tensor(np.asarray(groups)[:-1].copy())
        self._counts = torch.as_tensor(np.diff(np.asarray(groups)))
        self.batch = batch
        self._generator = generator
        self._pass: Tensor = torch.empty(0, dtype=torch.int64)
        self._position = 0

    def next(self) -> Tensor:
        """int64 [batch] image indices."""
        if self._position + self.batch > len(self._pass):
            self._pass = torch.randperm(len(self._starts), generator=self._generator)
            self._position = 0
        photos = self._pass[self._position : self._position + self.batch]
        self._position += self.batch
        # Drawn even where every photo has one image, so that the order of a seed is the same with every crop.
        draws = torch.rand(len(photos), generator=self._generator)
        return self._starts[photos] + (draws * self._counts[photos]).long()

    def state(self) -> dict[str, Any]:
        """The position, for a checkpoint; that of the generator is its owner's."""
        return {"pass": self._pass, "position": self._position}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self._pass, self._position = state["pass"], state["position"]
