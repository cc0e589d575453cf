"""A recipe: a trainer with typed settings. Others register theirs under the entry point group `harness.recipes`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pydantic import BaseModel

from harness.errors import HarnessError, SpecError, StudyError, nearest
from harness.measures import Measure
from harness.recipes.run import Interrupted, Run
from harness.settings import Budget, Nothing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Interrupted", "Recipe", "Run", "get", "names"]


@runtime_checkable
class Recipe(Protocol):
    """A trainer with typed settings, and all that a study must know of it. Subclass it and say what differs.

    Four pydantic models, a description on each field, are the sections `train`, `data`, `evaluate` and `budget` of a
    spec; `Nothing` and `Budget` are those of a recipe that has none. Factors may name fields of the first two; how runs
    are scored never moves with the treatment. A change that makes numbers that do not compare with those before, a
    default's for one, raises the `version`. `unit` is what steps count, in the plural.
    `identity` is plain data that tells its runs apart beside name, version and settings.
    """

    name: str
    objective: Measure
    settings: type[BaseModel]
    data: type[BaseModel] = Nothing
    evaluate: type[BaseModel] = Nothing
    budget: type[Budget] = Budget
    version: int = 1
    unit: str = "steps"
    identity: Mapping[str, Any] = MappingProxyType({})

    def measures(self, evaluate: Any) -> tuple[Measure, ...]:
        """All that a run ends with beside the objective, its training time and peak memory."""
        return ()

    def references(self, data: Any, evaluate: Any) -> Mapping[str, BaseModel]:
        """Name -> the data of each fixed set that runs trained on `data` are scored against. Raises SpecError."""
        return {}

    def check(self, data: Sequence[Any], evaluate: Any) -> None:
        """Refuse what cannot be run, quickly and before anything is written. Raises HarnessError.

        `data` are the distinct data settings that a study reads, reference sets included.
        """
        return

    def lasting(self, data: Sequence[Any]) -> bool:
        """Whether `data` are the same at every start. Where they may not be, no run is taken from another study."""
        return True

    def prepare(self, data: Sequence[Any], evaluate: Any, *, workers: int, note: Callable[[str], None]) -> None:
        """Make ready, once, what all slots will read; `note` is told of each part. Raises HarnessError."""
        return

    def notes(self, runs: pd.DataFrame, evaluate: Any) -> list[str]:
        """What a reader of the run table (a row a run, a column a measure) must know, in whole sentences."""
        return []

    def rehearsal(self, evaluate: Any) -> tuple[Any, Any, float] | None:
        """Two evaluations that cost less than `evaluate`, and the factor to what that costs, for an estimate of time.

        A run is timed with the first; the whole evaluation takes longer by the factor times what the second takes
        longer than the first. None where runs are timed with their own evaluation.
        """
        return None

    def replicates(self, settings: Any, budget: Any) -> int | None:
        """How many runs of a cell `train` takes at once, as `run.replicates`; None: as many as there is memory for.

        They differ in their seeds alone, and each must end with the numbers that it has when it is trained by itself,
        up to rounding. By default a run is trained by itself.
        """
        return 1

    @abstractmethod
    def train(self, settings: Any, run: Run) -> Mapping[str, float]:
        """Train one run and return its measures by name; time and peak memory are measured where it has none.

        Tells `run` of its scores as it goes. Raises `DivergedError` where training leaves the finite numbers, and
        `Interrupted` where it was asked to stop and saved a checkpoint; what it returns after `run.should_stop` was
        true is not taken for a result.

        Where `replicates` allows it, `run` may be the first of several `run.replicates`, which are trained as one
        program: each is told of its own scores and ends by its own `end`, the first one too or by what is returned.
        What is raised ends all that have not ended.
        """

    def sample(self, directory: Path, *, count: int, seed: int, device: str | None = None) -> Any:
        """uint8 [count, 3, H, W] images of the finished run in `directory`. Raises StudyError where it draws none."""
        raise StudyError(f"recipe '{self.name}' draws no images; sample a run of one that does, like dcgan")


def names() -> list[str]:
    """Names of the recipes that are installed."""
    return sorted({entry.name for entry in entry_points(group="harness.recipes")} | {"dcgan"})


def get(name: str) -> Recipe:
    """The installed recipe called `name`. Raises SpecError where there is none, or it lacks what a recipe has."""
    if name == "dcgan":
        from harness.recipes.dcgan.recipe import Dcgan

        return Dcgan()
    for entry in entry_points(group="harness.recipes"):
        if entry.name == name:
            try:
                found = entry.load()
            except HarnessError:
                raise
            except (Exception, SystemExit) as error:  # whatever another's package may do
                why = f"{type(error).__name__}: {error}"
                raise SpecError(f"recipe '{name}' ({entry.value}) cannot be imported: {why}; mend that") from error
            return complete(found)
    raise SpecError(f"recipe '{name}' is not installed; {nearest(name, names())}, or give its place: ./file.py:name")


def complete(found: Any) -> Recipe:
    """The recipe that `found` is, an instance or a class, with the usual for all that it does not say itself.

    Raises SpecError where it lacks what every recipe must have.
    """
    kind = found if isinstance(found, type) else type(found)
    if lacks := [name for name in ("name", "objective", "settings", "train") if not hasattr(found, name)]:
        raise SpecError(
            f"recipe {kind.__name__} lacks {', '.join(lacks)}; see harness.recipes.Recipe for what they are"
        )
    if not isinstance(found.objective, Measure):
        raise SpecError(f"recipe {kind.__name__}: objective is {found.objective!r}; must be a harness.Measure")
    if not (isinstance(found.settings, type) and issubclass(found.settings, BaseModel)):
        raise SpecError(f"recipe {kind.__name__}: settings is {found.settings!r}; must be a class of harness.settings")
    if not isinstance(found, type) and isinstance(found, Recipe):
        return found
    whole: type = kind if Recipe in kind.__mro__ else type(kind.__name__, (kind, Recipe), {"__doc__": kind.__doc__})
    if isinstance(found, type):
        try:
            made = whole()
        except TypeError as error:
            raise SpecError(f"recipe {kind.__name__} cannot be made without arguments: {error}") from None
    else:
        made = object.__new__(whole)
        made.__dict__.update(vars(found))
    assert isinstance(made, Recipe)
    return made
