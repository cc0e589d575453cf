"""What is said of an effect: verdict, lean and reading. The one place that has these words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.analysis import paired
from harness.analysis.power import seeds_needed
from harness.analysis.types import Effect, Endings, Term, Verdict
from harness.design import Alias

_MOST_ALIASES = 3  # by name in a reading
_MAY = {Verdict.HELPS: "may help", Verdict.HURTS: "may hurt"}
_TOGETHER = {Verdict.HELPS: "better together", Verdict.HURTS: "worse together"}


def judged(effect: Effect, p_adjusted: float, family: int) -> Effect:
    """`effect` on the objective with its verdict and, where it is not shown, the seeds that would show it.

    `family` counts the tests of the report, over which `p_adjusted` is corrected.
    """
    verdict, lean, words = _claim(effect, p_adjusted)
    shown = p_adjusted < paired.ALPHA
    return replace(
        effect,
        p_adjusted=p_adjusted,
        seeds_needed=None if shown else seeds_needed(effect.size, effect.n, paired.ALPHA / max(1, family)),
        verdict=verdict,
        lean=lean,
        reading="; ".join([words, *_endings(effect, words)]),
    )


def leaning(effect: Effect) -> Effect:
    """`effect` on a measure that is not tested: undecided, leaning to where its interval lies."""
    return replace(effect, lean=_direction(effect) if effect.change.excludes_zero else None)


def interaction(term: Term, p_adjusted: float, improves: bool, endings: Endings) -> Term:
    """An interaction with its verdict: `helps` where both factors together are better than their sum.

    `endings` are those of all runs of the fit: that some diverged may make what is left look so.
    """
    side = Verdict.HELPS if improves else Verdict.HURTS
    condition = f" where they train; {endings.diverged} of {endings.ended} diverged" if endings.diverged else ""
    verdict, words = Verdict.UNDECIDED, "undecided"
    if term.aliases:
        words = f"not told apart from {', '.join(' x '.join(other) for other in term.aliases)}"
    elif p_adjusted < paired.ALPHA:
        verdict, words = Verdict.UNDECIDED if condition else side, f"{_TOGETHER[side]}{condition}"
    elif term.estimate.excludes_zero:
        words = f"undecided: may be {_TOGETHER[side]}{condition}"
    return replace(term, p_adjusted=p_adjusted, verdict=verdict, reading=words)


def _claim(effect: Effect, p_adjusted: float) -> tuple[Verdict, Verdict | None, str]:
    treated, control = effect.treated, effect.control
    if effect.n == 0:
        if treated.planned and treated.diverged == treated.planned:
            trains = treated.planned > 1 and control.complete >= treated.planned
            return Verdict.HURTS if trains else Verdict.UNDECIDED, None, f"diverged in all {treated.diverged} runs"
        if control.planned and control.diverged == control.planned:
            lean = Verdict.HELPS if treated.complete else None
            return Verdict.UNDECIDED, lean, f"control diverged in all {control.diverged} runs"
        return Verdict.UNDECIDED, None, "no paired runs yet" if effect.contrast.matched else "no seed is whole yet"
    if effect.identical:
        whole = effect.n > 1 and not treated.diverged and not control.diverged
        return Verdict.NEGLIGIBLE if whole else Verdict.UNDECIDED, None, "identical"
    if effect.n == 1:
        return Verdict.UNDECIDED, None, "one seed says nothing"
    side = _direction(effect)
    condition = ""  # the runs that a side has left may be its lucky ones
    if side is Verdict.HELPS and treated.diverged:
        condition = " where it trains"
    elif side is Verdict.HURTS and control.diverged:
        condition = " where the control trains"
    if p_adjusted < paired.ALPHA:
        if effect.contrast.aliases:
            condition += f", or an alias of it does ({_named(effect.contrast.aliases)})"
        return (Verdict.UNDECIDED, side, f"{side}{condition}") if condition else (side, None, str(side))
    if effect.change.excludes_zero:
        return Verdict.UNDECIDED, side, f"undecided: {_MAY[side]}{condition}"
    return Verdict.UNDECIDED, None, "undecided"


def _named(aliases: Sequence[Alias]) -> str:
    """The aliases that a main effect holds most of, by name."""
    largest = sorted(aliases, key=lambda alias: -abs(alias.share))
    names = ", ".join(" x ".join(alias.factors) for alias in largest[:_MOST_ALIASES])
    return names + (f" and {len(largest) - _MOST_ALIASES} more" if len(largest) > _MOST_ALIASES else "")


def _direction(effect: Effect) -> Verdict:
    return Verdict.HELPS if effect.measure.improves(effect.change.value) else Verdict.HURTS


def _endings(effect: Effect, words: str) -> list[str]:
    """The runs that ended badly, unless the words say so already."""
    treated, control = effect.treated, effect.control
    said = []
    if treated.diverged and not words.startswith("diverged"):
        said.append(f"{treated.diverged} of {treated.ended} diverged")
    if control.diverged and not words.startswith("control diverged"):
        said.append(f"control: {control.diverged} of {control.ended} diverged")
    if treated.failed:
        said.append(f"{treated.failed} of {treated.ended} failed")
    return said
