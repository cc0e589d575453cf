"""A run as its recipe sees it: budgets, clocks, reports, images, and going on after an interruption."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from harness.errors import DivergedError, RecipeError, SpecError
from harness.measures import Direction, Measure
from harness.recipes import checkpoint, streams
from harness.recipes.events import Artifact, Event, Noted, Progress, Scored, Started
from harness.recipes.models import AnyBudget
from harness.recipes.run import Interrupted, Run, number
from harness.settings import Budget

ACCURACY = Measure(name="accuracy", title="accuracy", direction=Direction.MAXIMIZE)


def run_in(
    folder: Path,
    *,
    events: list[Event] | None = None,
    stop: Callable[[], bool] = lambda: False,
    budget: Budget | None = None,
    **about: Any,
) -> Run:
    emit = (events if events is not None else []).append
    return Run(
        seed=about.pop("seed", 3),
        directory=folder,
        objective=ACCURACY,
        emit=emit,
        recipe="mine",
        stop=stop,
        budget=budget,
        identity="me",
        **about,
    )


# ---------------------------------------------------------------------- budgets


@pytest.mark.parametrize("unit", ["epochs", "steps", "images"])
def test_the_specs_budget_stands_for_the_default_in_each_unit(tmp_path: Path, unit: str) -> None:
    assert list(run_in(tmp_path).until_budget(**{unit: 3})) == [1, 2, 3]
    assert list(run_in(tmp_path, budget=AnyBudget.model_validate({unit: 5})).until_budget(**{unit: 3})) == list(
        range(1, 6)
    )
    assert list(run_in(tmp_path, budget=AnyBudget.model_validate({unit: 2})).until_budget()) == [1, 2]


def test_a_count_may_be_worth_more_than_one_unit(tmp_path: Path) -> None:
    run = run_in(tmp_path, budget=AnyBudget(images=100))
    assert list(run.until_budget("images", each=32)) == [1, 2, 3, 4]  # 128 images, the first count past 100


def test_a_budget_in_seconds_is_training_time(tmp_path: Path) -> None:
    run, began = run_in(tmp_path, budget=AnyBudget(seconds=0.3)), time.monotonic()
    counted = 0
    for _ in run.until_budget(epochs=10_000):
        time.sleep(0.02)
        with run.untimed():
            time.sleep(0.02)
        counted += 1
    assert 0.3 <= run.seconds < 1
    assert time.monotonic() - began >= run.seconds + 0.02 * counted - 0.01
    assert counted <= 15


def test_the_share_of_the_budget_that_is_spent_is_there_for_schedules_and_told(tmp_path: Path) -> None:
    events: list[Event] = []
    run = run_in(tmp_path, events=events)
    seen = []
    for _ in run.until_budget(epochs=4):
        seen.append(run.fraction)
        run.report(1, loss=1.0)
    assert seen == [0, 0.25, 0.5, 0.75]
    assert run.fraction == 1
    assert [event.fraction for event in events if isinstance(event, Progress)][-1] == 1


@pytest.mark.parametrize(
    ("budget", "arguments", "text"),
    [
        (
            AnyBudget(images=5),
            {"epochs": 2},
            "images is not allowed: recipe 'mine' counts epochs; allowed: epochs",
        ),
        (AnyBudget(), {}, "is missing; say how long a run of 'mine' trains, like {steps: 20}"),
    ],
)
def test_a_budget_that_cannot_be_counted_is_refused(
    tmp_path: Path, budget: Budget, arguments: dict[str, float], text: str
) -> None:
    with pytest.raises(SpecError) as caught:
        list(run_in(tmp_path, budget=budget).until_budget(**arguments))
    assert text in str(caught.value)


def test_more_units_than_one_are_the_authors_mistake(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="counts one unit"):
        list(run_in(tmp_path).until_budget(epochs=3, steps=4))


def test_a_budget_is_kept_to_where_anothers_loop_counts(tmp_path: Path) -> None:
    events: list[Event] = []
    run = run_in(tmp_path, events=events, budget=AnyBudget(steps=4))
    assert [run.spend("steps", done) for done in range(6)] == [False] * 4 + [True] * 2
    assert [event.fraction for event in events if isinstance(event, Progress)][-1] == 1
    assert not run_in(tmp_path).spend("steps", 1_000_000)
    with pytest.raises(SpecError, match="steps is not allowed: recipe 'mine' counts epochs"):
        run_in(tmp_path, budget=AnyBudget(steps=4)).spend("epochs", 1)
    timed = run_in(tmp_path, budget=AnyBudget(seconds=0.1))
    timed.go_on(step=3, seconds=0.2)
    assert timed.spend("epochs", 0)
    assert timed.step == 3


# ---------------------------------------------------------------------- the clock


def test_what_is_made_ready_before_the_first_count_is_no_training(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    time.sleep(0.2)
    for _ in run.until_budget(epochs=2):
        time.sleep(0.02)
        run.checkpoint({})
    assert 0.04 <= run.seconds < 0.2
    again = run_in(tmp_path)
    again.restore()
    time.sleep(0.2)
    assert list(again.until_budget(epochs=2)) == []
    assert 0.02 <= again.seconds < 0.2


def test_seconds_leave_out_reports_images_and_checkpoints(tmp_path: Path) -> None:
    def slow(event: Event) -> None:
        time.sleep(0.1)

    run = Run(seed=0, directory=tmp_path, objective=ACCURACY, emit=slow)
    began = time.monotonic()
    run.report(1, accuracy=0.5)
    run.report(1, loss=0.5)
    run.image("grid", torch.zeros(1, 3, 4, 4))
    run.checkpoint({"x": torch.zeros(1_000_000)})
    assert time.monotonic() - began > 0.4
    assert run.seconds < 0.05


# ---------------------------------------------------------------------- reports


@pytest.mark.parametrize(
    "value",
    [0.5, 1, np.float32(0.5), np.int64(1), torch.tensor(0.5), torch.tensor([0.5], requires_grad=True), np.array([0.5])],
    ids=repr,
)
def test_numbers_tensors_and_arrays_of_one_element_are_measures(tmp_path: Path, value: Any) -> None:
    events: list[Event] = []
    run_in(tmp_path, events=events).report(2, accuracy=value)
    (event,) = events
    assert isinstance(event, Scored)
    assert event.step == 2
    assert event.scores == {"accuracy": pytest.approx(float(np.asarray(torch.as_tensor(value).detach()).item()))}
    assert type(event.scores["accuracy"]) is float


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "accuracy is None; must be a finite number"),
        ("0.9", "accuracy is '0.9'; must be a finite number"),
        (True, "accuracy is True; must be a finite number"),
        (torch.tensor(True), "must be a finite number"),
        (torch.zeros(2), "accuracy is a Tensor; must be a finite number"),
        (np.zeros(2), "accuracy is a ndarray; must be a finite number"),
        ([0.5], "accuracy is a list; must be a finite number"),
        (1j, "accuracy is a complex; must be a finite number"),
    ],
    ids=repr,
)
def test_what_is_no_number_is_refused_with_its_place(tmp_path: Path, value: Any, text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        run_in(tmp_path).report(7, accuracy=value)
    assert "recipe 'mine': report at step 7" in str(caught.value)
    assert text in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), torch.tensor(float("nan")), np.float32("-inf"), 10**400])
def test_what_is_not_finite_is_divergence(tmp_path: Path, value: Any) -> None:
    with pytest.raises(DivergedError, match="report at step 7: loss is"):
        run_in(tmp_path).report(7, loss=value)
    with pytest.raises(DivergedError):
        number(value, "x")


@pytest.mark.parametrize("step", [0.5, "3", None, -1, torch.tensor(1.5)])
def test_a_step_is_a_whole_number(tmp_path: Path, step: Any) -> None:
    with pytest.raises(RecipeError, match="the step must be a whole number of at least 0"):
        run_in(tmp_path).report(step, accuracy=1)


def test_a_report_without_the_objective_is_a_curve(tmp_path: Path) -> None:
    events: list[Event] = []
    run_in(tmp_path, events=events).report(torch.tensor(4), loss=2.0)  # type: ignore[arg-type]
    (event,) = events
    assert isinstance(event, Progress)
    assert event.curves == {"loss": [(4, 2.0)]}


# ---------------------------------------------------------------------- images


@pytest.mark.parametrize(
    ("image", "size", "pixel"),
    [
        (torch.full((3, 64, 64), 7, dtype=torch.uint8), (64, 64), 7),
        (torch.full((1, 64, 64), 0.5), (64, 64), 128),
        (torch.full((4, 3, 64, 64), 2.0, requires_grad=True), (130, 130), 255),
        (np.full((2, 1, 64, 80), 9, dtype=np.uint8), (162, 64), 9),
    ],
    ids=["one", "grey floats", "a grid", "an array"],
)
def test_images_are_kept_as_pictures(tmp_path: Path, image: Any, size: tuple[int, int], pixel: int) -> None:
    events: list[Event] = []
    run = run_in(tmp_path, events=events)
    run.step = 5
    run.image("samples", image)
    (event,) = events
    assert isinstance(event, Artifact)
    assert (event.kind, event.step) == ("samples", 5)
    with Image.open(event.path) as opened:
        assert opened.size == size
        assert opened.convert("RGB").getpixel((0, 0)) == (pixel,) * 3


@pytest.mark.parametrize(
    ("name", "image", "text"),
    [
        ("a", torch.zeros(4, 4), "has the shape (4, 4); must be [3, H, W] or [N, 3, H, W]"),
        ("a", torch.zeros(2, 4, 4), "must be [3, H, W]"),
        ("a", torch.zeros(0, 3, 4, 4), "must be [3, H, W]"),
        ("a", "picture.png", "image 'a' is a str; must be a tensor or an array"),
        ("../a", torch.zeros(3, 4, 4), "image '../a': a name must be letters, digits, _ and -"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, name: str, image: Any, text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        run_in(tmp_path).image(name, image)
    assert text in str(caught.value)


# ---------------------------------------------------------------------- going on later


def walk(run: Run, *, every: int = 1) -> list[float]:
    """A training whose numbers hang on every kind of randomness there is."""
    torch.manual_seed(run.seed)
    np.random.seed(run.seed)  # noqa: NPY002 - recipes use it
    random.seed(run.seed)
    weights = torch.randn(3, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=0.1)
    noise = run.generator("noise")
    seen: list[float] = []
    if (state := run.restore()) is not None:
        with torch.no_grad():
            weights.copy_(state["weights"])
        optimizer.load_state_dict(state["optimizer"])
        seen = state["seen"]
    for count in run.until_budget(epochs=8):
        optimizer.zero_grad()
        late = run.generator("late") if count > 3 else noise
        target = torch.randn(3, generator=noise) + torch.randn(3) + torch.randn(3, generator=late)
        loss = torch.nn.functional.dropout((weights - target) ** 2).sum() + random.random() + np.random.normal()  # noqa: NPY002
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
        run.report(count, loss=loss)
        if count % every == 0:
            run.checkpoint({"weights": weights.detach(), "optimizer": optimizer.state_dict(), "seen": seen})
    return seen


@pytest.mark.parametrize(("every", "stop_at"), [(1, 1), (1, 5), (3, 5), (4, 4)])
def test_a_run_that_is_stopped_anywhere_and_goes_on_has_the_numbers_of_one_that_was_not(
    tmp_path: Path, every: int, stop_at: int
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "run").mkdir()
    whole = walk(run_in(tmp_path / "whole"), every=every)
    run = run_in(tmp_path / "run")
    run._stop = lambda: run.step >= stop_at
    with pytest.raises(Interrupted):
        walk(run, every=every)
    events: list[Event] = []
    again = run_in(tmp_path / "run", events=events)
    assert walk(again, every=every) == whole
    done = stop_at - stop_at % every
    assert [event.curves["loss"][0][0] for event in events if isinstance(event, Progress) and event.curves] == list(
        range(done + 1, 9)
    )


def test_a_killed_run_goes_on_from_its_last_checkpoint_with_the_same_numbers(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = walk(run_in(tmp_path / "whole"), every=3)

    def die(event: Event) -> None:
        if isinstance(event, Progress) and event.step == 5:
            raise KeyboardInterrupt

    run = Run(seed=3, directory=tmp_path, objective=ACCURACY, emit=die, identity="me")
    with pytest.raises(KeyboardInterrupt):
        walk(run, every=3)
    assert walk(run_in(tmp_path), every=3) == whole


@pytest.mark.parametrize("damage", ["a bit", "cut short", "empty", "gone"])
def test_a_run_whose_last_checkpoint_is_damaged_goes_on_from_the_one_before_with_the_same_numbers(
    tmp_path: Path, damage: str
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "run").mkdir()
    whole = walk(run_in(tmp_path / "whole"))
    run = run_in(tmp_path / "run")
    run._stop = lambda: run.step >= 5
    with pytest.raises(Interrupted):
        walk(run)
    path = tmp_path / "run" / checkpoint.NAME
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes({"a bit": content, "cut short": content[:-9], "empty": b"", "gone": b""}[damage])
    if damage == "gone":
        path.unlink()
    events: list[Event] = []
    again = run_in(tmp_path / "run", events=events)
    again.start()
    assert walk(again) == whole
    steps = [event.curves["loss"][0][0] for event in events if isinstance(event, Progress) and event.curves]
    assert steps == [5, 6, 7, 8]
    noted = [event.text for event in events if isinstance(event, Noted)]
    assert len(noted) == (damage != "gone")
    assert all(text.endswith("going on from checkpoint-before.pt, the last good one") for text in noted)
    assert isinstance(events[0], Started)


def test_a_disk_that_is_full_for_a_while_is_said_once_and_the_next_checkpoint_is_saved(
    tmp_path: Path, files_of_at_most: Callable[[int], AbstractContextManager[None]]
) -> None:
    events: list[Event] = []
    run = run_in(tmp_path, events=events)
    run.start()
    for count in run.until_budget(epochs=6):
        run.report(count, loss=1)
        with files_of_at_most(100 if count in (2, 3, 4) else 10**9):
            run.checkpoint({"count": count})
            run.image("picture", torch.rand(3, 64, 64))
    assert [event.text for event in events if isinstance(event, Noted)] == [
        "the checkpoint after 2 steps cannot be saved (File too large): that after 1 stays, training goes on, and the "
        "next one is tried",
        "picture-000000002.png cannot be written (File too large): training goes on without it",
        "checkpoints are saved again, after 5 steps",
    ]
    kept = [event.step for event in events if isinstance(event, Artifact) and event.kind == "checkpoint"]
    assert kept == [1, 5, 6]
    assert run_in(tmp_path).restore() == {"count": 6}


@pytest.mark.parametrize(("before", "lost"), [(0, "all progress is lost"), (2, "what was trained since 2 is lost")])
def test_a_run_that_stops_on_a_full_disk_says_what_is_lost(
    tmp_path: Path, files_of_at_most: Callable[[int], AbstractContextManager[None]], before: int, lost: str
) -> None:
    run = run_in(tmp_path)
    for step in range(1, before + 1):
        run.report(step, loss=1)
        run.checkpoint({"step": step})
    run.report(5, loss=1)
    run._stop = lambda: True
    with (
        files_of_at_most(100),
        pytest.raises(Interrupted, match=rf"after 5; no checkpoint could be saved \(File too large\): {lost}"),
    ):
        run.checkpoint({"step": 5})
    assert run_in(tmp_path).restore() == ({"step": before} if before else None)


def test_the_seconds_of_earlier_attempts_count(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    time.sleep(0.1)
    run.checkpoint({})
    again = run_in(tmp_path)
    assert again.restore() == {}
    assert again.seconds >= 0.1


def test_a_run_without_a_checkpoint_starts_anew(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    run._stop = lambda: run.step == 3
    counts = run.until_budget(epochs=5)
    for _ in range(3):
        run.report(next(counts), loss=1)
    with pytest.raises(Interrupted, match="stopped after 3 epochs"):
        next(counts)
    again = run_in(tmp_path)
    assert again.restore() is None
    assert list(again.until_budget(epochs=5)) == [1, 2, 3, 4, 5]


def test_a_checkpoint_of_another_run_is_not_gone_on_from(tmp_path: Path) -> None:
    run_in(tmp_path).checkpoint({"x": 1})
    other = Run(seed=3, directory=tmp_path, objective=ACCURACY, emit=lambda event: None, identity="other")
    events: list[Event] = []
    other._emit = events.append
    other.start()
    assert other.restore() is None
    assert [event.text for event in events if isinstance(event, Noted)] == [
        "checkpoint.pt is of another source or version of the recipe, or of other settings or data, and is not used: "
        "there is no other, training starts anew"
    ]


def test_a_run_goes_on_from_a_finished_one_of_the_same_training(tmp_path: Path) -> None:
    (tmp_path / "leader").mkdir()
    (tmp_path / "follower").mkdir()
    run_in(tmp_path / "leader").checkpoint({"x": 1})
    follower = run_in(tmp_path / "follower", trained=tmp_path / "leader")
    assert follower.restore() == {"x": 1}
    assert follower.trained_from == "leader"
    follower.checkpoint({"x": 1, "scored": 2})
    again = run_in(tmp_path / "follower")
    assert again.restore() == {"x": 1, "scored": 2}
    assert again.trained_from == "leader"


def test_a_follower_that_trained_itself_goes_on_from_its_own_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "leader").mkdir()
    (tmp_path / "follower").mkdir()
    run_in(tmp_path / "follower", trained=tmp_path / "leader").checkpoint({"x": 2})
    for leads in (False, True):
        if leads:
            run_in(tmp_path / "leader").checkpoint({"x": 1})
        follower = run_in(tmp_path / "follower", trained=tmp_path / "leader")
        assert follower.restore() == {"x": 2}
        assert follower.trained_from == ""


def test_of_gpus_the_runs_own_generator_alone_is_kept_and_set_on_whichever_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"cuda:0": torch.zeros(16, dtype=torch.uint8), "cuda:3": torch.full((16,), 3, dtype=torch.uint8)}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: states[str(device)])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: states.update({str(device): state}))
    run_in(tmp_path, device="cuda:3").checkpoint({})
    states["cuda:3"] = torch.ones(16, dtype=torch.uint8)
    assert run_in(tmp_path, device="cuda:0").restore() == {}  # a machine with fewer GPUs
    assert states["cuda:0"].tolist() == [3] * 16
    assert states["cuda:3"].tolist() == [1] * 16


class Odd:
    """A value that no checkpoint can hold."""


@pytest.mark.parametrize("state", [{"best": np.float64(0.5)}, {"odd": Odd()}, {"f": print}], ids=["numpy", "own", "f"])
def test_a_checkpoint_that_could_not_be_read_back_is_refused_at_once(tmp_path: Path, state: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"checkpoint: .* cannot be read back; keep tensors, numbers, text"):
        run_in(tmp_path).checkpoint(state)
    assert not (tmp_path / checkpoint.NAME).exists()


def test_usual_states_are_kept_whole(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedules = [
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5),
        torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2]),
        torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10),
    ]
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedules": [each.state_dict() for each in schedules],
        "best": (0.5, None, "text", {1, 2}),
    }
    run_in(tmp_path).checkpoint(state)
    found = run_in(tmp_path).restore()
    assert found is not None
    assert found["schedules"] == state["schedules"]
    assert torch.equal(found["model"]["0.weight"], model.state_dict()["0.weight"])


def test_streams_are_told_apart_by_name_and_seed_alone(tmp_path: Path) -> None:
    run = run_in(tmp_path, seed=3)
    first = torch.rand(4, generator=run.generator("a"))
    assert torch.equal(first, torch.rand(4, generator=streams.generator(3, "a")))
    assert not torch.equal(first, torch.rand(4, generator=run.generator("b")))
    assert run.generator("a") is run.generator("a")


# ---------------------------------------------------------------------- being asked to stop


def test_a_recipe_that_never_asks_whether_to_stop_ends_at_its_next_report(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    run._stop = lambda: run.step >= 2
    run.report(1, accuracy=0.5)
    with pytest.raises(Interrupted, match="keeps no checkpoint"):
        run.report(2, accuracy=0.5)
    assert run.told_to_stop


def test_a_recipe_that_looks_after_stops_itself_is_not_ended_at_a_report(tmp_path: Path) -> None:
    for looks in ("should_stop", "restore", "checkpoint"):
        told: list[bool] = []
        run = run_in(tmp_path, stop=lambda told=told: bool(told))  # type: ignore[misc]
        if looks == "should_stop":
            assert not run.should_stop
        elif looks == "restore":
            run.restore()
        else:
            run.checkpoint({})
        told.append(True)
        run.report(1, accuracy=0.5)
        assert run.should_stop
        with pytest.raises(Interrupted):
            run.checkpoint({})


@pytest.mark.parametrize(
    "damage",
    [
        lambda saved: saved.pop("run"),
        lambda saved: saved.update(run=None),
        lambda saved: saved["run"].pop("global"),
        lambda saved: saved["run"].update(seconds="1"),
        lambda saved: saved["run"]["global"].update(torch=torch.zeros(3)),
        lambda saved: saved["run"]["global"].update(python=[3, (), None]),
        lambda saved: saved.pop("state"),
    ],
)
def test_a_checkpoint_that_holds_no_state_of_a_run_is_refused_by_its_name(
    tmp_path: Path, damage: Callable[[dict[str, Any]], object]
) -> None:
    run_in(tmp_path).checkpoint({"weight": torch.zeros(3)})
    path = tmp_path / checkpoint.NAME
    saved = checkpoint.load(path, identity="me")
    damage(saved)
    checkpoint.save(saved, tmp_path)
    with pytest.raises(RecipeError, match=r"is sound and holds no state of a run .*; delete it"):
        run_in(tmp_path).restore()


def test_a_stream_that_is_restored_from_what_is_no_state_is_refused(tmp_path: Path) -> None:
    first = run_in(tmp_path)
    first.generator("order")
    first.checkpoint({})
    path = tmp_path / checkpoint.NAME
    saved = checkpoint.load(path, identity="me")
    saved["run"]["streams"]["order"] = torch.zeros(3, dtype=torch.uint8)
    checkpoint.save(saved, tmp_path)
    again = run_in(tmp_path)
    again.restore()
    with pytest.raises(RecipeError, match="stream 'order' is no state of it"):
        again.generator("order")
