"""The answer as types: what analysis says of a study, and what every table, figure and file is drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.analysis.standing import Frozen, Standing
from harness.design import Contrast, Plan
from harness.measures import Measure, RunState
from harness.spec import Level

if TYPE_CHECKING:
    from harness.analysis.course import Course
    from harness.analysis.noise import Noise

NAN = math.nan


class Verdict(StrEnum):
    """What is said of a trick at its level. The error rate of helps and hurts is that of all tests of the report.

    Negligible lies within plus and minus the worth, at the error rate of all contrasts of the report.
    """

    HELPS = "helps"
    HURTS = "hurts"
    NEGLIGIBLE = "negligible"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; NaN where there is none."""

    value: float = NAN
    low: float = NAN
    high: float = NAN

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return math.isfinite(self.value)

    @property
    def bounded(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class Endings:
    """How the runs behind a number ended: planned are all that it is made of, the rest counts those by state."""

    planned: int
    complete: int
    diverged: int = 0
    failed: int = 0

    @property
    def ended(self) -> int:
        return self.complete + self.diverged + self.failed


@dataclass(frozen=True)
class SeedsNeeded:
    """Seeds that decide with 80 % power whether the trick helps, hurts or is negligible; None: above 10,000.

    `typical` is for an effect of the size seen; `low` and `high` are the fewest and the most over its 80 % interval.
    Of a study in waves: the seeds, with those it has had, after which a trick should be decided, going on as it would
    on average; None: not by the most that it may get.
    """

    typical: int | None
    low: int | None
    high: int | None


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a contrast's treated level changes in a measure, from `n` seeds paired.

    `change` is the mean of treated - control with its t interval, `bootstrap` the same with a bootstrap interval,
    `ratio` treated over control on the log scale, `relative` the change over the control's mean. `p` is of the t test,
    `p_signs` over all assignments of signs; `p_adjusted` is Holm's over every test of the report, NaN for a measure
    that is not tested. `size` is the mean over the standard deviation of the differences; `wins` the share of paired
    runs that the treated level wins, a diverged run being the worst. `pairing` is the correlation of both sides over
    seeds, `pairing_gain` how many times the variance would be without pairs by seed. `worth` is the smallest effect
    worth having, in the measure's unit (a share at the control's mean), `worth_size` the same in standard deviations
    of the differences; `p_within` and `p_beyond` are of the tests that the change is not within, or not beyond, plus
    and minus it, Holm's over all contrasts. NaN but for the objective.

    On the objective of a study in waves the interval of `change` holds over all looks at once, and every p is of all
    looks so far; `standing` is that of a trick which is left undecided, and `frozen` are the other factors that were
    kept at one level in some of its waves: it is then a mean over the cells that were run, weighted to these levels.
    """

    contrast: Contrast
    measure: Measure
    n: int
    treated_mean: float
    control_mean: float
    control_sd: float
    change: Estimate
    bootstrap: Estimate
    ratio: Estimate
    relative: float
    size: float
    wins: float
    p: float
    p_signs: float
    treated: Endings
    control: Endings
    pairing: float = NAN
    pairing_gain: float = NAN
    identical: bool = False
    p_adjusted: float = NAN
    worth: float = NAN
    worth_size: float = NAN
    p_within: float = NAN
    p_beyond: float = NAN
    seeds_needed: SeedsNeeded | None = None
    standing: Standing | None = None
    frozen: tuple[Frozen, ...] = ()
    verdict: Verdict = Verdict.UNDECIDED
    lean: Verdict | None = None
    """Where undecided: HELPS or HURTS where the interval excludes 0 or the claim holds only under a condition."""
    reading: str = ""
    """The verdict in words with its conditions: `helps where it trains; 2 of 5 diverged`. Every table says the same."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """A main effect (one factor) or an interaction (two: half of what one's effect changes when the other is on).

    A main effect has p, verdict and reading of the contrast of its factor; p is NaN where there is no such contrast.
    """

    factors: tuple[str, ...]
    estimate: Estimate
    p: float
    p_adjusted: float = NAN
    verdict: Verdict = Verdict.UNDECIDED
    reading: str = ""
    aliases: tuple[tuple[str, ...], ...] = ()

    @property
    def name(self) -> str:
        """`crop` or `crop x margin`."""
        return " x ".join(self.factors)


@dataclass(frozen=True, kw_only=True)
class Factorial:
    """Least squares of the objective on factors and pairs, seed by seed, at one level a factor."""

    levels: Mapping[str, Level]
    terms: tuple[Term, ...]
    runs: int
    seeds: int
    cells_left_out: int
    endings: Endings


@dataclass(frozen=True, kw_only=True)
class Share:
    """One factor's Shapley value."""

    factor: str
    level: Level
    estimate: Estimate


@dataclass(frozen=True, kw_only=True)
class Shapley:
    """The change from nothing on to everything on, shared out among the factors; over `n` whole seeds."""

    shares: tuple[Share, ...]
    total: Estimate
    n: int
    endings: Endings


@dataclass(frozen=True, kw_only=True)
class View:
    """One trick alone, in the full recipe and on average over all orders; None where the study cannot say.

    `p` is that of its surest interaction where there is a factorial, else of the difference between alone and full.
    """

    factor: str
    level: Level
    alone: Estimate | None
    full: Estimate | None
    share: Estimate | None
    p: float
    p_adjusted: float = NAN
    disagree: bool = False
    partner: str = ""
    endings: Endings


@dataclass(frozen=True, kw_only=True)
class Bought:
    """How much a trick improves the objective for each second that it adds to training, with Fieller's interval.

    Positive where it is for the better; unknown where it is not shown to take longer.
    """

    contrast: Contrast
    n: int
    gain: Estimate
    endings: Endings


@dataclass(frozen=True, kw_only=True)
class CellPrice:
    """A cell's objective and training seconds: the control's mean and the paired change from it over `n` common seeds.

    `on_front`: no other cell is better and cheaper. `gain` is the improvement over the control per extra second.
    """

    cell: str
    n: int
    objective: Estimate
    seconds: Estimate
    on_front: bool
    gain: float
    endings: Endings


@dataclass(frozen=True, kw_only=True)
class AtEqual:
    """A contrast's change after equally many images and after equally long training (the mean of the last seconds)."""

    contrast: Contrast
    images: Estimate
    n_images: int
    time: Estimate
    n_time: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class UnderYardsticks:
    """One contrast's change by yardstick (the measures' names), each on its own scale."""

    contrast: Contrast
    changes: Mapping[str, Estimate]
    signs_differ: bool


@dataclass(frozen=True, kw_only=True)
class RankAgreement:
    """Kendall's tau-b of the cells under two yardsticks, with the exact p of its being that far from 0 by chance.

    `reading` is `almost the same order` or the like where p is below 0.05, else "": too few cells to tell.
    """

    one: Measure
    other: Measure
    tau: float
    p: float
    cells: int
    reading: str = ""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Every effect under every yardstick, and how alike they rank the cells."""

    measures: tuple[Measure, ...]
    rows: tuple[UnderYardsticks, ...]
    ranks: tuple[RankAgreement, ...]


@dataclass(frozen=True, kw_only=True)
class TriedCell:
    """A cell of a search. `shrunk` is its mean pulled towards that of all cells by how much of the spread is noise."""

    cell: str
    n: int
    objective: Estimate
    shrunk: float
    seconds: float
    states: Mapping[RunState, int]


@dataclass(frozen=True, kw_only=True)
class FailureRate:
    """How often runs at a level ended badly, with Clopper and Pearson's interval of the share."""

    factor: str
    level: Level
    endings: Endings
    rate: Estimate


@dataclass(frozen=True, kw_only=True)
class Answer:
    """All that analysis says of a study. `effects` are those on the objective, one a contrast, each with its verdict.

    `costs` and `parts` (what the objective is made of) map a measure's name to its effects, contrast by contrast, in
    the plan's order. Empty and None: the study cannot say.
    """

    plan: Plan
    effects: tuple[Effect, ...] = ()
    costs: Mapping[str, tuple[Effect, ...]] = field(default_factory=dict)
    parts: Mapping[str, tuple[Effect, ...]] = field(default_factory=dict)
    factorial: Factorial | None = None
    shapley: Shapley | None = None
    views: tuple[View, ...] = ()
    bought: tuple[Bought, ...] = ()
    prices: tuple[CellPrice, ...] = ()
    equal: tuple[AtEqual, ...] = ()
    agreement: Agreement | None = None
    tried: tuple[TriedCell, ...] = ()
    failures: tuple[FailureRate, ...] = ()
    notes: tuple[str, ...] = ()
    course: Course | None = None
    """Of a study that runs in waves: its looks so far."""
    noise: Noise | None = None
    """How much results differ from seed to seed; None where no cell has two complete runs."""
