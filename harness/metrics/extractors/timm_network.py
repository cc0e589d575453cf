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


def timm_network(
    name: str, size: int | None, weights: Path | None, precision: Precision, device: str | torch.device
) -> Extractor:
    """The pooled features of `timm:<model>`, resized and normalised as timm says; `weights` is a state dict file.

    `size` is another side of the input, which convolutional networks take as they are, and transformers by resampling
    the embeddings of their patches' places. Raises MetricError where the network takes none but its own.
    """
    model = name.removeprefix("timm:").partition("@")[0]
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
        found = {key: value for key, value in load_state(weights).items() if key in known}
        try:
            network.load_state_dict(found)
        except RuntimeError as error:
            raise MetricError(f"extractor '{name}': {weights} does not hold the weights of {model}") from error
    config: dict[str, Any] = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    own = int(config["input_size"][-1])
    digest = state_sha256(network)  # of the weights as they were published, before any is resampled
    if size is not None:
        _resize(name, network, size, own)
    return ImageNetwork(
        name,
        network,
        dim=int(getattr(network, "head_hidden_size", None) or network.num_features),
        size=size or own,
        mode="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        mean=tuple(255 * m for m in config["mean"]),
        std=tuple(255 * s for s in config["std"]),
        weights=digest,
        precision=precision,
        device=device,
    )


def _resize(name: str, network: Any, size: int, own: int) -> None:
    """Make `network` take inputs of another size, in place. Raises MetricError where it cannot."""
    model = name.partition("@")[0]
    if size == own:
        raise MetricError(f"extractor '{name}': {size} px is what {model} takes anyway; name it '{model}'")
    patch = max(getattr(getattr(network, "patch_embed", None), "patch_size", (1,)))
    if size % patch:
        raise MetricError(f"extractor '{name}': {model} cuts its input into patches of {patch} px; give a multiple")
    network.eval()
    try:
        if hasattr(network, "set_input_size"):
            network.set_input_size(img_size=size)
        with torch.inference_mode():
            network(torch.zeros(1, 3, size, size))
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise MetricError(
            f"extractor '{name}': {model} cannot take inputs of {size} px ({reason}); leave '@{size}' away for its own "
            f"{own} px; convolutional networks take most sizes"
        ) from error
