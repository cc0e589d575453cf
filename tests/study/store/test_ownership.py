"""Two hosts that want a study at the same moment: one has it, the other is refused by name."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest

from harness.errors import StudyError
from harness.study.store import ownership


@pytest.fixture(autouse=True)
def hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every thread is a host of its own, called like it."""
    monkeypatch.setattr(ownership.socket, "gethostname", lambda: threading.current_thread().name)


class Turns:
    """Lets threads go on one call of the storage at a time, in an order that is given."""

    def __init__(self, calls: dict[str, Callable[[], None]]) -> None:
        self._may = {name: threading.Semaphore(0) for name in calls}
        self._stands = {name: threading.Semaphore(0) for name in calls}
        self.over: set[str] = set()
        self._threads = [threading.Thread(target=self._run, args=each, name=each[0]) for each in calls.items()]

    def _run(self, name: str, call: Callable[[], None]) -> None:
        call()
        self.over.add(name)
        self._stands[name].release()

    def wait(self) -> None:
        name = threading.current_thread().name
        self._stands[name].release()
        self._may[name].acquire()

    def go(self, order: Iterator[str]) -> None:
        for thread in self._threads:
            thread.start()
        for name in self._may:
            self._stands[name].acquire()
        for name in order:
            if len(self.over) == len(self._may):
                break
            if name not in self.over:
                self._may[name].release()
                self._stands[name].acquire()
        for thread in self._threads:
            thread.join(10)


class Stored:
    """A study of which every call is one step."""

    study_name = "shared"

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.wait: Callable[[], None] = lambda: None

    @property
    def user_attrs(self) -> dict[str, Any]:
        self.wait()
        return dict(self.kept)

    def set_user_attr(self, name: str, value: Any) -> None:
        self.wait()
        self.kept[name] = value


def wants(study: Any, won: list[str], refused: list[str]) -> Callable[[], None]:
    def call() -> None:
        try:
            ownership._win(study, None)
            won.append(threading.current_thread().name)
        except StudyError as error:
            refused.append(str(error))

    return call


def test_in_whatever_order_two_hosts_take_their_steps_one_alone_owns_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership.time, "sleep", lambda seconds: None)
    for number, first in enumerate(itertools.product(("here", "there"), repeat=8)):
        study, won, refused = Stored(), [], []
        turns = Turns({name: wants(study, won, refused) for name in ("here", "there")})
        study.wait = turns.wait
        later = random.Random(number)
        turns.go(itertools.chain(first, (later.choice(("here", "there")) for _ in range(10_000))))
        assert len(won) == 1, f"{won} own it after {first}"
        assert study.kept["owner"]["host"] == won[0]
        assert len(refused) == 1
        assert f"is being run by process {study.kept['owner']['pid']} on {won[0]}" in refused[0]
        assert not any(value for name, value in study.kept.items() if name.startswith("claim:"))


def test_a_claim_of_a_host_that_died_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 5.0)
    monkeypatch.setattr(ownership.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(ownership.time, "monotonic", lambda: next(clock))
    study, won, refused = Stored(), [], []
    study.kept["claim:dead"] = {"host": "dead", "pid": 1, "boot": "", "began": "", "claim": "0"}
    wants(study, won, refused)()
    assert won
    assert next(clock) > ownership._FORGOTTEN


@pytest.mark.slow
def test_of_two_hosts_on_postgresql_that_start_at_once_one_owns_the_study(postgres: Any) -> None:
    storage = postgres.address("owned")
    optuna.create_study(study_name="shared", storage=storage)
    studies = [optuna.load_study(study_name="shared", storage=storage) for _ in range(2)]
    for _ in range(20):
        won: list[str] = []
        refused: list[str] = []
        both = threading.Barrier(2)

        def start(study: optuna.Study, both: threading.Barrier, won: list[str], refused: list[str]) -> None:
            both.wait()
            wants(study, won, refused)()

        threads = [
            threading.Thread(target=start, args=(study, both, won, refused), name=host)
            for host, study in zip(("here", "there"), studies, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(won) == len(refused) == 1
        assert won[0] in refused[0]
        studies[0].set_user_attr("owner", None)
