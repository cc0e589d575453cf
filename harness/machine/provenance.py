"""Where a number came from: commit, versions, machine. Recorded with every study and run."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "pillow", "optuna", "mlflow")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.rstrip() if done.returncode == 0 else ""


def git_diff() -> str:
    """Uncommitted changes of the current folder's repository, empty where there are none or no repository."""
    return _git("diff", "HEAD")


@cache
def processor() -> str:
    """The processor's model name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def provenance() -> dict[str, str]:
    """Commit, package versions, Python and machine, as flat text."""
    commit = _git("rev-parse", "HEAD")
    facts = {
        "git.commit": commit or "not in a git repository",
        "git.dirty": str(bool(commit and _git("status", "--porcelain"))).lower(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": f"{processor()}, {cores()} cores",
    }
    for package in _PACKAGES:
        try:
            facts[f"version.{package}"] = version(package)
        except PackageNotFoundError:
            facts[f"version.{package}"] = "not installed"
    return facts
