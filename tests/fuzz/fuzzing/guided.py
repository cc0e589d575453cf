"""Inputs of one kind led by coverage of the harness's own branches: atheris, where it is installed.

    python -m fuzzing.guided NAME FOLDER -runs=100000 -seed=1

What atheris makes is read as hypothesis' own choices, so that it tries inputs of the very same kinds.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["harness", "yaml", "zipfile", "xml"]):
    from fuzzing.everything import TARGETS

from hypothesis import HealthCheck, given, settings

from fuzzing.target import Tried, prepared


def main() -> None:
    """Try inputs until atheris has had its runs; a bad one ends it with its traceback."""
    name, *options = sys.argv[1:]
    target = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix=f"guided-{name}-") as folder:
        one = prepared(target, Path(folder), Tried())
        test = settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))(
            given(target.inputs)(one)
        )
        atheris.Setup([sys.argv[0], *options], lambda data: test.hypothesis.fuzz_one_input(data) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
