"""Any network of timm, by its name there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from harness.errors import MetricError, nearest
from harness.metrics.extractors.network import Extractor, ImageNetwork
from harness.metrics.extractors.weights import load_state, state_sha256
from harness.settings import Precision


def timm_network(name: str, weights: Path | None, precision: Precision, device: str | torch.device) -> Extractor:
    """The pooled features of `timm:<model>`, resized and normalised as timm says; `weights` is a state dict file."""
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
        own = {k: v for k, v in load_state(weights).items() if k in network.state_dict()}
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
        weights=state_sha256(network),
        precision=precision,
        device=device,
    )
