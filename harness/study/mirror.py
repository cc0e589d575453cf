"""MLflow brought up to the journals of a study's runs by a thread of its own, so that nothing else waits for MLflow.

Whatever is sent may be sent again, after a failure or by the next process, and doubles nothing: MLflow takes a point of
a journal once, and says in a tag of the run how far the journal is forwarded. After every failure the mirror looks anew
at what MLflow has.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from harness.study.forwarding import Forwarding
from harness.study.journal import Journal
from harness.study.recording import Record
from harness.study.store.address import file_of, scrubbed, without_password
from harness.study.store.patience import causes, passing
from harness.study.tracked import address
from harness.study.tracking import Tracker, refused

_ROUND = 1.0  # seconds between two looks at runs that go on
_PAUSES = (0.5, 1.0, 2.0, 5.0)  # seconds before MLflow is asked again, the last for ever
_AT_THE_END = 5.0  # seconds that the thread gets to close the parent run where no more is waited for
_TRIES = 3  # of a run that an MLflow that answers does not take
_ANSWER = "the answer"
_WORTH_A_WORD = 5.0  # seconds that MLflow may be silent before someone is told


class Mirror:
    """Brings the parent run and the child runs of a study up to its journals, from `start` to `close`.

    `running` says that runs are trained now, so that a run without an end may still come to one. `records` are the runs
    whose end is in Optuna alone. `say` takes a line for whoever watches.
    """

    def __init__(
        self,
        *,
        uri: str | None,
        experiment: str,
        study: str,
        journal: Journal,
        tags: Mapping[str, str],
        unit: str,
        running: bool,
        records: Iterable[Record] = (),
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.uri = address(uri)
        self.experiment, self.study, self.unit = experiment, study, unit
        self.published = ""
        self.changed: dict[str, int] = {"made": 0, "filled": 0, "closed": 0}
        self._journal, self._tags, self._running, self._say = journal, dict(tags), running, say
        self._records = {record.key: record for record in records}
        self._tracker: Tracker | None = None
        self._forwarding: Forwarding | None = None  # None: what MLflow has is not known
        self._live: set[str] = set()
        self._dirty: dict[str, None] = {}
        self._jobs: deque[Callable[[Tracker], None]] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._opened = threading.Event()
        self._still = threading.Event()
        self._ending = False
        self._gone = False
        self._answered = time.monotonic()  # when MLflow last did
        self._why, self._failures, self._told = "", 0, False  # why it does not, how often, and whether that was said
        self._odd: Counter[str] = Counter()  # how often a run was not taken by an MLflow that answers
        self._spoilt: dict[str, str] = {}
        self._status = ""
        self._thread = threading.Thread(target=self._serve, name="mirror", daemon=True)

    # ------------------------------------------------------------------ for the coordinator's thread

    def start(self) -> None:
        """Begin; what is missing of all that the study holds is sent first."""
        self._thread.start()

    def goes_on(self, key: str) -> None:
        """A run was given to a slot; its journal says so already."""
        with self._lock:
            self._live.add(key)
            self._records.pop(key, None)
            self._dirty[key] = None
            self._still.clear()
        self._wake.set()

    def wrote(self, key: str, *, ended: bool = False) -> None:
        """There is more in the journal of a run; what goes on is sent about every second."""
        with self._lock:
            self._dirty[key] = None
            if ended:
                self._live.discard(key)
            self._still.clear()
        if ended:
            self._wake.set()

    def hold(self, records: Iterable[Record]) -> None:
        """Runs whose end is in Optuna alone, like those that were taken over from another study."""
        with self._lock:
            for record in records:
                self._records[record.key] = record
                self._dirty[record.key] = None
            self._still.clear()
        self._wake.set()

    def ask(self, job: Callable[[Tracker], None]) -> None:
        """Have something done to the parent run, in order; it may be done twice."""
        with self._lock:
            self._jobs.append(job)
            self._still.clear()
        self._wake.set()

    def run_of(self, key: str, patience: float = 0.0) -> str:
        """The MLflow run of a run, "" where there is none within `patience` seconds or while MLflow does not answer."""
        until = time.monotonic() + patience
        while True:
            forwarding = self._forwarding
            if forwarding is not None and key in forwarding.children:
                return forwarding.children[key].identity
            if self._why or time.monotonic() >= until:
                return ""
            time.sleep(0.005)

    def opened(self, patience: float) -> bool:
        """Whether MLflow has answered within so many seconds, so that `published` is known."""
        return self._opened.wait(patience)

    def settle(self, patience: float, check: Callable[[], None] = lambda: None) -> str:
        """Wait until MLflow holds all; where it was silent for `patience` seconds, what waits and why, in words."""
        return self._until(self._still.is_set, patience, check)

    def close(self, status: str, patience: float, check: Callable[[], None] = lambda: None) -> str:
        """Close the parent run with `status` and end; what waits still after `patience` seconds of silence, in words.

        `check` is asked meanwhile; where it raises, the parent run is closed if MLflow answers, and nothing else sent.
        """
        self._status = status
        try:
            left = self.settle(patience, check)
            self._ending = True
            self._wake.set()
            left = left or self._until(lambda: not self._thread.is_alive(), patience, check)
        finally:
            self._ending = self._gone = True
            self._wake.set()
            self._thread.join(_AT_THE_END)
        if left or not self._spoilt:
            return left
        key, reason = next(iter(self._spoilt.items()))
        of = key if key == _ANSWER else f"{len(self._spoilt)} run(s), like {key}"
        return f"MLflow ({without_password(self.uri)}) does not take all of {of}: {reason}"

    def _until(self, done: Callable[[], bool], patience: float, check: Callable[[], None]) -> str:
        began = time.monotonic()
        while not done():
            check()
            # A file that was taken away does not come back to a process that had it open.
            gone = (path := file_of(self.uri)) is not None and not path.exists()
            if time.monotonic() - max(began, self._answered) > (min(patience, _AT_THE_END) if gone else patience):
                return self._waits()
            time.sleep(0.02)
        return ""

    def _waits(self) -> str:
        with self._lock:
            runs = len(self._dirty)
        what = f"{runs} run{'s' * (runs != 1)} of this start wait{'s' * (runs == 1)}" if runs else "what it lacks waits"
        return f"MLflow ({without_password(self.uri)}) does not answer{f': {self._why}' if self._why else ''}; {what}"

    # ------------------------------------------------------------------ the thread

    def _serve(self) -> None:
        while not self._gone:
            try:
                self._work()
                return
            except Exception as error:  # whatever MLflow, its database or the network between raise
                self._fails(error)
                self._wake.clear()
                self._wake.wait(_PAUSES[min(self._failures, len(_PAUSES)) - 1])
        with suppress(Exception):  # the next start, or `harness sync`, does it otherwise
            self._close_study()

    def _close_study(self) -> None:
        if self._tracker is not None and self._status:
            self._tracker.close_study(self._status)

    def _fails(self, error: Exception) -> None:
        """MLflow did not take something: nobody knows how far it came, and whether it answers at all."""
        self._why = self._words(error)
        self._forwarding = None
        self._failures += 1
        if not self._told and time.monotonic() - self._answered > _WORTH_A_WORD:
            self._told = True
            self._say(f"{self._waits()}; training goes on")

    def _answers(self) -> None:
        """MLflow has taken something."""
        if self._told:
            self._say(f"MLflow answers again after {time.monotonic() - self._answered:.0f} s")
        self._took()
        self._why, self._failures, self._told = "", 0, False

    def _took(self) -> None:
        """MLflow has something that it had not: who waits for it to have all may go on waiting."""
        self._answered = time.monotonic()

    def _words(self, error: Exception) -> str:
        """Why MLflow did not take something, in one line without its login."""
        inner = next(causes(error))
        return scrubbed(" ".join(str(inner).split())[:300], self.uri) or type(inner).__name__

    def _work(self) -> None:
        """Send what there is until the study ends."""
        tracker = self._tracker = self._tracker or Tracker(self.uri)
        if (forwarding := self._forwarding) is None:
            self.published = tracker.open_study(self.experiment, self.study, tags=self._tags, running=self._running)
            forwarding = self._forwarding = Forwarding(
                tracker,
                self._journal,
                unit=self.unit,
                live=self._live,
                records=self._records,
                changed=self.changed,
                took=self._took,
            )
            with self._lock:
                self._dirty = dict.fromkeys([*self._dirty, *forwarding.children, *self._journal.keys(), *self._records])
            self._opened.set()
        while not self._gone:
            self._wake.clear()
            with self._lock:
                keys, jobs = list(self._dirty), list(self._jobs)
            # A run that is new is made before others are filled: its trial names it.
            for key in sorted(keys, key=forwarding.children.__contains__):
                if not self._gone:
                    self._try(forwarding, key)
            for job in jobs:  # what is said of the parent is said of runs that are there
                try:
                    job(tracker)
                    self._took()
                except Exception as error:
                    if not self._gives_up(_ANSWER, error):
                        raise
                with self._lock:
                    self._jobs.popleft()
            self._odd.pop(_ANSWER, None)
            self._answers()
            with self._lock:
                still = not self._dirty and not self._jobs
                if still:
                    self._still.set()
            if still and self._ending:
                self._close_study()
                return
            if still or not self._ending:
                self._wake.wait(_ROUND)

    def _try(self, forwarding: Forwarding, key: str) -> None:
        """Bring a run; one that MLflow does not take, though it answers, is left so that others are not held up."""
        with self._lock:
            self._dirty.pop(key, None)
        if key in self._spoilt:
            return
        try:
            forwarding.bring(key)
            self._odd.pop(key, None)
        except Exception as error:
            if self._gives_up(key, error):
                forwarding.forget(key)
                return
            with self._lock:
                self._dirty[key] = None
            raise

    def _gives_up(self, key: str, error: Exception) -> bool:
        """Whether what an MLflow that answers does not take, a run's or `_ANSWER`, is left for good, and said."""
        self._odd[key] += not passing(error)
        if not refused(error) and self._odd[key] < _TRIES:
            return False
        self._spoilt[key] = self._words(error)
        what = key if key == _ANSWER else f"run {key}"
        self._say(f"{what}: MLflow does not take all of it: {self._spoilt[key]}")
        return True
