"""Networks through torch-fidelity: the FID Inception, DINOv2 and CLIP, each with the package's own resize and range.

All resize by TensorFlow 1's bilinear rule without antialiasing, straight to a square, and run in float32: the numbers
are those of the benchmarks that made these networks yardsticks. torch-fidelity is an optional extra.
"""

from __future__ import annotations

import importlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.errors import MetricError
from harness.metrics.extractors.network import BatchedNetwork, Extractor
from harness.metrics.extractors.weights import Weights, file_sha256, load_state, state_sha256
from harness.settings import Precision

INCEPTION = Weights(
    "weights-inception-2015-12-05-6726825d.pth",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    "6726825d",
)
CLIP = Weights(
    "ViT-B-32.pt",
    "https://openaipublic.azureedge.net/clip/models/"
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
)


class FidelityNetwork(BatchedNetwork):
    """An extractor made of one of torch-fidelity's, which maps uint8 [N, 3, H, W] to a tuple with [N, dim]."""

    def __init__(self, name: str, network: nn.Module, *, dim: int, about: str, device: str | torch.device) -> None:
        import torch_fidelity

        self.name = name
        self.dim = dim
        self.device = torch.device(device)
        self.network = network.to(self.device)
        self.batch = 16 if self.device.type == "cpu" else 128
        self.fingerprint = f"{name}; dim {dim}; {about}; precision fp32; torch-fidelity {torch_fidelity.__version__}"

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.network(images)[0]
        return features


@dataclass(frozen=True)
class Inception:
    """The network of FID (TensorFlow's Inception of 2015-12-05), at pool_3 (2048 features) or at an earlier width."""

    width: int

    def __call__(
        self, name: str, size: int | None, weights: Path | None, precision: Precision, device: str | torch.device
    ) -> Extractor:
        module = _module("feature_extractor_inceptionv3", name, precision)
        path = INCEPTION.find(name) if weights is None else weights
        # torch-fidelity would unpickle the file whole: what it gets is a copy that holds tensors and nothing else.
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "weights.pth"
            torch.save(load_state(path), copy)
            try:
                network = module.FeatureExtractorInceptionV3(
                    "inception-v3-compat", [str(self.width)], feature_extractor_weights_path=str(copy)
                )
            except RuntimeError as error:
                raise MetricError(
                    f"extractor '{name}': {path} does not hold the weights of the FID Inception"
                ) from error
        about = f"weights sha256 {file_sha256(path)}; input {size} tf1-bilinear; (x - 128) / 128"
        return FidelityNetwork(name, network, dim=self.width, about=about, device=device)


inception, inception_768, inception_192, inception_64 = map(Inception, (2048, 768, 192, 64))


def clip(
    name: str, size: int | None, weights: Path | None, precision: Precision, device: str | torch.device
) -> Extractor:
    """The image side of CLIP ViT-B/32 (Radford et al. 2021, arXiv:2103.00020)."""
    module = _module("feature_extractor_clip", name, precision)
    if weights is not None:
        CLIP.check(weights, name)
    path = weights or CLIP.find(name)
    network = module.FeatureExtractorCLIP("clip-vit-b-32", ["clip"], feature_extractor_weights_path=str(path))
    about = f"weights sha256 {file_sha256(path)}; input {size} tf1-bilinear; CLIP mean and std"
    return FidelityNetwork(name, network, dim=512, about=about, device=device)


def dinov2(
    name: str, size: int | None, weights: Path | None, precision: Precision, device: str | torch.device
) -> Extractor:
    """DINOv2 ViT-L/14, the network that Stein et al. 2023 (arXiv:2306.04675) found nearest to human judgement."""
    elsewhere = "timm:vit_large_patch14_dinov2.lvd142m reads a weights file"
    if weights is not None:
        raise MetricError(f"extractor '{name}' comes through torch.hub and takes no weights file; {elsewhere}")
    module = _module("feature_extractor_dinov2", name, precision)
    try:
        network = module.FeatureExtractorDinoV2("dinov2-vit-l-14", ["dinov2"])
    except Exception as error:  # torch.hub raises many kinds
        hub = Path(torch.hub.get_dir())
        raise MetricError(
            f"extractor '{name}': torch.hub could not load facebookresearch/dinov2 ({type(error).__name__}); from a "
            f"machine with network put its code at {hub / 'facebookresearch_dinov2_main'} and its weights at "
            f"{hub / 'checkpoints' / 'dinov2_vitl14_pretrain.pth'}, or {elsewhere}"
        ) from error
    about = f"weights sha256 {state_sha256(network)}; input {size} tf1-bilinear; ImageNet mean and std"
    return FidelityNetwork(name, network, dim=1024, about=about, device=device)


def _module(module: str, name: str, precision: Precision) -> Any:
    if precision == "bf16":
        raise MetricError(f"extractor '{name}' runs in float32 alone; set evaluate.precision to auto or fp32")
    try:
        return importlib.import_module(f"torch_fidelity.{module}")
    except ImportError as error:
        raise MetricError(f"extractor '{name}' needs torch-fidelity: pip install torch-fidelity") from error
