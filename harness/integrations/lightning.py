"""PyTorch Lightning: a callback that reports to a run, keeps to its budget, stops when asked and goes on later."""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

from harness.files.atomic import sync
from harness.files.sealed import seal
from harness.recipes.checkpoint import soundest
from harness.recipes.run import Run

if TYPE_CHECKING:
    from pytorch_lightning import Callback, LightningModule, Trainer
else:
    try:
        from lightning.pytorch import Callback, LightningModule, Trainer
    except ImportError:  # the smaller package is the same code
        from pytorch_lightning import Callback, LightningModule, Trainer


class HarnessCallback(Callback):
    """Ties a Trainer to `run`:

        callback = HarnessCallback(run)
        trainer = Trainer(callbacks=[callback], **callback.arguments)
        trainer.fit(module, train, valid, ckpt_path=callback.checkpoint)
        return callback.last

    What the module logs is reported after each validation, or after each epoch where there is none; with the objective
    among it, it is a score. The budget is in epochs, steps or seconds. A run that is asked to stop ends after the batch
    and goes on from its last whole epoch. Global generators are seeded anew for each epoch, by the run's seed and the
    epoch, so that a run that goes on has the numbers of one that was never stopped, with loaders in the same process.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.last: dict[str, float] = {}
        """The last value of each measure that was logged: what the recipe returns."""
        # By the run's identity: the folder may hold what another recipe or other settings left.
        self._saved = run.directory / ("-".join(filter(None, ("lightning", run.identity))) + ".ckpt")
        self._before = self._saved.with_stem(f"{self._saved.stem}-before")
        self._begun = False
        self._reported = -1
        self._untimed = ExitStack()

    @property
    def arguments(self) -> dict[str, Any]:
        """What the Trainer is made with: the run's budget, device and folder, and nothing that writes elsewhere."""
        budget, gpu = self.run.budget, (self.run.device or "").startswith("cuda")
        length = {
            "epochs": {"max_epochs": int(budget.amount)},
            "steps": {"max_epochs": -1, "max_steps": int(budget.amount)},
            "seconds": {"max_epochs": -1},  # until the callback ends it
        }
        return {
            **length.get(budget.unit, {}),
            "accelerator": "gpu" if gpu else "cpu",
            "devices": [int((self.run.device or "").partition(":")[2] or 0)] if gpu else 1,
            "default_root_dir": self.run.directory,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }

    @property
    def checkpoint(self) -> str | None:
        """The checkpoint to go on from, None where the run starts anew: `ckpt_path` of `fit`."""
        found = soundest([self._saved, self._before], self.run.note)
        return str(found) if found else None

    # ------------------------------------------------------------------ hooks of Lightning's

    def state_dict(self) -> dict[str, Any]:
        """What the checkpoint holds of the run."""
        return {"seconds": self.run.seconds, "step": self.run.step, "last": self.last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.run.go_on(step=state_dict["step"], seconds=state_dict["seconds"])
        self.last = dict(state_dict["last"])
        self._reported = state_dict["step"]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw as this epoch of this seed does."""
        seed = int(np.random.SeedSequence([self.run.seed, trainer.current_epoch]).generate_state(1)[0])
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - modules use it
        random.seed(seed)
        if not self._begun:  # the loaders' iterators are made already: those of later epochs draw a number each here
            self._begun = True
            for _ in tree_leaves(trainer.train_dataloader):
                torch.empty((), dtype=torch.int64).random_()
        self._count(trainer, 0)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Keep to the budget, and stop where the run is asked to."""
        self._count(trainer, 0)
        if self.run.should_stop:
            raise self.run.stopped(f"{trainer.global_step:,} steps")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validation is no training."""
        self._untimed.enter_context(self.run.untimed())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report what was logged."""
        self._untimed.close()
        if not trainer.sanity_checking:
            self._report(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report where nothing validates, and keep a checkpoint."""
        self._report(trainer)
        self._count(trainer, 1)
        with self.run.saving(self._saved):
            half = self._saved.with_name(f".{self._saved.name}")
            try:
                trainer.save_checkpoint(half)
                seal(half)
                if self._saved.exists():
                    self._saved.replace(self._before)
                half.replace(self._saved)
                sync(half.parent)
            finally:
                half.unlink(missing_ok=True)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The run is whole: nothing goes on from its checkpoint."""
        for path in (self._saved, self._before):
            path.unlink(missing_ok=True)

    # ------------------------------------------------------------------ what they share

    def _count(self, trainer: Trainer, ended: int) -> None:
        unit = "steps" if self.run.budget.unit == "steps" else "epochs"
        done = trainer.global_step if unit == "steps" else trainer.current_epoch + ended
        spent = self.run.spend(unit, done)
        if spent and self.run.budget.timed:
            trainer.should_stop = True

    def _report(self, trainer: Trainer) -> None:
        step = trainer.current_epoch + 1 if self.run.unit == "epochs" else trainer.global_step
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.last |= found
        if found and step != self._reported:
            self._reported = step
            self.run.report(step, **found)
