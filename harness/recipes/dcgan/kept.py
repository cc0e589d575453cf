"""The generator that a finished run leaves in its folder, and images of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.errors import StudyError
from harness.files.atomic import write_text, written
from harness.machine.devices import resolve_device
from harness.recipes import Run
from harness.recipes.dcgan.networks import Generator
from harness.recipes.dcgan.replicate import Replicate
from harness.recipes.dcgan.sampling import draw, latents
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.events import Artifact


def keep(replicate: Replicate, settings: DcganSettings, run: Run, size: int) -> None:
    """Leave the generator of a run that has ended in its folder; it makes images of `size` pixels a side."""
    network = replicate.sampling_generator()
    path = run.directory / "generator.pt"
    with written(path) as file:
        torch.save({name: tensor.cpu() for name, tensor in network.state_dict().items()}, file)
    about = {
        "recipe": run.recipe,
        "training": network.training,  # whether samples are normalised by their own batch
        "settings": settings.model_dump(mode="json"),
        "size": size,
    }
    about["sha256"] = _checksum(about, path)
    write_text(run.directory / "generator.json", json.dumps(about, indent=2))
    for name in ("generator.pt", "generator.json"):
        run.emit(Artifact(step=replicate.steps * settings.batch, path=str(run.directory / name), kind="generator"))


def sample(directory: Path, model: type[DcganSettings], *, count: int, seed: int, device: str | None = None) -> Tensor:
    """uint8 [count, 3, size, size] images of the finished run in `directory`, whose settings are a `model`.

    Those of the run's own seed are those that it was scored by. Raises StudyError where there is no such run, or what
    it left is damaged.
    """
    about = _generator(directory)
    settings = model.model_validate(about["settings"])
    network = Generator(settings, about["size"])
    network.load_state_dict(torch.load(directory / "generator.pt", map_location="cpu", weights_only=True))
    network.to(device=resolve_device(device or "auto"), memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train(about["training"])
    return draw(network, settings, latents(count, settings, seed)).cpu()


def _generator(directory: Path) -> dict[str, Any]:
    """What a run says of its generator, both sound to the last bit. Raises StudyError."""
    files = "generator.json and generator.pt"
    try:
        about = json.loads((directory / "generator.json").read_text(encoding="utf-8"))
        given = about.pop("sha256", None)
        made = _checksum(about, directory / "generator.pt")
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise StudyError(f"{directory}: generator.json is damaged: no JSON; train the run again") from None
    except OSError as error:
        raise StudyError(
            f"{directory}: {files} are no more to be read ({error.strerror}); train the run again"
        ) from None
    if given is None:
        raise StudyError(f"{directory} is of a run of an earlier version, without a checksum; train it again")
    if given != made:
        raise StudyError(
            f"{directory}: {files} are damaged: they do not match their checksum; train the run again, or take both "
            "from the artifacts of its MLflow run"
        )
    return dict(about)


def _checksum(about: Mapping[str, Any], generator: Path) -> str:
    """SHA-256 of what is said of a generator and of its file."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    digest.update(generator.read_bytes())
    return digest.hexdigest()
