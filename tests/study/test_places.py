"""The runs of a study are found from wherever its next start is made, or it is said where they are."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.errors import StudyError
from harness.spec import load
from harness.study import places
from harness.study.ablate import ablate
from harness.study.answer import load_study
from harness.study.placement import Options
from harness.study.store import StudyStore

TOY = '''
from pathlib import Path

import torch
from harness import Run, recipe


@recipe(objective="error")
def toy(run: Run, lr: float = 0.1):
    """It trains ten epochs and breaks in the sixth while a file called broken is there."""
    here = Path(__file__).parent
    saved = run.restore()
    with (here / "log.txt").open("a") as log:
        print(lr, saved["epoch"] if saved else 0, file=log)
    for epoch in run.until_budget(epochs=10):
        if epoch == 6 and (here / "broken").exists():
            raise RuntimeError("a fault")
        run.checkpoint({"epoch": epoch})
    run.image("grid", torch.zeros(3, 8, 8))
    return {"error": lr}
'''
SPEC = """
study: moved
recipe: ./toy.py
factors:
  lr: {baseline: 0.1, levels: [0.2]}
seeds: 1
"""
Begin = Callable[..., list[str]]


@pytest.fixture
def begin(project: Path, tracking: str, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Starts the study from a folder, with its storage in another, and gives what was said."""
    (project / "toy.py").write_text(TOY)
    (project / "spec.yaml").write_text(SPEC)

    def started(folder: Path, *, storage: Path = project, breaks: bool = False) -> list[str]:
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        (project / "broken").unlink(missing_ok=True)
        if breaks:
            (project / "broken").touch()
        said: list[str] = []
        url = f"sqlite:///{storage}/optuna.db"
        with pytest.raises(StudyError, match="all failed") if breaks else nullcontext():
            ablate(load(project / "spec.yaml"), Options(storage=url, launch="inline", retry=True), said.append)
        return said

    return started


def begun(project: Path) -> list[str]:
    """The epoch that each start of a run went on after."""
    return (project / "log.txt").read_text().splitlines()


@pytest.mark.slow
def test_a_start_from_another_folder_goes_on_from_the_checkpoints_and_says_where(project: Path, begin: Begin) -> None:
    begin(project, breaks=True)
    (name,) = (path.name for path in (project / "runs").iterdir())
    (project / "log.txt").unlink()
    said = begin(project / "elsewhere")
    assert begun(project) == ["0.1 5", "0.2 5"]
    assert f"the runs of study {name} go on in {project / 'runs' / name}, where they began" in said
    assert not (project / "elsewhere" / "runs").exists()
    assert not any("where they began" in line for line in begin(project / "elsewhere"))  # nothing is to do
    _, report = load_study(f"sqlite:///{project}/optuna.db", "moved", pictures=True)
    assert all(Path(str(picture)).is_relative_to(project / "runs") for picture in report.grids.values())
    assert len(report.grids) == 2


@pytest.mark.slow
def test_a_folder_that_moved_with_its_storage_is_found(project: Path, begin: Begin) -> None:
    begin(project, breaks=True)
    (moved := project / "moved").mkdir()
    for name in ("runs", "optuna.db"):
        shutil.move(project / name, moved / name)
    (project / "log.txt").unlink()
    begin(project / "elsewhere", storage=moved)
    assert begun(project) == ["0.1 5", "0.2 5"]


@pytest.mark.slow
def test_where_the_folder_is_not_here_it_is_said_before_training_starts_anew(project: Path, begin: Begin) -> None:
    begin(project, breaks=True)
    (name,) = (path.name for path in (project / "runs").iterdir())
    (project / "log.txt").unlink()
    shutil.move(project / "runs", project / "on another machine")
    # A folder of the same name that is not that of these runs: another machine's, as an earlier start left it.
    (project / "runs" / name).mkdir(parents=True)
    said = begin(project / "elsewhere")
    host = platform.node()
    assert said[0] == (
        f"the runs of study {name} lie in {project / 'runs' / name} on {host}, and not here on {host}: those that had "
        f"begun there start anew, in {project / 'elsewhere' / 'runs' / name}; to go on from their checkpoints stop "
        "this, and start the study there or copy that folder to this one"
    )
    assert begun(project) == ["0.1 0", "0.2 0"]
    store = StudyStore.find(f"sqlite:///{project}/optuna.db", "moved")
    assert places.find(store) == ""
    assert places.folder(store, store.name) == Path("runs", name)


@pytest.mark.slow
def test_a_finished_run_is_found_by_its_key_from_another_folder_through_the_storage(
    project: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(project)
    (study,) = (project / "runs").iterdir()
    keys = sorted(path.parent.name for path in study.glob("*/run.json"))
    url = f"sqlite:///{project}/optuna.db"
    assert places.run_folder(keys[0], url) == Path("runs", study.name, keys[0])
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    assert places.run_folder(keys[0], url) == study / keys[0]
    assert places.run_folder(str(study / keys[1]), "sqlite:///nothing.db") == study / keys[1]
    with pytest.raises(StudyError, match=f"no finished run is 'zzz'; .* keys of the storage's .*: {', '.join(keys)}"):
        places.run_folder("zzz", url)
    with pytest.raises(StudyError, match=r"no finished run is 'zzz'; .* keys under runs/: none"):
        places.run_folder("zzz", "sqlite:///nothing.db")
    assert not Path("nothing.db").exists()
    done = CliRunner().invoke(main, ["sample", keys[0], "--storage", url, "--output", "drawn"])
    assert "recipe 'toy' draws no images" in done.output
    assert done.exit_code == 2
