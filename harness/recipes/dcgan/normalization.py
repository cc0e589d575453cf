"""Batch norm over groups of a batch, each with statistics of its own."""

from __future__ import annotations

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
