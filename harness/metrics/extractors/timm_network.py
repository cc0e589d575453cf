"""Any network of timm, by its name there."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data.config import resolve_model_data_config

from harness.errors import MetricError, nearest
from harness.metrics.extractors.network import Extractor, ImageNetwork
from harness.metrics.extractors.weights import load_state, state_sha256
from harness.settings import Precision, cache_folder


def timm_network(name: str, weights: Path | None, precision: Precision, device: str | torch.device) -> Extractor:
    """The pooled features of `timm:<model>`, resized and normalised as timm says; `weights` is a state dict file."""
    model = name.removeprefix("timm:")
    if not timm.is_model(model.split(".")[0]):
        close = difflib.get_close_matches(model.split(".")[0], timm.list_models(), n=1)
        hint = f"did you mean 'timm:{close[0]}'?" if close else "timm.list_models() names them"
        raise MetricError(f"extractor '{name}': timm has no such model; {hint}")
    try:
        timm.models.get_pretrained_cfg(model)
    except RuntimeError:
        tags = timm.list_pretrained(f"{model.split('.')[0]}.*")
        raise MetricError(f"extractor '{name}': timm has no such weights; {nearest(model, tags)}") from None
    placed = cache_folder() / "weights" / f"{model}.pth"
    if weights is None and placed.exists():
        weights = placed
    try:
        network: Any = timm.create_model(model, pretrained=weights is None, num_classes=0)
    except Exception as error:  # whatever the download raises, the remedy is the same
        raise MetricError(
            f"extractor '{name}': its weights could not be downloaded ({type(error).__name__}); put a state dict of "
            f"{model} (torch.save(timm.create_model('{model}', pretrained=True).state_dict(), ...)) at {placed}"
        ) from error
    if weights is not None:
        known = network.state_dict()
        own = {key: value for key, value in load_state(weights).items() if key in known}
        try:
            network.load_state_dict(own)
        except RuntimeError as error:
            raise MetricError(f"extractor '{name}': {weights} does not hold the weights of {model}") from error
    config: dict[str, Any] = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    return ImageNetwork(
        name,
        network,
        dim=int(getattr(network, "head_hidden_size", None) or network.num_features),
        size=int(config["input_size"][-1]),
        mode="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        mean=tuple(255 * m for m in config["mean"]),
        std=tuple(255 * s for s in config["std"]),
        weights=state_sha256(network),
        precision=precision,
        device=device,
    )
