"""All kinds of input, by name."""

from __future__ import annotations

from fuzzing import kept, pictures, specs, told
from fuzzing.target import Target

TARGETS: dict[str, Target] = {each.name: each for room in (specs, pictures, kept, told) for each in room.TARGETS}
