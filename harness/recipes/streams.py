"""Common random numbers: each use of randomness has a generator of its own, seeded by (seed, use) and nothing else."""

from __future__ import annotations

import hashlib

import torch

STREAMS = ("init-generator", "init-discriminator", "latent", "order", "augment", "evaluate")


def generator(seed: int, use: str, device: str | torch.device = "cpu") -> torch.Generator:
    """The stream for one use of randomness in runs of `seed`. The treatment plays no part in it."""
    assert use in STREAMS, use
    digest = hashlib.sha256(f"{seed}/{use}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))
