"""A finished run of any recipe is found by its folder or key, and with it its recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import StudyError
from harness.measures import Measure
from harness.recipes.address import Address
from harness.recipes.events import Event, Failed, Finished
from harness.runs import folder
from harness.runs.description import RunDescription
from harness.runs.execute import execute

TOY = """
from harness import Run, recipe


@recipe(objective="error")
def toy(run: Run, lr: float = 0.1):
    if lr > 1:
        raise ValueError("too high")
    return {"error": lr + run.seed}
"""


def train(project: Path, key: str, lr: float) -> Event:
    (project / "deep").mkdir(exist_ok=True)
    (project / "deep" / "toy.py").write_text(TOY)
    address = Address("./toy.py:toy", "deep")
    recipe = address.load()
    events: list[Event] = []
    run = RunDescription(
        key=key,
        name=key,
        address=address,
        objective=Measure(name="error", title="error"),
        seed=3,
        train=recipe.settings(lr=lr),  # type: ignore[call-arg]
        data=recipe.data(),
        evaluate=recipe.evaluate(),
        references={},
        budget=recipe.budget(),
        directory=str(folder.RUNS / "study-1" / key),
    )
    execute(run, events.append)
    return events[-1]


@pytest.mark.slow
def test_a_run_that_ended_well_says_whose_it_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(train(project, "abc1", 0.5), Finished)
    found = folder.run_folder("abc")
    assert found == Path("runs/study-1/abc1")
    about = folder.about(found)
    assert (about["recipe"], about["key"], about["seed"]) == ("toy", "abc1", 3)
    assert about["settings"]["train"] == {"lr": 0.5}
    assert about["summary"]["error"] == 3.5
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")  # its recipe is found from everywhere
    loaded = folder.address_of(project / found).load()
    assert loaded.name == "toy"
    with pytest.raises(StudyError, match="recipe 'toy' draws no images"):
        loaded.sample(project / found, count=1, seed=0)


def test_a_run_that_failed_is_none_that_is_finished_and_another_try_forgets_its_traceback(project: Path) -> None:
    assert isinstance(train(project, "abc1", 2.0), Failed)
    left = folder.RUNS / "study-1" / "abc1" / "traceback.txt"
    assert "too high" in left.read_text()
    with pytest.raises(StudyError, match="no finished run is 'abc1'"):
        folder.run_folder("abc1")
    assert isinstance(train(project, "abc1", 0.5), Finished)
    assert not left.exists()
    train(project, "abc2", 0.5)
    with pytest.raises(StudyError, match=r"several runs match 'abc'; .* keys under runs/: abc1, abc2"):
        folder.run_folder("abc")


@pytest.mark.parametrize("run", ["*", "**", "[", "a\0b", "x" * 300, "/", "..", "../..", "\udcff", "k*"])
@pytest.mark.slow
def test_a_run_by_no_name_of_one_is_refused_whatever_the_name_holds(project: Path, run: str) -> None:
    train(project, "key1", 0.1)
    with pytest.raises(StudyError, match="give a folder like runs/STUDY/KEY"):
        folder.run_folder(run)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", "{}", '{"address": 1, "folder": "."}', "[" * 100_000, '{"address": "a"}']
)
def test_what_a_damaged_folder_says_of_itself_is_refused_in_one_line(project: Path, content: str) -> None:
    (project / "run.json").write_text(content)
    with pytest.raises(StudyError, match="is damaged: it names no recipe; train the run again"):
        folder.address_of(project)
