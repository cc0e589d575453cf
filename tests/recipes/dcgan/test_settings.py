"""Settings of the DCGAN: their defaults are of a version, and some play a part only under others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_jsonable_python

from harness.recipes.dcgan import Dcgan, DcganSettings
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
    ids=str,
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
