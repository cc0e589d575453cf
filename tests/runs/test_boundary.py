"""Nothing but plain, readable events leaves a slot, and a fault leaves its traceback behind."""

from __future__ import annotations

import errno
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import DivergedError, KilledError, OutOfMemoryError, RecipeError, SpecError
from harness.measures import Measure
from harness.recipes.address import Address
from harness.recipes.events import Artifact, Cause, Event, Failed, Finished, Progress, Scored, Started
from harness.runs.boundary import TRACEBACK, fault, guarded

ERROR = Measure(name="error", title="error")


def sent(event: Any) -> Event:
    found: list[Event] = []
    guarded(found.append, "toy", ERROR)(event)
    (only,) = found
    return only


def test_numbers_that_are_tensors_and_paths_leave_as_plain_ones() -> None:
    one = torch.tensor(2)
    assert sent(Scored(step=one, train_seconds=one, scores={"error": torch.tensor(0.5)})) == Scored(
        step=2, train_seconds=2.0, scores={"error": 0.5}
    )
    told = sent(Progress(step=1, train_seconds=0, rate=one, fraction=7, curves={"loss": [(one, one)]}))
    assert told == Progress(step=1, train_seconds=0.0, rate=2.0, fraction=1.0, curves={"loss": [(2, 2.0)]})
    assert all(type(value) is float for _, value in told.curves["loss"])  # type: ignore[union-attr]
    assert sent(Artifact(step=1, path=Path("a"), kind="grid")) == Artifact(step=1, path="a", kind="grid")  # type: ignore[arg-type]
    assert sent(Started(facts={"n": 3})) == Started(facts={"n": "3"})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "event",
    [
        None,
        "done",
        Scored(step=1, train_seconds=0, scores={"loss": 1.0}),
        Scored(step=1, train_seconds=0, scores=None),  # type: ignore[arg-type]
        Scored(step=0.5, train_seconds=0, scores={"error": 1.0}),  # type: ignore[arg-type]
        Scored(step=-1, train_seconds=0, scores={"error": 1.0}),
        Scored(step=2**31, train_seconds=0, scores={"error": 1.0}),
        Progress(step=1, train_seconds=0, curves={"loss": [1.0]}),  # type: ignore[list-item]
        Progress(step=1, train_seconds=0, curves={"loss": [(1, torch.zeros(2))]}),  # type: ignore[list-item]
        Progress(step=1, train_seconds="long"),  # type: ignore[arg-type]
        Progress(step=1, train_seconds=0, curves={"loss": [(1, "0.9")]}),  # type: ignore[list-item]
        Scored(step=1, train_seconds=0, scores={"error": "0.9"}),  # type: ignore[dict-item]
        Scored(step=1, train_seconds=0, scores={"error": True}),
        Scored(step=1, train_seconds=0, scores={"error": torch.tensor(True)}),  # type: ignore[dict-item]
        Finished(step=1, summary={"error": 1.0}),
        Failed(kind=Cause.ERROR, reason="mine"),
    ],
)
def test_what_is_no_event_is_refused_in_the_slot(event: Any) -> None:
    with pytest.raises(RecipeError, match=r"recipe 'toy' emitted what is no .* use run.report"):
        sent(event)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, torch.tensor(math.nan)])
def test_a_score_that_is_not_finite_is_a_divergence_and_such_a_point_of_a_curve_is_left_out(value: Any) -> None:
    with pytest.raises(DivergedError, match=r"score at step 3: error is (nan|-?inf)"):
        sent(Scored(step=3, train_seconds=0, scores={"error": value}))
    with pytest.raises(DivergedError, match="train_seconds is"):
        sent(Scored(step=3, train_seconds=value, scores={"error": 1.0}))
    told = sent(Progress(step=2, train_seconds=0, rate=value, fraction=0.5, curves={"norm": [(1, value), (2, 3.0)]}))
    assert told == Progress(step=2, train_seconds=0, rate=0.0, fraction=0.5, curves={"norm": [(2, 3.0)]})


def test_a_fault_says_its_last_line_and_where_the_rest_is(tmp_path: Path) -> None:
    try:
        raise ValueError("first line\nsecond line")
    except ValueError as error:
        found = fault(error, Address("./toy.py:toy"), tmp_path / "run")
    kept = tmp_path / "run" / TRACEBACK
    assert found.reason.startswith("recipe './toy.py:toy': ValueError: first line (test_boundary.py, line ")
    assert found.reason.endswith(f"the whole traceback is in {kept}")
    assert "\n" not in found.reason
    assert kept.read_text() == found.details
    assert "second line" in found.details


def test_a_mistake_of_the_user_is_said_as_it_is(tmp_path: Path) -> None:
    found = fault(SpecError("budget: is missing"), Address("toy"), tmp_path)
    assert found.reason == "budget: is missing"
    assert "SpecError" in (tmp_path / TRACEBACK).read_text()


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (MemoryError(), Cause.MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), Cause.MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), Cause.MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), Cause.MEMORY),
        (OutOfMemoryError("the command 'train' ended with SIGKILL; the system ran out of memory"), Cause.MEMORY),
        (KilledError("the command 'train' ended with SIGSEGV"), Cause.LOST),
        (RecipeError("the command 'train' ended with exit code 3"), Cause.ERROR),
        (OSError(errno.ENOENT, "No such file"), Cause.ERROR),
        (OSError(errno.ENOSPC, "No space left on device"), Cause.LOST),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Cause.LOST),
        (RuntimeError("shapes do not fit"), Cause.ERROR),
    ],
)
def test_an_error_is_of_the_cause_that_says_whether_it_may_go_another_way(
    tmp_path: Path, error: Exception, cause: Cause
) -> None:
    found = fault(error, Address("toy"), tmp_path)
    assert found.kind is cause
    assert ("; lower the batch size" in found.reason) == (cause is Cause.MEMORY)


def test_what_torch_raises_where_a_tensor_does_not_fit_is_want_of_memory(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert fault(caught.value, Address("toy"), tmp_path).kind is Cause.MEMORY


def test_a_mistake_that_comes_of_a_full_disk_may_go_another_way(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        raise RecipeError("the photos cannot be prepared") from OSError(errno.ENOSPC, "No space left on device")
    assert fault(caught.value, Address("toy"), tmp_path).kind is Cause.LOST
