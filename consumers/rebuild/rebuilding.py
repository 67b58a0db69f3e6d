"""A rebuild from its first record to the hand-over: read all up to where the log ends now, make the indexes, read what came meanwhile.

It may be killed at any moment: the positions, which move with the rows, say where another call goes on. It touches no reader and no other
build; one rebuild of a model at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event as Flag
from time import monotonic
from typing import Any, TypeVar

import structlog
from psycopg import Connection, OperationalError

from consumers.loop import COME_BACK
from consumers.rebuild.crew import run_crew, tasks_of, work_alone
from consumers.rebuild.worker import Task
from events.crash_points import reached
from events.places import Partition
from events.settings import Settings
from events.wire.log_ends import LogEnds
from projectors import builds, database
from projectors.builds import BUILDING, Build
from projectors.model import ReadModel
from projectors.positions import list_positions

WORKERS = 2
MEMORY_MB = 512  # of one worker
_RECORDS_PER_MB, _ROWS_PER_MB, _MOST_BATCH_RECORDS = 60, 200, 50_000
_SMALL_LAG_RECORDS = 5_000  # a projector reads these in a moment
ALONE_RECORDS = 20_000  # fewer are read before another process has begun
_MOST_ROUNDS = 10
_TAKEN_OVER_LIMIT_S = 30.0
_BACK_LIMIT_S = 120.0
_LET_GO_LIMIT_S = 30.0
_LOOK_EVERY_S = 0.5
_ONE_AT_A_TIME = 4_717_007  # class of the advisory lock under which a model is rebuilt

T = TypeVar("T")

log = structlog.get_logger()


class UnderWay(Exception):
    """Another rebuild of the model is at work."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a rebuild may take: processes, memory of each in MB, records a second of all together."""

    workers: int = WORKERS
    memory_mb: int = MEMORY_MB
    records_per_s: float | None = None


def batch_records(limits: Limits) -> int:
    """Return how many records a worker may hold at once."""
    return min(_MOST_BATCH_RECORDS, limits.memory_mb * _RECORDS_PER_MB)


@dataclass(slots=True)
class Progress:
    """How far a rebuild is; somebody else may look at it meanwhile."""

    phase: str = "beginning"
    total: int = 0
    done: int = 0
    resumed_at: int = 0  # records that an earlier call had read
    began_s: float = field(default_factory=monotonic)
    notes: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return `reading 37 %, 80000/s, 12 s left`."""
        if self.phase != READING:
            return self.phase
        rate = (self.done - self.resumed_at) / max(0.001, monotonic() - self.began_s)
        left = f"{(self.total - self.done) / rate:.0f} s left" if rate else "rate unknown yet"
        return f"{self.phase} {100 * self.done // max(1, self.total)} %, {rate:.0f}/s, {left}"


READING = "reading"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How a rebuild went."""

    build: Build
    records: int  # read by this call
    resumed_at: int  # records that an earlier call had read
    read_s: float
    index_s: float
    most_memory_mb: int  # of one worker
    followed: bool  # whether a projector has taken it over
    start_s: float = 0.0  # of `read_s`, until the first look that found anything read
    at_start: int = 0  # how many records that look found

    @property
    def records_per_s(self) -> float:
        """The rate once workers had begun; of a short rebuild, with that beginning in it."""
        read_s = self.read_s - self.start_s
        return (self.records - self.at_start) / read_s if read_s > 1 else self.records / max(0.001, self.read_s)


def rebuild(
    settings: Settings, model: ReadModel, workers: int = WORKERS, *, limits: Limits | None = None, progress: Progress | None = None
) -> Rebuilt:
    """Make the model's next build, or go on with one that was left unfinished, and hand it over to the projectors.

    Raises UnderWay, crew.Stopped, psycopg.OperationalError or KafkaException when a part stays away for longer than two minutes.
    """
    return _Rebuild(settings, model, limits or Limits(workers), progress or Progress()).run()


class _Rebuild:
    def __init__(self, settings: Settings, model: ReadModel, limits: Limits, progress: Progress) -> None:
        self._settings, self._model, self._limits, self._progress = settings, model, limits, progress
        self._ends = LogEnds(settings.kafka_access)
        self._session: Connection[Any] | None = None
        self._build: Build | None = None
        self._most_mb, self._looked_at_s = 0, 0.0
        self._first: tuple[float, int] | None = None  # when a look found the first records read, and how many

    def run(self) -> Rebuilt:
        try:
            return self._run()
        finally:
            if self._session is not None:
                self._session.close()

    def _run(self) -> Rebuilt:
        progress = self._progress
        build = self._build = self._patiently(self._begin)
        positions = self._patiently(lambda: self._reached(build))
        progress.done = progress.resumed_at = sum(positions.values())
        if progress.resumed_at:
            progress.notes.append(f"{build.consumer}: goes on after {progress.resumed_at} records that were read before")
        began_s = monotonic()
        self._read(build)
        read_s = monotonic() - began_s
        first_s, at_start = self._first or (began_s, 0)
        progress.phase = "making indexes"
        reached("rebuild.before_indexes")
        self._patiently(lambda: builds.make_indexes(self._db(), self._model, build))
        index_s = monotonic() - began_s - read_s
        records = progress.done - progress.resumed_at
        for _ in range(_MOST_ROUNDS):
            if self._left(build)[0] <= _SMALL_LAG_RECORDS:
                break
            self._read(build)
        progress.phase = "handing over"
        reached("rebuild.before_hand_over")
        build = self._patiently(lambda: builds.hand_over(self._db(), build, records, round(read_s * 1000), round(index_s * 1000)))
        followed = self._is_taken_over(build)
        return Rebuilt(build, records, progress.resumed_at, read_s, index_s, self._most_mb, followed, first_s - began_s, at_start)

    def _begin(self) -> Build:
        """Return the build that an earlier call left unfinished, or a new one."""
        db = self._db()
        database.prepare(db, [self._model])
        there = [b for b in builds.list_builds(db, [self._model.name]) if b.version == self._model.version and b.state == BUILDING]
        build = there[-1] if there else builds.make_beside(db, self._model)
        builds.hold(db, build)
        return build

    def _read(self, build: Build) -> None:
        """Let workers read up to where the log ends now."""
        progress, limits = self._progress, self._limits
        _, left, until = self._left(build)
        progress.phase, progress.total = READING, sum(until.values())
        task = Task(build, until, batch_records(limits), limits.memory_mb * _ROWS_PER_MB, limits.records_per_s)
        if limits.workers == 1 or sum(left.values()) < ALONE_RECORDS:
            most_mb = work_alone(self._settings, self._model, task, lambda: self._look(build))
        else:
            tasks = tasks_of(task, left, limits.workers)
            most_mb = run_crew(self._settings, self._model, tasks, progress.notes.append, lambda: self._look(build))
        self._most_mb = max(self._most_mb, most_mb)
        progress.done = sum(self._patiently(lambda: self._reached(build)).values())

    def _left(self, build: Build) -> tuple[int, Mapping[Partition, int], Mapping[Partition, int]]:
        """Return how many records are not read yet, in each partition too, and where each ends."""
        until = self._patiently(lambda: self._ends.latest(self._model.topics))
        at = self._patiently(lambda: self._reached(build))
        left = {partition: past - at.get(partition, 0) for partition, past in until.items()}
        return sum(left.values()), left, until

    def _reached(self, build: Build) -> Mapping[Partition, int]:
        return list_positions(self._db(), [build.consumer])[build.consumer]

    def _look(self, build: Build) -> None:
        if monotonic() - self._looked_at_s < _LOOK_EVERY_S:
            return
        self._looked_at_s = monotonic()
        try:
            self._progress.done = sum(self._reached(build).values())
        except OperationalError as failure:
            self._progress.phase = f"{READING}; the database is away ({type(failure).__name__})"
        else:
            self._progress.phase = READING
            if self._first is None and self._progress.done > self._progress.resumed_at:
                self._first = monotonic(), self._progress.done - self._progress.resumed_at

    def _is_taken_over(self, build: Build) -> bool:
        """Wait, bounded, until a projector owns a partition of the build; tell whether one does."""
        before, end_s = self._patiently(lambda: self._epochs(build)), monotonic() + _TAKEN_OVER_LIMIT_S
        while monotonic() < end_s:
            if self._patiently(lambda: self._epochs(build)) > before:
                return True
            Flag().wait(_LOOK_EVERY_S)
        return False

    def _epochs(self, build: Build) -> int:
        row = self._db().execute("SELECT coalesce(sum(owner_epoch), 0) FROM position WHERE consumer = %s", [build.consumer]).fetchone()
        return int(row[0]) if row else 0

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Return the answer of a part that may be away for a while; raise what it fails with after two minutes."""
        end_s = monotonic() + _BACK_LIMIT_S
        while True:
            try:
                return ask()
            except COME_BACK as failure:
                if monotonic() > end_s:
                    raise
                log.warning("coming back", because=type(failure).__name__)
                Flag().wait(_LOOK_EVERY_S)

    def _db(self) -> Connection[Any]:
        """Return the session that alone may rebuild the model, and keeps its build from being dropped; a new one when it broke."""
        if self._session is None or self._session.broken or self._session.closed:
            again_s = 0.0 if self._session is None else _LET_GO_LIMIT_S  # the server may not know yet that the last one is gone
            db = database.connect(self._settings.database, f"rebuild {self._model.name}")
            try:
                self._be_the_only_one(db, monotonic() + again_s)
                if self._build is not None:
                    builds.hold(db, self._build)
            except BaseException:
                db.close()
                raise
            self._session = db
        return self._session

    def _be_the_only_one(self, db: Connection[Any], until_s: float) -> None:
        while True:
            row = db.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_ONE_AT_A_TIME, self._model.name]).fetchone()
            if row and row[0]:
                return
            if monotonic() >= until_s:
                raise UnderWay(f"a rebuild of {self._model.name} is at work already")
            Flag().wait(_LOOK_EVERY_S)
