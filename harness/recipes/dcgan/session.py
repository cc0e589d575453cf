"""Runs of the DCGAN, from their data to their scores and what they leave in their folders."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

import harness.data
from harness.errors import DataError, DivergedError
from harness.files.atomic import write_text
from harness.files.images import save_grid, save_pairs
from harness.machine.devices import device_name, peak_memory_mb, reset_peak_memory, resolve_device
from harness.recipes import Run
from harness.recipes.dcgan.evaluation import Evaluator
from harness.recipes.dcgan.kept import keep
from harness.recipes.dcgan.measures import AVERAGED, MIFID
from harness.recipes.dcgan.replicate import Replicate
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.dcgan.trainer import Trainer
from harness.recipes.events import DataUsed, Progress, Scored, Started
from harness.settings import idle, sampling_only

_PAIRS, _SEARCHED = 12, 256  # shown beside their nearest real images, of so many generated ones


def train(settings: DcganSettings, run: Run, *, version: int) -> dict[str, float]:
    """Train until the budget is spent; see harness.recipes.Recipe.

    A run that differs from `run.trained` in settings of sampling alone goes on from that run's last checkpoint: it is
    scored and has its costs. Without such a checkpoint it trains. Those of `run.replicates` that are at the same step
    are trained as one program, others after them.
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
    images = torch.from_numpy(prepared.images[:].copy())
    # Which training a checkpoint belongs to.
    trained_by = settings.model_dump(mode="json", exclude=set(sampling_only(type(settings)) | idle(settings)))
    by_step: dict[int, list[_Begun]] = defaultdict(list)
    for each in run.replicates:
        facts = [each.identity, version, trained_by, each.budget.model_dump(), each.seed]
        facts += [prepared.fingerprint, torch.device(device).type]
        identity = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        with _by_itself(each):
            state = each.last_saved(identity)
            by_step[state["trainer"]["steps"] if state else 0].append(_Begun(each, identity, state))
    results: dict[str, float] = {}
    for begun in by_step.values():
        sessions: list[_Session] = []
        while not sessions and (begun := [one for one in begun if not one.run.ended]):
            trainer = Trainer(
                settings,
                images,
                prepared.groups,
                seeds=[one.run.seed for one in begun],
                device=device,
                total_images=run.budget.images,
                total_seconds=run.budget.seconds,
            )
            sessions = [
                _Session(one.run, trainer, replicate, evaluator, one.identity)
                for one, replicate in zip(begun, trainer.replicates, strict=True)
            ]
            for session, one in zip(sessions, begun, strict=True):
                with _by_itself(session.run):
                    session.restore(one.state)
            if any(one.run.ended for one in begun):  # what could not go on is no part of the program
                sessions = []
        for session in sessions:
            with _by_itself(session.run):
                session.start(prepared.fingerprint)
        if sessions:
            results = _train(sessions)
    return results


@contextmanager
def _by_itself(run: Run) -> Iterator[None]:
    """What is raised inside is the end of the run, and of the call alone where it has the run alone."""
    try:
        yield
    except Exception as error:
        if len(run.replicates) == 1:
            raise
        run.end(error)


def _train(sessions: Sequence[_Session]) -> dict[str, float]:
    """Train between scores until the budget is spent; what a run that is alone ends with."""
    run, trainer = sessions[0].run, sessions[0].trainer
    times, device = run.evaluate.times, str(trainer.device)

    def going_on() -> list[_Session]:
        return [session for session in sessions if not session.run.ended]

    def stop() -> None:
        for session in going_on():
            with _by_itself(session.run):
                session.checkpoint()
                raise session.run.stopped(f"{trainer.images_shown:,} images")

    # A checkpoint is taken before its score: a run killed while scoring scores again and loses nothing.
    for part in range(min(min(session.scored for session in sessions) + 1, times), times + 1):
        trained = trainer.fraction < part / times
        if trained:
            reset_peak_memory(device)
            for told in trainer.train_until(part / times, lambda: run.should_stop):
                for session, means in zip(sessions, told, strict=True):
                    if not session.run.ended:
                        with _by_itself(session.run):
                            session.progress(means)
                if not going_on():
                    return {}
            if trainer.fraction < part / times and run.should_stop:
                stop()
            peak = peak_memory_mb(device)
            for session in going_on():
                session.peak = max(session.peak, peak)
        for session in going_on():
            with _by_itself(session.run):
                session.arrive(part, trained=trained)
        for place, session in enumerate(going_on()):
            if place and run.should_stop:  # to score all of them may take longer than one who stops will wait
                stop()
                break
            with _by_itself(session.run):
                session.score(part)
                if part == times:
                    results = session.finish()
                    if len(run.replicates) == 1:
                        return results
                    session.run.end(results)
    return {}


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


@dataclass(frozen=True)
class _Begun:
    """A run, which training it is of, and the checkpoint that it goes on from."""

    run: Run
    identity: str
    state: dict[str, Any] | None


@dataclass
class _Session:
    """One run between and at its scores: forwards its curves, scores, grids and checkpoints."""

    run: Run
    trainer: Trainer
    replicate: Replicate
    evaluator: Evaluator
    identity: str
    peak: float = 0.0
    scored: int = 0
    late: list[_Point] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    point: _Point = field(init=False)

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go on from where `state` was saved."""
        if state is None:
            return
        self.replicate.restore(state["trainer"])
        self.run.saved = self.images_shown
        self.peak, self.scored = state["peak"], state["scored"]
        anew = bool(self.run.trained_from)
        self.late = [_Point(**{**point, "scores": {} if anew else point["scores"]}) for point in state["late"]]

    def start(self, fingerprint: str) -> None:
        """Say that training begins."""
        run, trainer = self.run, self.trainer
        about = {
            "device.name": device_name(str(trainer.device)),
            "precision": "bf16" if trainer.bf16 else "fp32",
            "data.fingerprint": fingerprint,
            **self.evaluator.facts,
        }
        data = _data(run, fingerprint, self.evaluator)
        run.emit(Started(facts=about, data=data, resumed_at=self.images_shown))

    @property
    def images_shown(self) -> int:
        return self.replicate.steps * self.trainer.settings.batch

    def progress(self, means: dict[str, float] | DivergedError) -> None:
        """Tell of a chunk of steps. Raises the DivergedError where it is one."""
        if isinstance(means, DivergedError):
            raise means
        trainer = self.trainer
        self.run.emit(
            Progress(
                step=trainer.images_shown,
                train_seconds=self.replicate.seconds,
                rate=trainer.images_per_second,
                fraction=trainer.fraction,
                curves={name: [(trainer.images_shown, value)] for name, value in means.items()},
            )
        )

    def arrive(self, part: int, *, trained: bool) -> None:
        """The run is where it is scored for the time `part`; what it has `trained` is saved before."""
        self.point = _Point(self.images_shown, self.replicate.seconds, self.replicate.weights())
        early = self.run.evaluate.times - self.run.evaluate.late
        if part > early and len(self.late) < part - early:
            self.late.append(self.point)
        if trained:
            self.checkpoint()

    def score(self, part: int) -> None:
        """Score where it arrived, and those points of the window that have no score."""
        times = self.run.evaluate.times
        if part <= times - self.run.evaluate.late:
            self.scores = self._score(self.point)
        for one in self.late:
            if not one.scores:
                self.scores = self._score(one, late=True, final=part == times and one is self.late[-1])
        self.scored = part

    def finish(self) -> dict[str, float]:
        """Keep the generator; what the run ends with."""
        keep(self.replicate, self.trainer.settings, self.run, self.trainer.data.shape[-1])
        return {
            **self.scores,
            "images": float(self.images_shown),
            "train_seconds": self.replicate.seconds,
            "images_per_second": self.trainer.images_per_second,
            "peak_memory_mb": self.peak,
        }

    def checkpoint(self) -> None:
        """Save all that the rest of the run depends on."""
        late = [vars(point) for point in self.late]
        state = {"trainer": self.replicate.state(), "peak": self.peak, "scored": self.scored, "late": late}
        self.run.step = self.images_shown
        self.run.save({"identity": self.identity, **state})

    def _score(self, point: _Point, *, late: bool = False, final: bool = False) -> dict[str, float]:
        """Scores of the generator at `point`, which are kept there where it lies `late`, in the window.

        Those of the `final` one are the means over the window. The learning curve has a score of `interim_samples`
        images at every point: where the final ones are made otherwise it is their `mifid_interim`.
        """
        evaluate, evaluator = self.run.evaluate, self.evaluator
        count = evaluate.samples if late else evaluate.interim_samples
        images = self.replicate.sample(max(count, evaluate.grid**2), point.weights)
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
            few = {name: each[:_SEARCHED] for name, each in features.items()}
            self._keep_closest(images[:count][:_SEARCHED], few)
        return scores

    def _keep_closest(self, images: Tensor, features: Mapping[str, Tensor]) -> None:
        found = self.evaluator.closest(images, features, _PAIRS)
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
