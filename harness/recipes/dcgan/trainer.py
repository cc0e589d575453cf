"""The training of one DCGAN: a D step and a G step per batch, until the budget is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import DivergedError
from harness.machine.precision import resolve_precision
from harness.recipes.dcgan.augment import AUGMENT_BOTH, AUGMENT_REAL
from harness.recipes.dcgan.averaging import AVERAGES, Averager
from harness.recipes.dcgan.losses import LOSSES
from harness.recipes.dcgan.networks import started
from harness.recipes.dcgan.order import Order
from harness.recipes.dcgan.passes import PASSES
from harness.recipes.dcgan.regularisers import REGULARISERS
from harness.recipes.dcgan.sampling import draw, latents, ready
from harness.recipes.dcgan.schedules import SCHEDULES
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.streams import Streams

CURVES = ("loss/discriminator", "loss/generator", "score/real", "score/fake", "score/generator")
_CHUNK = 50  # steps between looks at the losses: the only device syncs of training


class Trainer:
    """Trains on uint8 images [N, 3, size, size]; every use of randomness has a stream of its own.

    `total_images` or `total_seconds` is the budget; the other is None.
    """

    def __init__(
        self,
        settings: DcganSettings,
        images: Tensor,
        groups: np.ndarray[Any, Any] | Tensor,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        total_images: int | None = None,
        total_seconds: float | None = None,
    ) -> None:
        assert (total_images is None) != (total_seconds is None), "one budget"
        self.settings = s = settings
        self.seed = seed
        self.device = torch.device(device)
        self.streams = Streams(seed, self.device)
        self.bf16 = resolve_precision(s.precision, self.device) == "bf16"
        self.total_images, self.total_seconds = total_images, total_seconds
        self.data = images.to(self.device)
        self.generator, self.discriminator = (
            network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            for network in started(s, images.shape[-1], self.streams)
        )
        self.order = Order(groups, s.batch, self.streams.generator("order", "cpu"))
        self.d_optimiser, self.g_optimiser = (
            torch.optim.Adam(network.parameters(), lr=s.learning_rate, betas=(s.beta1, s.beta2), fused=True)
            for network in (self.discriminator, self.generator)
        )
        self._learned: dict[str, Any] = {
            name: getattr(self, name) for name in ("generator", "discriminator", "g_optimiser", "d_optimiser")
        }
        self.averager: Averager | None = None
        if (average := AVERAGES[s.averaging]) is not None:
            self.averager = Averager(average, list(self.generator.parameters()), s)
        self.steps = 0
        self.seconds = 0.0
        self._timed_from: tuple[int, float] | None = None
        self._sums = torch.zeros(len(CURVES), device=self.device)
        self._summed = 0

    @property
    def images_shown(self) -> int:
        """Real images that the discriminator has seen."""
        return self.steps * self.settings.batch

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent, 0 to 1."""
        if self.total_images is not None:
            return min(1.0, self.images_shown / self.total_images)
        assert self.total_seconds is not None
        return min(1.0, self.seconds / self.total_seconds)

    def _real(self) -> Tensor:
        indices = self.order.next().to(self.device, non_blocking=True)
        images = self.data[indices].to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1)
        for augment in AUGMENT_REAL.values():
            images = augment(images, self.settings, self.streams)
        return images

    def _seen(self, images: Tensor) -> Tensor:
        """`images` as the discriminator sees them."""
        return AUGMENT_BOTH[self.settings.augment_both](images, self.settings, self.streams)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def _follow_schedule(self) -> None:
        if (schedule := SCHEDULES[self.settings.schedule]) is not None:
            rate = self.settings.learning_rate * schedule(self.fraction, self.settings)
            for group in (*self.d_optimiser.param_groups, *self.g_optimiser.param_groups):
                group["lr"] = rate

    def step(self) -> None:
        """One batch: the discriminator learns to tell real from fake, then the generator to pass for real."""
        s, loss, regularise = self.settings, LOSSES[self.settings.loss], REGULARISERS[self.settings.regulariser]
        self._follow_schedule()
        noise = torch.randn(s.batch, s.latent, generator=self.streams("latent"), device=self.device)

        with self._autocast():
            fake = self.generator(noise)
        seen_real, seen_fake = self._seen(self._real()), self._seen(fake.detach())
        with self._autocast():
            real_logits, fake_logits = PASSES[s.split_bn](self.discriminator, seen_real, seen_fake, s)
        d_loss = loss.discriminator(real_logits, fake_logits, s)
        if regularise is not None and self.steps % s.regulariser_every == 0:
            penalty = regularise(self.discriminator, seen_real, seen_fake.float(), s, self.streams)
            d_loss = d_loss + s.regulariser_weight * s.regulariser_every * penalty
        self.d_optimiser.zero_grad(set_to_none=True)
        d_loss.backward()  # type: ignore[no-untyped-call]
        self.d_optimiser.step()

        self.discriminator.requires_grad_(False)
        with self._autocast():
            g_logits = self.discriminator(self._seen(fake), 2 if s.split_generator_step else 1)
        g_loss = loss.generator(g_logits, s)
        self.g_optimiser.zero_grad(set_to_none=True)
        g_loss.backward()  # type: ignore[no-untyped-call]
        self.g_optimiser.step()
        self.discriminator.requires_grad_(True)

        self.steps += 1
        if self.averager is not None:
            self.averager.update(self.fraction)
        with torch.no_grad():
            scores = [torch.sigmoid(logits.float()).mean() for logits in (real_logits, fake_logits, g_logits)]
            self._sums += torch.stack([d_loss.detach(), g_loss.detach(), *scores])
        self._summed += 1

    def train_until(self, fraction: float, should_stop: Callable[[], bool]) -> Iterator[dict[str, float]]:
        """Train to a share of the budget; after each chunk of steps, its mean losses and scores.

        Seconds exclude the time between chunks. Raises DivergedError.
        """
        while self.fraction < fraction and not should_stop():
            # Chunks are aligned, so that a run that was stopped within one and resumed reports the same curves.
            until = self.steps - self.steps % _CHUNK + _CHUNK
            stopped = False
            began = self._clock()
            while self.steps < until and self.fraction < fraction and not (stopped := should_stop()):
                self.step()
                if self.total_seconds is not None:
                    now = time.perf_counter()
                    self.seconds, began = self.seconds + now - began, now
            self.seconds += self._clock() - began
            if stopped:
                return
            if self._timed_from is None:
                self._timed_from = (self.steps, self.seconds)
            yield self._means()

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _means(self) -> dict[str, float]:
        means = (self._sums / max(self._summed, 1)).tolist()
        self._sums.zero_()
        self._summed = 0
        found = dict(zip(CURVES, means, strict=True))
        for name, value in found.items():
            if not np.isfinite(value):
                raise DivergedError(f"{name} is {value} after {self.images_shown:,} images")
        return found

    @property
    def images_per_second(self) -> float:
        """Training speed after the first chunk of steps, which warms up."""
        first_steps, first_seconds = self._timed_from or (0, 0.0)
        if self.steps <= first_steps:
            first_steps, first_seconds = 0, 0.0
        elapsed = self.seconds - first_seconds
        return (self.steps - first_steps) * self.settings.batch / elapsed if elapsed > 0 else 0.0

    def weights(self) -> dict[str, Tensor]:
        """A copy of the generator's weights to draw samples with: their averages, and batch norm's own statistics."""
        network = deepcopy(self.generator).requires_grad_(False)
        if self.averager is not None:
            for parameter, average in zip(network.parameters(), self.averager.current(), strict=True):
                parameter.copy_(average)
        return dict(network.state_dict())

    def sampling_generator(self, weights: Mapping[str, Tensor] | None = None) -> nn.Module:
        """A copy of the generator to draw samples from: batch norm is as `sample_bn` says.

        `weights` are those of an earlier step; None: those of now.
        """
        network = deepcopy(self.generator).requires_grad_(False)
        network.load_state_dict(self.weights() if weights is None else weights)
        return ready(network, self.settings, self.seed)

    def sample(self, count: int, weights: Mapping[str, Tensor] | None = None) -> Tensor:
        """uint8 [count, 3, size, size] images on the evaluation's latents: the same ones at every call."""
        return draw(self.sampling_generator(weights), self.settings, latents(count, self.settings, self.seed))

    def state(self) -> dict[str, Any]:
        """All that the rest of the training depends on."""
        return {
            **{name: part.state_dict() for name, part in self._learned.items()},
            "average": self.averager and {"average": self.averager.average, "count": self.averager.count},
            "order": self.order.state(),
            "streams": self.streams.state(),
            "steps": self.steps,
            "seconds": self.seconds,
            "timed_from": self._timed_from and list(self._timed_from),
            "sums": self._sums,
            "summed": self._summed,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        for name, part in self._learned.items():
            part.load_state_dict(state[name])
        if self.averager is not None:
            self.averager.average = [tensor.to(self.device) for tensor in state["average"]["average"]]
            self.averager.count = state["average"]["count"]
        self.order.restore(state["order"])
        self.streams.restore(state["streams"])
        self.steps, self.seconds = state["steps"], state["seconds"]
        self._timed_from = tuple(state["timed_from"]) if state["timed_from"] else None
        self._sums, self._summed = state["sums"].to(self.device), state["summed"]
