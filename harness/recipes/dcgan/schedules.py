"""Schedules of the learning rate of both networks; `schedule` of the settings takes its values from here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Schedule = Callable[[float, Any], float]
"""Share of training that is over (0..1) and the settings -> the factor on `learning_rate`."""

SCHEDULES: dict[str, Schedule | None] = {
    "constant": None,
    "linear": lambda fraction, settings: 1 - fraction,
    # Loshchilov and Hutter 2017, without restarts.
    "cosine": lambda fraction, settings: (1 + math.cos(math.pi * fraction)) / 2,
}
