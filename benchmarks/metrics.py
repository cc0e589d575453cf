"""From features to scores, ours beside torchmetrics, SciPy and torch-fidelity: seconds, extra memory and values.

    make bench-metrics                                          # 12,000 real, 6,000 generated, 2048-d
    python benchmarks/metrics.py --quick                        # a minute at a small size
    python benchmarks/metrics.py --photos FOLDER                # photos for the second table

Every line is one call in a process of its own on the same features, after a small call of the same function. Extra
memory is the growth of the kernel's high-water mark over the process with its features loaded (Linux). The second table
goes from images to the number: our extractor as `harness` uses it, and the same network as timm gives it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.machine.provenance import processor

REPOSITORY = Path(__file__).resolve().parents[1]
DOGS = Path(os.environ.get("HARNESS_DOGS") or REPOSITORY / ".." / "shared/data/stanford-dogs")
Sides = tuple[torch.Tensor, torch.Tensor]


def draw(real: int, generated: int, dim: int) -> Sides:
    """float32 features of a slowly decaying full spectrum, heavier tails than a Gaussian's, and a mean."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(dim, dim, generator=generator)).Q
    spectrum = torch.arange(1, dim + 1).float() ** -0.5
    mean = torch.rand(dim, generator=generator) * 0.2

    def side(count: int, spread: float) -> torch.Tensor:
        lengths = 1 + 0.5 * torch.rand(count, 1, generator=generator) ** 4 * 4
        return mean + spread * lengths * torch.randn(count, dim, generator=generator) * spectrum @ basis

    return side(real, 1.0), 1.03 * side(generated, 1.1)


def ours_mifid(real: torch.Tensor, generated: torch.Tensor) -> float:
    from harness.metrics import score_features

    return score_features(real, generated, kid=False, manifold=False, mind=False).mifid


def ours_interval(real: torch.Tensor, generated: torch.Tensor) -> float:
    from harness.metrics import score_features

    return score_features(real, generated, kid=False, manifold=False, mind=False, interval=True).mifid


def ours_again(real: torch.Tensor, generated: torch.Tensor) -> Callable[[], float]:
    from harness.metrics.scores import RealSide

    side = RealSide(real)
    side.moments.factor  # noqa: B018
    return lambda: side.score(generated, tau=0.1, kid=False, manifold=False, mind=False).mifid


def ours_pairs(real: torch.Tensor, generated: torch.Tensor) -> float:
    from harness.metrics import score_features

    return score_features(real, generated, mind=False).mifid


def ours_all(real: torch.Tensor, generated: torch.Tensor) -> float:
    from harness.metrics import score_features

    return score_features(real, generated).mifid


def ours_fid(real: torch.Tensor, generated: torch.Tensor) -> float:
    from harness.metrics.frechet import frechet_distance, moments

    return frechet_distance(moments(real), generated)


def ours_kid(real: torch.Tensor, generated: torch.Tensor) -> float:
    from harness.metrics.kernel import kernel_distance

    return kernel_distance(real, generated)[0]


def torchmetrics_mifid(real: torch.Tensor, generated: torch.Tensor) -> float:
    from torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance

    metric = MemorizationInformedFrechetInceptionDistance(feature=torch.nn.Identity())
    metric.update(real, real=True)
    metric.update(generated, real=False)
    return float(metric.compute())


def scipy_fid(real: torch.Tensor, generated: torch.Tensor) -> float:
    from scipy.linalg import sqrtm

    means = [side.double().numpy().mean(0) for side in (real, generated)]
    covs = [np.cov(side.numpy(), rowvar=False) for side in (real, generated)]
    root = sqrtm(covs[0] @ covs[1]).real
    return float(((means[0] - means[1]) ** 2).sum() + np.trace(covs[0]) + np.trace(covs[1]) - 2 * np.trace(root))


def fidelity_fid(real: torch.Tensor, generated: torch.Tensor) -> float:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    statistics = [fid_features_to_statistics(side) for side in (real, generated)]
    return float(next(iter(fid_statistics_to_metric(*statistics, verbose=False).values())))


def fidelity_kid(real: torch.Tensor, generated: torch.Tensor) -> float:
    from torch_fidelity.metric_kid import kid_features_to_metric

    size = min(1000, len(real), len(generated))
    found = kid_features_to_metric(real, generated, kid_subsets=100, kid_subset_size=size, rng_seed=0, verbose=False)
    return float(found["kernel_inception_distance_mean"])


# The first of a group is what the others of the group are compared with.
GROUPS: dict[str, dict[str, Callable[..., Any]]] = {
    "MiFID": {
        "torchmetrics": torchmetrics_mifid,
        "ours": ours_mifid,
        "ours, real side cached": ours_again,
        "ours, with standard error": ours_interval,
        "ours, all metrics but MIND": ours_pairs,
        "ours, all metrics": ours_all,
    },
    "FID": {"scipy sqrtm": scipy_fid, "torch-fidelity": fidelity_fid, "ours": ours_fid},
    "KID": {"torch-fidelity, 100 subsets": fidelity_kid, "ours, all pairs": ours_kid},
}


def megabytes(field: str) -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return math.nan
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def measure(group: str, name: str, folder: Path) -> dict[str, Any]:
    """One call: seconds, extra megabytes, value; or which package is missing."""
    function = GROUPS[group][name]
    try:
        small = function(*draw(300, 200, 16))
        if callable(small):
            small()
    except ModuleNotFoundError as error:
        return {"missing": str(error.name)}
    sides = [torch.from_numpy(np.load(folder / f"{side}.npy")) for side in ("real", "generated")]
    call = function(*sides) if callable(small) else lambda: function(*sides)
    before = megabytes("VmRSS")
    start = time.perf_counter()
    value = call()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "megabytes": megabytes("VmHWM") - before, "value": value}


def photos(folder: Path, count: int) -> torch.Tensor:
    """uint8 [count, 3, 64, 64] photos, evenly from all of a folder."""
    from PIL import Image

    paths = sorted(path for path in folder.rglob("*.jpg"))
    if len(paths) < count:
        raise SystemExit(f"--photos: {folder} holds {len(paths)} JPEG files; {count} are needed")
    chosen = [paths[i * len(paths) // count] for i in range(count)]
    pixels = [np.array(Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)) for path in chosen]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()


@torch.inference_mode()
def measure_images(folder: Path, half: int) -> dict[str, Any]:
    """Images per second and the MiFID of every second photo against the others, under both networks."""
    from harness.metrics import extractor, score_features
    from harness.metrics.extractors.efficientnet import lite0

    pixels = photos(folder, 2 * half)
    ours, single = extractor("efficientnet-lite0"), extractor("efficientnet-lite0", precision="fp32")
    network = lite0.classifier()
    network.classifier = torch.nn.Identity()

    def plain(images: torch.Tensor) -> torch.Tensor:
        return torch.cat([network(single.prepare(part).contiguous()) for part in images.split(32)])

    found: dict[str, Any] = {"ours": ours.fingerprint.rpartition(";")[2].strip()}
    for name, function in (("ours", ours), ("plain", plain)):
        function(pixels[:8])
        start = time.perf_counter()
        features = function(pixels)
        rate = len(pixels) / (time.perf_counter() - start)
        scores = score_features(features[::2], features[1::2], kid=False, manifold=False, mind=False, interval=True)
        found[f"{name} numbers"] = {"rate": rate, **scores.numbers()}
    return found


def child(*arguments: str) -> dict[str, Any]:
    """What this file measures in a process of its own."""
    call = [sys.executable, __file__, "--child", *arguments]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def hardware() -> str:
    versions = []
    for package in ("torch", "scipy", "torchmetrics", "torch-fidelity"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{package} not installed")
    return f"{processor()}, {torch.get_num_threads()} threads; {', '.join(versions)}"


def print_features(real: int, generated: int, dim: int) -> None:
    print(f"Features to number: {real:,} real, {generated:,} generated, {dim}-d float32; one call each")
    print(f"{'':6} {'':34} {'seconds':>9} {'x first':>8} {'extra MB':>9} {'x first':>8}  value")
    with tempfile.TemporaryDirectory() as folder:
        for name, side in zip(("real", "generated"), draw(real, generated, dim), strict=True):
            np.save(Path(folder) / f"{name}.npy", side.numpy())
        for group, functions in GROUPS.items():
            first: dict[str, Any] = {}
            for name in functions:
                found = child(group, name, folder)
                if "value" not in found:
                    reason = (
                        f"not installed ({found['missing']})" if "missing" in found else f"failed: {found['failed']}"
                    )
                    print(f"{group:6} {name:34} {reason}", flush=True)
                    continue
                first = first or found
                seconds, memory = (found[key] / first[key] for key in ("seconds", "megabytes"))
                print(
                    f"{group:6} {name:34} {found['seconds']:9.2f} {seconds:8.2f}"
                    f" {found['megabytes']:9.0f} {memory:8.2f}  {found['value']:.9g}",
                    flush=True,
                )


def print_images(folder: Path, half: int) -> None:
    print("\nImages to number: efficientnet-lite0, photos at 64 x 64, every second one against the others")
    if not folder.is_dir():
        print(f"skipped: no photos at {folder}; name a folder of JPEG files with --photos or HARNESS_DOGS")
        return
    found = child("images", str(folder), str(half))
    if "failed" in found:
        print(f"failed: {found['failed']}")
        return
    ours, plain = found["ours numbers"], found["plain numbers"]
    for name, numbers in ((f"ours, {found['ours']}, channels last", ours), ("plain, fp32, NCHW", plain)):
        print(
            f"{name:36} {numbers['rate']:8.1f} images/s   MiFID {numbers['mifid']:.4f} +- {numbers['mifid_error']:.4f}"
            f" (n = {half} and {half})"
        )
    change = ours["mifid"] - plain["mifid"]
    print(f"{ours['rate'] / plain['rate']:.2f} times the images/s; MiFID differs by {change:+.4f}", end=" ")
    print(f"({100 * change / plain['mifid']:+.3f} %)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="600 real, 300 generated, 128-d; 2 x 12 photos")
    parser.add_argument("--photos", type=Path, default=DOGS, help="folder of JPEG files, with subfolders")
    parser.add_argument("--child", nargs=3, metavar="ARGUMENT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        first, second, third = options.child
        images = first == "images"
        print(json.dumps(measure_images(Path(second), int(third)) if images else measure(first, second, Path(third))))
        return
    print(hardware())
    print_features(*((600, 300, 128) if options.quick else (12_000, 6_000, 2048)))
    print_images(options.photos, 12 if options.quick else 300)


if __name__ == "__main__":
    main()
