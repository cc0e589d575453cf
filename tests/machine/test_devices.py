"""GPUs are counted without torch in this process, and as torch counts them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.errors import StudyError
from harness.machine import devices

_ASKED = """
import sys
from harness.machine import devices

DRIVER
print(devices.gpus(), "torch" in sys.modules)
"""


def asked(driver: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _ASKED.replace("DRIVER", driver)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


def test_gpus_are_those_that_torch_sees_and_it_is_loaded_in_another_process() -> None:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    assert asked("") == f"{count} False"
    assert asked("devices._has_driver = lambda: True") == f"{count} False"
    assert devices.gpus() == count


def test_a_torch_that_does_not_load_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_has_driver", lambda: True)
    monkeypatch.setattr(devices, "_COUNT", "raise ImportError('libcudart.so.12: cannot open')")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(StudyError, match=r"torch cannot say what GPUs there are \(ImportError: libcudart.so.12"):
        devices.gpus()
