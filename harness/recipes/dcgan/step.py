"""One step of one replicate, in plain words: what every quicker way of training is held to."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.recipes.dcgan.augment import AUGMENT_BOTH, AUGMENT_REAL
from harness.recipes.dcgan.losses import LOSSES
from harness.recipes.dcgan.passes import PASSES
from harness.recipes.dcgan.regularisers import REGULARISERS
from harness.recipes.dcgan.replicate import Replicate
from harness.recipes.dcgan.schedules import SCHEDULES
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.streams import Streams


def real_images(data: Tensor, indices: Tensor, settings: DcganSettings, streams: Streams, dtype: torch.dtype) -> Tensor:
    """[N, 3, size, size] in [-1, 1] of the uint8 `data`, augmented as real images are."""
    images = data[indices].to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1)
    for augment in AUGMENT_REAL.values():
        images = augment(images, settings, streams)
    return images.to(dtype)


def step(
    one: Replicate, data: Tensor, fraction: float, *, fraction_after: float, bf16: bool, dtype: torch.dtype
) -> None:
    """One batch: the discriminator learns to tell real from fake, then the generator to pass for real.

    `fraction` is the share of the budget that is spent before it, `fraction_after` that after it.
    """
    s, streams = one.settings, one.streams
    loss, regularise = LOSSES[s.loss], REGULARISERS[s.regulariser]
    if (schedule := SCHEDULES[s.schedule]) is not None:
        rate = s.learning_rate * schedule(fraction, s)
        for group in (*one.d_optimiser.param_groups, *one.g_optimiser.param_groups):
            group["lr"] = rate

    def autocast() -> torch.autocast:
        return torch.autocast(one.device.type, torch.bfloat16, enabled=bf16)

    def seen(images: Tensor) -> Tensor:
        """`images` as the discriminator sees them."""
        return AUGMENT_BOTH[s.augment_both](images, s, streams)

    noise = torch.randn(s.batch, s.latent, generator=streams("latent"), device=one.device).to(dtype)
    indices = one.order.next().to(one.device, non_blocking=True)

    with autocast():
        fake = one.generator(noise)
    seen_real, seen_fake = seen(real_images(data, indices, s, streams, dtype)), seen(fake.detach())
    with autocast():
        real_logits, fake_logits = PASSES[s.split_bn](one.discriminator, seen_real, seen_fake, s)
    d_loss = loss.discriminator(real_logits, fake_logits, s)
    if regularise is not None and one.steps % s.regulariser_every == 0:
        penalty = regularise(one.discriminator, seen_real, seen_fake.to(dtype), s, streams)
        d_loss = d_loss + s.regulariser_weight * s.regulariser_every * penalty
    one.d_optimiser.zero_grad(set_to_none=True)
    d_loss.backward()  # type: ignore[no-untyped-call]
    one.d_optimiser.step()

    one.discriminator.requires_grad_(False)
    with autocast():
        g_logits = one.discriminator(seen(fake), 2 if s.split_generator_step else 1)
    g_loss = loss.generator(g_logits, s)
    one.g_optimiser.zero_grad(set_to_none=True)
    g_loss.backward()  # type: ignore[no-untyped-call]
    one.g_optimiser.step()
    one.discriminator.requires_grad_(True)

    if one.averager is not None:
        one.averager.update(fraction_after)
    with torch.no_grad():
        scores = [torch.sigmoid(logits.float()).mean() for logits in (real_logits, fake_logits, g_logits)]
        one.sums += torch.stack([d_loss.detach(), g_loss.detach(), *scores])
    one.summed += 1
