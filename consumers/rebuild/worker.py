"""One worker of a rebuild: a process that brings whole partitions of one build up to named offsets, through the projectors' own loop.

What differs from a projector: it owns the partitions it was given and joins no group; its batches are large; it remembers the rows it
wrote; and its commits do not wait for the disk, since the position that says how far it came lies in the same transaction. Knows nothing
of the other workers, nor of readers.
"""

import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import parent_process
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from threading import Event as Flag
from time import monotonic
from typing import Any

import structlog
from confluent_kafka import Message, TopicPartition

from consumers.kafka import GroupConsumer, topic_ids
from consumers.loop import CALL_A_PERSON, COME_BACK, Follower
from consumers.project import collect_rarely
from events import crash_points, reference
from events.crash_points import reached
from events.logging import configure
from events.places import Partition
from events.settings import Settings
from events.wire.codec import load_codec
from events.wire.kafka import Kafka
from projectors import builds, database
from projectors.builds import Build, BuildGone
from projectors.model import ReadModel
from projectors.positions import Fenced
from projectors.remembering import Memory

_FILL_S = 0.5  # how long a batch is waited for to fill up
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_STUCK_LIMIT_S = 120.0  # so long without a step on, whatever can be come back from, and a person must look

log = structlog.get_logger()


class Stuck(Exception):
    """Kafka gives nothing for so long, though there should be more."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one worker has to do: which build, up to which offsets (they stay unread), and how much it may take."""

    build: Build
    until: Mapping[Partition, int]
    batch_records: int
    rows_remembered: int
    records_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """How a worker ended: the most memory it held, in MB; and what stopped it, if it was not that all was done."""

    memory_mb: int
    stopped_by: str = field(default="")


class Assigned(GroupConsumer):
    """A consumer that reads the partitions it was given, as if a group had assigned them; nothing is ever taken from it."""

    def __init__(self, kafka: Kafka, partitions: Sequence[Partition]) -> None:
        super().__init__(kafka, "rebuild")
        self._partitions = partitions

    def subscribe(self, topics: Any, on_assign: Any = None, on_revoke: Any = None, on_lost: Any = None) -> None:  # noqa: ARG002 - the library's
        """Have the partitions at once."""
        on_assign(self, [TopicPartition(*partition) for partition in self._partitions])


class BulkFollower(Follower):
    """The loop over given partitions up to given offsets, in large batches."""

    def read_up_to(self, until: Mapping[Partition, int], batch_records: int) -> None:
        """Say how far to read and how much at once; before the first step."""
        self._until, self._batch_records = until, batch_records

    def left(self) -> int:
        """Return how many records are not applied yet."""
        return sum(max(0, past - self._next(place)) for place, past in self._until.items())

    def begins_at_0(self) -> bool:
        """Tell whether nothing has been applied yet."""
        return not any(map(self._next, self._until))

    def _next(self, place: Partition) -> int:
        return max((held.next_offset for held in self._owned.get(place, {}).values()), default=0)

    def _read_batch(self) -> list[Message]:
        if self._failure:
            raise self._failure
        got = self._consumer.consume(min(self._batch_records, self.left()), timeout=_FILL_S)
        return [message for message in got if self._is_wanted(message)]

    def _is_wanted(self, message: Message) -> bool:
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if message.error() is not None or topic is None or number is None or offset is None:
            return True
        return offset < self._until.get((topic, number), 0)


def work(settings: Settings, model: ReadModel, task: Task, pipe: "Pipe[Said, None]") -> None:
    """Do `task` in a process of its own; say how it ended."""
    configure(f"rebuild {task.build.consumer}")
    crash_points.arm(settings.crash_point)
    collect_rarely()
    pipe.send(carry_out(settings, model, task))


def carry_out(settings: Settings, model: ReadModel, task: Task, look: Callable[[], None] = lambda: None) -> Said:
    """Do `task`, and `look` after each step; return how it ended."""
    stopped_by = ""
    try:
        _work(settings, model, task, look)
    except (*CALL_A_PERSON, Fenced, BuildGone, Stuck) as failure:
        stopped_by = f"{type(failure).__name__}: {failure}"
    except COME_BACK as failure:
        stopped_by = f"{type(failure).__name__}, for {_STUCK_LIMIT_S:.0f} s"
    return Said(_most_memory_mb(), stopped_by)


def _most_memory_mb() -> int:
    """Return the most that this process held; the figure of `getrusage` would begin with what its parent held when it was started."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:")) // 1024


def _work(settings: Settings, model: ReadModel, task: Task, look: Callable[[], None]) -> None:
    wait_s, moved_at_s = _FIRST_WAIT_S, monotonic()
    while True:
        steps = _Steps(task.records_per_s, look)
        try:
            if not _follow(settings, model, task, steps) or _is_orphan():
                return
        except Fenced:
            raise
        except COME_BACK as failure:
            if steps.taken:
                wait_s, moved_at_s = _FIRST_WAIT_S, monotonic()
            if monotonic() - moved_at_s > _STUCK_LIMIT_S:
                raise
            log.warning("coming back", because=type(failure).__name__, wait_s=wait_s)
            Flag().wait(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


def _follow(settings: Settings, model: ReadModel, task: Task, steps: "_Steps") -> int:
    build = task.build
    ids = topic_ids(settings.kafka_access, model.topics)
    limits = reference.load(settings.reference).parking
    consumer = Assigned(settings.kafka_access, sorted(task.until))
    with database.connect_remembering(settings.database, f"rebuild {build.consumer}", Memory(task.rows_remembered)) as db:
        try:
            builds.hold(db, build)
            builds.look_into(db, [build])
            db.execute("SET synchronous_commit TO off")
            follower = BulkFollower(consumer, db, [model], load_codec(), ids, limits, {model.name: build.consumer})
            follower.read_up_to(task.until, task.batch_records)
            db.memory.complete = follower.begins_at_0()
            while (left := follower.left()) and not _is_orphan():
                steps.pace(follower.step())
                reached("rebuild.batch")
            return left
        finally:
            consumer.close()


def _is_orphan() -> bool:
    parent = parent_process()
    return parent is not None and not parent.is_alive()


class _Steps:
    """Counts steps, and holds them to a rate."""

    def __init__(self, records_per_s: float | None, look: Callable[[], None]) -> None:
        self._records_per_s, self._look = records_per_s, look
        self._began_s = self._moved_s = monotonic()
        self._records = 0
        self.taken = 0

    def pace(self, records: int) -> None:
        """Count a step, and wait for as long as it came too early. Raises Stuck when there was none for two minutes."""
        if records:
            self.taken, self._moved_s = self.taken + 1, monotonic()
        elif monotonic() - self._moved_s > _STUCK_LIMIT_S:
            raise Stuck(f"no record came for {_STUCK_LIMIT_S:.0f} s")
        self._records += records
        self._look()
        if self._records_per_s:
            Flag().wait(max(0.0, self._records / self._records_per_s - (monotonic() - self._began_s)))
