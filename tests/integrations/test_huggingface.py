"""The callback with Hugging Face's real Trainer: what is reported, the budget, and going on with the same numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.measures import Measure
from harness.recipes.events import Event, Noted, Progress, Scored
from harness.recipes.models import AnyBudget
from harness.recipes.run import Run

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
pytestmark = pytest.mark.filterwarnings("ignore")


class Line(torch.nn.Module):
    """A line with dropout, so that its numbers hang on the global generators."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
        self.seen: list[float] = []

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        out = self.layer(torch.nn.functional.dropout(x, 0.2, self.training))
        loss = torch.nn.functional.mse_loss(out, labels)
        if self.training:
            self.seen.append(loss.item())
        return {"loss": loss, "logits": out}


def fit(
    folder: Path, stop: Callable[[Run], bool] = lambda run: False, *, identity: str = "", **budget: float
) -> tuple[Line, dict[str, float], list[Event], Run]:
    from harness.integrations.huggingface import HarnessCallback

    events: list[Event] = []
    folder.mkdir(exist_ok=True)
    run = Run(
        seed=5,
        directory=folder,
        objective=Measure(name="eval_loss", title="loss"),
        emit=events.append,
        recipe="line",
        unit="epochs",
        identity=identity,
        budget=AnyBudget.model_validate(budget),
    )
    run._stop = lambda: stop(run)
    torch.manual_seed(0)
    model, draws = Line(), torch.Generator().manual_seed(1)
    x = torch.randn(32, 3, generator=draws)
    data: Any = [{"x": row, "labels": row.sum(0, keepdim=True)} for row in x]
    callback = HarnessCallback(run)
    arguments = transformers.TrainingArguments(
        **callback.arguments,
        eval_strategy="epoch",
        logging_strategy="steps",
        logging_steps=2,
        learning_rate=0.05,
        lr_scheduler_type="constant",
        per_device_train_batch_size=8,
        dataloader_pin_memory=False,
    )
    trainer = transformers.Trainer(model, arguments, train_dataset=data, eval_dataset=data, callbacks=[callback])
    trainer.train(resume_from_checkpoint=callback.checkpoint)
    return model, callback.last, events, run


def test_what_is_evaluated_is_a_score_and_what_is_logged_a_curve(tmp_path: Path) -> None:
    model, last, events, _ = fit(tmp_path, epochs=3)
    scored = [event for event in events if isinstance(event, Scored)]
    assert [event.step for event in scored] == [1, 2, 3]
    assert len(model.seen) == 3 * 4
    assert scored[0].scores["eval_loss"] > scored[-1].scores["eval_loss"] == last["eval_loss"]
    assert all(event.scores.keys() == {"eval_loss"} for event in scored)
    curves = {name for event in events if isinstance(event, Progress) for name in event.curves}
    assert {"loss", "learning_rate"} <= curves
    assert [event.fraction for event in events if isinstance(event, Progress)][-1] == 1


def test_a_budget_of_steps_ends_within_an_epoch(tmp_path: Path) -> None:
    assert len(fit(tmp_path, steps=6)[0].seen) == 6


def test_a_budget_of_seconds_ends_with_an_evaluation(tmp_path: Path) -> None:
    model, last, events, run = fit(tmp_path, seconds=0.5)
    assert len(model.seen) > 0
    assert 0.5 <= run.seconds < 5
    assert last["eval_loss"] > 0
    assert isinstance(next(event for event in reversed(events) if isinstance(event, Scored)), Scored)


@pytest.mark.parametrize("step", [6, 8, 15, 16])
@pytest.mark.slow
def test_a_run_that_is_stopped_saves_and_goes_on_with_the_numbers_of_a_whole_one(tmp_path: Path, step: int) -> None:
    whole, result, told, _ = fit(tmp_path / "whole", epochs=4)
    asked: list[int] = []

    def stop(run: Run) -> bool:
        asked.append(1)
        return len(asked) >= step

    first, _, before, run = fit(tmp_path / "run", stop, epochs=4)
    assert run.told_to_stop
    assert first.seen == whole.seen[:step]
    spent = json.loads((tmp_path / "run" / "huggingface" / f"checkpoint-{step}" / "harness.json").read_text())[
        "seconds"
    ]
    assert 0 < spent < run.seconds
    second, again, after, resumed = fit(tmp_path / "run", epochs=4)
    assert second.seen == whole.seen[step:]
    assert again["eval_loss"] == result["eval_loss"]
    scores = [(event.step, event.scores) for event in told if isinstance(event, Scored)]
    assert [(event.step, event.scores) for event in (*before, *after) if isinstance(event, Scored)] == scores
    assert resumed.seconds > spent
    assert not list((tmp_path / "run").rglob("checkpoint-*"))


def test_a_checkpoint_of_another_run_in_the_folder_is_not_gone_on_from(tmp_path: Path) -> None:
    fit(tmp_path, lambda run: run.step >= 1, identity="one", epochs=2)
    assert list(tmp_path.rglob("checkpoint-*"))
    model, *_ = fit(tmp_path, identity="another", epochs=2)
    assert len(model.seen) == 8


@pytest.mark.parametrize("which", ["model.safetensors", "optimizer.pt", "trainer_state.json", "harness.json"])
@pytest.mark.slow
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_it_gone_on_from(tmp_path: Path, which: str) -> None:
    whole, result, *_ = fit(tmp_path / "whole", epochs=4)
    fit(tmp_path / "run", lambda run: run.step >= 3, epochs=4)
    older, newest = sorted(
        (tmp_path / "run" / "huggingface").glob("checkpoint-*"), key=lambda path: int(path.name[11:])
    )
    content = bytearray((newest / which).read_bytes())
    content[len(content) // 2] ^= 1
    (newest / which).write_bytes(content)
    again, last, events, _ = fit(tmp_path / "run", epochs=4)
    assert again.seen == whole.seen[int(older.name[11:]) :]
    assert last["eval_loss"] == result["eval_loss"]
    (noted,) = [event.text for event in events if isinstance(event, Noted)]
    assert noted.startswith(f"{newest.name} is damaged: ")
    assert noted.endswith(f", and is thrown away: going on from {older.name}, the last good one")
