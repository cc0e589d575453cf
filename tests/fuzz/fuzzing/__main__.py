"""Tries so many inputs of every kind, each kind in a process of its own; ends with 1 where one ended badly."""

from __future__ import annotations

import argparse
import faulthandler
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fuzzing.everything import TARGETS
from fuzzing.mutation import CANARY
from fuzzing.target import Target, Undocumented, run

_LAST = "last.txt"
_STUCK = 120  # seconds without an end: what no signal reaches
_MEMORY = 4 * 2**30  # bytes of address space beyond what the modules take


def main() -> int:
    """Parse, try, tell."""
    parser = argparse.ArgumentParser(prog="fuzzing", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--inputs", type=int, default=100_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name in options.names:
        if name not in TARGETS:
            parser.error(f"there is no kind '{name}'; there are {', '.join(TARGETS)}")
    if options.here:
        return _try(TARGETS[options.names[0]], options.here, options.inputs, options.seed)
    bad = [name for name in options.names or TARGETS if not _apart(name, options.inputs, options.seed)]
    if Path(CANARY).exists():
        bad.append(f"{CANARY} is there: something that an input holds was run")
    print(f"FAILED: {', '.join(bad)}" if bad else "every input ended in a documented way")
    return int(bool(bad))


def _apart(name: str, count: int, number: int) -> bool:
    """Whether all went well in a process of its own; the input that kills it is told too."""
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as folder:
        options = [f"--here={folder}", f"--inputs={count}", f"--seed={number}", name]
        command = [sys.executable, "-W", "ignore", "-m", "fuzzing", *options]
        code = subprocess.run(command, check=False).returncode
        if code not in (0, 1):
            text = Path(folder, _LAST).read_text(errors="replace").partition("\n")[0]
            print(f"{name}: FAILED: its process ended with {code}; the input: {text[:5000]}", flush=True)
    return code == 0


def _try(target: Target, folder: Path, count: int, number: int) -> int:
    began = time.monotonic()
    last = os.open(folder / _LAST, os.O_RDWR | os.O_CREAT)
    box = folder / "box"
    box.mkdir()
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (_size() + _MEMORY, resource.RLIM_INFINITY))

    def before(value: Any) -> None:
        os.pwrite(last, repr(value)[:100_000].encode(errors="replace") + b"\n", 0)
        faulthandler.dump_traceback_later(_STUCK, exit=True)

    try:
        tried = run(target, box, count, number, before=before)
    except Undocumented as error:
        print(f"{target.name}: FAILED: {error}\n    the input: {error.value!r}"[:8000], flush=True)
        return 1
    seconds = time.monotonic() - began
    print(f"{target.name}: {tried.count:,} inputs, {len(tried.outcomes):,} outcomes, {seconds:.0f} s", flush=True)
    return 0


def _size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main())
