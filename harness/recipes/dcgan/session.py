"""One run of the DCGAN, from its data to its scores and what it leaves in its folder."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import harness.data
from harness.errors import DataError, DivergedError, StudyError
from harness.files.atomic import write_text, written
from harness.files.images import save_grid, save_pairs
from harness.machine.devices import device_name, peak_memory_mb, reset_peak_memory, resolve_device
from harness.recipes import Run
from harness.recipes.dcgan.evaluation import Evaluator
from harness.recipes.dcgan.measures import AVERAGED, MIFID
from harness.recipes.dcgan.networks import Generator
from harness.recipes.dcgan.sampling import draw, latents
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.dcgan.trainer import Trainer
from harness.recipes.events import Artifact, DataUsed, Progress, Scored, Started
from harness.settings import idle, sampling_only

_PAIRS, _SEARCHED = 12, 256  # shown beside their nearest real images, of so many generated ones


def train(settings: DcganSettings, run: Run, *, version: int) -> dict[str, float]:
    """Train until the budget is spent; see harness.recipes.Recipe.

    A run that differs from `run.trained` in settings of sampling alone goes on from that run's last checkpoint: it is
    scored and has its costs. Without such a checkpoint it trains.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    device = resolve_device(run.device or settings.device)
    prepared = harness.data.prepare(run.data, note=run.note)
    if len(prepared.groups) - 1 < settings.batch:
        raise DataError(
            f"train.batch is {settings.batch}, but the data has {len(prepared.groups) - 1} photos; "
            "give a smaller batch or more photos"
        )
    evaluator = Evaluator(run.evaluate, run.references, device, run.note)
    trainer = Trainer(
        settings,
        torch.from_numpy(prepared.images[:].copy()),
        prepared.groups,
        seeds=[run.seed],
        device=device,
        total_images=run.budget.images,
        total_seconds=run.budget.seconds,
    )
    # Which training a checkpoint belongs to.
    trained_by = settings.model_dump(mode="json", exclude=set(sampling_only(type(settings)) | idle(settings)))
    facts = [run.identity, version, trained_by, run.budget.model_dump(), run.seed]
    facts += [prepared.fingerprint, trainer.device.type]
    identity = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    session = _Session(run, trainer, evaluator, identity)
    if (state := run.last_saved(identity)) is not None:
        trainer.replicates[0].restore(state["trainer"])
        run.saved = trainer.images_shown
        session.peak, session.scored = state["peak"], state["scored"]
        session.late = [
            _Point(**{**point, "scores": {} if run.trained_from else point["scores"]}) for point in state["late"]
        ]
    about = {
        "device.name": device_name(device),
        "precision": "bf16" if trainer.bf16 else "fp32",
        "data.fingerprint": prepared.fingerprint,
        **evaluator.facts,
    }
    data = _data(run, prepared.fingerprint, evaluator)
    run.emit(Started(facts=about, data=data, resumed_at=trainer.images_shown))
    scores = session.train()
    _keep_generator(trainer, settings, run)
    return {
        **scores,
        "images": float(trainer.images_shown),
        "train_seconds": trainer.seconds,
        "images_per_second": trainer.images_per_second,
        "peak_memory_mb": session.peak,
    }


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


def _data(run: Run, training: str, evaluator: Evaluator) -> tuple[DataUsed, ...]:
    """The training set and the reference sets, for the record."""
    sets = [("training", run.data, training)]
    sets += [("reference", run.references[name], digest) for name, digest in evaluator.digests.items()]
    return tuple(
        DataUsed(
            name=f"{data.source}, crop {data.crop}, {data.size} px",
            digest=digest,
            source=str(data.root or data.source),
            role=role,
        )
        for role, data, digest in sets
    )


@dataclass
class _Point:
    """Where a run was scored: real images shown, seconds of training, the generator's weights, and what they score.

    The weights of the window stay in the checkpoint for runs that are only sampled otherwise: they score these anew.
    """

    images: int
    seconds: float
    weights: dict[str, Tensor]
    scores: dict[str, float] = field(default_factory=dict)


@dataclass
class _Session:
    """Training between scores: forwards the curves, scores, grids and checkpoints of one run."""

    run: Run
    trainer: Trainer
    evaluator: Evaluator
    identity: str
    peak: float = 0.0
    scored: int = 0
    late: list[_Point] = field(default_factory=list)

    def train(self) -> dict[str, float]:
        times = self.run.evaluate.times
        early = times - self.run.evaluate.late
        device = str(self.trainer.device)
        scores: dict[str, float] = {}
        # A checkpoint is taken before its score: a run killed while scoring scores again and loses nothing.
        for part in range(min(self.scored + 1, times), times + 1):
            trained = self.trainer.fraction < part / times
            if trained:
                reset_peak_memory(device)
                for (means,) in self.trainer.train_until(part / times, lambda: self.run.should_stop):
                    if isinstance(means, DivergedError):
                        raise means
                    self._progress(means)
                if self.trainer.fraction < part / times and self.run.should_stop:
                    self._checkpoint()
                    raise self.run.stopped(f"{self.trainer.images_shown:,} images")
                self.peak = max(self.peak, peak_memory_mb(device))
            point = self._point()
            if part > early and len(self.late) < part - early:
                self.late.append(point)
            if trained:
                self._checkpoint()
            if part <= early:
                scores = self._score(point)
            for one in self.late:
                if not one.scores:
                    scores = self._score(one, late=True, final=part == times and one is self.late[-1])
            self.scored = part
        return scores

    def _point(self) -> _Point:
        return _Point(self.trainer.images_shown, self.trainer.seconds, self.trainer.replicates[0].weights())

    def _progress(self, means: dict[str, float]) -> None:
        trainer = self.trainer
        self.run.emit(
            Progress(
                step=trainer.images_shown,
                train_seconds=trainer.seconds,
                rate=trainer.images_per_second,
                fraction=trainer.fraction,
                curves={name: [(trainer.images_shown, value)] for name, value in means.items()},
            )
        )

    def _checkpoint(self) -> None:
        late = [vars(point) for point in self.late]
        state = {"trainer": self.trainer.replicates[0].state(), "peak": self.peak, "scored": self.scored, "late": late}
        self.run.step = self.trainer.images_shown
        self.run.save({"identity": self.identity, **state})

    def _score(self, point: _Point, *, late: bool = False, final: bool = False) -> dict[str, float]:
        """Scores of the generator at `point`, which are kept there where it lies `late`, in the window.

        Those of the `final` one are the means over the window. The learning curve has a score of `interim_samples`
        images at every point: where the final ones are made otherwise it is their `mifid_interim`.
        """
        evaluate, evaluator = self.run.evaluate, self.evaluator
        count = evaluate.samples if late else evaluate.interim_samples
        images = self.trainer.replicates[0].sample(max(count, evaluate.grid**2), point.weights)
        grid = self.run.directory / f"grid-{point.images:09d}.png"
        self.run.step = point.images
        self.run.picture(grid, "grid", lambda: save_grid(images[: evaluate.grid**2], grid, columns=evaluate.grid))
        features = evaluator.features(images[:count])
        scores = curve = evaluator.score(features, full=final)
        if late:
            point.scores = {name: value for name, value in scores.items() if name.partition("/")[0] in AVERAGED}
            if evaluate.interim_samples < count:
                few = {name: each[: evaluate.interim_samples] for name, each in features.items()}
                curve = evaluator.score(few, full=False)
        if final:
            means = {name: math.fsum(one.scores[name] for one in self.late) / len(self.late) for name in point.scores}
            own = {"mifid_interim": curve[MIFID.name]} if curve is not scores or len(self.late) > 1 else {}
            scores = curve = {**scores, **means, **own}
        self.run.emit(Scored(step=point.images, train_seconds=point.seconds, scores=curve, final=final))
        if final:
            self._keep_closest(images[:_SEARCHED])
        return scores

    def _keep_closest(self, images: Tensor) -> None:
        found = self.evaluator.closest(images, _PAIRS)
        path = self.run.directory / "nearest.png"
        yardstick = self.evaluator.objective
        about = {
            "title": "Nearest reference images",
            "reading": (
                "Left a generated image, right the reference image most like it to the feature network "
                f"({yardstick.name}), the most alike first: a copy shows as two equal pictures and a distance near 0, "
                f"and MiFID is penalised where the mean distance of all images is below {yardstick.tau:g}."
            ),
            "distances": found.distances,
        }

        def write() -> None:
            save_pairs(found.generated, found.real, path)
            write_text(path.with_suffix(".json"), json.dumps(about))

        self.run.picture(path, "nearest", write)


def _keep_generator(trainer: Trainer, settings: DcganSettings, run: Run) -> None:
    network = trainer.replicates[0].sampling_generator()
    path = run.directory / "generator.pt"
    with written(path) as file:
        torch.save({name: tensor.cpu() for name, tensor in network.state_dict().items()}, file)
    about = {
        "recipe": run.recipe,
        "training": network.training,  # whether samples are normalised by their own batch
        "settings": settings.model_dump(mode="json"),
        "size": int(trainer.data.shape[-1]),
    }
    about["sha256"] = _checksum(about, path)
    write_text(run.directory / "generator.json", json.dumps(about, indent=2))
    for name in ("generator.pt", "generator.json"):
        run.emit(Artifact(step=trainer.images_shown, path=str(run.directory / name), kind="generator"))
