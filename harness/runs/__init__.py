"""Runs: one described as plain data, trained in this process, in slots elsewhere, or by itself without a study."""
