"""The study's yardsticks, applied to one run: every extractor times every reference set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

import harness.data
from harness.data.settings import DataSettings
from harness.metrics import Extractor, extractor, sliced
from harness.metrics.reference import Reference, reference
from harness.recipes.dcgan.settings import EvaluateSettings
from harness.settings import Precision


@dataclass(frozen=True)
class Yardstick:
    """One extractor against one reference set. The objective's metrics carry no suffix."""

    name: str
    extractor: Extractor
    reference: Reference
    tau: float
    images: Any  # the reference's, uint8 [N, 3, S, S]


@dataclass(frozen=True)
class Likeness:
    """Generated images beside the real ones most like them: both uint8 [N, 3, S, S], and 1 - |cos| of each pair."""

    generated: torch.Tensor
    real: torch.Tensor
    distances: list[float]


@cache
def _network(name: str, precision: Precision, device: str) -> Extractor:
    """An extractor, made once a process: the next run in a slot has the same ones."""
    return extractor(name, precision=precision, device=device)


class Evaluator:
    """Scores generated images under every yardstick of a study.

    `evaluate` names extractors, `references` the data of each reference set; the first pair is the objective, whose
    metrics are logged under their bare names, the others as `metric/extractor/reference`. `note` is told where what is
    cached of them was damaged.
    """

    def __init__(
        self,
        evaluate: EvaluateSettings,
        references: Mapping[str, DataSettings],
        device: str = "cpu",
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.evaluate = evaluate
        self.yardsticks: list[Yardstick] = []
        self._sets = {name: harness.data.prepare(data, note=note) for name, data in references.items()}
        for extractor_name in evaluate.extractors:
            network = _network(extractor_name, evaluate.precision, device)
            tau = evaluate.tau_of(extractor_name)
            for reference_name, prepared in self._sets.items():
                name = f"{extractor_name}/{reference_name}"
                stored = reference(prepared, network, note=note)
                self.yardsticks.append(Yardstick(name, network, stored, tau, prepared.images))

    @property
    def objective(self) -> Yardstick:
        """The yardstick of the objective."""
        return self.yardsticks[0]

    @property
    def digests(self) -> dict[str, str]:
        """Reference set -> the fingerprint of its images."""
        return {name: prepared.fingerprint for name, prepared in self._sets.items()}

    @property
    def facts(self) -> dict[str, str]:
        """What every number was measured with, and how far held-out real images are: to be logged beside it."""
        yardsticks, late = self.yardsticks, self.evaluate.late
        return {
            **({"yardstick.window": f"mean of the last {late} of {self.evaluate.times} scores"} if late > 1 else {}),
            **{f"reference.{name}.fingerprint": digest for name, digest in self.digests.items()},
            **{f"yardstick.{y.name}": y.extractor.fingerprint for y in yardsticks},
            **{f"memorization_baseline.{y.name}": f"{y.reference.memorization_baseline:.4f}" for y in yardsticks},
            "mind": sliced.RECORD,
        }

    def closest(self, images: torch.Tensor, features: Mapping[str, torch.Tensor], count: int) -> Likeness:
        """The `count` of uint8 [M, 3, H, W] images that the objective finds most like an image of its reference set.

        `features` are theirs, as `features` gives them.
        """
        yardstick = self.objective
        found = yardstick.reference.nearest(features[yardstick.extractor.name])
        order = found.distances.nan_to_num(torch.inf).argsort(stable=True)[:count].cpu()
        order = order[found.nearest.cpu()[order] >= 0]  # features of zeros resemble nothing
        real = np.stack([yardstick.images[int(found.nearest[index])] for index in order])
        distances = [float(found.distances[index]) for index in order]
        return Likeness(images[order.to(images.device)].cpu(), torch.from_numpy(real), distances)

    def features(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Extractor -> [M, dim] features of uint8 [M, 3, H, W] images."""
        networks = {yardstick.extractor.name: yardstick.extractor for yardstick in self.yardsticks}
        return {name: network(images) for name, network in networks.items()}

    def score(self, features: Mapping[str, torch.Tensor], *, full: bool = True) -> dict[str, float]:
        """Scores of the images with these features. `full` adds KID, MIND, precision, recall, density, coverage."""
        scores: dict[str, float] = {}
        for yardstick in self.yardsticks:
            own, tau = features[yardstick.extractor.name], yardstick.tau
            result = yardstick.reference.score(own, tau=tau, kid=full, manifold=full, mind=full, interval=full)
            suffix = "" if yardstick is self.objective else f"/{yardstick.name}"
            scores |= {f"{name}{suffix}": value for name, value in result.numbers().items()}
        return scores
