"""Which way of scoring sees a known effect soonest? Power per second of input sizes, images a score and windows.

    make bench-power                           some minutes: 3 cells, 4 seeds, a short training
    ... benchmarks/power.py --whole            ablations/tricks.yaml's training, 8 seeds
    ... --cache FOLDER                         keeps the trained generators there, and takes them from there

Trains cells of ablations/tricks.yaml on seeds from 100 on (the study itself has those below), keeps each generator at
24 evenly spaced points, and scores the very same generators in every way. t is that of the paired differences from the
baseline; a way's power per second is t / sqrt(seconds of a run with its scores): as many seconds buy as many times
t^2. A run of the averaging cell is the baseline's training, sampled from its averages.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import harness.data
from harness.data.settings import DataSettings
from harness.design import Cell, plan
from harness.metrics import extractor
from harness.metrics.reference import Reference, reference
from harness.recipes.dcgan.networks import Generator
from harness.recipes.dcgan.sampling import draw, latents, ready
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.dcgan.trainer import Trainer
from harness.spec import load

SPEC = Path(__file__).parent.parent / "ablations" / "tricks.yaml"
CONTROL, CROP, AVERAGING = "baseline", "crop=square", "averaging=ema"
POINTS, FIRST_SEED = 24, 100
FAMILY = 6  # contrasts of tricks.yaml, for a shared control

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Way:
    """An input size of efficientnet-lite0, images a score, and statistics of batch norm that samples are drawn with."""

    size: int
    images: int
    statistics: str = "recalibrate"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One training: its settings, its seconds, the generator's weights at every point, plain and averaged."""

    settings: DcganSettings
    size: int
    seed: int
    seconds: float
    points: list[dict[str, Any]]


def trained(cell: Cell, seed: int, images: int, folder: Path) -> Trained:
    """A training of `images` images, from `folder` where it holds it."""
    path = folder / f"{cell.name.replace('=', '-')}-{seed}-{images}.pt"
    assert isinstance(cell.train, DcganSettings)
    settings = cell.train.model_copy(update={"averaging": "ema", "swa_start": 0.0})
    if not path.exists():
        assert isinstance(cell.data, DataSettings)
        data = harness.data.prepare(cell.data)
        pixels = torch.from_numpy(data.images[:].copy())
        trainer = Trainer(settings, pixels, data.groups, seeds=[seed], device="cpu", total_images=images)
        points = []
        for part in range(1, POINTS + 1):
            for _ in trainer.train_until(part / POINTS, lambda: False):
                pass
            plain = {name: tensor.clone() for name, tensor in trainer.replicates[0].generator.state_dict().items()}
            points.append({"plain": plain, "averaged": trainer.replicates[0].weights()})
        kept = {"size": pixels.shape[-1], "seconds": trainer.seconds, "points": points}
        torch.save(kept, path)
    found = torch.load(path, weights_only=True)
    return Trained(settings=settings, seed=seed, **found)


class Scorer:
    """Scores generators against the square crops of the study's data; `seconds` a score, by way."""

    def __init__(self, data: DataSettings, sizes: Sequence[int]) -> None:
        self.prepared = harness.data.prepare(data.model_copy(update={"crop": "square"}))
        names = {size: "efficientnet-lite0" if size == 224 else f"efficientnet-lite0@{size}" for size in sizes}
        self.extractors = {size: extractor(name) for size, name in names.items()}
        self.references: dict[int, Reference] = {
            size: reference(self.prepared, network) for size, network in self.extractors.items()
        }
        self.seconds: dict[Way, list[float]] = {}

    def curve(self, run: Trained, ways: Sequence[Way], kind: str, points: Sequence[int]) -> dict[Way, Values]:
        """MiFID at `points` (from 1), by way; the images of a larger score begin with those of a smaller one."""
        found: dict[Way, list[float]] = {way: [] for way in ways}
        for point, statistics in itertools.product(points, {way.statistics for way in ways}):
            own = [way for way in ways if way.statistics == statistics]
            settings = run.settings.model_copy(update={"sample_bn": statistics})
            began = time.perf_counter()
            network = Generator(settings, run.size).requires_grad_(False)
            network.load_state_dict(run.points[point - 1][kind])
            most = max(way.images for way in own)
            pixels = draw(ready(network, settings, run.seed), settings, latents(most, settings, run.seed))
            drawn = time.perf_counter() - began
            for size in {way.size for way in own}:
                began = time.perf_counter()
                features = self.extractors[size](pixels)
                each = (time.perf_counter() - began) / most
                for way in (way for way in own if way.size == size):
                    began = time.perf_counter()
                    scores = self.references[size].score(features[: way.images], tau=0.1, kid=False, manifold=False)
                    found[way].append(scores.mifid)
                    spent = drawn + each * way.images + time.perf_counter() - began
                    self.seconds.setdefault(way, []).append(spent)
        return {way: np.array(values) for way, values in found.items()}


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Differences of a trick from the baseline by seed: change and sd in per cent of its mean, t, correlation."""

    change: float
    sd: float
    t: float
    correlation: float

    @classmethod
    def of(cls, treated: Values, control: Values) -> Paired:
        """Of [seeds] outcomes each."""
        differences, whole = treated - control, control.mean() / 100
        sd = differences.std(ddof=1)
        return cls(
            change=differences.mean() / whole,
            sd=sd / whole,
            t=differences.mean() / sd * math.sqrt(len(differences)),
            correlation=float(np.corrcoef(treated, control)[0, 1]),
        )


def ways_table(curves: dict[str, dict[Way, Values]], ways: Sequence[Way], scorer: Scorer, training: float) -> None:
    """One line a way and window. Curves are [seeds, points], the last points of training."""
    print(
        "| input | images | statistics | window | crop %, sd, t, corr. | averaging %, sd, t, corr. | s a run | ", end=""
    )
    print("crop t/sqrt(s) | averaging t/sqrt(s) |\n| ---: | ---: | --- | --- | --- | --- | ---: | ---: | ---: |")
    for way in ways:
        points = curves[CONTROL][way].shape[1]
        for late in (count for count in (1, 3, 6, 9, 12) if count <= points):
            control, *treated = (curves[cell][way][:, -late:].mean(1) for cell in (CONTROL, CROP, AVERAGING))
            found = [Paired.of(values, control) for values in treated]
            seconds = training + late * float(np.mean(scorer.seconds[way]))
            told = [f"{one.change:+.1f}, {one.sd:.1f}, {one.t:+.1f}, {one.correlation:+.2f}" for one in found]
            per = [f"{abs(one.t) / math.sqrt(seconds):.2f}" for one in found]
            of = "the last" if late == 1 else f"last {late} of {POINTS}"
            print(
                f"| {way.size} | {way.images} | {way.statistics} | {of} | {' | '.join(told)} | {seconds:.1f} | ", end=""
            )
            print(f"{' | '.join(per)} |")


def control_variate(early: Values, late: Values) -> float:
    """Share of the variance of [cells, seeds] late outcomes that is left by a line on early ones, unbiased by size.

    One slope for all cells, whose means differ.
    """
    x, y = (values - values.mean(1, keepdims=True) for values in (early, late))
    residual = y - x * (x * y).sum() / (x * x).sum()
    free = y.size - len(y)
    return float((residual**2).sum() / (free - 1) / ((y**2).sum() / free))


def shared_control(correlation: float) -> float:
    """Variance of a contrast with sqrt(k) times as many unpaired runs of the control over that of paired runs.

    As many runs in all: (1 + 1 / sqrt k)(k + sqrt k) against 2 (1 - r)(k + 1).
    """
    root = math.sqrt(FAMILY)
    return (1 + 1 / root) * (FAMILY + root) / (2 * (1 - correlation) * (FAMILY + 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true", help="every way, 8 seeds of the study's own budget")
    parser.add_argument("--cache", type=Path, help="folder of trained generators (default: a temporary one)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    study = plan(load(SPEC))
    seeds = range(FIRST_SEED, FIRST_SEED + (8 if options.whole else 4))
    images = int(study.budget.images) if options.whole else 6000
    sizes, counts = ((224, 128, 96, 64), (250, 500, 1000)) if options.whole else ((128, 64), (250,))
    ways = [Way(size=size, images=count) for size, count in itertools.product(sizes, counts)]
    ways += [Way(size=64, images=250, statistics=name) for name in ("running", "batch")]
    points = range(13 if options.whole else 19, POINTS + 1)
    control = study.cell(CONTROL)
    assert isinstance(control.data, DataSettings)
    scorer = Scorer(control.data, sizes)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.cache or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        runs = {cell: [trained(study.cell(cell), seed, images, folder) for seed in seeds] for cell in (CONTROL, CROP)}
    sources = {CONTROL: (CONTROL, "plain"), CROP: (CROP, "plain"), AVERAGING: (CONTROL, "averaged")}
    curves: dict[str, dict[Way, Values]] = {}
    for cell, (source, kind) in sources.items():
        each = [scorer.curve(run, ways, kind, points) for run in runs[source]]
        curves[cell] = {way: np.stack([curve[way] for curve in each]) for way in ways}
    training = float(np.mean([run.seconds for run in runs[CONTROL]]))
    print(f"{len(seeds)} seeds from {FIRST_SEED} on, {images:,} images a run, {training:.1f} s of training, one thread")
    ways_table(curves, ways, scorer, training)

    usual = next(way for way in ways if way.size == 64 and way.images == 250)
    early = [
        np.stack([scorer.curve(run, [usual], kind, (4, 8))[usual] for run in runs[source]]).mean(1)
        for source, kind in (sources[CONTROL], sources[CROP])
    ]
    late = [curves[cell][usual][:, -6:].mean(1) for cell in (CONTROL, CROP)]
    left = control_variate(np.stack(early), np.stack(late))
    print(f"\nA line on the mean of the scores 4 and 8 leaves {left:.2f} of the variance of the mean of the last 6")
    told = ", ".join(f"{shared_control(r):.2f} at a correlation of {r:+.1f}" for r in (-0.3, 0.0, 0.3, 0.6))
    print(f"A control of sqrt({FAMILY}) times the seeds, unpaired, has of the paired design's variance {told}")


if __name__ == "__main__":
    main()
