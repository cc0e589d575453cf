"""Where a trick of a study in waves stands: what seeds it may still get, and beside which levels it was compared."""

from __future__ import annotations

from dataclasses import dataclass

from harness.spec import Level, label

UNLIKELY = "dropped as unlikely to be decided"
"""What is said of a trick that gets no more seeds because the last look would hardly decide it."""


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """A decided factor of a design of crossed factors, kept at one level in all waves after the first `after`."""

    design: str
    factor: str
    level: Level
    after: int

    def __str__(self) -> str:
        return f"from the {ordinal(self.after + 1)} seed on with {self.factor} at {label(self.level)}"


def ordinal(count: int) -> str:
    """`1st`, `22nd`, `13th`."""
    ending = "th" if count // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{ending}"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where an undecided trick of a study in waves stands: it has had `seeds`, of at most `most` (None: no maximum).

    `first` is the wave of the first look. A trick gets no more seeds where it is `unlikely` to be decided by the last
    look, and where the looks have `shown` all that they can, but what they show holds under a condition alone.
    """

    seeds: int
    first: int
    most: int | None
    unlikely: bool = False
    shown: bool = False

    @property
    def left(self) -> int | None:
        """The most seeds that it may still get; None where there is no maximum."""
        if self.unlikely or self.shown:
            return 0
        return None if self.most is None else self.most - self.seeds

    def __str__(self) -> str:
        if self.shown:
            return f"stopped after {self.seeds} seeds, since more would not decide it"
        if self.unlikely:
            return f"{UNLIKELY} after {self.seeds} seeds"
        if self.seeds < self.first:
            return f"the first look is after {self.first} seeds"
        if self.most is None:
            return f"open after {self.seeds} seeds, without a maximum"
        if not self.left:
            return f"at its most, {self.most} seeds"
        return f"at most {self.left} more seed{'s' * (self.left > 1)}"
