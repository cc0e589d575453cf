"""MLflow: one parent run per study, one nested child run per training run. The only module that imports mlflow.

Every call may be made again after a failure of which nobody knows how far it came: nothing is doubled by it.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import os
import posixpath
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException

from harness.recipes.events import SOURCE, DataUsed
from harness.study.store.address import file_of
from harness.study.tracked import FAILURE, FORWARDED, PUBLISHED, REASON, Point, address

BATCH = 800
"""Points that are sent at once: MLflow takes at most 1,000 things a call, parameters and tags among them."""
_MOST = 90  # parameters, or tags, that are sent at once
_LONGEST = 8000  # characters of a tag
_LONGEST_NAME = 250  # of a run, by MLflow's own table, which PostgreSQL holds it to
_PAGE = 500  # runs that are listed at once
_MOST_RUNS = 1_000_000  # of a study: no plan has as many
_FOREIGN = re.compile(r"[^\w\-. /]")  # what the name of a metric may not hold
_REFUSED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST")


@dataclass
class Child:
    """What MLflow has of a run: `forwarded` says how far its journal is, `failed` whether it is marked as failed.

    `source` is the digest of its recipe's source, "" where that is not known.
    """

    identity: str
    status: str = "RUNNING"
    forwarded: str = ""
    failed: bool = False
    measured: bool = False
    source: str = ""

    @property
    def settled(self) -> bool:
        """Whether nothing of how it ended is left to be told."""
        return self.status != "RUNNING" and not (self.status == "FINISHED" and self.failed)


def refused(error: Exception) -> bool:
    """Whether MLflow will never take what it was asked to, however often it is asked."""
    return isinstance(error, MlflowException) and error.error_code in _REFUSED


class Tracker:
    """Writes a study to MLflow."""

    def __init__(self, uri: str | None = None) -> None:
        self.uri = address(uri)
        # Whoever calls tries again; MLflow itself would for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        # A server's address, its login with it, would be printed at the end of every run.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        for name in ("alembic", "mlflow.tracking"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # Of a database that is locked it prints the traceback, which whoever calls has too.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        # The first use of a fresh database migrates it and narrates every step.
        with contextlib.redirect_stderr(io.StringIO()):
            _make_whole(self.uri)
            self.client: MlflowClient = cast(MlflowClient, _Answered(MlflowClient(self.uri)))
            self.client.search_experiments(max_results=1)
        self.experiment = ""
        self.parent = ""
        self._status = ""  # the parent's
        self._read: set[DataUsed] = set()  # what the parent shows of data

    # ------------------------------------------------------------------ the study

    def open_study(self, experiment: str, study: str, *, tags: Mapping[str, str], running: bool = True) -> str:
        """Find or make the parent run, which is RUNNING from now on where it is `running`; which answer it holds."""
        found = self.client.get_experiment_by_name(experiment)
        if found is not None and found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        # Otherwise the page opens among language models, which hides the description and the table's columns.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        self.experiment = found.experiment_id if found else self.client.create_experiment(experiment, tags=kind)
        parents = self.client.search_runs(
            [self.experiment],
            f"tags.`harness.study` = '{study}' and tags.`harness.role` = 'study'",
            order_by=["attributes.start_time ASC"],
        )
        if parents:
            self.parent = parents[0].info.run_id
            for extra in parents[1:]:
                self.client.delete_run(extra.info.run_id)
        else:
            identity = {"harness.study": study, "harness.role": "study"}
            self.parent = self.client.create_run(self.experiment, run_name=study, tags=identity).info.run_id
        self._read.clear()
        self._status = parents[0].info.status if parents else "RUNNING"
        if running:
            self.client.update_run(self.parent, status="RUNNING")
            self._status = "RUNNING"
        if tags:
            self.set_tags(self.parent, tags)
        return str(parents[0].data.tags.get(PUBLISHED, "")) if parents else ""

    def close_study(self, status: str) -> None:
        """Close the parent run, unless it is so already."""
        if self._status != status:
            self.finish(self.parent, status)
            self._status = status

    def children(self) -> dict[str, Child]:
        """Key -> what MLflow has of that run. Of several children with one key the one that has most is left."""
        found: dict[str, Child] = {}
        for run in self._pages(f"tags.`mlflow.parentRunId` = '{self.parent}' and tags.`harness.role` = 'run'"):
            tags = run.data.tags
            child = Child(
                run.info.run_id,
                run.info.status,
                tags.get(FORWARDED, ""),
                FAILURE in tags or REASON in tags,
                bool(run.data.metrics),
                tags.get(SOURCE, ""),
            )
            key = tags.get("harness.key", "")
            if key in found:
                found[key], extra = sorted((found[key], child), key=_has_most, reverse=True)
                self.client.delete_run(extra.identity)
            else:
                found[key] = child
        return found

    def _pages(self, which: str) -> Iterator[Run]:
        """Raises MlflowException where pages come without end: a server may answer anything."""
        token: str | None = None
        known: set[str] = set()
        while True:
            page = self.client.search_runs(
                [self.experiment],
                which,
                max_results=_PAGE,
                page_token=token,
                run_view_type=ViewType.ACTIVE_ONLY,
                order_by=["attributes.start_time ASC"],
            )
            new = {run.info.run_id: run for run in page if run.info.run_id not in known}
            known |= new.keys()
            yield from new.values()
            token = page.token
            if not token:
                return
            if not new or len(known) > _MOST_RUNS:
                raise MlflowException(f"search_runs: no answer of MLflow ({len(known):,} runs, and then another page)")

    # ------------------------------------------------------------------ runs

    def make(self, key: str, name: str, *, at: int, tags: Mapping[str, str]) -> Child:
        """A child run, begun at that time. Look for one with the key before: this makes another."""
        child = {"mlflow.parentRunId": self.parent, "harness.role": "run", "harness.key": key, **_clipped(tags)}
        run = self.client.create_run(self.experiment, start_time=at, run_name=name[:_LONGEST_NAME], tags=child)
        return Child(run.info.run_id, source=tags.get(SOURCE, ""))

    def unmake(self, child: Child) -> None:
        """Take a child run away: one of a source that the recipe has no more."""
        self.client.delete_run(child.identity)

    def go_on(self, run: str, name: str) -> None:
        """A run is trained again."""
        self.client.update_run(run, status="RUNNING", name=name[:_LONGEST_NAME])

    def send(
        self,
        run: str,
        *,
        points: Sequence[Point] = (),
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Parameters, points and then tags of a run. A point that MLflow has already, time and all, is not doubled.

        Values that are not finite are left out.
        """
        metrics = [Metric(named(name), value, at, step) for name, value, step, at in points if math.isfinite(value)]
        texts = [Param(name, value[:6000]) for name, value in sorted((parameters or {}).items())]
        labels = [RunTag(key, value) for key, value in _clipped(tags or {}).items()]
        while metrics or texts or labels:
            whole = len(metrics) <= BATCH and len(texts) <= _MOST  # what tags say is true when they are there
            self.client.log_batch(
                run, metrics=metrics[:BATCH], params=texts[:_MOST], tags=labels[:_MOST] if whole else []
            )
            metrics, texts, labels = metrics[BATCH:], texts[_MOST:], labels[_MOST:] if whole else labels

    def points_of(self, run: str) -> set[tuple[str, int]]:
        """(name as MLflow has it, step) of all that is measured of a run."""
        names = self.client.get_run(run).data.metrics
        return {(name, point.step) for name in names for point in self.client.get_metric_history(run, name)}

    def absent(self, run: str, points: Iterable[Point]) -> list[Point]:
        """Those of the points that MLflow has at no time, by name and step."""
        there = self.points_of(run)
        return [point for point in points if (named(point[0]), point[2]) not in there]

    def unmark(self, run: str) -> None:
        """Take away that a run has failed, where it finished after all."""
        tags = self.client.get_run(run).data.tags
        for name in (FAILURE, REASON):
            if name in tags:
                self.client.delete_tag(run, name)

    def set_tags(self, run: str, tags: Mapping[str, str]) -> None:
        """Tags of a run, in one call."""
        self.send(run, tags=tags)

    def inputs(self, run: str, data: Iterable[DataUsed]) -> None:
        """What a run reads, for its column Dataset and its study's.

        Data in two roles are one input, since MLflow refuses the same twice.
        """
        roles: dict[DataUsed, list[str]] = {}
        for each in data:
            roles.setdefault(replace(each, role=""), []).append(each.role)
        if roles:
            self.client.log_inputs(run, [_input(each, ", ".join(found)) for each, found in roles.items()])
        if new := roles.keys() - self._read:
            self.client.log_inputs(self.parent, [_input(each, "study") for each in new])
            self._read |= new

    def copy(self, run: str, *, original: str, study: str, key: str, tags: Mapping[str, str]) -> dict[str, float]:
        """Let a run stand for the one of another study that it was taken from; the numbers that one ended with.

        Where that one is not on this server, or was deleted, only the study's name is known.
        """
        place = f"study {study}"
        metrics: dict[str, float] = {}
        if (found := self._original(original, study, key)) is not None:
            metrics = found.data.metrics
            theirs = {name: value for name, value in found.data.tags.items() if not name.startswith("mlflow.")}
            theirs.pop(FORWARDED, None)
            self.set_tags(run, {**theirs, **tags})
            if found.inputs and found.inputs.dataset_inputs:
                self.client.log_inputs(run, found.inputs.dataset_inputs)
            place = f"[{place}](#/experiments/{found.info.experiment_id}/runs/{found.info.run_id})"
        self.set_tags(run, {"harness.reused": study, "mlflow.note.content": f"This run is that of {place}."})
        return metrics

    def _original(self, identity: str, study: str, key: str) -> Run | None:
        """A run of another study, by its identity or, where that is gone, by its study and key."""
        if identity:
            with contextlib.suppress(MlflowException):
                found: Run = self.client.get_run(identity)
                return found
        everywhere = [each.experiment_id for each in self.client.search_experiments()]
        which = f"tags.`harness.study` = '{study}' and tags.`harness.key` = '{key}' and tags.`harness.role` = 'run'"
        named: list[Run] = self.client.search_runs(everywhere, which, max_results=1)
        return next(iter(named), None)

    def artifact(self, run: str, path: Path, folder: str | None = None) -> None:
        """Copy a file into the run's artifacts; one that is gone is left out."""
        if path.exists():
            self.client.log_artifact(run, str(path), folder)

    def text(self, run: str, text: str, name: str) -> None:
        """Keep a text as an artifact."""
        self.client.log_text(run, text, name)

    def numbers(self, run: str, metrics: Iterable[tuple[str, float, int]]) -> None:
        """(name, value, step) metrics as of now, but for those that the run has with that value."""
        now = int(time.time() * 1000)
        asked = list(metrics)
        there = self.client.get_run(run).data.metrics.keys() & {named(name) for name, *_ in asked}
        last = {name: {each.step: each.value for each in self.client.get_metric_history(run, name)} for name in there}
        new = [each for each in asked if last.get(named(each[0]), {}).get(each[2]) != each[1]]
        self.send(run, points=[(name, value, step, now) for name, value, step in new])

    def describe(self, run: str, text: str, *, whole: str) -> None:
        """The run's description, Markdown; where it is too long, its first lines and that `whole` is the artifact."""
        if len(text) > _LONGEST:
            more = f"\n\nThe rest is in the artifact `{whole}`."
            text = text[: _LONGEST - len(more)].rpartition("\n")[0] + more
        self.set_tags(run, {"mlflow.note.content": text})

    def finish(self, run: str, status: str, at: int | None = None) -> None:
        """Close a run as FINISHED, FAILED or KILLED, as of that time."""
        self.client.set_terminated(run, status, at)


def _make_whole(uri: str) -> None:
    """Make the file of an SQLite database that is missing, whole or not at all.

    MLflow makes its tables one by one; where that is cut short, by a kill or a full disk, it refuses the file from
    then on.
    """
    path = file_of(uri)
    if path is None or path.exists():
        return
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)
    half_made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        MlflowClient(f"sqlite:///{half_made}").search_experiments(max_results=1)
        with contextlib.suppress(FileExistsError, FileNotFoundError):  # another process has made it
            os.link(half_made, path)
    finally:
        half_made.unlink(missing_ok=True)


class _Answered:
    """MLflow's client, but that every answer it cannot read is an MlflowException: a server may answer anything."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def asked(*args: Any, **more: Any) -> Any:
            try:
                return call(*args, **more)
            except MlflowException:
                raise
            except Exception as error:  # of the parser of its messages, which has many
                raise MlflowException(f"{name}: no answer of MLflow ({type(error).__name__}: {error})") from error

        return asked


def _has_most(child: Child) -> tuple[bool, bool, int]:
    offset = child.forwarded.partition(" ")[0]
    return child.status == "FINISHED", bool(child.forwarded), int(offset) if offset.isdigit() else 0


def _clipped(tags: Mapping[str, Any]) -> dict[str, str]:
    return {named(key): str(value)[:_LONGEST] for key, value in tags.items()}


def named(name: str) -> str:
    """The name of a metric or tag as MLflow takes it: no path that leads elsewhere, at most 250 characters."""
    found = _FOREIGN.sub("-", name)[:250]
    if found.startswith(("/", "..")) or posixpath.normpath(found) != found or found in ("", "."):
        found = found.replace("/", "-").replace(".", "-") or "-"
    return found


def _input(data: DataUsed, role: str) -> DatasetInput:
    source = json.dumps({"uri": data.source})
    dataset = Dataset(data.name, data.digest[:36], "local", source)  # MLflow's longest digest
    return DatasetInput(dataset, [InputTag("mlflow.data.context", role)])
