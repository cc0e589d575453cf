"""MLflow: one parent run per study, one nested child run per training run. The only module that imports mlflow."""

from __future__ import annotations

import contextlib
import getpass
import io
import json
import logging
import math
import os
import posixpath
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from harness.recipes.events import DataUsed

DEFAULT_TRACKING = "sqlite:///mlflow.db"
_BATCH = 900  # MLflow takes at most 1,000 metrics a call
_LONGEST = 8000  # characters of a tag
_FOREIGN = re.compile(r"[^\w\-. /]")  # what the name of a metric may not hold
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


class Tracker:
    """Writes a study to MLflow. Metrics are buffered, since a call costs milliseconds whatever it carries."""

    def __init__(self, uri: str | None = None) -> None:
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING
        for name in ("alembic", "mlflow.store.db.utils", "mlflow.tracking"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # The first use of a fresh database migrates it and narrates every step.
        with contextlib.redirect_stderr(io.StringIO()):
            self.client = _Answered(MlflowClient(self.uri))
            self.client.search_experiments(max_results=1)
        self._buffers: dict[str, list[Metric]] = {}
        self.experiment = ""
        self.parent = ""

    def open_study(self, experiment: str, study: str, *, tags: Mapping[str, str]) -> None:
        """Find or make the parent run. Child runs that a dead coordinator left RUNNING are closed."""
        found = self.client.get_experiment_by_name(experiment)
        if found is not None and found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        # Otherwise the page opens among language models, which hides the description and the table's columns.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        self.experiment = found.experiment_id if found else self.client.create_experiment(experiment, tags=kind)
        parents = self.client.search_runs(
            [self.experiment], f"tags.`harness.study` = '{study}' and tags.`harness.role` = 'study'", max_results=1
        )
        if parents:
            self.parent = parents[0].info.run_id
            self.client.update_run(self.parent, status="RUNNING")
        else:
            identity = {"harness.study": study, "harness.role": "study"}
            self.parent = self.client.create_run(self.experiment, run_name=study, tags=identity).info.run_id
        self.set_tags(self.parent, tags)
        left = self.client.search_runs(
            [self.experiment],
            f"tags.`mlflow.parentRunId` = '{self.parent}' and attributes.status = 'RUNNING'",
            max_results=5000,
        )
        for run in left:
            self.finish(run.info.run_id, "KILLED")

    def start(self, name: str, *, parameters: Mapping[str, Any], tags: Mapping[str, str], resume: str | None) -> str:
        """A child run; `resume` continues one that an earlier attempt left behind."""
        if resume is not None:
            with contextlib.suppress(MlflowException):
                self.client.update_run(resume, status="RUNNING", name=name)
                self.set_tags(resume, tags)
                return resume
        child = {"mlflow.parentRunId": self.parent, "harness.role": "run", **tags}
        identity: str = self.client.create_run(self.experiment, run_name=name, tags=child).info.run_id
        texts = [Param(key, str(value)[:6000]) for key, value in sorted(parameters.items())]
        self.client.log_batch(identity, params=texts)
        return identity

    def adopt(
        self,
        name: str,
        *,
        original: str,
        study: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
        step: int,
    ) -> str:
        """A child run that stands for the run `original` of another study, with its numbers; `finish` closes it."""
        identity = self.start(name, parameters=parameters, tags=tags, resume=None)
        place = f"study {study}"
        with contextlib.suppress(MlflowException):  # it is on another server, or was deleted
            found = self.client.get_run(original)
            metrics = {**metrics, **found.data.metrics}
            theirs = {key: value for key, value in found.data.tags.items() if not key.startswith("mlflow.")}
            self.set_tags(identity, {**theirs, **tags})
            if found.inputs and found.inputs.dataset_inputs:
                self.client.log_inputs(identity, found.inputs.dataset_inputs)
            place = f"[{place}](#/experiments/{found.info.experiment_id}/runs/{original})"
        self.set_tags(identity, {"harness.reused": study, "mlflow.note.content": f"This run is that of {place}."})
        self.log(identity, [(key, value, step) for key, value in metrics.items()])
        return identity

    def set_tags(self, run: str, tags: Mapping[str, str]) -> None:
        """Tags of a run, in one call."""
        self.client.log_batch(run, tags=[RunTag(_named(key), str(value)[:_LONGEST]) for key, value in tags.items()])

    def describe(self, run: str, text: str, *, whole: str) -> None:
        """The run's description, Markdown; where it is too long, its first lines and that `whole` is the artifact."""
        if len(text) > _LONGEST:
            more = f"\n\nThe rest is in the artifact `{whole}`."
            text = text[: _LONGEST - len(more)].rpartition("\n")[0] + more
        self.set_tags(run, {"mlflow.note.content": text})

    def inputs(self, run: str, data: Iterable[DataUsed]) -> None:
        """What a run reads, for its column Dataset and its study's.

        Data in two roles are one input, since MLflow refuses the same twice.
        """
        roles: dict[DataUsed, list[str]] = {}
        for each in data:
            roles.setdefault(replace(each, role=""), []).append(each.role)
        if roles:
            self.client.log_inputs(run, [_input(each, ", ".join(found)) for each, found in roles.items()])
            self.client.log_inputs(self.parent, [_input(each, "study") for each in roles])

    def log(self, run: str, metrics: Iterable[tuple[str, float, int]]) -> None:
        """Buffer (name, value, step) metrics; values that are not finite are left out."""
        now = int(time.time() * 1000)
        buffer = self._buffers.setdefault(run, [])
        buffer += [Metric(_named(name), value, now, step) for name, value, step in metrics if math.isfinite(value)]
        if len(buffer) >= _BATCH:
            self.flush(run)

    def flush(self, run: str) -> None:
        """Send what is buffered for a run."""
        buffer = self._buffers.pop(run, [])
        for start in range(0, len(buffer), _BATCH):
            self.client.log_batch(run, metrics=buffer[start : start + _BATCH])

    def artifact(self, run: str, path: Path, folder: str | None = None) -> None:
        """Copy a file into the run's artifacts."""
        if path.exists():
            self.client.log_artifact(run, str(path), folder)

    def text(self, run: str, text: str, name: str) -> None:
        """Keep a text as an artifact."""
        self.client.log_text(run, text, name)

    def finish(self, run: str, status: str) -> None:
        """Close a run as FINISHED, FAILED or KILLED."""
        self.flush(run)
        self.client.set_terminated(run, status)


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


def origin(facts: Mapping[str, str], source: str) -> dict[str, str]:
    """Where runs come from, as tags: all of the provenance, and what MLflow's columns Source, Version and User show."""
    tags = {f"provenance.{name}": value for name, value in facts.items()}
    tags |= {"mlflow.source.name": source, "mlflow.source.type": "LOCAL"}
    if _COMMIT.fullmatch(commit := facts.get("git.commit", "")):
        tags["mlflow.source.git.commit"] = commit
    with contextlib.suppress(OSError, KeyError, ImportError):  # a container whose user has no name
        tags["mlflow.user"] = getpass.getuser()
    return tags


def _named(name: str) -> str:
    """The name of a metric or tag as MLflow takes it: no path that leads elsewhere, at most 250 characters."""
    found = _FOREIGN.sub("-", name)[:250]
    if found.startswith(("/", "..")) or posixpath.normpath(found) != found or found in ("", "."):
        found = found.replace("/", "-").replace(".", "-") or "-"
    return found


def _input(data: DataUsed, role: str) -> DatasetInput:
    source = json.dumps({"uri": data.source})
    dataset = Dataset(data.name, data.digest[:36], "local", source)  # MLflow's longest digest
    return DatasetInput(dataset, [InputTag("mlflow.data.context", role)])
