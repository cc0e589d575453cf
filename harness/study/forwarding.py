"""One run in MLflow, brought up to its journal and, where that does not tell its end, to what Optuna holds of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.recipes.events import SOURCE, Artifact, Cause, DataUsed, Failed, Finished, Progress, Scored, Started
from harness.runs.boundary import TRACEBACK
from harness.study.journal import Began, Journal, Kept, Line
from harness.study.recording import Record, failure_tags, status_of
from harness.study.tracked import FORWARDED, Point
from harness.study.tracking import BATCH, Child, Tracker, named


@dataclass
class _Batch:
    """What lines of a journal come to in MLflow."""

    points: list[Point] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    inputs: dict[DataUsed, None] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    failures: list[tuple[int, Failed]] = field(default_factory=list)


@dataclass
class _Reader:
    """How far the journal of a run was read and sent, and what of it later lines are understood by."""

    born: int | None
    offset: int = 0
    began: Began | None = None
    ended: Finished | Failed | None = None
    at: int = 0
    last: Scored | None = None
    sent: int = 0
    there: set[tuple[str, int]] = field(default_factory=set)  # points that MLflow has from elsewhere


class Forwarding:
    """Sends what MLflow lacks of runs, whose `live` ones go on; what it has is looked up once, at the beginning.

    After a failure, of which nobody knows how far it came, another is needed. `changed` counts what was made, filled
    and closed; `took` is called whenever MLflow has taken something.
    """

    def __init__(
        self,
        tracker: Tracker,
        journal: Journal,
        *,
        unit: str,
        live: Collection[str],
        records: Mapping[str, Record],
        changed: dict[str, int],
        took: Callable[[], None],
    ) -> None:
        self.children = tracker.children()
        """Key -> what MLflow has of that run."""
        self._tracker, self._journal, self._unit = tracker, journal, unit
        self._live, self._records = live, records
        self._changed, self._took = changed, took
        self._readers: dict[str, _Reader] = {}

    def forget(self, key: str) -> None:
        """How far a run's journal was read is not known any more."""
        self._readers.pop(key, None)

    def bring(self, key: str) -> None:
        """Bring the child run of a run up to its journal and, where that does not tell its end, to its record."""
        ended = self._follow(key) if self._journal.size(key) else None
        record = self._records.get(key)
        if record is not None and ended is not Finished and key not in self._live:
            self._fill(record)
        elif key in self.children and self.children[key].status == "RUNNING" and key not in self._live:
            self._end(self.children[key], "KILLED", None)

    def _follow(self, key: str) -> type[Finished | Failed] | None:
        """Send what the journal of a run has more; how the run has ended by it."""
        child, reader, born = self.children.get(key), self._readers.get(key), self._journal.born(key)
        if reader is not None and reader.born != born:  # the recipe was changed: this is another journal
            reader = None
        if reader is None:
            began = self._journal.began(key)
            if child is not None and began is not None and child.source and child.source != began.tags.get(SOURCE, ""):
                self._tracker.unmake(self.children.pop(key))
                child = None
            whole = child is not None and child.forwarded == _reached(self._journal.size(key), born)
            # One that was killed between the last line and the run's end has all of it and an earlier attempt's status.
            if (
                child is not None
                and whole
                and child.settled
                and child.status == _status_by(self._journal.last(key), child.status)
            ):
                return None
            reader = self._readers[key] = _Reader(born=born)
            if child is not None and child.forwarded:
                offset, _, of = child.forwarded.partition(" of ")
                reader.sent = int(offset) if of == str(born) else 0
            if child is not None and not reader.sent and child.measured:
                reader.there = self._tracker.points_of(child.identity)
        batch = _Batch()
        for line in self._journal.read(key, reader.offset):
            self._take(reader, line, batch)
            reader.offset = line.end
            if len(batch.points) >= BATCH:
                child = self._send(key, reader, batch)
                batch = _Batch()
        if reader.offset > reader.sent or child is None:
            child = self._send(key, reader, batch)
        if child is None or reader.began is None:
            return None
        ended = reader.ended
        if ended is None:
            if key in self._live and child.status != "RUNNING":
                self._tracker.go_on(child.identity, reader.began.name)
                child.status = "RUNNING"
            return None
        status = _status_by(ended)
        if status == "FINISHED" and child.failed:
            self._tracker.unmark(child.identity)
            child.failed = False
        if child.status != status and key not in self._live:
            self._end(child, status, reader.at)
        if key not in self._live:
            del self._readers[key]
        if isinstance(ended, Failed) and ended.kind in (Cause.DIVERGED, Cause.PRUNED):
            shutil.rmtree(self._journal.runs / key, ignore_errors=True)  # its pictures are in MLflow now
        return type(ended)

    def _end(self, child: Child, status: str, at: int | None) -> None:
        self._tracker.finish(child.identity, status, at)
        child.status = status
        self._changed["closed"] += 1
        self._took()

    def _take(self, reader: _Reader, line: Line, batch: _Batch) -> None:
        """Add what a line comes to; one that MLflow has already is only understood."""
        kept, at, sent = line.kept, line.at, line.end <= reader.sent
        reader.at = at
        points: list[Point] = []
        match kept:
            case Began():
                reader.began, reader.ended = kept, None
                if not sent:
                    batch.parameters = kept.parameters
                    batch.tags |= kept.tags
            case Started() if not sent:
                batch.tags |= kept.facts
                batch.inputs |= dict.fromkeys(kept.data)
            case Progress():
                points = [(name, value, step, at) for name, told in kept.curves.items() for step, value in told]
                if kept.rate:
                    points.append((f"{self._unit}_per_second_now", kept.rate, kept.step, at))
            case Scored():
                known = reader.last.scores if reader.last and reader.last.step == kept.step else {}
                reader.last = Scored(step=kept.step, train_seconds=0.0, scores={**known, **kept.scores})
                points = [(name, value, kept.step, at) for name, value in kept.scores.items()]
            case Artifact() if not sent and kept.kind != "checkpoint":
                batch.artifacts.append(kept)
            case Finished():
                reader.ended = kept
                scored = reader.last.scores if reader.last and reader.last.step == kept.step else {}
                points = [
                    (name, value, kept.step, at) for name, value in kept.summary.items() if scored.get(name) != value
                ]
            case Failed():
                reader.ended = kept
                if not sent:
                    attempt = reader.began.attempt if reader.began else 1
                    batch.failures.append((attempt, kept))
                    batch.tags |= failure_tags(kept.kind.value, kept.reason)
        if not sent:
            there = reader.there
            batch.points += [each for each in points if not there or (named(each[0]), each[2]) not in there]

    def _send(self, key: str, reader: _Reader, batch: _Batch) -> Child | None:
        """Send lines of a run, and then how far its journal is forwarded."""
        began = reader.began
        if began is None:
            return self.children.get(key)
        child = self.children.get(key)
        if child is None:
            born = reader.at if reader.born is None else reader.born
            child = self.children[key] = self._tracker.make(key, began.name, at=born, tags=began.tags)
            self._changed["made"] += 1
        for artifact in batch.artifacts:
            self._tracker.artifact(child.identity, Path(artifact.path), artifact.kind)
        for attempt, failure in batch.failures:
            words = f"{failure.kind.value}: {failure.reason}\n\n{failure.details}"
            self._tracker.text(child.identity, words, f"attempts/{attempt}.txt")
            if failure.details:
                self._tracker.text(child.identity, failure.details, TRACEBACK)
        if batch.inputs:
            self._tracker.inputs(child.identity, batch.inputs)
        reached = _reached(reader.offset, reader.born)
        self._tracker.send(
            child.identity,
            points=batch.points,
            parameters={} if child.forwarded else batch.parameters,  # they are there, and may not change
            tags={**batch.tags, FORWARDED: reached},
        )
        child.forwarded, child.failed = reached, child.failed or bool(batch.failures)
        reader.sent = reader.offset
        self._changed["filled"] += 1
        self._took()
        return child

    def _fill(self, record: Record) -> None:
        """Let MLflow have of a run what Optuna has."""
        child = self.children.get(record.key)
        if child is None:
            child = self.children[record.key] = self._tracker.make(
                record.key, record.name, at=record.began, tags=record.tags
            )
            self._changed["made"] += 1
        if child.status == record.status and child.settled:
            return
        points = list(record.points)
        if record.reused:
            theirs = self._tracker.copy(
                child.identity, original=record.original, study=record.reused, key=record.key, tags=record.tags
            )
            step = points[0][2] if points else 0
            known = {name for name, *_ in points}
            points += [(name, value, step, record.ended) for name, value in theirs.items() if name not in known]
        for attempt, words in record.failures:
            self._tracker.text(child.identity, words, f"attempts/{attempt}.txt")
        self._tracker.send(
            child.identity,
            points=self._tracker.absent(child.identity, points),
            parameters=record.parameters,
            tags=record.tags,
        )
        if record.status == "FINISHED":
            self._tracker.unmark(child.identity)
        self._end(child, record.status, record.ended)


def _status_by(last: Kept | None, otherwise: str = "") -> str:
    """MLflow's word for a run whose journal ends so; `otherwise` where that is no end."""
    match last:
        case Finished():
            return "FINISHED"
        case Failed():
            return status_of(last.kind)
    return otherwise


def _reached(offset: int, born: int | None) -> str:
    """How far a journal is forwarded, and which one: the same run may have been begun in another folder."""
    return f"{offset} of {born}"
