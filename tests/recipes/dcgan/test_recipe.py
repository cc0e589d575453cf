"""The recipe as a slot runs it: events, artifacts, exact resume, samples of a finished run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from harness.data.settings import DataSettings
from harness.errors import DataError, DivergedError, StudyError
from harness.machine.devices import resolve_device
from harness.recipes import Interrupted, Recipe, Run, checkpoint
from harness.recipes.dcgan.evaluation import Likeness, Yardstick
from harness.recipes.dcgan.recipe import Dcgan
from harness.recipes.dcgan.settings import DcganBudget, DcganSettings, EvaluateSettings
from harness.recipes.events import Artifact, Event, Noted, Progress, Scored, Started

torch.set_num_threads(1)

SETTINGS = DcganSettings(width=2, latent=8, batch=4, precision="fp32", averaging="ema", sample_bn="batch", device="cpu")


Full = Callable[[int], AbstractContextManager[None]]


@dataclass
class FewImages:
    images: Any
    groups: Any
    fingerprint: str = "few"
    skipped: tuple[()] = ()


class PlainEvaluator:
    """Scores are pixel statistics: no network, and equal only for equal images."""

    facts: dict[str, str] = {}  # noqa: RUF012
    digests: dict[str, str] = {}  # noqa: RUF012
    objective = Yardstick("kaggle-private/square", *[None] * 2, 0.25, None)  # type: ignore[arg-type]
    killed: Callable[[], None] = staticmethod(lambda: None)
    scored: list[torch.Tensor] = []  # noqa: RUF012

    def __init__(self, *about: Any) -> None: ...

    def features(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        type(self).killed()
        self.scored.append(images)
        return {"pixels": images.float()}

    def score(self, features: dict[str, torch.Tensor], *, full: bool = True) -> dict[str, float]:
        (pixels,) = features.values()
        scores = {"mifid": pixels.mean().item(), "fid": pixels.std().item(), "mifid/other/square": pixels.max().item()}
        return scores | ({"kid": pixels.min().item() + len(pixels)} if full else {})

    def closest(self, images: torch.Tensor, features: dict[str, torch.Tensor], count: int) -> Likeness:
        assert torch.equal(features["pixels"], images.float())
        return Likeness(images[:count], images[:count].flip(0), [0.5] * len(images[:count]))


@pytest.fixture(autouse=True)
def _no_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    _plain(monkeypatch)


def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (18, 3, 32, 32), dtype=np.uint8)
    monkeypatch.setattr("harness.data.prepare", lambda *a, **k: FewImages(pixels, np.arange(19)), raising=False)
    monkeypatch.setattr("harness.recipes.dcgan.session.Evaluator", PlainEvaluator)


def run(
    folder: Path,
    *,
    seed: int = 3,
    images: int | None = 480,
    seconds: float | None = None,
    stop: Callable[[], bool] = lambda: False,
    trained: Path | None = None,
    **scoring: Any,
) -> tuple[Run, list[Event]]:
    folder.mkdir(exist_ok=True)
    events: list[Event] = []
    evaluate = EvaluateSettings(**{"samples": 32, "interim_samples": 16, "times": 2, "grid": 3, **scoring})
    context = Run(
        seed=seed,
        directory=folder,
        data=DataSettings(),
        evaluate=evaluate,
        objective=Dcgan.objective,
        recipe="dcgan",
        unit="images",
        budget=DcganBudget(images=images, seconds=seconds),
        emit=events.append,
        stop=stop,
        trained=trained,
    )
    return context, events


def outcome(summary: dict[str, float]) -> dict[str, float]:
    """What does not depend on the clock or on the memory of the process."""
    return {name: summary[name] for name in ("mifid", "fid", "images")}


def kept(folder: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(folder / "generator.pt", weights_only=True))


def curves(*events: Event) -> list[dict[str, list[tuple[int, float]]]]:
    return [event.curves for event in events if isinstance(event, Progress)]


def test_drawn_photos_last_and_those_in_a_folder_may_not(tmp_path: Path) -> None:
    drawn, folder = DataSettings(), DataSettings(source="folder", root=tmp_path)
    assert Dcgan().lasting([drawn])
    assert not Dcgan().lasting([drawn, folder])


def test_it_is_a_recipe_with_a_description_on_every_setting() -> None:
    assert isinstance(Dcgan(), Recipe)
    assert all(field.description for field in DcganSettings.model_fields.values())


def test_importing_the_recipe_does_not_import_torch() -> None:
    code = "import sys, harness.recipes.dcgan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "wrong", [{"margin": 1.0}, {"batch": 1}, {"widht": 8}, {"split_bn": "halves"}, {"device": "tpu"}], ids=str
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        DcganSettings(**wrong)


def test_a_run_tells_what_it_does_in_order(tmp_path: Path) -> None:
    context, events = run(tmp_path)
    summary = Dcgan().train(SETTINGS, context)
    assert isinstance(events[0], Started)
    assert [(e.step, e.final) for e in events if isinstance(e, Scored)] == [(240, False), (480, True)]
    assert {e.kind for e in events if isinstance(e, Artifact)} == {"grid", "checkpoint", "generator", "nearest"}
    assert all(Path(e.path).stat().st_size > 0 for e in events if isinstance(e, Artifact))
    shown = [x for c in curves(*events) for x, _ in c["score/real"]]
    assert shown == [200, 240, 400, 480]
    assert summary["images"] == 480
    scored = [e.scores for e in events if isinstance(e, Scored)]
    assert ["mifid_interim" in scores for scores in scored] == [False, True]
    assert summary["mifid_interim"] == scored[-1]["mifid_interim"] != summary["mifid"]
    assert summary["train_seconds"] > 0
    assert summary["images_per_second"] > 0
    assert summary["peak_memory_mb"] > 0


@pytest.mark.parametrize("after", [1, 60, 95])
def test_a_run_that_was_stopped_and_resumed_ends_in_the_very_same_weights(tmp_path: Path, after: int) -> None:
    context, events = run(tmp_path / "whole")
    whole = Dcgan().train(SETTINGS, context)

    calls = iter(range(10**6))
    context, first = run(tmp_path / "parts", stop=lambda: next(calls) > after)
    with pytest.raises(Interrupted):
        Dcgan().train(SETTINGS, context)
    context, second = run(tmp_path / "parts")
    resumed = Dcgan().train(SETTINGS, context)

    assert isinstance(second[0], Started)
    assert 0 < second[0].resumed_at < 480
    assert outcome(resumed) == outcome(whole)
    a, b = kept(tmp_path / "whole"), kept(tmp_path / "parts")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert curves(*first, *second) == curves(*events)


def test_a_run_that_is_asked_to_stop_once_it_is_trained_is_not_told_to_and_ends_whole(tmp_path: Path) -> None:
    context, events = run(tmp_path, images=40)
    context._stop = lambda: any(isinstance(each, Progress) and each.step == 40 for each in events)
    Dcgan().train(SETTINGS, context)
    assert context._stop()
    assert not context.told_to_stop


def test_a_run_killed_while_it_is_scored_scores_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill() -> None:
        raise MemoryError

    context, first = run(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(PlainEvaluator, "killed", staticmethod(kill))
        with pytest.raises(MemoryError):
            Dcgan().train(SETTINGS, context)
    context, second = run(tmp_path)
    Dcgan().train(SETTINGS, context)
    assert not [e for e in first if isinstance(e, Scored)]
    assert [e.step for e in second if isinstance(e, Scored)] == [240, 480]


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_not_gone_on_from(tmp_path: Path) -> None:
    Dcgan().train(SETTINGS, run(tmp_path, images=40)[0])
    context, events = run(tmp_path, images=40)
    Dcgan().train(SETTINGS.model_copy(update={"margin": None}), context)
    assert isinstance(events[0], Started)
    assert events[0].resumed_at == 0
    context, events = run(tmp_path, images=40)
    context.identity = "another recipe, whose settings have the same names"
    Dcgan().train(SETTINGS.model_copy(update={"margin": None}), context)
    assert isinstance(events[0], Started)
    assert events[0].resumed_at == 0
    saved = tmp_path / "checkpoint.pt"
    saved.write_bytes(saved.read_bytes()[:1000])
    context, events = run(tmp_path, images=40)
    Dcgan().train(SETTINGS, context)
    assert isinstance(events[0], Started)
    assert events[0].resumed_at == 0


def flipped(path: Path, *, at: int, bit: int = 0) -> None:
    """Turn one bit of a file, `at` a byte."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["a bit of its largest tensor", "cut short", "empty"])
@pytest.mark.slow
def test_a_run_whose_last_checkpoint_is_damaged_goes_on_from_the_one_before_to_the_very_same_end(
    tmp_path: Path, damage: str
) -> None:
    whole = Dcgan().train(SETTINGS, run(tmp_path / "whole", times=6)[0])
    calls = iter(range(10**6))
    context, _ = run(tmp_path / "parts", stop=lambda: next(calls) > 90, times=6)
    with pytest.raises(Interrupted, match="stopped after 340 images; a checkpoint is saved"):
        Dcgan().train(SETTINGS, context)
    newest = tmp_path / "parts" / checkpoint.NAME
    size = newest.stat().st_size
    if damage.startswith("a bit"):
        flipped(newest, at=size // 2)
    else:
        newest.write_bytes(newest.read_bytes()[: size // 2 if damage == "cut short" else 0])

    context, events = run(tmp_path / "parts", times=6)
    resumed = Dcgan().train(SETTINGS, context)
    assert isinstance(events[0], Started)
    assert events[0].resumed_at == 320
    (noted,) = [event.text for event in events if isinstance(event, Noted)]
    assert noted.startswith("checkpoint.pt is ")
    assert noted.endswith(", and is thrown away: going on from checkpoint-before.pt, the last good one")
    assert outcome(resumed) == outcome(whole)
    a, b = kept(tmp_path / "whole"), kept(tmp_path / "parts")
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("both", [False, True])
def test_a_follower_of_a_damaged_training_says_so_and_has_the_same_scores(tmp_path: Path, both: bool) -> None:
    whole = Dcgan().train(SETTINGS, run(tmp_path / "leader")[0])
    flipped(tmp_path / "leader" / checkpoint.NAME, at=20_000)
    if both:
        flipped(tmp_path / "leader" / checkpoint.BEFORE, at=20_000)
    context, events = run(tmp_path / "follower", trained=tmp_path / "leader")
    assert outcome(Dcgan().train(SETTINGS, context)) == outcome(whole)
    (noted,) = [event.text for event in events if isinstance(event, Noted)]
    assert "leader/checkpoint.pt is damaged: its content does not match its checksum, and is thrown away" in noted
    assert noted.endswith("training starts anew" if both else "from leader/checkpoint-before.pt, the last good one")
    assert context.trained_from == ("" if both else "leader")


@pytest.mark.slow
def test_a_disk_that_fills_up_costs_checkpoints_and_pictures_and_not_the_run(
    tmp_path: Path, files_of_at_most: Full
) -> None:
    whole = Dcgan().train(SETTINGS, run(tmp_path / "whole", times=4)[0])
    context, events = run(tmp_path / "full", times=4)
    with files_of_at_most(1000):
        left = iter(range(10**6))
        context._stop = lambda: next(left) > 100
        with pytest.raises(Interrupted, match=r"no checkpoint could be saved \(File too large\): all progress is lost"):
            Dcgan().train(SETTINGS, context)
    noted = [event.text for event in events if isinstance(event, Noted)]
    assert noted == [
        "the checkpoint after 120 images cannot be saved (File too large): there is none yet, training goes on, and "
        "the next one is tried",
        "grid-000000120.png cannot be written (File too large): training goes on without it",
    ]
    assert outcome(Dcgan().train(SETTINGS, run(tmp_path / "full", times=4)[0])) == outcome(whole)


@pytest.mark.parametrize("name", ["generator.pt", "generator.json"])
def test_a_damaged_generator_is_not_sampled(tmp_path: Path, name: str) -> None:
    Dcgan().train(SETTINGS, run(tmp_path, images=40)[0])
    path = tmp_path / name
    if name == "generator.pt":
        flipped(path, at=path.stat().st_size // 2)
    else:
        path.write_text(path.read_text().replace('"batch": 4', '"batch": 5'))
    with pytest.raises(StudyError, match="are damaged: they do not match their checksum; train the run again"):
        Dcgan().sample(tmp_path, count=2, seed=0)
    (tmp_path / "generator.pt").unlink()
    with pytest.raises(StudyError, match="no more to be read"):
        Dcgan().sample(tmp_path, count=2, seed=0)


def test_samples_of_a_finished_run_follow_the_seed(tmp_path: Path) -> None:
    Dcgan().train(SETTINGS, run(tmp_path, images=40)[0])
    images = Dcgan().sample(tmp_path, count=5, seed=1, device="cpu")
    assert images.shape == (5, 3, 32, 32)
    assert images.dtype == torch.uint8
    assert torch.equal(images, Dcgan().sample(tmp_path, count=5, seed=1, device="cpu"))
    assert not torch.equal(images, Dcgan().sample(tmp_path, count=5, seed=2, device="cpu"))


@pytest.mark.parametrize("changes", [{"sample_bn": "recalibrate"}, {"truncation": 0.5}, {"precision": "bf16"}], ids=str)
def test_samples_of_the_runs_own_seed_are_the_images_it_was_scored_by(tmp_path: Path, changes: dict[str, Any]) -> None:
    context, _ = run(tmp_path, images=40)
    Dcgan().train(SETTINGS.model_copy(update=changes), context)
    images = Dcgan().sample(tmp_path, count=32, seed=context.seed, device="cpu")
    assert torch.equal(images, PlainEvaluator.scored[-1])
    assert not torch.equal(images, Dcgan().sample(tmp_path, count=32, seed=context.seed + 1, device="cpu"))


def test_what_is_kept_of_the_generator_is_the_runs_settings_as_they_are(tmp_path: Path) -> None:
    Dcgan().train(SETTINGS, run(tmp_path, images=40)[0])
    about = json.loads((tmp_path / "generator.json").read_text())
    assert DcganSettings(**about["settings"]) == SETTINGS
    assert about["size"] == 32
    (tmp_path / "generator.json").write_text(json.dumps({"recipe": "dcgan", "network": {"width": 2}}))
    with pytest.raises(StudyError, match="earlier version, without a checksum; train it again"):
        Dcgan().sample(tmp_path, count=4, seed=0)


@pytest.mark.parametrize(
    "said", ["", "[", "[]", "null", "{}", '"sha256"', "[" * 100_000, '{"sha256": [], "size": 1e999}']
)
def test_what_a_run_says_of_its_generator_may_be_anything_and_is_refused(tmp_path: Path, said: str) -> None:
    Dcgan().train(SETTINGS, run(tmp_path, images=40)[0])
    (tmp_path / "generator.json").write_text(said)
    with pytest.raises(StudyError, match=r"train (it|the run) again|do not match their checksum"):
        Dcgan().sample(tmp_path, count=4, seed=0)


@pytest.mark.parametrize("changes", [{"truncation": 0.5}, {"sample_bn": "running"}, {"ema_beta": 0.5}], ids=str)
def test_a_run_that_is_only_sampled_otherwise_is_scored_from_the_others_training(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    settings = SETTINGS.model_copy(update={"averaging": "schedule"})  # ema_beta plays no part
    own = settings.model_copy(update=changes)
    whole = Dcgan().train(own, run(tmp_path / "whole")[0])
    leader = Dcgan().train(settings, run(tmp_path / "leader")[0])
    context, events = run(tmp_path / "follower", trained=tmp_path / "leader")
    follower = Dcgan().train(own, context)

    assert context.trained_from == "leader"
    assert outcome(follower) == outcome(whole)
    assert (outcome(follower) == outcome(leader)) == ("ema_beta" in changes)
    costs = ("train_seconds", "images_per_second", "peak_memory_mb")
    assert [follower[name] for name in costs] == [leader[name] for name in costs]
    assert not curves(*events)
    assert [event.final for event in events if isinstance(event, Scored)] == [True]
    a, b = kept(tmp_path / "whole"), kept(tmp_path / "follower")
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("why", ["another training", "no checkpoint", "another seed"])
def test_without_a_checkpoint_of_its_own_training_it_trains_itself(tmp_path: Path, why: str) -> None:
    own = SETTINGS.model_copy(update={"truncation": 0.5})
    led = SETTINGS.model_copy(update={"learning_rate": 1e-3} if why == "another training" else {})
    whole = Dcgan().train(own, run(tmp_path / "whole", images=40)[0])
    context, _ = run(tmp_path / "leader", images=40)
    context.seed += why == "another seed"
    Dcgan().train(led, context)
    if why == "no checkpoint":
        checkpoint.remove(tmp_path / "leader")
    context, events = run(tmp_path / "follower", images=40, trained=tmp_path / "leader")
    assert outcome(Dcgan().train(own, context)) == outcome(whole)
    assert context.trained_from == ""
    assert len([event for event in events if isinstance(event, Scored)]) == 2


WINDOW = {"times": 8, "window": 0.5}  # the scores after 300, 360, 420 and 480 images


def test_a_window_ends_with_the_mean_of_its_scores_and_without_one_with_the_last(tmp_path: Path) -> None:
    PlainEvaluator.scored.clear()
    context, events = run(tmp_path / "on", **WINDOW)
    found = Dcgan().train(SETTINGS, context)
    drawn = [images.float() for images in PlainEvaluator.scored]
    assert [len(images) for images in drawn] == [16] * 4 + [32] * 4  # as many in each score of the window
    by_hand = {
        "mifid": [images.mean().item() for images in drawn[4:]],
        "fid": [images.std().item() for images in drawn[4:]],
        "mifid/other/square": [images.max().item() for images in drawn[4:]],
    }
    for name, values in by_hand.items():
        assert found[name] == pytest.approx(sum(values) / 4, rel=1e-12)
    assert len(set(by_hand["mifid"])) == 4
    assert found["kid"] == drawn[-1].min().item() + 32  # once, of the last images

    scored = [event for event in events if isinstance(event, Scored)]
    curve = [images[:16].mean().item() for images in drawn]
    assert [event.scores["mifid"] for event in scored[:-1]] == pytest.approx(curve[:-1])
    assert [event.step for event in scored] == [60 * part for part in range(1, 9)]
    assert found["mifid_interim"] == pytest.approx(curve[-1])

    alone = Dcgan().train(SETTINGS, run(tmp_path / "off", times=8)[0])
    assert alone["mifid"] == by_hand["mifid"][-1]
    assert alone["mifid_interim"] == found["mifid_interim"]


def test_the_last_single_score_stays_readable_where_all_scores_are_of_as_many_images(tmp_path: Path) -> None:
    context, events = run(tmp_path, images=40, samples=16, **WINDOW)
    found = Dcgan().train(SETTINGS, context)
    assert found["mifid_interim"] == PlainEvaluator.scored[-1].float().mean().item()
    scored = [event.scores["mifid"] for event in events if isinstance(event, Scored)]
    assert found["mifid"] == pytest.approx((sum(scored[4:7]) + found["mifid_interim"]) / 4)


@pytest.mark.parametrize("after", [5, 6, 7])
def test_a_run_killed_within_its_window_ends_with_the_very_same_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    whole = Dcgan().train(SETTINGS, run(tmp_path / "whole", **WINDOW)[0])
    left = iter(range(100))

    def kill() -> None:
        if next(left) == after:
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(PlainEvaluator, "killed", staticmethod(kill))
        with pytest.raises(MemoryError):
            Dcgan().train(SETTINGS, run(tmp_path / "parts", **WINDOW)[0])
    context, events = run(tmp_path / "parts", **WINDOW)
    assert outcome(Dcgan().train(SETTINGS, context)) == outcome(whole)
    assert len([event for event in events if isinstance(event, Scored)]) == 8 - after


def test_a_run_stopped_between_two_scores_of_its_window_ends_with_the_very_same_mean(tmp_path: Path) -> None:
    whole = Dcgan().train(SETTINGS, run(tmp_path / "whole", **WINDOW)[0])
    context, events = run(tmp_path / "parts", **WINDOW)
    context._stop = lambda: len([event for event in events if isinstance(event, Scored)]) == 6
    with pytest.raises(Interrupted):
        Dcgan().train(SETTINGS, context)
    assert outcome(Dcgan().train(SETTINGS, run(tmp_path / "parts", **WINDOW)[0])) == outcome(whole)


def test_a_run_that_is_only_sampled_otherwise_has_the_window_of_its_own_samples(tmp_path: Path) -> None:
    own = SETTINGS.model_copy(update={"truncation": 0.5})
    whole = Dcgan().train(own, run(tmp_path / "whole", **WINDOW)[0])
    leader = Dcgan().train(SETTINGS, run(tmp_path / "leader", **WINDOW)[0])
    context, events = run(tmp_path / "follower", trained=tmp_path / "leader", **WINDOW)
    follower = Dcgan().train(own, context)
    assert context.trained_from == "leader"
    assert outcome(follower) == outcome(whole) != outcome(leader)
    assert [(event.step, event.final) for event in events if isinstance(event, Scored)] == [
        (300, False),
        (360, False),
        (420, False),
        (480, True),
    ]


def test_with_a_budget_of_seconds_a_window_is_the_last_share_of_these(tmp_path: Path) -> None:
    context, events = run(tmp_path, images=None, seconds=0.6, **WINDOW)
    found = Dcgan().train(SETTINGS, context)
    scored = [event for event in events if isinstance(event, Scored)]
    assert all(event.train_seconds >= part / 8 * 0.6 for part, event in enumerate(scored, 1))
    last = [images.float().mean().item() for images in PlainEvaluator.scored[-4:]]
    assert found["mifid"] == pytest.approx(sum(last) / 4)


@pytest.mark.parametrize(
    ("changes", "images"),
    [
        ({"samples": 250, "interim_samples": 250, "times": 12, "window": 0.5}, 12 * 250),
        ({"samples": 1000, "interim_samples": 250, "times": 2}, 1250),
        ({"samples": 5000, "interim_samples": 500, "times": 10, "window": 0.2}, 2 * 5000 + 8 * 500),
    ],
    ids=str,
)
def test_what_scores_cost_is_told_from_two_small_rehearsals(changes: dict[str, Any], images: int) -> None:
    rehearsal = Dcgan().rehearsal(EvaluateSettings(**changes))
    assert rehearsal is not None
    few, more, times = rehearsal
    shown = [each.samples + (each.times - 1) * each.interim_samples for each in (few, more)]
    assert shown[0] + times * (shown[1] - shown[0]) == pytest.approx(images, abs=changes["times"])
    assert max(shown) <= 320 + 64
    if more.times > 1:  # each score has a cost of its own beside that of its images
        assert 1 + times * (more.times - few.times) == changes["times"]


def test_a_budget_of_seconds_ends_after_so_many_seconds_of_training(tmp_path: Path) -> None:
    context, _ = run(tmp_path, images=None, seconds=0.5)
    assert Dcgan().train(SETTINGS, context)["train_seconds"] == pytest.approx(0.5, abs=0.3)


def test_a_batch_larger_than_the_data_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.batch is 32, but the data has 18 photos; give a smaller batch"):
        Dcgan().train(SETTINGS.model_copy(update={"batch": 32}), run(tmp_path)[0])


def test_a_gpu_that_is_not_here_is_refused_with_the_remedy() -> None:
    with pytest.raises(StudyError, match=r"device 'cuda:99' is not here.*use auto or cpu"):
        resolve_device("cuda:99")


def test_the_nearest_pairs_say_what_they_are_and_the_tau_in_force(tmp_path: Path) -> None:
    Dcgan().train(SETTINGS, run(tmp_path, images=40)[0])
    about = json.loads((tmp_path / "nearest.json").read_text())
    assert about["title"] == "Nearest reference images"
    assert "kaggle-private/square" in about["reading"]
    assert about["reading"].endswith("is below 0.25.")
    assert about["distances"] == [0.5] * 12


def test_a_preset_brings_its_own_tau() -> None:
    assert EvaluateSettings(tau=0.2).tau_of("efficientnet-lite0") == 0.2
    assert EvaluateSettings(tau=0.2).tau_of("kaggle-private") == 0.25


def test_the_notes_say_how_many_runs_are_penalised_under_the_tau_in_force() -> None:
    runs = pd.DataFrame(
        {
            "state": ["complete", "complete", "complete", "diverged", "complete"],
            "memorization_distance": [0.05, 0.2, 0.3, 0.01, None],
        }
    )
    (note,) = Dcgan().notes(runs, EvaluateSettings())
    assert note.startswith("1 of 3 runs are penalised: their memorisation distance is below tau = 0.1, ")
    assert "effects on the FID and on the memorisation distance" in note
    (note,) = Dcgan().notes(runs, EvaluateSettings(extractors=("kaggle-private",)))
    assert note.startswith("2 of 3 runs are penalised: their memorisation distance is below tau = 0.25, ")
    assert Dcgan().notes(runs, EvaluateSettings(tau=0.02)) == []
    assert Dcgan().notes(runs.drop(columns="memorization_distance"), EvaluateSettings()) == []


def test_data_that_cannot_be_read_are_refused_before_a_network_is_loaded() -> None:
    code = (
        "import sys; from harness import recipes; r = recipes.get('dcgan')\n"
        "try: r.check([r.data(), r.data(source='folder', crop='resize', root='nowhere')], r.evaluate())\n"
        "except Exception as error: print(type(error).__name__, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["DataError", "False"]


def test_every_data_set_is_prepared_and_told_of_once() -> None:
    told: list[str] = []
    Dcgan().prepare([DataSettings(), DataSettings(crop="bbox")], EvaluateSettings(), workers=1, note=told.append)
    assert told == [
        "data: synthetic-dogs, crop square, 64 px: 18 images",
        "data: synthetic-dogs, crop bbox, 64 px: 18 images",
    ]


# ---------------------------------------------------------------------- several seeds as one program

SEEDS = (3, 4, 5)


class Together:
    """Runs of several seeds in folders of their own, trained by one call: what each told, and how it ended."""

    def __init__(self, folder: Path, seeds: tuple[int, ...] = SEEDS, **about: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.ends: dict[int, dict[str, float] | Exception] = {}
        self.events: dict[int, list[Event]] = {}
        self.runs: list[Run] = []
        for seed in seeds:
            each, self.events[seed] = run(folder / str(seed), seed=seed, **about)
            each._end = lambda outcome, seed=seed: self.ends.__setitem__(seed, outcome)  # type: ignore[misc]
            self.runs.append(each)
        for each in self.runs:
            each.replicates = tuple(self.runs)

    def train(self, settings: DcganSettings = SETTINGS) -> Together:
        assert Dcgan().train(settings, self.runs[0]) == {}
        return self

    def scores(self, seed: int) -> list[tuple[int, dict[str, float]]]:
        return [(event.step, dict(event.scores)) for event in self.events[seed] if isinstance(event, Scored)]


def alone(folder: Path, seed: int, **about: Any) -> tuple[dict[str, float], list[Event]]:
    context, events = run(folder, seed=seed, **about)
    return Dcgan().train(SETTINGS, context), events


def drawn_of(folder: Path) -> torch.Tensor:
    """Images of a finished run, on the same latents whatever its seed."""
    return Dcgan().sample(folder, count=8, seed=0).int()


# Pixels of samples are whole numbers: what rounding of float32 changes moves few of them, by one of 255.
CLOSE = {"abs": 0.5}


def test_runs_that_are_trained_together_have_the_scores_and_images_of_each_alone(tmp_path: Path) -> None:
    # Twenty steps: later on rounding of float32 grows with every step of Adam. In float64 see test_trainer.
    found = Together(tmp_path / "together", images=80).train()
    drawn = {seed: drawn_of(tmp_path / "together" / str(seed)) for seed in SEEDS}
    for seed in SEEDS:
        by_itself, events = alone(tmp_path / f"alone{seed}", seed, images=80)
        ended = found.ends[seed]
        assert isinstance(ended, dict)
        assert outcome(ended) == pytest.approx(outcome(by_itself), abs=0.05)
        own = [(event.step, event.scores) for event in events if isinstance(event, Scored)]
        assert [step for step, _ in found.scores(seed)] == [step for step, _ in own] == [40, 80]
        for (_, together), (_, single) in zip(found.scores(seed), own, strict=True):
            assert together["mifid"] == pytest.approx(single["mifid"], abs=0.05)
            assert together.keys() == single.keys()
        assert [type(event) for event in found.events[seed]] == [type(event) for event in events]
        # A bias before batch norm has no gradient but rounding, which Adam makes steps of: images know nothing of it.
        assert (drawn[seed] - drawn_of(tmp_path / f"alone{seed}")).abs().max() <= 2
    for one, other in ((3, 4), (4, 5), (3, 5)):  # each has a seed of its own
        assert (drawn[one] - drawn[other]).abs().float().mean() > 2


@pytest.mark.parametrize("after", [1, 60])
@pytest.mark.slow
def test_runs_that_were_stopped_together_go_on_together_or_alone(tmp_path: Path, after: int) -> None:
    whole = Together(tmp_path / "whole").train()
    calls = iter(range(10**6))
    first = Together(tmp_path / "parts", stop=lambda: next(calls) > after).train()
    assert all(isinstance(end, Interrupted) and "a checkpoint is saved" in str(end) for end in first.ends.values())
    third, told = run(tmp_path / "parts" / "5", seed=5)
    by_itself = Dcgan().train(SETTINGS, third)
    rest = Together(tmp_path / "parts", seeds=(3, 4)).train()
    for seed, ended in (*rest.ends.items(), (5, by_itself)):
        events = told if seed == 5 else rest.events[seed]
        assert isinstance(events[0], Started)
        assert 0 < events[0].resumed_at < 480
        assert isinstance(ended, dict)
        assert isinstance(before := whole.ends[seed], dict)
        assert outcome(ended) == pytest.approx(outcome(before), **CLOSE)


@pytest.mark.slow
def test_runs_at_different_steps_are_trained_one_program_after_the_other(tmp_path: Path) -> None:
    calls = iter(range(10**6))
    context, _ = run(tmp_path / "4", seed=4, stop=lambda: next(calls) > 60)
    with pytest.raises(Interrupted):
        Dcgan().train(SETTINGS, context)
    found = Together(tmp_path).train()
    resumed = [event.resumed_at for seed in SEEDS for event in found.events[seed] if isinstance(event, Started)]
    assert resumed[0] == resumed[2] == 0 < resumed[1]
    for seed in SEEDS:
        by_itself, _ = alone(tmp_path / f"alone{seed}", seed)
        assert isinstance(ended := found.ends[seed], dict)
        assert outcome(ended) == pytest.approx(outcome(by_itself), **CLOSE)


def test_one_that_diverges_ends_alone_and_changes_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.recipes.dcgan import trainer

    means = trainer.Replicate.means

    def lost(self: Any) -> Any:
        if self.seed == 4 and self.steps >= 100 and self.lost is None:
            self.lost = DivergedError("loss/generator is nan")
        return means(self)

    monkeypatch.setattr(trainer.Replicate, "means", lost)
    found = Together(tmp_path / "together").train()
    assert isinstance(found.ends[4], DivergedError)
    assert [step for step, _ in found.scores(4)] == [240]
    monkeypatch.undo()
    _plain(monkeypatch)
    whole = Together(tmp_path / "whole").train()
    for seed in (3, 5):
        assert isinstance(ended := found.ends[seed], dict)
        assert isinstance(before := whole.ends[seed], dict)
        assert outcome(ended) == outcome(before)


@pytest.mark.slow
def test_one_whose_scoring_fails_or_whose_checkpoint_holds_no_state_ends_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(10**6))
    stopped = Together(tmp_path, stop=lambda: next(calls) > 60).train()
    assert all(isinstance(end, Interrupted) for end in stopped.ends.values())
    load = checkpoint.newest

    def odd(folders: Any, **about: Any) -> Any:
        state, folder = load(folders, **about)
        if state is not None and folder.name == "3":
            state["trainer"]["generator"] = {}
        return state, folder

    monkeypatch.setattr(checkpoint, "newest", odd)
    times = iter(range(10**6))

    def second() -> None:
        if next(times) == 1:
            raise RuntimeError("no memory for features")

    monkeypatch.setattr(PlainEvaluator, "killed", staticmethod(second))
    found = Together(tmp_path).train()
    assert isinstance(found.ends[3], RuntimeError)
    assert "generator" in str(found.ends[3]).lower()
    assert str(found.ends[5]) == "no memory for features"
    assert isinstance(ended := found.ends[4], dict)
    monkeypatch.setattr(PlainEvaluator, "killed", staticmethod(lambda: None))
    by_itself, _ = alone(tmp_path / "alone", 4)
    assert outcome(ended) == pytest.approx(outcome(by_itself), **CLOSE)


@pytest.mark.slow
def test_a_wish_to_stop_is_heard_between_the_scores_of_runs_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(PlainEvaluator, "killed", staticmethod(lambda: asked.append(True)))
    first = Together(tmp_path / "parts", stop=lambda: bool(asked)).train()
    assert [len(first.scores(seed)) for seed in SEEDS] == [1, 0, 0]
    assert all(isinstance(end, Interrupted) for end in first.ends.values())
    rest, whole = Together(tmp_path / "parts").train(), Together(tmp_path / "whole").train()
    for seed in SEEDS:
        assert isinstance(ended := rest.ends[seed], dict)
        assert isinstance(before := whole.ends[seed], dict)
        assert outcome(ended) == outcome(before)
