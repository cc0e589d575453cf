"""Self-attention over the places of an image (Zhang et al. 2019, SAGAN)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """x + gamma v(sum_i b_ji h(x_i)), b_j the softmax over i of f(x_i) . g(x_j), on [N, channels, H, W].

    f, g, h to an eighth of the channels and v back are 1x1 convolutions without biases; gamma starts at 0, so that the
    module starts as the identity. Equations 1 to 3 of the paper.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 8)
        self.f, self.g, self.h = (nn.Conv2d(channels, inner, 1, bias=False) for _ in range(3))
        self.v = nn.Conv2d(inner, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        keys, queries, values = (layer(x).flatten(2) for layer in (self.f, self.g, self.h))
        weights = (queries.transpose(1, 2) @ keys).softmax(-1)  # [N, place j, place i]
        attended = values @ weights.transpose(1, 2)
        found: Tensor = x + self.gamma * self.v(attended.unflatten(2, x.shape[2:]))
        return found
