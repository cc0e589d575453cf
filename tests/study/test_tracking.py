"""A tracking server that answers without end, or the same again, holds nobody up and loses nothing."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.entities.paged_list import PagedList

from harness.study.tracking import Tracker


@pytest.fixture
def tracker(tracking: str) -> Tracker:
    made = Tracker(tracking)
    made.open_study("s", "s-1", tags={})
    for key in ("a", "b"):
        made.make(key, key, at=1, tags={"harness.key": key})
    return made


def paged(tracker: Tracker, monkeypatch: pytest.MonkeyPatch, *pages: slice) -> None:
    """The server gives these runs a page, the last of them for ever."""
    runs = list(tracker._pages("tags.`harness.role` = 'run'"))
    asked = itertools.count()

    class Server:
        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def search_runs(self, *arguments: Any, **more: Any) -> PagedList[Any]:
            place = next(asked)
            assert place < 100, "it is asked without end"
            return PagedList(runs[pages[min(place, len(pages) - 1)]], "another")

    client = tracker.client
    monkeypatch.setattr(tracker, "client", Server())


@pytest.mark.parametrize("pages", [(slice(0, 1), slice(1, 2)), (slice(0, 2),), (slice(0, 0),)])
def test_a_server_that_always_has_another_page_is_an_error(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, pages: tuple[slice, ...]
) -> None:
    paged(tracker, monkeypatch, *pages)
    with pytest.raises(MlflowException, match=r"search_runs: no answer of MLflow \(\d runs, and then another page"):
        tracker.children()


def test_a_run_that_comes_on_two_pages_is_one_and_is_not_deleted(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = list(tracker._pages("tags.`harness.role` = 'run'"))
    client = tracker.client
    answers = iter([PagedList(runs, "another"), PagedList(runs[1:], "")])
    with monkeypatch.context() as patch:
        patch.setattr(tracker, "client", type("Server", (), {"search_runs": lambda *_, **__: next(answers)})())
        found = tracker.children()
    assert sorted(found) == ["a", "b"]
    assert tracker.client is client
    assert sorted(tracker.children()) == ["a", "b"]
