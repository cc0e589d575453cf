"""What a run tells its coordinator: plain frozen data that crosses processes and machines."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Started:
    """The run has its data and networks; training begins. `facts` become the run's tags (device, fingerprints)."""

    facts: dict[str, str]
    resumed_at: int = 0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Training curves since the last event: name -> list of (images shown, value)."""

    images: int
    total_images: int | None
    train_seconds: float
    images_per_second: float
    fraction: float
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Measures by name after `images` shown, the objective among them."""

    images: int
    train_seconds: float
    scores: dict[str, float]
    final: bool = False


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file the run left in its folder, to be kept under `kind` (grid, samples, checkpoint)."""

    images: int
    path: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The run ended well. `summary` holds its measures by name, the costs among them."""

    images: int
    summary: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The run ended badly: `kind` is diverged (an outcome), error (a fault) or interrupted (worth resuming)."""

    kind: str
    reason: str
    details: str = ""


Event = Started | Progress | Scored | Artifact | Finished | Failed
