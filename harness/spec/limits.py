"""How much a spec may hold: far above any that is written by hand, and refused within a second beyond it."""

from __future__ import annotations

MOST_BYTES = 200_000
"""Of one file."""
MOST_VALUES = 10_000
"""Keys, values and elements of lists in a spec, aliases written out."""
MOST_CHARACTERS = 20_000
"""Of one key or value."""
DEEPEST = 50
"""Mappings and lists within each other."""
LARGEST = 2**63 - 1
"""A whole number, up or down."""
MOST_FILES = 20
"""That extend each other."""
MOST_FACTORS = 200
MOST_LEVELS = 200
"""Of one factor."""
MOST_SEEDS = 10_000
"""That a study of fixed size may have."""
MOST_MISTAKES = 50
"""That are shown at once."""
