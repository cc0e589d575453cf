"""The losses of the discriminator and the generator: cross-entropy on smoothed labels, with or without a margin."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_EPS = 1e-8


def adversarial_loss(logits: Tensor, label: float, margin: float | None = None) -> Tensor:
    """Mean over logits [N] of y max(-log p, -log margin) - (1 - y) log(1 - p), p = sigmoid(logit), in float32.

    Past the margin the first term is constant, so that its gradient is zero and scores of real images do not
    saturate at 1; the small residual of the smoothed label stays. Without a margin it is the cross-entropy. Source:
    the competition notebook, with its 1e-8 inside the logarithms.
    """
    p = torch.sigmoid(logits.float() if logits.dtype == torch.bfloat16 else logits)
    loss = torch.zeros((), dtype=p.dtype, device=p.device)
    if label > 0:
        target = -torch.log(p + _EPS)
        if margin is not None and margin > 0:
            target = target.clamp_min(-math.log(margin))
        loss = loss + label * target.mean()
    if label < 1:
        loss = loss - (1 - label) * torch.log(1 - p + _EPS).mean()
    return loss
