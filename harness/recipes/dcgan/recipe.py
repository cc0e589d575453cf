"""The DCGAN of the Kaggle "Generative Dog Images" competition (2019) with its five tricks as settings.

What a study asks of the recipe; training itself is in `session`, which loads torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import harness.data
from harness.data.settings import DataSettings
from harness.data.sources import SOURCES
from harness.errors import SpecError
from harness.measures import Measure, RunState
from harness.recipes import Recipe, Run
from harness.recipes.dcgan.measures import MEMORIZATION, MIFID, measures
from harness.recipes.dcgan.settings import DcganBudget, DcganSettings, EvaluateSettings

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

_FEW, _MORE = 64, 320  # images of the scores that are timed


class Dcgan(Recipe):
    """The DCGAN of a Kaggle competition (64x64 dogs, 2019) with its tricks; leaves grids and the generator behind."""

    name = "dcgan"
    unit = "images"
    version = 4
    objective = MIFID
    settings = DcganSettings
    data = DataSettings
    evaluate = EvaluateSettings
    budget = DcganBudget

    def measures(self, evaluate: EvaluateSettings) -> tuple[Measure, ...]:
        """The other scores, and the MiFID under every yardstick but the first."""
        return measures(evaluate)

    def references(self, data: DataSettings, evaluate: EvaluateSettings) -> dict[str, DataSettings]:
        """Name -> the data of each reference set of a study that trains on `data`. Raises SpecError."""
        size = evaluate.size or data.size
        found: dict[str, DataSettings] = {}
        for each in evaluate.references:
            if isinstance(each, str):
                found[each] = data.model_copy(update={"crop": each, "size": size})
                continue
            source = each.source or data.source
            if each.root is not None and SOURCES[source].drawn:
                others = sorted(name for name, other in SOURCES.items() if not other.drawn)
                raise SpecError(
                    f"reference set '{each.name}': {source} has no root; give the source of {each.root}: "
                    f"{' or '.join(others)}"
                )
            crop = "square" if SOURCES[source].boxes else "resize"
            own = {"crop": crop, **each.model_dump(exclude={"name"}, exclude_none=True), "size": size}
            elsewhere = each.source not in (None, data.source)
            found[each.name] = DataSettings(**own) if elsewhere else data.model_copy(update=own)
        return found

    def check(self, data: Sequence[DataSettings], evaluate: EvaluateSettings) -> None:
        """Refuse data that cannot be read and extractors that are not to be had. Raises DataError and MetricError."""
        for settings in data:
            harness.data.check(settings)
        from harness.metrics import extractor

        for name in evaluate.extractors:
            extractor(name, precision=evaluate.precision)

    def lasting(self, data: Sequence[DataSettings]) -> bool:
        """Drawn photos are; those in a folder may be replaced."""
        return all(SOURCES[settings.source].drawn for settings in data)

    def prepare(
        self, data: Sequence[DataSettings], evaluate: EvaluateSettings, *, workers: int, note: Callable[[str], None]
    ) -> None:
        """Prepare every data set once, so that slots only map it. Raises DataError and CacheError."""
        for settings in data:
            prepared = harness.data.prepare(settings, workers=workers, note=note)
            line = f"data: {settings.source}, crop {settings.crop}, {settings.size} px: {len(prepared.images):,} images"
            note(line + (f" ({len(prepared.skipped)} skipped)" if prepared.skipped else ""))

    def notes(self, runs: pd.DataFrame, evaluate: EvaluateSettings) -> list[str]:
        """How many runs are penalised: the MiFID jumps there, and its effects are those of the distance."""
        if MEMORIZATION.name not in runs:
            return []
        distances = runs.loc[runs["state"] == RunState.COMPLETE, MEMORIZATION.name].dropna()
        tau = evaluate.tau_of(evaluate.extractors[0])
        penalised = int((distances < tau).sum())
        if not penalised:
            return []
        return [
            f"{penalised} of {len(distances)} runs are penalised: their memorisation distance is below tau = {tau:g}, "
            "and their MiFID is the FID divided by it; see the effects on the FID and on the memorisation distance"
        ]

    def rehearsal(self, evaluate: EvaluateSettings) -> tuple[EvaluateSettings, EvaluateSettings, float] | None:
        """A score of few images; and another one of the mean number, or more images where these are what costs."""
        late, times = evaluate.late, evaluate.times
        beyond = evaluate.samples * late + evaluate.interim_samples * (times - late) - _FEW
        few = evaluate.model_copy(update={"samples": _FEW, "times": 1, "window": 0, "grid": 4})
        if times > 1 and 16 <= beyond / (times - 1) <= _MORE - _FEW:
            return few, few.model_copy(update={"times": 2, "interim_samples": round(beyond / (times - 1))}), times - 1.0
        if beyond <= _MORE - _FEW:
            return None
        return few, few.model_copy(update={"samples": _MORE}), beyond / (_MORE - _FEW)

    def replicates(self, settings: DcganSettings, budget: DcganBudget) -> None:
        """As many as there is memory for."""

    def train(self, settings: DcganSettings, run: Run) -> dict[str, float]:
        """Train until the budget is spent; see harness.recipes.Recipe."""
        from harness.recipes.dcgan import session

        return session.train(settings, run, version=self.version)

    def sample(self, directory: Path, *, count: int, seed: int, device: str | None = None) -> Tensor:
        """uint8 [count, 3, size, size] images of the finished run in `directory`. Its seed gives the scored ones.

        Raises StudyError where there is no such run.
        """
        from harness.recipes.dcgan import kept

        return kept.sample(directory, self.settings, count=count, seed=seed, device=device)
