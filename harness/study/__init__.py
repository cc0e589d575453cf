"""The main job: a spec becomes a plan, a study, runs, and an answer."""
