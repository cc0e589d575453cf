"""Inputs from outside, made in great numbers: real ones damaged, hostile ones made up; only documented errors may come.

    python -m fuzzing --inputs 100000 --seed 0 [NAME ...]

Every kind of input is a `Target` in a module of this package. `guard` holds what an input may do while it is tried.
"""
