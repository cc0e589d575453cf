"""What a run told before a crash is told again as far as it goes on from, and no further."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.data.settings import DataSettings
from harness.recipes.address import Address
from harness.recipes.dcgan.measures import MIFID
from harness.recipes.dcgan.settings import DcganBudget, EvaluateSettings
from harness.recipes.events import Event, Scored, Started
from harness.runs import retelling
from harness.runs.description import RunDescription
from harness.runs.retelling import Retelling


def described(folder: Path, settings: Any) -> RunDescription:
    return RunDescription(
        key="k",
        name="n",
        address=Address("fake"),
        objective=MIFID,
        seed=1,
        train=settings,
        data=DataSettings(count=16, size=32),
        evaluate=EvaluateSettings(),
        references={},
        budget=DcganBudget(images=100),
        directory=str(folder),
    )


def score(step: int, value: float) -> Scored:
    return Scored(step=step, train_seconds=1.0, scores={"mifid": value})


def attempt(description: RunDescription, resumed: int, own: list[Scored], identity: str = "i") -> list[Event]:
    found: list[Event] = []
    tell = Retelling(description, identity, found.append)
    for event in (Started(facts={}, resumed_at=resumed), *own):
        tell(event)
    tell.tell_again()
    return found[1:]


def test_what_lies_before_the_checkpoint_is_told_again_and_what_lies_beyond_is_not(
    tmp_path: Path, fake_recipe: Any
) -> None:
    description = described(tmp_path, fake_recipe.settings())
    assert attempt(description, 0, [score(step, 0.1) for step in (1, 2, 3)]) == [score(s, 0.1) for s in (1, 2, 3)]
    again = attempt(description, 2, [score(3, 0.9)])
    assert again == [score(1, 0.1), score(2, 0.1), score(3, 0.9)]
    assert attempt(description, 3, []) == [score(1, 0.1), score(2, 0.1), score(3, 0.9)]


def test_a_run_that_starts_anew_is_told_nothing_of_before(tmp_path: Path, fake_recipe: Any) -> None:
    description = described(tmp_path, fake_recipe.settings())
    attempt(description, 0, [score(1, 0.1)])
    assert attempt(description, 0, [score(1, 0.9)]) == [score(1, 0.9)]
    assert attempt(description, 1, []) == [score(1, 0.9)]


def test_what_another_source_told_and_what_was_removed_is_forgotten(tmp_path: Path, fake_recipe: Any) -> None:
    description = described(tmp_path, fake_recipe.settings())
    attempt(description, 0, [score(1, 0.1)])
    assert attempt(description, 1, [], identity="another") == []
    attempt(description, 0, [score(1, 0.1)])
    retelling.remove(tmp_path)
    assert attempt(description, 1, []) == []
