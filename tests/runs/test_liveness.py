"""When a slot is said to be silent, and when it is given up, by a clock of the test's."""

from __future__ import annotations

import math

import pytest

from harness.recipes.events import Cause, Failed, Noted, Progress, Scored, Started
from harness.runs.liveness import Limits, Watch, limits, spoken

LIMITS = Limits(said=30, lost=600, quiet=1800, starting=7200, news=7200)


def test_a_slot_that_gives_signs_and_news_is_never_spoken_of() -> None:
    watch = Watch(limits=LIMITS, began=0)
    for now in range(0, 100_000, 20):
        watch.sign(now)
        if now % 1000 == 0:
            watch.event(Progress(step=now, train_seconds=1), now)
        assert watch.due(now + 19) is None


def test_silence_is_said_once_and_again_after_another_sign() -> None:
    watch = Watch(limits=LIMITS, began=0)
    assert watch.due(29) is None
    said = watch.due(31)
    assert isinstance(said, Noted)
    assert said.text.startswith("no sign of life for 31 s (starting)")
    assert "10 min" in said.text
    assert watch.due(40) is None
    watch.sign(50)
    assert watch.due(60) is None
    assert isinstance(watch.due(81), Noted)


def test_a_slot_that_stays_silent_is_given_up_as_hung() -> None:
    watch = Watch(limits=LIMITS, began=0)
    watch.event(Started(facts={}), 100)
    found = watch.due(700)
    assert isinstance(found, Failed)
    assert found.kind is Cause.HUNG
    assert found.reason == "its slot gave no sign of life for 10 min (training)"


def test_a_run_that_lives_and_tells_nothing_is_said_and_given_up_only_where_a_limit_was_stated() -> None:
    for within, end in ((LIMITS, True), (Limits(), False)):
        watch = Watch(limits=within, began=0)
        watch.event(Scored(step=1, train_seconds=1, scores={}), 0)
        watch.sign(1800)
        said = watch.due(1801)
        assert isinstance(said, Noted)
        assert "told nothing for 30 min (after a score)" in said.text
        watch.sign(7200)
        assert isinstance(watch.due(7201), Failed) is end


def test_a_word_of_its_own_is_no_news_of_the_run() -> None:
    watch = Watch(limits=LIMITS, began=0)
    watch.event(Started(facts={}), 0)
    watch.event(Noted(text="the disk is full"), 7199)
    assert isinstance(watch.due(7200), Failed)


def test_a_run_that_never_starts_is_given_up_after_two_hours_and_one_that_speaks_of_its_data_is_not() -> None:
    def end(noted: int) -> float:
        watch = Watch(limits=limits(None), began=0)
        for now in range(1, 50_000):
            watch.sign(now)
            if noted and now % noted == 0 and now <= 30_000:
                watch.event(Noted(text="prepared some more"), now)
            if isinstance(said := watch.due(now), Failed):
                assert said.kind is Cause.HUNG
                assert said.reason == "it told nothing for 2.0 h (starting; --hung-after)"
                return now
        return math.inf

    assert end(noted=0) == 7200
    assert end(noted=5000) == 30_000 + 7200


def test_a_run_that_trains_is_given_up_by_default_only_where_it_gives_no_sign() -> None:
    watch = Watch(limits=limits(None), began=0)
    watch.event(Started(facts={}), 0)
    for now in range(0, 1_000_000, 20):
        watch.sign(now)
        assert not isinstance(watch.due(now + 19), Failed)


@pytest.mark.parametrize(
    ("minutes", "silent", "quiet"),
    [(None, 600, 7200), (0, math.inf, math.inf), (5, 300, 300), (60, 600, 3600), (0.1, 30, 6)],
)
def test_what_the_user_states_is_when_a_silent_and_a_quiet_run_are_given_up(
    minutes: float | None, silent: float, quiet: float
) -> None:
    def end(signs: bool) -> float:
        watch = Watch(limits=limits(minutes), began=0)
        for now in range(1, 100_000):
            if signs:
                watch.sign(now)
            if isinstance(watch.due(now), Failed):
                return now
        return math.inf

    assert end(signs=False) == min(silent, quiet)
    assert end(signs=True) == quiet


def test_times_are_spoken_in_the_unit_that_fits() -> None:
    assert [spoken(each) for each in (40, 720, 12600)] == ["40 s", "12 min", "3.5 h"]
