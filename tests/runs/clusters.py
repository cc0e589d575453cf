"""A recipe whose runs are equal to the last bit wherever they train, and a cluster to train them on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray is told before it is loaded that it tells nobody
os.environ["RAY_DEDUP_LOGS_SKIP_REGEX"] = r"(?s).*"  # as harness does

RECIPE = """
import random, time
from harness import Run, recipe
from besides import drawn

@recipe(objective="total", maximize=False)
def slow(run: Run, trick: bool = False, steps: int = 10, pause: float = 0.1):
    state = run.restore() or {"step": 0, "sum": 0.0}
    draws = drawn(run.seed, trick, steps)
    while state["step"] < steps:
        state["sum"] += draws[state["step"]]
        state["step"] += 1
        time.sleep(pause)
        run.report(state["step"], total=state["sum"])
        run.checkpoint(state)
    return {"total": state["sum"]}
"""
BESIDES = """
import random

def drawn(seed, trick, steps):
    rng = random.Random(f"{seed}/{trick}")
    return [rng.random() for _ in range(steps)]
"""
SPEC = """
study: slow
recipe: ./slow.py:slow
factors: {trick: {baseline: false, levels: [true]}}
design: {kind: one-at-a-time}
seeds: 3
"""

QUICK = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 4,
}
"""A node that is gone is found out within seconds, and one on a machine under load is not taken for gone."""


def write(folder: Path) -> None:
    """The recipe, what it imports, and a spec."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("slow.py", RECIPE), ("besides.py", BESIDES), ("slow.yaml", SPEC)):
        (folder / name).write_text(text, encoding="utf-8")


@contextmanager
def cluster(nodes: int = 2, **node: Any) -> Iterator[Any]:
    """A Ray cluster of `nodes` nodes, of which this machine plays each, beside a head without a CPU to give."""
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20, **node}
    head = {"num_cpus": 0, "object_store_memory": 80 * 2**20, "include_dashboard": False, "_system_config": QUICK}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            made.add_node(**node)
        made.wait_for_nodes()
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
