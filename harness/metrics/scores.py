"""All scores of generated against real features, from the parts that each metric computes."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property

import torch

from harness.errors import MetricError
from harness.metrics.features import check_features
from harness.metrics.frechet import Moments, frechet_distance, moments
from harness.metrics.kernel import kernel_distance, kernel_sum
from harness.metrics.manifold import manifold, radii
from harness.metrics.memorization import Memorization, memorization, unit_rows

_EPSILON = 1e-15


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of one set of generated images. What was not asked for is NaN."""

    fid: float
    memorization_distance: float
    mifid: float
    kid: float = math.nan
    kid_error: float = math.nan
    precision: float = math.nan
    recall: float = math.nan
    density: float = math.nan
    coverage: float = math.nan
    nearest: torch.Tensor
    """[M] int64: the real image most like each generated one, -1 where its features are all zero."""

    def numbers(self) -> dict[str, float]:
        """The scores that were computed, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "nearest"}
        return {name: value for name, value in values.items() if not math.isnan(value)}


class RealSide:
    """The real features and everything about them that does not depend on the generated ones, computed when used."""

    def __init__(self, features: torch.Tensor) -> None:
        self.features = check_features("real", features)

    @cached_property
    def moments(self) -> Moments:
        return moments(self.features)

    @cached_property
    def unit(self) -> torch.Tensor:
        return unit_rows(self.features)

    @cached_property
    def kernel_sum(self) -> float:
        return kernel_sum(self.features)

    @cached_property
    def radii(self) -> torch.Tensor:
        return radii(self.features)

    def nearest(self, generated: torch.Tensor) -> Memorization:
        """The nearest real image of each of [M, D] generated ones, and how far it is."""
        generated = check_features("generated", generated, dim=self.features.shape[1])
        return memorization(generated.to(self.features.device), self.features, self.unit)

    def score(self, generated: torch.Tensor, *, tau: float, kid: bool = True, manifold: bool = True) -> Scores:
        """Scores of [M, D] generated features; `kid` and `manifold` cost the most and may be left out."""
        _check_tau(tau)
        generated = check_features("generated", generated, dim=self.features.shape[1])
        if generated.device != self.features.device:
            generated = generated.to(self.features.device)
        fid = frechet_distance(self.moments, generated)
        memorized = memorization(generated, self.features, self.unit)
        more: dict[str, float] = {}
        if kid:
            value, error = kernel_distance(self.features, generated, self.kernel_sum)
            more |= {"kid": value, "kid_error": error}
        if manifold:
            more |= _manifold(self.features, generated, self.radii)
        return Scores(
            fid=fid,
            memorization_distance=memorized.distance,
            mifid=mifid_from(fid, memorized.distance, tau),
            nearest=memorized.nearest,
            **more,
        )


def score_features(
    real: torch.Tensor, generated: torch.Tensor, *, tau: float = 0.1, kid: bool = True, manifold: bool = True
) -> Scores:
    """Scores of [M, D] generated against [N, D] real features of one extractor, on the real features' device.

    Raises MetricError for NaN, infinity, other shapes or fewer than 2 rows.
    """
    return RealSide(real).score(generated, tau=tau, kid=kid, manifold=manifold)


def mifid_from(fid: float, memorization_distance: float, tau: float) -> float:
    """The competition's MiFID: the FID divided by the memorisation distance where that is below `tau`, else by 1."""
    penalty = memorization_distance if memorization_distance < tau else 1.0
    return fid / (penalty + _EPSILON)


def _check_tau(tau: float) -> None:
    if not 0 <= tau <= 1:
        raise MetricError(f"tau is {tau}; memorisation distances lie in 0..1, give a threshold there (0 = no penalty)")


def _manifold(real: torch.Tensor, generated: torch.Tensor, real_radii: torch.Tensor) -> dict[str, float]:
    found = manifold(real, generated, real_radii)
    return {
        "precision": found.precision,
        "recall": found.recall,
        "density": found.density,
        "coverage": found.coverage,
    }
