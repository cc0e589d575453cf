"""Averages of the generator's parameters by name; `averaging` of the settings takes its values from here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# From epochs 400, 300, 200 and 0 of the notebook's 620 on.
SCHEDULE = ((400 / 620, 0.9999), (300 / 620, 0.999), (200 / 620, 0.99), (0.0, 0.9))

Beta = Callable[[float, int], float]
Average = Callable[[float, float], tuple[float, Beta]]


AVERAGES: dict[str, Average | None] = {
    "none": None,
    "swa": lambda start, beta: (start, lambda fraction, count: count / (count + 1)),
    "ema": lambda start, beta: (start, lambda fraction, count: beta),
    "schedule": lambda start, beta: (0.0, lambda fraction, _: next(b for at, b in SCHEDULE if fraction >= at)),
}
"""Start fraction and beta of the settings -> the start and the beta of each step, by fraction and count."""


class Averager:
    """Keeps avg <- beta avg + (1 - beta) parameters after each step from a start fraction of training.

    The first update copies the parameters. swa: equal weights (Izmailov et al. 2018), taken after each step; ema: a
    constant beta; schedule: beta 0.9, 0.99, 0.999, 0.9999 from fixed fractions of training, as in the notebook.
    """

    def __init__(self, average: Average, parameters: Sequence[Tensor], *, start: float, beta: float) -> None:
        self.start, self._beta = average(start, beta)
        self._parameters = list(parameters)
        self.average = [parameter.detach().clone() for parameter in parameters]
        self.count = 0

    def update(self, fraction: float) -> None:
        """Take in the parameters after a step at `fraction` (0..1) of training."""
        import torch  # not above: the settings read the names

        if fraction < self.start:
            return
        with torch.no_grad():
            if self.count == 0:
                torch._foreach_copy_(self.average, self._parameters)
            else:
                torch._foreach_lerp_(self.average, self._parameters, 1 - self._beta(fraction, self.count))
        self.count += 1

    def current(self) -> list[Tensor]:
        """The averages, or the parameters themselves before the start."""
        return self.average if self.count else [parameter.detach() for parameter in self._parameters]
