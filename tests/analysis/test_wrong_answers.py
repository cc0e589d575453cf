"""Answers that were wrong once, each by its worked case: what is said must hold where the truth is known."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.analysis import Verdict, answer
from harness.design import Alias, Contrast, Plan, fractions

_SPEC = importlib.util.spec_from_file_location("studies", Path(__file__).with_name("studies.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
studies = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(studies)
study, everything, name = studies.study, studies.everything, studies.name

FIRM = (Verdict.HELPS, Verdict.HURTS)
TRICKS = ("crop", "margin", "c", "d", "e", "f", "g", "h")


def screening(signs: Any, seeds: int, random: np.random.Generator) -> tuple[Plan, pd.DataFrame]:
    """A two-level design of eight tricks: `200 + 3 seed - 30 (crop and margin) + N(0, 2)`, nothing else acts."""
    cells = [frozenset(np.array(TRICKS)[row > 0].tolist()) for row in signs]
    plan, runs = study(
        TRICKS, cells, lambda on, seed: 200 + 3 * seed - 30 * ({"crop", "margin"} <= on) + random.normal(0, 2), seeds
    )
    contrasts = []
    for trick, held in zip(TRICKS, fractions.aliases(signs), strict=True):
        sides = [[name(cell) for cell in cells if (trick in cell) == on] for on in (True, False)]
        aliases = tuple(Alias(factors=(TRICKS[a], TRICKS[b]), share=share) for (a, b), share in held.items())
        contrasts.append(
            Contrast(
                name=f"{trick}: off -> on",
                factor=trick,
                level="on",
                baseline="off",
                pairs=tuple(zip(*sides, strict=True)),
                matched=False,
                aliases=aliases,
            )
        )
    return dataclasses.replace(plan, contrasts=tuple(contrasts)), runs


def test_a_plackett_burman_design_says_of_no_trick_alone_that_it_helps_or_hurts() -> None:
    signs = fractions.plackett_burman(8)
    assert signs.shape == (12, 8)
    found = answer(*reversed(screening(signs, 5, np.random.default_rng(0))))
    inert = [effect for effect in found.effects if effect.contrast.factor not in ("crop", "margin")]
    assert sum(effect.p_adjusted < 0.05 for effect in inert) == 6  # a third of -30 each, as firm as can be
    assert all(effect.verdict is Verdict.UNDECIDED for effect in found.effects)
    c = inert[0]
    assert c.lean in FIRM
    assert c.reading == f"{c.lean}, or an alias of it does (crop x margin, crop x d, crop x e and 18 more)"
    assert any("below resolution IV" in note and "fold_over" in note for note in found.notes)


def test_its_fold_over_finds_the_two_tricks_and_no_inert_one() -> None:
    signs = fractions.fold_over(fractions.plackett_burman(8))
    assert signs.shape == (24, 8)
    assert not any(fractions.aliases(signs))
    random, said = np.random.default_rng(1), 0
    for _ in range(20):
        found = answer(*reversed(screening(signs, 5, random)))
        crop, margin, *inert = found.effects
        assert crop.verdict is margin.verdict is Verdict.HELPS
        assert (crop.change.value, margin.change.value) == pytest.approx((-15, -15), abs=2)
        assert not any("resolution" in note for note in found.notes)
        said += any(effect.verdict in FIRM for effect in inert)
    assert said <= 4  # 5 % of 20, give or take three standard deviations of a binomial
