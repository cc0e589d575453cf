"""Streams by name: the same bytes for a seed and a name, made on demand, saved and restored together."""

from __future__ import annotations

import hashlib
import io

import torch

from harness.recipes.streams import Streams, generator


def draws(made: torch.Generator, count: int = 4) -> list[float]:
    return torch.rand(count, generator=made).tolist()


def test_a_stream_is_seeded_by_the_digest_of_seed_and_name() -> None:
    start = int.from_bytes(hashlib.sha256(b"3/latent").digest()[:7], "big")
    assert draws(Streams(3)("latent")) == draws(torch.Generator().manual_seed(start)) == draws(generator(3, "latent"))


def test_streams_differ_by_name_and_by_seed() -> None:
    found = [draws(Streams(seed)(name)) for seed in (3, 4) for name in ("latent", "order", "augment")]
    assert len({tuple(each) for each in found}) == len(found)


def test_a_stream_goes_on_where_it_is_asked_for_again_whatever_others_draw() -> None:
    streams, alone = Streams(3), Streams(3)
    first = draws(streams("latent"))
    draws(streams("other"), 100)
    assert [*first, *draws(streams("latent"))] == draws(alone("latent"), 8)


def test_the_globals_play_no_part_and_are_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = draws(Streams(3)("latent"))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert draws(Streams(3)("latent")) == first


def test_streams_go_on_from_a_file_whether_they_were_asked_for_before_or_are_after() -> None:
    streams = Streams(3)
    for name in ("before", "after"):
        draws(streams(name), 3)
    file = io.BytesIO()
    torch.save(streams.state(), file)
    file.seek(0)
    resumed = Streams(3)
    draws(resumed("before"), 7)
    resumed.restore(torch.load(file, weights_only=True))
    assert resumed.state().keys() == {"before", "after"}
    for name in ("before", "after"):
        assert draws(resumed(name)) == draws(streams(name))


def test_a_stream_that_was_not_made_when_the_state_was_taken_is_at_its_start_again() -> None:
    streams, state = Streams(3), Streams(3).state()
    first = draws(streams("late"))
    streams.restore(state)
    assert draws(streams("late")) == first
