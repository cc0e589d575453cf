"""Averages of the generator's parameters by name; `averaging` of the settings takes its values from here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# From epochs 400, 300, 200 and 0 of the notebook's 620 on.
SCHEDULE = ((400 / 620, 0.9999), (300 / 620, 0.999), (200 / 620, 0.99), (0.0, 0.9))


@dataclass(frozen=True)
class Average:
    """avg <- beta avg + (1 - beta) parameters after each step from a start on.

    `start` gives a share of training (0..1) from the settings; `beta` the decay of a step from its share of training,
    the count of updates before it, and the settings. `reads` names those of averages that they read; None: any.
    """

    start: Callable[[Any], float]
    beta: Callable[[float, int, Any], float]
    reads: tuple[str, ...] | None = None


AVERAGES: dict[str, Average | None] = {
    "none": None,
    # Equal weights, taken after each step (Izmailov et al. 2018).
    "swa": Average(lambda s: s.swa_start, lambda fraction, count, s: count / (count + 1), reads=("swa_start",)),
    # A constant beta.
    "ema": Average(lambda s: s.swa_start, lambda fraction, count, s: s.ema_beta, reads=("swa_start", "ema_beta")),
    # 0.9, 0.99, 0.999, 0.9999 from fixed shares of training on, as in the notebook.
    "schedule": Average(
        lambda s: 0.0, lambda fraction, count, s: next(beta for at, beta in SCHEDULE if fraction >= at), reads=()
    ),
}


class Averager:
    """Keeps the average of a generator's parameters as `settings` say. The first update copies the parameters."""

    def __init__(self, average: Average, parameters: Sequence[Tensor], settings: Any) -> None:
        self.start, self._beta, self._settings = average.start(settings), average.beta, settings
        self._parameters = list(parameters)
        self.average = [parameter.detach().clone() for parameter in parameters]
        self.count = 0

    def weight(self, fraction: float) -> float:
        """The weight of the parameters after a step at `fraction` (0..1) of training; counts the step.

        0 before the start, 1 at the first update, which copies, and 1 - beta from then on.
        """
        if fraction < self.start:
            return 0.0
        self.count += 1
        return 1.0 if self.count == 1 else 1 - self._beta(fraction, self.count - 1, self._settings)

    def take(self, weight: Tensor) -> None:
        """Take in the parameters with the scalar `weight` that was told for this step, on their device."""
        import torch  # not above: the settings read the names

        with torch.no_grad():
            for average, parameter in zip(self.average, self._parameters, strict=True):
                average.lerp_(parameter, weight)

    def update(self, fraction: float) -> None:
        """Take in the parameters after a step at `fraction` (0..1) of training, in plain words."""
        import torch  # not above: the settings read the names

        weight = self.weight(fraction)
        with torch.no_grad():
            if weight == 1:
                torch._foreach_copy_(self.average, self._parameters)
            elif weight:
                torch._foreach_lerp_(self.average, self._parameters, weight)

    def current(self) -> list[Tensor]:
        """The averages, or the parameters themselves before the start."""
        return self.average if self.count else [parameter.detach() for parameter in self._parameters]
