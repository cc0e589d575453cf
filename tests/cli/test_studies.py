"""studies: what a storage holds, a line each, the one that ran last first; nothing is made by looking."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import Result

from harness.design import plan as make_plan
from harness.recipes.events import Cause
from harness.spec import load
from harness.study.answer import plan_document, study_name
from harness.study.store import StudyStore
from harness.study.store.listing import stored

STORAGE = "sqlite:///optuna.db"
SPEC = """\
study: {study}
recipe: ./toys.py:{recipe}
factors:
  {factor}
seeds: 2
"""


def studied(study: str, recipe: str, factor: str, ends: list[float | Cause | None]) -> str:
    """A study whose first runs end so: with a value of its objective, badly, or not yet; its name."""
    Path(f"{study}.yaml").write_text(SPEC.format(study=study, recipe=recipe, factor=factor))
    spec = load(f"{study}.yaml")
    plan = make_plan(spec)
    store = StudyStore(STORAGE, study_name(spec, plan))
    store.create(spec, plan)
    with store.ownership():
        store.reconcile(plan)
        store.remember(plan=plan_document(plan))
        for end in ends:
            claim = store.claim(plan)
            assert claim is not None
            if isinstance(end, Cause):
                store.fail(claim.number, end, "for the test")
            elif end is not None:
                store.complete(claim.number, {plan.objective.name: end})
    return store.name


@pytest.mark.slow
def test_each_study_is_a_line_with_its_recipe_design_runs_and_best_the_last_one_first(
    harness: Callable[..., Result], own: Path
) -> None:
    first = studied("first", "toy", "bn: {baseline: false, levels: [true]}", [0.8, 0.9, 0.7, 0.6])
    second = studied("second", "numbers", "dropout: {baseline: 0.0, levels: [0.1]}", [3.0, 2.5, Cause.ERROR])
    done = harness("studies")
    assert done.exit_code == 0, done.stderr
    heading, *lines = done.stdout.splitlines()
    assert heading.split("  ")[0] == "study"
    assert [line.split()[0] for line in lines] == [second, first]
    assert lines[0].split()[1:5] == ["numbers", "one-at-a-time", "2/4,", "1"]
    assert lines[0].endswith("loss 2.5")  # lower is better
    assert lines[1].split()[1:4] == ["toy", "one-at-a-time", "4/4"]
    assert lines[1].endswith("accuracy 0.9")  # higher is better


def test_a_study_that_has_not_begun_and_one_of_someone_else_are_listed_too(
    harness: Callable[..., Result], own: Path
) -> None:
    name = studied("fresh", "toy", "bn: {baseline: false, levels: [true]}", [])
    optuna.create_study(study_name="theirs", storage=STORAGE)
    lines = {line.split()[0]: line for line in harness("studies").stdout.splitlines()[1:]}
    assert "0/4" in lines[name]
    assert "none yet" in lines[name]
    assert lines["theirs"].endswith("not made by harness")


@pytest.mark.slow
def test_a_name_is_never_cut_off_or_wrapped(harness: Callable[..., Result], own: Path) -> None:
    name = studied("n" * 90, "toy", "bn: {baseline: false, levels: [true]}", [0.5])
    lines = harness("studies").stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(name)
    assert lines[1].endswith("accuracy 0.5")


@pytest.mark.slow
def test_runs_that_are_tried_again_count_once(own: Path) -> None:
    factor = "bn: {baseline: false, levels: [true]}"
    studied("again", "toy", factor, [Cause.LOST, 0.8])
    studied("again", "toy", factor, [0.7, 0.6, 0.9])  # the failed one waits again, behind the others
    (found,) = stored(STORAGE)
    assert (found.complete, found.size, found.failed, found.best) == (4, 4, 0, 0.9)


def test_an_empty_storage_says_what_to_do(harness: Callable[..., Result], own: Path) -> None:
    optuna.delete_study(study_name=optuna.create_study(storage=STORAGE).study_name, storage=STORAGE)
    done = harness("studies")
    assert done.exit_code == 0
    assert done.stdout == "no study yet: harness ablate SPEC runs one\n"


def test_a_missing_file_is_said_and_not_made(harness: Callable[..., Result], project: Path) -> None:
    done = harness("studies", "--storage", "sqlite:///gone.db")
    assert done.exit_code == 2
    assert "sqlite:///gone.db: the file does not exist; run `harness ablate` first" in done.stderr
    assert not list(project.iterdir())


def _of_someone_else(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("create table theirs (id integer)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_of_someone_else, "holds no study of Optuna's; run `harness ablate` first"),
        (lambda path: path.write_text("no database" * 100), "the file is no SQLite database, or is damaged; restore"),
    ],
)
def test_a_file_that_is_no_storage_is_refused_and_stays_as_it_is(
    harness: Callable[..., Result], project: Path, make: Callable[[Path], object], said: str
) -> None:
    make(Path("other.db"))
    before = hashlib.sha256(Path("other.db").read_bytes()).hexdigest()
    done = harness("studies", "--storage", "sqlite:///other.db")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"sqlite:///other.db: {said}" in done.stderr
    assert hashlib.sha256(Path("other.db").read_bytes()).hexdigest() == before


def test_a_password_is_not_shown(harness: Callable[..., Result], project: Path) -> None:
    done = harness("studies", "--storage", "nonsense://user:secret@nowhere/db")
    assert done.exit_code == 2
    assert "secret" not in done.stderr
    assert "nonsense://user:***@nowhere/db" in done.stderr


@pytest.mark.parametrize(
    "theirs",
    [
        {"plan": "to win"},
        {"plan": ["first", "then"]},
        {"plan": {"recipe": "dcgan"}},
        {"plan": {"recipe": 1, "objective": [], "design": None, "runs": [], "search": None}},
        {"plan": {"recipe": "./toys.py:toy", "objective": "accuracy", "design": "", "runs": [1], "search": {}}},
        {"plan": {"recipe": "./toys.py:toy", "objective": "accuracy", "design": "", "runs": [], "search": {"a": 1}}},
    ],
)
@pytest.mark.slow
def test_a_study_of_others_with_attributes_of_our_names_is_theirs_and_stops_nobody(
    own: Path, theirs: dict[str, Any]
) -> None:
    name = studied("numbers", "toy", "bn: {baseline: false, levels: [true]}", [0.5])
    study = optuna.create_study(study_name="theirs", storage=STORAGE)
    for key, value in theirs.items():
        study.set_user_attr(key, value)
    for attributes in ({"key": 3}, {"key": "k", "seed": "one", "cell": []}, {"key": "k", "failure": 1}):
        study.add_trial(optuna.trial.create_trial(value=1.0, user_attrs=attributes))
    found = {each.name: each for each in stored(STORAGE)}
    assert (found["theirs"].recipe, found["theirs"].size) == ("", 0)
    assert found[name].complete == 1
    spec = load("numbers.yaml")
    plan = make_plan(spec)
    store = StudyStore(STORAGE, "another")
    store.refuse_used_seeds(plan)
    assert store.highest_seed(plan) == 0
    store.create(spec, plan)
    assert len(store.reconcile(plan).reused) == 1  # that of our own study
