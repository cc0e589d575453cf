"""Whether a slot still lives, by its signs of life and its news: pure, with the time given."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from harness.recipes.events import Cause, Event, Failed, Noted, Progress, Scored, Started

BEAT = 5.0
"""Seconds between a slot's signs of life."""
STARTING = "starting"
"""The phase until a run says that it has its data and networks."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long, in seconds, a slot may give no sign of life, and its run no news, in each of its phases.

    A process that is stopped, or whose machine stands still, gives no sign; a run that waits for a lock, or loops,
    gives signs and no news. `said`: after so long without a sign it is told. `lost`: after so long it is given up.
    `quiet`: after so long without news it is told. All three are the same in every phase. `starting`: after so long
    without news it is given up while it starts: its recipe is loaded, and data prepared, of which a word is news.
    `news`: the same while it trains and is scored; by default never, since nobody knows how seldom an honest recipe
    reports.
    """

    said: float = 30.0
    lost: float = 600.0
    quiet: float = 1800.0
    starting: float = 7200.0
    news: float = math.inf

    def given_up(self, phase: str) -> float:
        """After how long without news a run is given up in that phase."""
        return self.starting if phase == STARTING else self.news


def limits(hung_after: float | None) -> Limits:
    """Where runs are given up that have told nothing for so many minutes; 0: none ever is, not even a silent one."""
    if hung_after is None:
        return Limits()
    if hung_after == 0:
        return Limits(lost=math.inf, starting=math.inf)
    seconds = 60 * hung_after
    lost = max(min(Limits.lost, seconds), 6 * BEAT)  # a machine under load may skip some beats
    return Limits(lost=lost, quiet=min(Limits.quiet, seconds / 2), starting=seconds, news=seconds)


@dataclass(kw_only=True)
class Watch:
    """One run in a slot, from its submission at the time `began` on. Times are of one clock, in seconds."""

    limits: Limits
    began: float
    phase: str = STARTING
    _sign: float = field(init=False)
    _news: float = field(init=False)
    _told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._sign = self._news = self.began

    def sign(self, now: float) -> None:
        """The slot gave a sign of life."""
        self._sign = now
        self._told.discard("sign")

    def event(self, event: Event, now: float) -> None:
        """The slot told an event of its run's."""
        self.sign(now)
        if isinstance(event, Noted) and self.phase != STARTING:
            return
        if isinstance(event, Started | Progress):
            self.phase = "training"
        elif isinstance(event, Scored):
            self.phase = "after a score"
        self._news = now
        self._told.discard("news")

    def silence(self, now: float) -> float:
        """How long it has given no sign of life."""
        return now - self._sign

    def due(self, now: float) -> Noted | Failed | None:
        """What is to be said of the slot now; Failed where it is to be killed and its run given up."""
        within, silent, quiet = self.limits, self.silence(now), now - self._news
        end = within.given_up(self.phase)
        if silent >= within.lost:
            return self._hung(f"its slot gave no sign of life for {spoken(silent)} ({self.phase})")
        if quiet >= end:
            return self._hung(f"it told nothing for {spoken(quiet)} ({self.phase}; --hung-after)")
        if silent >= within.said and self._first("sign"):
            return Noted(
                text=f"no sign of life for {spoken(silent)} ({self.phase}): its process is stopped, or the machine "
                f"stands still; {_end(within.lost)}"
            )
        if quiet >= within.quiet and silent < within.said and self._first("news"):
            return Noted(text=f"its process lives and has told nothing for {spoken(quiet)} ({self.phase}); {_end(end)}")
        return None

    def _first(self, what: str) -> bool:
        if what in self._told:
            return False
        self._told.add(what)
        return True

    def _hung(self, reason: str) -> Failed:
        return Failed(kind=Cause.HUNG, reason=reason)


def _end(limit: float) -> str:
    if limit == math.inf:
        return "--hung-after MINUTES gives up such a run"
    return f"after {spoken(limit)} the run is given up and tried again"


def spoken(seconds: float) -> str:
    """A length of time for readers: 40 s, 12 min, 3.5 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
