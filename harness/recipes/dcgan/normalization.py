"""Batch norm over groups, and the three ways in which real and fake images pass through the discriminator."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GroupedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose batch may be several equal groups, each normalised with its own statistics.

    Affine weights and running buffers are shared; the buffers are updated by the first group, then the second, as two
    separate forwards would.
    """

    def forward(self, x: Tensor, groups: int = 1) -> Tensor:
        if groups == 1 or not self.training:
            return self._normalise(x)
        return torch.cat([self._normalise(part) for part in x.chunk(groups)])

    def _normalise(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum or 0.0,
            self.eps,
        )


Discriminate = Callable[[Tensor, int], Tensor]


def separate(discriminator: Discriminate, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Two forwards, the usual way: own statistics each, and twice the overhead."""
    return discriminator(real, 1), discriminator(fake, 1)


def joint(discriminator: Discriminate, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """One forward; statistics over real and fake together leak each into the other."""
    real_logits, fake_logits = discriminator(torch.cat([real, fake]), 1).chunk(2)
    return real_logits, fake_logits


def split(discriminator: Discriminate, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """One forward; each half is normalised with its own statistics (the competition's trick)."""
    real_logits, fake_logits = discriminator(torch.cat([real, fake]), 2).chunk(2)
    return real_logits, fake_logits


PASSES: dict[str, Callable[[Discriminate, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "separate": separate,
    "joint": joint,
    "split": split,
}
