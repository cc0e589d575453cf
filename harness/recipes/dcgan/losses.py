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
    logits = logits.float() if logits.dtype == torch.bfloat16 else logits
    loss = torch.zeros((), dtype=logits.dtype, device=logits.device)
    if label > 0:
        target = -torch.log(torch.sigmoid(logits) + _EPS)
        if margin is not None and margin > 0:
            target = target.clamp_min(-math.log(margin))
        loss = loss + label * target.mean()
    if label < 1:
        # 1 - p in float32 is 0 from a logit of 17 on, and a fake image scored that high would teach D nothing.
        loss = loss - (1 - label) * torch.log(torch.sigmoid(-logits) + _EPS).mean()
    return loss
