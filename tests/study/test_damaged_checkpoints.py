"""A study whose checkpoints are damaged ends in the very same answer, and says what it threw away."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from harness.errors import StudyError
from harness.report import frames
from harness.spec import load
from harness.study.ablate import ablate
from harness.study.answer import load_report
from harness.study.placement import Options

TOY = '''
from pathlib import Path

import torch
from harness import Run, recipe


@recipe(objective="error")
def toy(run: Run, lr: float = 0.1):
    """A least squares fit by noisy steps, which breaks after the seventh while a file called broken is there."""
    draws = run.generator("noise")
    weights = torch.randn(50, generator=run.generator("start"))
    if (saved := run.restore()) is not None:
        weights = saved["weights"]
    for epoch in run.until_budget(epochs=12):
        if epoch == 8 and Path("broken").exists():
            raise RuntimeError("a fault")
        weights = weights - lr * (weights - 1 + 0.1 * torch.randn(50, generator=draws))
        run.report(epoch, error=float((weights - 1).square().mean()))
        run.checkpoint({"weights": weights})
    return {"error": float((weights - 1).square().mean()), "train_seconds": 1.0, "peak_memory_mb": 1.0}
'''
SPEC = """
study: NAME
recipe: ./toy.py
factors:
  lr: {baseline: 0.1, levels: [0.2, 0.3]}
seeds: 3
"""
STORAGE = "sqlite:///optuna.db"


def start(name: str, folder: Path) -> None:
    (folder / "spec.yaml").write_text(SPEC.replace("NAME", name))
    options = Options(storage=STORAGE, launch="inline", retry=True, reuse=False)
    ablate(load(folder / "spec.yaml"), options, lambda line: None)


def effects(name: str) -> str:
    return frames.csv(load_report(STORAGE, name))["effects"]


@pytest.mark.parametrize("damage", ["a bit of the largest tensor", "any bit", "cut short", "both"])
@pytest.mark.slow
def test_a_study_with_damaged_checkpoints_ends_in_the_answer_of_one_that_nothing_befell(
    project: Path, tracking: str, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    (project / "toy.py").write_text(TOY)
    start("whole", project)
    (project / "broken").touch()
    with pytest.raises(StudyError, match="a fault"):
        start("hurt", project)
    (project / "broken").unlink()
    draw = random.Random(damage)
    saved = sorted((project / "runs").glob("hurt-*/*/checkpoint*.pt"))
    assert saved
    for path in saved:
        if path.name == "checkpoint.pt" or damage == "both":
            content = bytearray(path.read_bytes())
            at = content.index(b"weights") if damage == "both" else draw.randrange(len(content))
            if damage == "a bit of the largest tensor":
                weights = torch.load(path, weights_only=True)["state"]["weights"]
                at = content.index(weights.numpy().tobytes()) + 100
            content[at] ^= 1 << draw.randrange(8)
            path.write_bytes(content[:-70] if damage == "cut short" else content)
    capsys.readouterr()
    start("hurt", project)
    assert effects("hurt") == effects("whole")
    said = capsys.readouterr().out
    ending = (
        "there is no other, training starts anew" if damage == "both" else "going on from checkpoint-before.pt, the"
    )
    assert said.count(ending) == sum(path.name == "checkpoint.pt" for path in saved)
