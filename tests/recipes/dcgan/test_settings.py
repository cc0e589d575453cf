"""Settings of the DCGAN: their defaults are of a version, and some play a part only under others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from harness.recipes.dcgan import Dcgan, DcganSettings
from harness.recipes.dcgan.settings import EvaluateSettings
from harness.settings import idle

DEFAULTS = Path(__file__).with_name("defaults.json")


def now() -> dict[str, Any]:
    models = {"train": Dcgan.settings, "data": Dcgan.data, "evaluate": Dcgan.evaluate}
    return {"version": Dcgan.version, **{name: to_jsonable_python(dict(model())) for name, model in models.items()}}


def test_a_changed_default_raises_the_version() -> None:
    stored, present = json.loads(DEFAULTS.read_text(encoding="utf-8")), now()
    for section in ("train", "data", "evaluate"):
        changed = {name for name, value in stored[section].items() if present[section].get(name) != value}
        assert not changed or Dcgan.version > stored["version"], (
            f"the defaults of {section} changed ({', '.join(sorted(changed))}): raise Dcgan.version"
        )
    assert present == stored, f"write the defaults of version {Dcgan.version} to {DEFAULTS.name}, new settings too"


@pytest.mark.parametrize(
    ("on", "counts"),
    [
        ({"averaging": "swa"}, {"swa_start"}),
        ({"averaging": "ema"}, {"swa_start", "ema_beta"}),
        ({"loss": "hinge"}, set()),
        ({"generator_part": "self-attention"}, {"generator_part_size"}),
        ({"discriminator_part": "self-attention"}, {"discriminator_part_size"}),
        ({"regulariser": "r1"}, {"regulariser_weight", "regulariser_every"}),
        ({}, set()),
    ],
    ids=lambda value: str(value if isinstance(value, dict) else sorted(value)),  # a set has no order of its own
)
def test_a_setting_counts_where_what_it_belongs_to_is_on(on: dict[str, Any], counts: set[str]) -> None:
    off = {
        *("swa_start", "ema_beta", "generator_part_size", "discriminator_part_size"),
        *("regulariser_weight", "regulariser_every"),
    }
    of_the_loss = {"margin", "real_label"} if on == {"loss": "hinge"} else set()
    assert idle(DcganSettings(**on)) == (off - counts) | of_the_loss


@pytest.mark.parametrize(
    ("on", "without"),
    [({"rotate": 0.0}, "rotate_degrees"), ({"discriminator_norm": "spectral"}, "split_generator_step")],
    ids=str,
)
def test_a_setting_is_idle_where_there_is_nothing_for_it_to_change(on: dict[str, Any], without: str) -> None:
    assert without in idle(DcganSettings(**on))
    assert without not in idle(DcganSettings())


@pytest.mark.parametrize(
    ("times", "window", "late"),
    [(24, 0.25, 6), (10, 0.3, 3), (20, 0.15, 3), (12, 1, 12), (4, 0, 1), (100, 0.29, 29), (5, 0.25, 2), (6, 0.65, 4)],
)
def test_the_window_holds_the_scores_in_the_last_share_of_training(times: int, window: float, late: int) -> None:
    assert EvaluateSettings(times=times, window=window).late == late


def test_a_window_with_the_last_score_alone_is_refused_with_the_remedy() -> None:
    with pytest.raises(
        ValidationError, match=r"window is 0\.25, in which only the last of 4 scores lies; give times 5"
    ):
        EvaluateSettings(times=4, window=0.25)
    assert EvaluateSettings(times=5, window=0.25).late == 2
