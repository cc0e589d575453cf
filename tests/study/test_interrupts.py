"""How often a study was asked to stop, whatever the batch system sends."""

from __future__ import annotations

import os
import signal
import time

import pytest

from harness.study import interrupts
from harness.study.interrupts import counted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_counted_and_acted_on_later(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with counted() as found:
        found.check()
        os.kill(os.getpid(), number)
        assert found.count == 1
        with pytest.raises(KeyboardInterrupt):
            found.check()
        found.check(more_than=1)
    assert signal.getsignal(number) is before


def test_several_signals_within_a_second_are_one_ask() -> None:
    with counted() as found:
        for _ in range(5):
            os.kill(os.getpid(), signal.SIGTERM)
    assert found.count == 1


def test_asks_that_are_apart_count_and_the_third_ends_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_SAME", 0.05)
    with counted() as found:
        for count in (1, 2):
            os.kill(os.getpid(), signal.SIGTERM)
            assert found.count == count
            time.sleep(0.1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
