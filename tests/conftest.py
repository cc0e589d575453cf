"""Fixtures shared by the tests: few threads, a cache of their own, and a recipe that trains in no time."""

from __future__ import annotations

import os
import random
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from harness import recipes
from harness.errors import DivergedError
from harness.measures import Measure
from harness.recipes.address import Address
from harness.recipes.dcgan.recipe import Dcgan
from harness.recipes.events import DataUsed, Progress, Scored, Started
from harness.runs.description import RunDescription
from harness.settings import Settings

os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch computes in one thread, as whoever compares bits or shares the machine wants it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor fill the user's cache."""
    before = os.environ.get("HARNESS_CACHE")
    os.environ["HARNESS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["HARNESS_CACHE"]
    else:
        os.environ["HARNESS_CACHE"] = before


@pytest.fixture
def files_of_at_most() -> Callable[[int], AbstractContextManager[None]]:
    """A disk that is full: no file can grow beyond so many bytes while `files_of_at_most(n)` is entered."""

    @contextmanager
    def limited(most: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


class FakeSettings(Settings):
    """Settings of the recipe that trains in no time."""

    batch: int = Field(default=4, ge=2)
    margin: float | None = Field(default=None, ge=0, lt=1)
    width: int = Field(default=4, ge=1)
    mood: Literal["well", "diverge", "crash", "wait"] = "well"
    device: str = "cpu"


class FakeRecipe(Dcgan):
    """MiFID is 100 plus a seed's luck and the width, 10 less with a margin; moods make it wait or end badly."""

    name = "fake"
    settings = FakeSettings

    def measures(self, evaluate: Any) -> tuple[Measure, ...]:
        return ()

    def train(self, settings: FakeSettings, run: recipes.Run) -> dict[str, float]:
        used = [DataUsed(name="thin air", digest="0123", source="nowhere", role=r) for r in ("training", "reference")]
        run.emit(Started(facts={"device.name": "imagination"}, data=tuple(used)))
        value = 100 + random.Random(run.seed).random() - 10 * (settings.margin is not None) + settings.width
        until = time.monotonic() + 30
        for images in (50, 100):
            while images == 100 and settings.mood == "wait" and not run.should_stop and time.monotonic() < until:
                time.sleep(0.01)
            if run.should_stop:
                raise recipes.Interrupted("asked to stop")
            run.emit(
                Progress(
                    step=images,
                    train_seconds=images / 100,
                    rate=100.0,
                    fraction=images / 100,
                    curves={"loss/generator": [(images, 0.5)]},
                )
            )
            scores = {"mifid": value, "fid": value, "kid": 0.1}
            run.emit(Scored(step=images, train_seconds=images / 100, scores=scores, final=images == 100))
        if settings.mood == "diverge":
            raise DivergedError("the generator's loss is nan")
        if settings.mood == "crash":
            raise RuntimeError("a fault of the recipe")
        return {
            "images": 100,
            "mifid": value,
            "fid": value,
            "kid": 0.1,
            "memorization_distance": 0.3,
            "train_seconds": 1.0 + settings.width / 100,
            "images_per_second": 100.0,
            "peak_memory_mb": 10.0,
        }


@pytest.fixture
def fake_recipe(monkeypatch: pytest.MonkeyPatch) -> type[FakeRecipe]:
    """Makes `recipe: fake` known, in this process."""
    get = recipes.get
    monkeypatch.setattr(recipes, "names", lambda: ["dcgan", "fake"])
    monkeypatch.setattr(recipes, "get", lambda name: FakeRecipe() if name == "fake" else get(name))
    return FakeRecipe


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def described(tmp_path: Path) -> Callable[..., RunDescription]:
    """Describes a run in `run/` of the recipe at a place in the temporary folder, which is made there before."""

    def describe(place: str, settings: Mapping[str, Any], budget: Mapping[str, Any] | None = None) -> RunDescription:
        address = Address.of(place, tmp_path)
        made = address.load()
        return RunDescription(
            key="k",
            name="n",
            address=address,
            objective=made.objective,
            seed=0,
            train=made.settings.model_validate(settings),
            data=made.data(),
            evaluate=made.evaluate(),
            references={},
            budget=made.budget.model_validate(budget or {}),
            directory=str(tmp_path / "run"),
            device="cpu",
        )

    return describe
