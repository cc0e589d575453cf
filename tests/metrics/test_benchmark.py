"""The benchmark of the metrics runs, says what is missing, and its contenders agree."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> str:
    nowhere = tmp_path_factory.mktemp("none") / "photos"
    call = [sys.executable, "benchmarks/metrics.py", "--quick", "--photos", str(nowhere)]
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(call, cwd=REPOSITORY, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_the_table_holds_every_contender_and_none_failed(printed):
    assert "failed" not in printed
    names = [line[:41].split(maxsplit=1) for line in printed.splitlines() if re.match(r"(MiFID|FID|KID) ", line)]
    assert [group for group, _ in names] == ["MiFID"] * 6 + ["FID"] * 3 + ["KID"] * 2
    assert "skipped: no photos at" in printed


def test_contenders_that_are_installed_agree_on_the_frechet_distance(printed):
    values = [float(value) for value in re.findall(r"^FID .* (\S+)$", printed, re.MULTILINE) if value[0].isdigit()]
    assert len(values) >= 2
    assert values == pytest.approx([values[0]] * len(values), rel=1e-5)
