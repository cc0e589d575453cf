"""One seed's share of a training: its networks, optimisers, average, order and streams, and what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import DivergedError
from harness.recipes.dcgan.averaging import AVERAGES, Averager
from harness.recipes.dcgan.networks import started
from harness.recipes.dcgan.order import Order
from harness.recipes.dcgan.sampling import draw, latents, ready
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.streams import Streams

CURVES = ("loss/discriminator", "loss/generator", "score/real", "score/fake", "score/generator")


class Replicate:
    """All that a run of `seed` depends on, whether it trains alone or together with others of its cell.

    `lost` says how it diverged; it is then carried along and no more reported.
    """

    def __init__(
        self,
        settings: DcganSettings,
        size: int,
        groups: np.ndarray[Any, Any] | Tensor,
        *,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.settings = s = settings
        self.seed, self.device = seed, device
        self.streams = Streams(seed, device)
        self.generator, self.discriminator = (
            network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            for network in started(s, size, self.streams)
        )
        self.order = Order(groups, s.batch, self.streams.generator("order", "cpu"))
        self.d_optimiser, self.g_optimiser = (
            torch.optim.Adam(network.parameters(), lr=s.learning_rate, betas=(s.beta1, s.beta2), fused=True)
            for network in (self.discriminator, self.generator)
        )
        # The optimisers' states are made here, not at their first step, so that a program can have them all at once.
        for optimiser in (self.d_optimiser, self.g_optimiser):
            for parameter in optimiser.param_groups[0]["params"]:
                moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                optimiser.state[parameter] = {"step": torch.zeros((), device=device), **moments}
        self._learned: dict[str, Any] = {
            name: getattr(self, name) for name in ("generator", "discriminator", "g_optimiser", "d_optimiser")
        }
        self.averager: Averager | None = None
        if (average := AVERAGES[s.averaging]) is not None:
            self.averager = Averager(average, list(self.generator.parameters()), s)
        self.steps = 0
        self.seconds = 0.0  # where it trains with others, its share of theirs
        self.timed_from: tuple[int, float] | None = None
        self.sums = torch.zeros(len(CURVES), device=device)
        self.summed = 0
        self.lost: DivergedError | None = None
        self.way: str | None = None  # how it trains with others; None: alone
        self.restored = 0  # times that a state was restored

    def means(self) -> dict[str, float] | DivergedError:
        """Mean losses and scores since the last call, or how it diverged."""
        means = (self.sums / max(self.summed, 1)).tolist()
        self.sums.zero_()
        self.summed = 0
        if self.lost is not None:
            return self.lost
        found = dict(zip(CURVES, means, strict=True))
        for name, value in found.items():
            if not np.isfinite(value):
                self.lost = DivergedError(f"{name} is {value} after {self.steps * self.settings.batch:,} images")
                return self.lost
        return found

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
        """All that the rest of its training depends on, in the same form whether it trains alone or with others."""
        return {
            **{name: part.state_dict() for name, part in self._learned.items()},
            "average": self.averager and {"average": self.averager.average, "count": self.averager.count},
            "order": self.order.state(),
            "streams": self.streams.state(),
            "steps": self.steps,
            "seconds": self.seconds,
            "timed_from": self.timed_from and list(self.timed_from),
            "sums": self.sums,
            "summed": self.summed,
            "way": self.way,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken. Those that train together go on from the same step."""
        for name, part in self._learned.items():
            part.load_state_dict(state[name])
        if self.averager is not None:
            self.averager.average = [tensor.to(self.device) for tensor in state["average"]["average"]]
            self.averager.count = state["average"]["count"]
        self.order.restore(state["order"])
        self.streams.restore(state["streams"])
        self.steps, self.seconds = state["steps"], state["seconds"]
        self.timed_from = tuple(state["timed_from"]) if state["timed_from"] else None
        self.sums, self.summed = state["sums"].to(self.device), state["summed"]
        self.way = state["way"]
        self.restored += 1
