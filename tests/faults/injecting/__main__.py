"""Faults put into studies until as many came to pass as were asked for; what was lost, doubled or wrong is printed.

    PYTHONPATH=tests/faults python -m injecting [--seed N] [--phase NAME ...] [--kills N] [--others N] [--keep FOLDER]

Ends with 0 where nothing was lost, doubled or wrong, and all faults that were asked for came to pass.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from injecting.broken import BROKEN
from injecting.campaign import Campaign


def main() -> int:
    parser = argparse.ArgumentParser(prog="injecting", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="What is drawn: points, calls, victims, moments.")
    parser.add_argument("--phase", action="append", default=[], help="Only these phases or kinds; default: all.")
    parser.add_argument("--kills", type=int, default=207, help="Kills over all phases.")
    parser.add_argument("--others", type=int, default=57, help="Other faults over all kinds.")
    parser.add_argument("--at-once", type=int, default=2, help="Studies at a time.")
    parser.add_argument("--keep", type=Path, help="Where studies with something amiss are left; default: a new folder.")
    parser.add_argument(
        "--break", dest="broken", choices=BROKEN, help="Break the product on purpose, to see that it is found out."
    )
    given = parser.parse_args()
    return Campaign(
        seed=given.seed,
        phases=given.phase,
        kills=given.kills,
        others=given.others,
        at_once=given.at_once,
        keep=given.keep,
        broken=given.broken,
    ).run()


if __name__ == "__main__":
    sys.exit(main())
