"""Designed ablations for training recipes: which trick earns its keep, by how much, how surely, at what cost."""

__version__ = "0.1.0"
