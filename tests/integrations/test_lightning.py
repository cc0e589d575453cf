"""The callback with the real Lightning: what is reported, the budget, and going on with the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from harness.integrations.lightning import HarnessCallback
from harness.measures import Measure
from harness.recipes.events import Event, Noted, Progress, Scored
from harness.recipes.models import AnyBudget
from harness.recipes.run import Interrupted, Run

lightning = pytest.importorskip("pytorch_lightning")
pytestmark = pytest.mark.filterwarnings("ignore")


class Line(lightning.LightningModule):  # type: ignore[misc]
    """A line with dropout, so that its numbers hang on the global generators."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
        self.seen: list[float] = []

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = batch
        return torch.nn.functional.mse_loss(self.layer(torch.nn.functional.dropout(x, 0.2, self.training)), y)

    def training_step(self, batch: Any, index: int) -> Tensor:
        loss = self.loss(batch)
        self.seen.append(loss.item())
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.05)


def fit(
    folder: Path,
    stop: Callable[[Run], bool] = lambda run: False,
    *,
    validate: bool = True,
    identity: str = "",
    **budget: float,
) -> tuple[Line, dict[str, float], list[Event]]:
    events: list[Event] = []
    folder.mkdir(exist_ok=True)
    run = Run(
        seed=5,
        directory=folder,
        objective=Measure(name="val_loss", title="loss"),
        emit=events.append,
        recipe="line",
        unit="epochs",
        identity=identity,
        budget=AnyBudget.model_validate(budget),
    )
    run._stop = lambda: stop(run)
    torch.manual_seed(0)
    module, draws = Line(), torch.Generator().manual_seed(1)
    x = torch.randn(32, 3, generator=draws)
    data = TensorDataset(x, x.sum(1, keepdim=True))
    callback = HarnessCallback(run)
    trainer = lightning.Trainer(callbacks=[callback], **callback.arguments)
    loaders = [DataLoader(data, batch_size=8, shuffle=True), DataLoader(data, batch_size=32)]
    try:
        trainer.fit(module, *loaders[: 1 + validate], ckpt_path=callback.checkpoint)
    except Interrupted:
        return module, {}, events
    return module, callback.last, events


def test_what_is_validated_is_a_score_after_each_epoch_of_the_budget(tmp_path: Path) -> None:
    module, last, events = fit(tmp_path, epochs=3)
    scored = [event for event in events if isinstance(event, Scored)]
    assert [event.step for event in scored] == [1, 2, 3]
    assert len(module.seen) == 3 * 4
    assert scored[0].scores["val_loss"] > scored[-1].scores["val_loss"] == last["val_loss"]
    assert last["train_loss"] > 0
    assert [event.fraction for event in events if isinstance(event, Progress)][-1] == 1
    assert not (tmp_path / "lightning.ckpt").exists()


def test_without_validation_each_epoch_is_reported_as_a_curve(tmp_path: Path) -> None:
    _, last, events = fit(tmp_path, validate=False, epochs=2)
    curves = [event.curves["train_loss"][0][0] for event in events if isinstance(event, Progress) and event.curves]
    assert curves == [1, 2]
    assert last.keys() == {"train_loss"}


def test_a_budget_of_steps_ends_within_an_epoch(tmp_path: Path) -> None:
    assert len(fit(tmp_path, steps=6)[0].seen) == 6


def test_a_budget_of_seconds_ends_after_them(tmp_path: Path) -> None:
    module, last, events = fit(tmp_path, seconds=0.5)
    assert len(module.seen) > 0
    assert [event.train_seconds for event in events if isinstance(event, Progress)][-1] < 5
    assert last["val_loss"] > 0


@pytest.mark.parametrize("at", [1, 2])
def test_a_run_that_is_stopped_goes_on_from_its_last_epoch_with_the_numbers_of_a_whole_one(
    tmp_path: Path, at: int
) -> None:
    whole, result, told = fit(tmp_path / "whole", epochs=4)
    first, _, _ = fit(tmp_path / "run", lambda run: run.step >= at, epochs=4)
    assert first.seen[: 4 * at] == whole.seen[: 4 * at]
    assert (tmp_path / "run" / "lightning.ckpt").exists()
    second, again, events = fit(tmp_path / "run", epochs=4)
    assert second.seen == whole.seen[4 * at :]
    assert again == result
    assert [event.step for event in events if isinstance(event, Scored)] == list(range(at + 1, 5))
    assert [event.scores for event in events if isinstance(event, Scored)] == [
        event.scores for event in told if isinstance(event, Scored)
    ][at:]


def test_a_checkpoint_of_another_run_in_the_folder_is_not_gone_on_from(tmp_path: Path) -> None:
    fit(tmp_path, lambda run: run.step >= 1, identity="one", epochs=2)
    assert list(tmp_path.glob("*.ckpt"))
    module, _, _ = fit(tmp_path, identity="another", epochs=2)
    assert len(module.seen) == 8


@pytest.mark.parametrize("damage", ["a bit", "cut short"])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_it_gone_on_from(tmp_path: Path, damage: str) -> None:
    whole, result, _ = fit(tmp_path / "whole", epochs=4)
    fit(tmp_path / "run", lambda run: run.step >= 3, epochs=4)
    newest = tmp_path / "run" / "lightning.ckpt"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content if damage == "a bit" else content[:-100])
    again, last, events = fit(tmp_path / "run", epochs=4)
    assert again.seen == whole.seen[8:]
    assert last == result
    (noted,) = [event.text for event in events if isinstance(event, Noted)]
    assert noted.startswith("lightning.ckpt is ")
    assert noted.endswith("and is thrown away: going on from lightning-before.ckpt, the last good one")
    assert not list((tmp_path / "run").glob("*.ckpt"))
