"""Hugging Face's Trainer: a callback that reports to a run, keeps to its budget, stops when asked and goes on later."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from harness.files.atomic import write_text
from harness.recipes.run import Run

_NOT_MEASURES = ("epoch", "runtime", "samples_per_second", "steps_per_second", "total_flos")
_SPENT = "harness.json"  # beside a checkpoint's own files


class HarnessCallback(TrainerCallback):
    """Ties a Trainer to `run`:

        callback = HarnessCallback(run)
        arguments = TrainingArguments(**callback.arguments, eval_strategy="epoch", learning_rate=lr)
        trainer = Trainer(model, arguments, train_dataset=..., eval_dataset=..., callbacks=[callback])
        trainer.train(resume_from_checkpoint=callback.checkpoint)
        return callback.last

    What it logs is a curve, what it evaluates a score where the objective (`eval_loss`, `eval_accuracy`, ...) is in it.
    The budget is in epochs, steps or seconds. A run that is asked to stop saves a checkpoint after its step.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.last: dict[str, float] = {}
        """The last value of each measure: what the recipe returns."""
        # By the run's identity: the folder may hold what another recipe or other settings left.
        self._folder = run.directory / "-".join(filter(None, ("huggingface", run.identity)))
        self._untimed = ExitStack()
        self._evaluating = False

    @property
    def arguments(self) -> dict[str, Any]:
        """What TrainingArguments is made with: the run's budget, seed, device and folder."""
        budget = self.run.budget
        length: dict[str, Any] = {
            "epochs": {"num_train_epochs": budget.amount},
            "steps": {"max_steps": int(budget.amount)},
            "seconds": {"num_train_epochs": 1_000_000},  # until the callback ends it
        }
        return {
            "output_dir": str(self._folder),
            "seed": self.run.seed,
            "use_cpu": not (self.run.device or "").startswith("cuda"),
            "save_strategy": "epoch",
            "save_total_limit": 2,  # the last good one, where the newest is damaged
            "report_to": "none",
            "disable_tqdm": True,
            **length.get(budget.unit, {}),
        }

    @property
    def checkpoint(self) -> str | None:
        """The checkpoint to go on from, None where the run starts anew: `resume_from_checkpoint` of `train`."""
        refused: list[str] = []
        while self._folder.is_dir() and (found := get_last_checkpoint(str(self._folder))):  # type: ignore[no-untyped-call]
            path = Path(found)
            if not (why := _damage(path)):
                if refused:
                    self.run.note(f"{'; '.join(refused)}: going on from {path.name}, the last good one")
                return str(path)
            refused.append(f"{path.name} {why}, and is thrown away")
            shutil.rmtree(path)
        if refused:
            self.run.note(f"{'; '.join(refused)}: there is no other, training starts anew")
        return None

    # ------------------------------------------------------------------ events of the Trainer's

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Go on where the checkpoint was taken."""
        path = self._saved(state) / _SPENT
        if state.global_step and path.exists():
            spent = json.loads(path.read_text())
            self.run.go_on(step=spent["step"], seconds=spent["seconds"])
            self.last = spent["last"]
        self._count(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Keep to the budget, and save and stop where the run is asked to."""
        if self._count(state) and self.run.budget.timed:
            control.should_evaluate = control.should_training_stop = True
        if self.run.should_stop:
            control.should_training_stop = True
            control.should_save = not _whole(state)  # else its evaluation comes first

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Where the run stops within an epoch nothing is evaluated, nor saved again."""
        if self.run.told_to_stop:
            control.should_save = _whole(state)
            control.should_evaluate = control.should_evaluate and _whole(state)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Report what training logs; evaluations are told of by themselves."""
        logs = given["logs"].items()
        self._report(state, {name: value for name, value in logs if not name.startswith(("eval_", "train_"))})

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """An evaluation, which is no training, has begun."""
        if not self._evaluating:
            self._evaluating = True
            self._untimed.enter_context(self.run.untimed())

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Report what was evaluated."""
        self._untimed.close()
        self._evaluating = False
        self._report(state, given["metrics"])

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Keep what the run has spent beside the checkpoint, and the checksums of its files."""
        with self.run.saving(folder := self._saved(state)):
            spent = {"step": self.run.step, "seconds": self.run.seconds, "last": self.last}
            write_text(folder / _SPENT, json.dumps(spent | {"sha256": _checksum(folder, spent)}))

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """The run is whole, unless it was asked to stop: nothing goes on from its checkpoints."""
        if not self.run.told_to_stop:
            for each in self._folder.glob("checkpoint-*"):
                shutil.rmtree(each, ignore_errors=True)

    # ------------------------------------------------------------------ what they share

    def _saved(self, state: TrainerState) -> Path:
        return self._folder / f"checkpoint-{state.global_step}"

    def _count(self, state: TrainerState) -> bool:
        unit = "steps" if self.run.budget.unit == "steps" else "epochs"
        return self.run.spend(unit, state.global_step if unit == "steps" else state.epoch or 0.0)

    def _report(self, state: TrainerState, found: dict[str, Any]) -> None:
        measures = {
            name: float(value)
            for name, value in found.items()
            if isinstance(value, int | float) and not name.endswith(_NOT_MEASURES)
            # In half precision a norm overflows now and then, and the step is left out: that is no divergence.
            if name != "grad_norm" or math.isfinite(value)
        }
        self.last |= measures
        if measures:
            step = round(state.epoch or 0) if self.run.unit == "epochs" else state.global_step
            self.run.report(step, **measures)


def _checksum(folder: Path, spent: Mapping[str, Any]) -> str:
    """SHA-256 of the names and contents of all files of a checkpoint, and of what the run had spent."""
    digest = hashlib.sha256(json.dumps(spent, sort_keys=True).encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _SPENT):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _damage(folder: Path) -> str:
    """Why a checkpoint is not what was saved; "" where it is, to the last bit."""
    try:
        spent = json.loads((folder / _SPENT).read_text(encoding="utf-8"))
        given = spent.pop("sha256")
    except OSError:
        return "is not whole"
    except (ValueError, AttributeError, KeyError):
        return f"is damaged: its {_SPENT} cannot be read"
    return "" if given == _checksum(folder, spent) else "is damaged: its files do not match their checksum"


def _whole(state: TrainerState) -> bool:
    """Whether an epoch has just ended."""
    return float(state.epoch or 0.0).is_integer()
