"""Images per second of training: ours, the plain step that it is held to, a notebook's way, and the machine's limit.

    python benchmarks/training.py [--network tricks|small|large] [--json PATH]

The claims: at the network of ablations/tricks.yaml, in one thread, replicates that train together are quicker than the
plain step; at widths 8 and 48, 64 px, in two threads, ours is quicker than the step of a notebook of 2019: float32,
NCHW, Adam and the average parameter by parameter, `.item()` after every step; its data from a DataLoader with four
workers that augment image by image with PIL, or ready. All in alternation in one process, medians over rounds. The
limit is the rate of a large matrix product with the same threads; operations are counted on the plain step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from harness.machine.provenance import processor
from harness.recipes.dcgan.losses import adversarial_loss
from harness.recipes.dcgan.networks import started
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.dcgan.step import step
from harness.recipes.dcgan.trainer import Trainer
from harness.recipes.streams import Streams

TRICKS = {"width": 8, "depth": False, "batch": 16, "learning_rate": 1e-3, "beta1": 0.5, "averaging": "ema"}
# Settings, side in px, threads, replicates that train together, rounds, steps a round.
NETWORKS: dict[str, tuple[dict[str, Any], int, int, int, int, int]] = {
    "tricks": (TRICKS, 32, 1, 4, 15, 8),
    "small": ({"width": 8}, 64, 2, 2, 9, 4),
    "large": ({"width": 48}, 64, 2, 1, 5, 1),
}
PHOTOS, WORKERS = 2000, 4


class Photos(Dataset[Tensor]):
    """Images turned and mirrored one by one with PIL, in [-1, 1]."""

    def __init__(self, pixels: np.ndarray[Any, Any]) -> None:
        self.images = [Image.fromarray(each) for each in pixels]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        image, draws = self.images[index], torch.rand(3).tolist()
        if draws[0] < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if draws[1] < 0.3:
            image = image.rotate(10 * draws[2] - 5, Image.Resampling.BILINEAR)
        return torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy()).float() / 127.5 - 1


class Notebook:
    """The notebook's step on batches of its loader."""

    def __init__(self, s: DcganSettings, pixels: np.ndarray[Any, Any]) -> None:
        self.s = s
        self.generator, self.discriminator = started(s, pixels.shape[1], Streams(0))
        self.average = [each.detach().clone() for each in self.generator.parameters()]
        adam: dict[str, Any] = {"lr": s.learning_rate, "betas": (s.beta1, s.beta2), "foreach": False, "fused": False}
        self.d_adam = torch.optim.Adam(self.discriminator.parameters(), **adam)
        self.g_adam = torch.optim.Adam(self.generator.parameters(), **adam)
        self.loader = DataLoader(
            Photos(pixels), s.batch, shuffle=True, num_workers=WORKERS, drop_last=True, persistent_workers=True
        )
        self.batches = self._endless()
        self.ready = next(self.batches)

    def _endless(self) -> Iterator[Tensor]:
        while True:
            yield from self.loader

    def step(self, real: Tensor) -> None:
        s = self.s
        fake = self.generator(torch.randn(s.batch, s.latent))
        real_logits, fake_logits = self.discriminator(torch.cat([real, fake.detach()]), 2).chunk(2)
        d_loss = adversarial_loss(real_logits, s.real_label, s.margin) + adversarial_loss(fake_logits, 0.0)
        self.d_adam.zero_grad()
        d_loss.backward()
        self.d_adam.step()
        g_logits = self.discriminator(fake)
        g_loss = adversarial_loss(g_logits, s.real_label, s.margin)
        self.g_adam.zero_grad()
        g_loss.backward()
        self.g_adam.step()
        with torch.no_grad():
            for average, parameter in zip(self.average, self.generator.parameters(), strict=True):
                average.mul_(0.999).add_(parameter, alpha=0.001)
        _ = [each.item() for each in (d_loss, g_loss, real_logits.sigmoid().mean(), fake_logits.sigmoid().mean())]


def rate_of_products(dtype: torch.dtype) -> float:
    """GFLOP/s of the product of two matrices of 2048 x 2048: the best of some."""
    one, other = (torch.randn(2048, 2048).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        began = time.perf_counter()
        _ = one @ other
        best = min(best, time.perf_counter() - began)
    return float(2 * 2048**3 / best / 1e9)


def measure(name: str) -> dict[str, Any]:
    """Images per second of every way at one of NETWORKS."""
    about, size, threads, together, rounds, steps = NETWORKS[name]
    torch.set_num_threads(threads)
    s = DcganSettings(**about, device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (PHOTOS, size, size, 3), dtype=np.uint8)
    data = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())

    def trainer(count: int, way: str) -> Trainer:
        return Trainer(s, data, np.arange(PHOTOS + 1), seeds=list(range(count)), total_images=2**62, way=way)

    plain, alone = trainer(1, "serial"), trainer(1, "serial")

    def plain_step() -> None:
        one = plain.replicates[0]
        step(one, plain.data, 0.5, fraction_after=0.5, bf16=plain.bf16, dtype=plain.dtype)
        one.steps += 1

    notebook = Notebook(s, pixels)
    ways: dict[str, tuple[Callable[[], None], int]] = {
        "notebook with its loader": (lambda: notebook.step(next(notebook.batches)), 1),
        "notebook, data ready": (lambda: notebook.step(notebook.ready), 1),
        "plain step": (plain_step, 1),
        "ours": (alone.step, 1),
    }
    if together > 1:
        ways[f"ours, {together} together"] = (trainer(together, "grouped").step, together)
    for run, _ in ways.values():
        run()
        run()
    taken: dict[str, list[float]] = {way: [] for way in ways}
    limits = {"bf16": rate_of_products(torch.bfloat16), "float32": rate_of_products(torch.float32)}
    for _ in range(rounds):
        for way, (run, count) in ways.items():
            began = time.perf_counter()
            for _ in range(steps):
                run()
            taken[way].append((time.perf_counter() - began) / steps / count)
        limits["bf16"] = max(limits["bf16"], rate_of_products(torch.bfloat16))
    with FlopCounterMode(display=False) as counted:
        plain_step()
    flops = counted.get_total_flops()
    rates = {way: s.batch / statistics.median(seconds) for way, seconds in taken.items()}
    found = {
        way: {
            "images_per_second": rate,
            "times_plain": rate / rates["plain step"],
            "times_notebook": rate / rates["notebook, data ready"],
            "times_notebook_with_loader": rate / rates["notebook with its loader"],
            "share_of_bf16": flops * rate / s.batch / 1e9 / limits["bf16"],
        }
        for way, rate in rates.items()
    }
    return {"network": name, "threads": threads, "batch": s.batch, "size": size, "rates": limits, "ways": found}


def hardware() -> str:
    """The processor and torch."""
    return f"{processor()}, torch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted(NETWORKS), action="append", help="measure this one alone")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    print(hardware())
    found = []
    for name in options.network or NETWORKS:
        found.append(one := measure(name))
        limits = ", ".join(f"{key} {value:.0f} GFLOP/s" for key, value in one["rates"].items())
        print(f"\n{name}: {one['size']} px, batch {one['batch']}, threads {one['threads']}; products: {limits}")
        print(f"{'':26} {'images/s':>9} {'x plain':>8} {'x notebook':>11} {'x with loader':>14} {'of bf16':>8}")
        for way, row in one["ways"].items():
            print(
                f"{way:26} {row['images_per_second']:9.1f} {row['times_plain']:8.2f} {row['times_notebook']:11.2f}"
                f" {row['times_notebook_with_loader']:14.2f} {row['share_of_bf16']:8.0%}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps({"hardware": hardware(), "networks": found}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
