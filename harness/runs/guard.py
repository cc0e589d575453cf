"""Ends the slots of a coordinator that died, with all that they started; a script of Python's library alone.

    python guard.py

Lines `+PID` and `-PID` on its standard input are the slots that live: leaders of process groups. Where the input ends,
by whatever killed the coordinator, each group that is left gets SIGKILL: a slot that hangs cannot do that itself, nor
end its children where the system kills it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys


def main() -> None:
    """Read which slots live until nobody is left to say it."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    living: set[int] = set()
    for line in sys.stdin:
        change, pid = line[0], int(line[1:])
        (living.add if change == "+" else living.discard)(pid)
    for pid in living:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
