"""Trainers of other libraries as recipes: one file for each, which that library's users import."""
