"""The step of several replicates as one program, free of host syncs, of changing shapes and of changing Python values.

The same numbers as `step.py` gives to each replicate alone, but for rounding. `feed` takes to the device what the host
decides: which images come next, the learning rate, the averages' weight. `run` is all on the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.recipes.dcgan.augment import AUGMENT_BOTH
from harness.recipes.dcgan.fused import Fused
from harness.recipes.dcgan.losses import LOSSES
from harness.recipes.dcgan.passes import PASSES
from harness.recipes.dcgan.regularisers import REGULARISERS
from harness.recipes.dcgan.replicate import Replicate
from harness.recipes.dcgan.schedules import SCHEDULES
from harness.recipes.dcgan.step import real_images


class Learner:
    """Adam over the parameters of one network of all replicates, by the states that their own optimisers keep."""

    def __init__(self, network: Fused, optimisers: Sequence[torch.optim.Adam], rate: Tensor) -> None:
        self._network, self._optimisers, self._rate = network, optimisers, rate
        parameters = [each for own in network.parameters for each in own]
        self._gradients = {id(each): torch.empty_like(each) for each in parameters}
        # Where the gradient of a leaf goes for each of its masters: they differ in precision, and may in layout.
        self._places = [[self._gradients[id(master)] for master in leaf.masters] for leaf in network.leaves]

    def step(self, loss: Tensor) -> None:
        """Lower `loss`."""
        leaves = self._network.leaves
        masters = [master for leaf in leaves if leaf.tensor is not leaf.masters[0] for master in leaf.masters]
        inputs = [leaf.tensor for leaf in leaves] + masters
        found = torch.autograd.grad(loss, inputs, allow_unused=True)
        to: list[Tensor] = []
        of: list[Tensor] = []
        learned: set[int] = set()
        for leaf, places, gradient in zip(leaves, self._places, found, strict=False):
            if gradient is not None:
                to += places
                of += leaf.parts(gradient)
                learned |= {id(master) for master in leaf.masters}
        with torch.no_grad():
            torch._foreach_copy_(to, of)
            # A regulariser goes through the networks themselves: what it adds is in the masters' own precision.
            for master, gradient in zip(masters, found[len(leaves) :], strict=True):
                if gradient is not None:
                    self._gradients[id(master)] += gradient
            self._adam(learned)
        self._network.refresh()

    def _adam(self, learned: set[int]) -> None:
        group = self._optimisers[0].param_groups[0]
        states = [
            (each, optimiser.state[each])
            for optimiser, own in zip(self._optimisers, self._network.parameters, strict=True)
            for each in own
            if id(each) in learned
        ]
        steps = [state["step"] for _, state in states]
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            [_flat(each) for each, _ in states],
            [_flat(self._gradients[id(each)]) for each, _ in states],
            [_flat(state["exp_avg"]) for _, state in states],
            [_flat(state["exp_avg_sq"]) for _, state in states],
            [],
            steps,
            lr=self._rate,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )


class Program:
    """One step of all of `replicates` at once, on uint8 images [N, 3, size, size] on their device."""

    def __init__(self, replicates: Sequence[Replicate], data: Tensor, *, bf16: bool, dtype: torch.dtype) -> None:
        self.replicates, self.data, self.bf16, self.dtype = replicates, data, bf16, dtype
        self.settings = s = replicates[0].settings
        device = replicates[0].device
        self.generator, self.discriminator = (
            Fused([getattr(one, name) for one in replicates], bf16=bf16) for name in ("generator", "discriminator")
        )
        self._indices = torch.zeros(len(replicates), s.batch, dtype=torch.int64, device=device)
        self._rate = torch.zeros((), dtype=dtype, device=device)
        self._weight = torch.zeros((), dtype=dtype, device=device)  # of the parameters in the average
        self._d_learner, self._g_learner = (
            Learner(network, [getattr(one, name) for one in replicates], self._rate)
            for network, name in ((self.discriminator, "d_optimiser"), (self.generator, "g_optimiser"))
        )

    def step(self, fraction: float, fraction_after: float) -> None:
        """One batch of each, as `step.step` takes it."""
        self.feed(fraction, fraction_after)
        self.run(regularised=self.replicates[0].steps % self.settings.regulariser_every == 0)

    def refresh(self) -> None:
        """Take over weights that something else has changed."""
        self.generator.refresh()
        self.discriminator.refresh()

    def feed(self, fraction: float, fraction_after: float) -> None:
        """Bring to the device what the next step takes from the host."""
        s = self.settings
        self._indices.copy_(torch.stack([one.order.next() for one in self.replicates]), non_blocking=True)
        schedule = SCHEDULES[s.schedule]
        rate = s.learning_rate * (1.0 if schedule is None else schedule(fraction, s))
        self._rate.fill_(rate)
        for one in self.replicates:  # for their states; the step itself reads the tensor
            one.d_optimiser.param_groups[0]["lr"] = one.g_optimiser.param_groups[0]["lr"] = rate
        weights = [one.averager.weight(fraction_after) for one in self.replicates if one.averager is not None]
        if weights:
            self._weight.fill_(weights[0])
        for one in self.replicates:
            one.summed += 1

    def run(self, *, regularised: bool) -> None:
        """The step on the device; `regularised` where it is one with the regulariser."""
        s, replicates = self.settings, self.replicates
        loss, regularise = LOSSES[s.loss], REGULARISERS[s.regulariser]
        noise = torch.stack([self._latents(one) for one in replicates])
        real = self._apiece([self._real(one, own) for one, own in zip(replicates, self._indices, strict=True)])

        fake = self.generator(noise)
        seen_real, seen_fake = self._seen(real), self._seen(fake.detach())
        # Both in the precision of the products, so that where they pass together nothing is cast there and back.
        x, y = (images.to(torch.bfloat16) if self.bf16 else images for images in (seen_real, seen_fake))
        real_logits, fake_logits = PASSES[s.split_bn](self._discriminate, x, y, s)
        d_losses = [
            loss.discriminator(real_logits[:, index], fake_logits[:, index], s) for index in range(len(replicates))
        ]
        if regularise is not None and regularised:
            reals, fakes = self._apart(seen_real), self._apart(seen_fake.to(self.dtype))
            for index, (one, x, y) in enumerate(zip(replicates, reals, fakes, strict=True)):
                penalty = regularise(one.discriminator, x, y, s, one.streams)
                d_losses[index] = d_losses[index] + s.regulariser_weight * s.regulariser_every * penalty
        self._d_learner.step(_total(d_losses))

        g_logits = self._discriminate(self._seen(fake), 2 if s.split_generator_step else 1)
        g_losses = [loss.generator(g_logits[:, index], s) for index in range(len(replicates))]
        self._g_learner.step(_total(g_losses))

        with torch.no_grad():
            for one in replicates:
                if one.averager is not None:
                    one.averager.take(self._weight)
            scores = torch.cat([real_logits, fake_logits, g_logits]).float().sigmoid_().view(3, -1, len(replicates))
            losses = torch.stack([*d_losses, *g_losses]).view(2, -1)
            for one, own in zip(replicates, torch.cat([losses, scores.mean(1)]).T, strict=True):
                one.sums += own

    def _discriminate(self, images: Tensor, groups: int) -> Tensor:
        """Logits [N, R]."""
        return self.discriminator(images, groups).flatten(1)

    def _latents(self, one: Replicate) -> Tensor:
        s = self.settings
        return torch.randn(s.batch, s.latent, generator=one.streams("latent"), device=one.device).to(self.dtype)

    def _real(self, one: Replicate, indices: Tensor) -> Tensor:
        return real_images(self.data, indices, self.settings, one.streams, self.dtype)

    def _seen(self, images: Tensor) -> Tensor:
        """`images` of all as their discriminators see them."""
        if self.settings.augment_both == "none":
            return images
        augment, pairs = (
            AUGMENT_BOTH[self.settings.augment_both],
            zip(self._apart(images), self.replicates, strict=True),
        )
        return self._apiece([augment(own, self.settings, one.streams) for own, one in pairs])

    def _apart(self, images: Tensor) -> Sequence[Tensor]:
        return images.chunk(len(self.replicates), 1)

    def _apiece(self, images: Sequence[Tensor]) -> Tensor:
        return images[0] if len(images) == 1 else torch.cat(list(images), 1)


def _flat(tensor: Tensor) -> Tensor:
    """`tensor` in the order in which it lies in memory: of one in channels last Adam would make contiguous copies."""
    return tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 and not tensor.is_contiguous() else tensor


def _total(losses: Sequence[Tensor]) -> Tensor:
    """Their sum: the gradient of each reaches its own replicate alone."""
    return losses[0] if len(losses) == 1 else torch.stack(list(losses)).sum()
