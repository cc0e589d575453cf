"""The losses of the discriminator and the generator by name; `loss` of the settings takes its values from here.

Nothing here imports torch: the settings read the names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_EPS = 1e-8


@dataclass(frozen=True)
class Loss:
    """What each network lowers, from logits [N]: the discriminator's of real and fake images, the generator's of fake.

    Both also take the settings, and give a scalar in float32 or float64. `reads` names the settings of losses that
    they read, the others being idle; None: any.
    """

    discriminator: Callable[[Tensor, Tensor, Any], Tensor]
    generator: Callable[[Tensor, Any], Tensor]
    reads: tuple[str, ...] | None = None


def adversarial_loss(logits: Tensor, label: float, margin: float | None = None) -> Tensor:
    """Mean over logits [N] of y max(-log p, -log margin) - (1 - y) log(1 - p), p = sigmoid(logit), in float32.

    Past the margin the first term is constant, so that its gradient is zero and scores of real images do not
    saturate at 1; the small residual of the smoothed label stays. Without a margin it is the cross-entropy. Source:
    the competition notebook, with its 1e-8 inside the logarithms.
    """
    logits = logits.float() if logits.dtype.itemsize < 4 else logits
    loss = logits.new_zeros(())
    if label > 0:
        target = -(logits.sigmoid() + _EPS).log()
        if margin is not None and margin > 0:
            target = target.clamp_min(-math.log(margin))
        loss = loss + label * target.mean()
    if label < 1:
        # 1 - p in float32 is 0 from a logit of 17 on, and a fake image scored that high would teach D nothing.
        loss = loss - (1 - label) * ((-logits).sigmoid() + _EPS).log().mean()
    return loss


def hinge_of_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) over logits [N], in float32.

    Source: Lim and Ye 2017, Geometric GAN; Miyato et al. 2018, equation 16. Its generator lowers -E D(G(z)).
    """
    real, fake = (logits.float() if logits.dtype.itemsize < 4 else logits for logits in (real, fake))
    return (1 - real).relu().mean() + (1 + fake).relu().mean()


def mean_score(fake: Tensor) -> Tensor:
    """-E D(G(z)) over logits [N], in float32: what the generator lowers beside a hinge (Miyato et al. 2018, eq. 17)."""
    return -(fake.float() if fake.dtype.itemsize < 4 else fake).mean()


LOSSES: dict[str, Loss] = {
    # On smoothed labels, those of real images up to the margin where there is one.
    "cross-entropy": Loss(
        lambda real, fake, s: adversarial_loss(real, s.real_label, s.margin) + adversarial_loss(fake, 0.0),
        lambda fake, s: adversarial_loss(fake, s.real_label, s.margin),
        reads=("margin", "real_label"),
    ),
    "hinge": Loss(
        lambda real, fake, s: hinge_of_discriminator(real, fake),
        lambda fake, s: mean_score(fake),
        reads=(),
    ),
}
