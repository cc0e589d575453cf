"""Faults put into studies on purpose, and what is left of the studies. Nothing in `harness` knows of it."""
