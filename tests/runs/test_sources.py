"""The source that a run is trained from: which one is said, and what was begun by another is not gone on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.recipes.events import SOURCE, Event, Failed, Finished, Started
from harness.runs.description import RunDescription
from harness.runs.execute import execute

Described = Callable[..., RunDescription]

COUNTING = """
from harness import recipe


@recipe(objective="loss")
def count(run):
    saved = run.restore() or {"done": 0}
    for step in range(saved["done"] + 1, 5):
        run.checkpoint({"done": step})
    return {"loss": 0.0, "restored": saved["done"]}
"""
# A class that never says that it begins, and edits its own source while it runs.
EDITING = """
from pathlib import Path
from harness.measures import Measure
from harness.settings import Settings


class Editing:
    name = "editing"
    objective = Measure(name="loss", title="loss")
    settings = Settings

    def train(self, settings, run):
        Path(__file__).write_text(Path(__file__).read_text() + "# edited while it ran")
        run.report(1, loss=0.5)
        return {"loss": 0.5}
"""


def ended(description: RunDescription, *, stop: bool = False) -> list[Event]:
    events: list[Event] = []
    execute(description, events.append, lambda: stop)
    return events


@pytest.mark.parametrize(("edit", "restored"), [("", 1), ("# another", 0)])
@pytest.mark.slow
def test_a_run_whose_source_changed_since_its_checkpoint_starts_anew(
    described: Described, tmp_path: Path, edit: str, restored: int
) -> None:
    (tmp_path / "train.py").write_text(COUNTING)
    assert isinstance(ended(described("./train.py", {}), stop=True)[-1], Failed)
    (tmp_path / "train.py").write_text(COUNTING + edit)
    last = ended(described("./train.py", {}))[-1]
    assert isinstance(last, Finished)
    assert last.summary["restored"] == restored


@pytest.mark.slow
def test_the_source_that_a_run_tells_is_the_one_that_runs_though_its_file_has_changed(
    described: Described, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(EDITING)
    description = described("./train.py", {})
    before = description.address.digest()
    first, *_, last = ended(description)
    assert isinstance(first, Started)
    assert isinstance(last, Finished)
    assert first.facts[SOURCE] == before != description.address.digest()
    assert "threads" in first.facts["device.name"]
