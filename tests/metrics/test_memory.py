"""How much memory a score takes beyond its inputs, measured in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.metrics.features import BLOCK_ELEMENTS

# The kernel's own high-water mark of this process: getrusage would carry over that of the process that started it.
SCRIPT = """
import sys, torch
import harness.metrics.features as features
from harness.metrics import score_features

def megabytes(field):
    (line,) = [line for line in open("/proc/self/status") if line.startswith(field)]
    return int(line.split()[1]) / 1024

generated, real, dim, block = map(int, sys.argv[1:])
features.BLOCK_ELEMENTS = block
draw = torch.Generator().manual_seed(0)
asked = dict(interval=True, infinity=True)
score_features(torch.rand(300, 64, generator=draw), torch.rand(200, 64, generator=draw), **asked)
sides = [torch.rand(rows, dim, generator=draw) for rows in (real, generated)]
before = megabytes("VmRSS")
score_features(*sides, **asked)
print(megabytes("VmHWM") - before)
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc/self/status")


def extra_megabytes(*sizes: int) -> float:
    call = [sys.executable, "-c", SCRIPT, *map(str, sizes)]
    # Two threads have work space of their own.
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    return float(subprocess.run(call, check=True, capture_output=True, text=True, env=alone).stdout)


@pytest.mark.slow
def test_a_score_allocates_no_matrix_of_all_pairs():
    # All pairs would take 72 MB in float32; the real rows take 12 MB, and 24 MB in float64.
    assert extra_megabytes(3000, 6000, 512, 200_000) < 40


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_against_twenty_thousand_stay_within_300_megabytes():
    assert extra_megabytes(10_000, 20_580, 2048, BLOCK_ELEMENTS) < 300
