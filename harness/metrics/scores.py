"""All scores of generated against real features, from the parts that each metric computes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property

import torch

from harness.errors import MetricError
from harness.metrics.features import check_features
from harness.metrics.frechet import Moments, frechet_distance, frechet_infinity, frechet_influence, moments
from harness.metrics.gram import Reader, read_own_pairs, read_pairs
from harness.metrics.kernel import KernelSums, distance_of_sums, own_sums, part_count
from harness.metrics.manifold import DENSITY_K, PRECISION_K, Balls, NearestOthers
from harness.metrics.memorization import Memorization, NearestByAngle, memorization
from harness.metrics.sliced import monge_distance, projections

_EPSILON = 1e-15


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of one set of generated images. What was not asked for is NaN."""

    fid: float
    memorization_distance: float
    mifid: float
    mifid_error: float = math.nan
    """Standard error of the MiFID over other sets of as many images from the same generator."""
    fid_infinity: float = math.nan
    kid: float = math.nan
    kid_error: float = math.nan
    mind: float = math.nan
    """Monge Inception Distance: on the scale of a Frechet distance, and meant for fewer images."""
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

    def __init__(self, features: torch.Tensor, names: Sequence[str] = ()) -> None:
        self.features = check_features("real", features)
        self.names = list(names)
        """The photo that each row is of, where they have names; several rows may be of one."""

    @cached_property
    def moments(self) -> Moments:
        return moments(self.features)

    @cached_property
    def kernel_sums(self) -> torch.Tensor:
        """The kernel of KID summed over all pairs of real rows, and within each of its parts."""
        return self._among_themselves[0]

    @cached_property
    def radii(self) -> torch.Tensor:
        """Squared distances [2, N] float64 to the 3rd and the 5th nearest other real row."""
        return self._among_themselves[1]

    @cached_property
    def _among_themselves(self) -> tuple[torch.Tensor, torch.Tensor]:
        count, dim = self.features.shape
        kernel = KernelSums(dim, part_count(count, count), own=True)
        others = NearestOthers(self.features, (PRECISION_K, DENSITY_K))
        read_own_pairs(self.features, kernel, others)
        return kernel.sums, others.radii()

    @cached_property
    def projections(self) -> torch.Tensor:
        """[1000, N] float64: the real rows as MIND sees them. More memory than the rows, so scores do not make them."""
        return projections(self.features)

    def nearest(self, generated: torch.Tensor) -> Memorization:
        """The nearest real image of each of [M, D] generated ones, and how far it is."""
        generated = check_features("generated", generated, dim=self.features.shape[1])
        return memorization(generated.to(self.features.device), self.features)

    @cached_property
    def memorization_baseline(self) -> float:
        """The memorisation distance of the photos 1, 3, 5... from the photos 0, 2, 4...: that of images not copied.

        A generator much below it copies. Nearest of half as many images, it is a little high for the whole set. Exact
        or near duplicates among the real images lower it. Rows are taken for photos where no `names` are known, or
        all are of one.
        """
        photos = {name: position for position, name in enumerate(dict.fromkeys(self.names))}
        positions = [photos[name] for name in self.names] if len(photos) > 1 else range(len(self.features))
        odd = torch.tensor([position % 2 == 1 for position in positions], device=self.features.device)
        return memorization(self.features[odd], self.features[~odd]).distance

    def score(
        self,
        generated: torch.Tensor,
        *,
        tau: float,
        kid: bool = True,
        manifold: bool = True,
        mind: bool = True,
        interval: bool = False,
        infinity: bool = False,
    ) -> Scores:
        """Scores of [M, D] generated features.

        `kid`, `manifold` and `mind` take the most time and may be left out; `interval` adds `mifid_error` for about
        another FID, `infinity` adds `fid_infinity` for about 15.
        """
        if not 0 <= tau <= 1:
            raise MetricError(
                f"tau is {tau}; memorisation distances lie in 0..1, give a threshold there (0 = no penalty)"
            )
        generated = check_features("generated", generated, dim=self.features.shape[1])
        if generated.device != self.features.device:
            generated = generated.to(self.features.device)
        # The Frechet distance first: its matrices and the blocks of products then do not lie in memory together.
        fid, influence = (
            frechet_influence(self.moments, generated)
            if interval
            else (frechet_distance(self.moments, generated), None)
        )
        extrapolated = frechet_infinity(self.moments, generated) if infinity else math.nan
        memorized, more = self._against(generated, kid, manifold)
        if mind:
            more["mind"] = monge_distance(self.features, generated, self.__dict__.get("projections"))
        if influence is not None:
            more["mifid_error"] = _mifid_error(fid, influence, memorized, tau)
        return Scores(
            fid=fid,
            memorization_distance=memorized.distance,
            mifid=mifid_from(fid, memorized.distance, tau),
            fid_infinity=extrapolated,
            nearest=memorized.nearest,
            **more,
        )

    def _against(self, generated: torch.Tensor, kid: bool, manifold: bool) -> tuple[Memorization, dict[str, float]]:
        """The nearest real rows, and the scores that need all pairs: each product of two rows is made once."""
        real, (count, dim) = self.features, generated.shape
        parts = part_count(len(real), count)
        search = NearestByAngle(generated, real)
        readers: list[Reader] = [search]
        among: list[Reader] = []
        if kid:
            readers.append(cross := KernelSums(dim, parts, own=False))
            among.append(kernel := KernelSums(dim, parts, own=True))
        if manifold:
            among.append(others := NearestOthers(generated, (PRECISION_K,)))
        if among:
            read_own_pairs(generated, *among)
        if manifold:
            readers.append(balls := Balls(generated, real, others.radii(), self.radii))
        read_pairs(generated, real, *readers)
        found: dict[str, float] = {}
        if kid:
            own = self.kernel_sums if len(self.kernel_sums) == 1 + parts else own_sums(real, parts)
            found["kid"], found["kid_error"] = distance_of_sums(own, kernel.sums, cross.sums, len(real), count)
        if manifold:
            found |= asdict(balls.found())
        return search.found(), found


def score_features(
    real: torch.Tensor,
    generated: torch.Tensor,
    *,
    tau: float = 0.1,
    kid: bool = True,
    manifold: bool = True,
    mind: bool = True,
    interval: bool = False,
    infinity: bool = False,
) -> Scores:
    """Scores of [M, D] generated against [N, D] real features of one extractor, on the real features' device.

    Raises MetricError for NaN, infinity, other shapes or fewer than 2 rows (4 generated ones for `infinity`).
    """
    return RealSide(real).score(
        generated, tau=tau, kid=kid, manifold=manifold, mind=mind, interval=interval, infinity=infinity
    )


def mifid_from(fid: float, memorization_distance: float, tau: float) -> float:
    """The competition's MiFID: the FID divided by the memorisation distance where that is below `tau`, else by 1."""
    penalty = memorization_distance if memorization_distance < tau else 1.0
    return fid / (penalty + _EPSILON)


def _mifid_error(fid: float, influence: torch.Tensor, memorized: Memorization, tau: float) -> float:
    """Standard error of the MiFID by the infinitesimal jackknife over the generated images.

    The root of the mean square of the influence of each image over M - 1 (Jaeckel 1972; Efron 1982, "The Jackknife, the
    Bootstrap and Other Resampling Plans", chapter 6). The bias of the FID in M moves the value, not its derivatives.
    The real images and the side of `tau` on which the distance lies are taken as given.
    """
    if memorized.distance < tau:
        found = ~memorized.distances.isnan()
        own = torch.where(found, memorized.distances - memorized.distance, 0.0) * (len(found) / found.sum())
        penalty = memorized.distance + _EPSILON
        influence = (influence - fid / penalty * own) / penalty
    return math.sqrt(float(influence.square().mean()) / (len(influence) - 1))
