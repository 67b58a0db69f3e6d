"""What a desk looks at while it works: whether another database has taken over, and how far its words on the log have been seen.

One desk of a database looks; it moves the history, so that a later start has little to read. A finding is kept for whoever runs the desk:
the desk stops, and what follows is decided at the next connection.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from threading import Event as Flag
from threading import Thread
from time import monotonic
from typing import Any

from psycopg import Connection, OperationalError
from psycopg.errors import UndefinedTable

from consumers import only_one
from consumers.batches import size_of
from consumers.desk import history, memory, recalled
from consumers.desk.away import Away
from consumers.desk.eras import Surroundings
from consumers.desk.memory import Superseded
from consumers.desk.stretch import Announcements, Stretches, Unreachable
from consumers.kafka import topic_ids
from events.places import Partition
from events.wire.codec import UnknownSchema
from projectors import database

LOOK_EVERY_S = 1.0
_ONE_WATCHES = 4_717_004  # key of the advisory lock
RECORDS_AT_ONCE = 5_000  # of one look: a busy desk is not held up, a quiet one catches up
_STOP_LIMIT_S = 5.0
_LOOK_AT_FLAGS_EVERY_S = 0.1


class Overtaken(Exception):
    """The log knows decisions of this era that the tables do not: look before deciding anything else."""


class _Left(Exception):
    """Nobody needs the watch any longer."""


class _Halt(Flag):
    """Set when the watch has found something; counts as set as soon as the desk is asked to stop, whatever the watch waits for."""

    def __init__(self, stop: Flag) -> None:
        super().__init__()
        self._stop = stop

    def is_set(self) -> bool:
        """Say whether either is set."""
        return super().is_set() or self._stop.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until either is set, at most `timeout` seconds."""
        end = None if timeout is None else monotonic() + timeout
        while not self.is_set():
            left = _LOOK_AT_FLAGS_EVERY_S if end is None else min(_LOOK_AT_FLAGS_EVERY_S, end - monotonic())
            if left <= 0:
                return False
            super().wait(left)
        return True


class Watch:
    """Looks now and then, in a thread of its own; `failure` is what it found, `halt` is set then and when the desk is asked to stop."""

    def __init__(self, address: str, around: Surroundings, stop: Flag) -> None:
        self._address, self._around, self._stop = address, around, stop
        self._left = Flag()
        self._away = Away("desk watch")
        self._has_looked = False
        self.halt: Flag = _Halt(stop)
        self.failure: Exception | None = None

    def keep_looking(self) -> None:
        """Look until nobody needs it any longer or anything is found; a part that is down is waited for, and tables until they are made."""
        try:
            while not self._over():
                try:
                    self._look_at_one_database()
                except (OperationalError, Unreachable, UnknownSchema) as away:
                    self._wait_after(away)
                except UndefinedTable as missing:
                    if self._has_looked:
                        raise
                    self._wait_after(missing)
        except _Left:
            pass
        except Exception as failure:  # noqa: BLE001 - raised again by `watching`
            self.failure = failure
        finally:
            self.halt.set()

    def _wait_after(self, away: Exception) -> None:
        self._away.met(away)
        self._stop.wait(LOOK_EVERY_S)

    def leave(self) -> None:
        """Let the looking end."""
        self._left.set()

    def _over(self) -> bool:
        return self._stop.is_set() or self._left.is_set()

    def _look_at_one_database(self) -> None:
        ids = topic_ids(self._around.kafka, history.TOPICS)
        with database.connect(self._address, "desk watch") as db:

            def meanwhile() -> None:
                only_one.stay(db)
                if self._over():
                    raise _Left

            only_one.end_when_frozen(db)
            with closing(Stretches(self._around.kafka, self._around.codec, meanwhile)) as stretches:
                looker = Looker(db, stretches, ids, self._around.clock)
                while not self._over():
                    looker.look()
                    self._has_looked = True
                    self._away.over()
                    self._stop.wait(LOOK_EVERY_S)


class Looker:
    """Looks at one database and one log; `clock` tells microseconds since 1970 in UTC."""

    def __init__(self, db: Connection[Any], stretches: Stretches, ids: Mapping[str, str], clock: Callable[[], int]) -> None:
        self._db, self._stretches, self._topic_ids, self._clock = db, stretches, ids, clock
        self._announcements = Announcements(stretches)
        self._alone = False

    def look(self) -> None:
        """Look once. Raises Superseded, having noted it, and Overtaken."""
        held = memory.read(self._db)
        if held.superseded_by is not None:
            raise Superseded(held.superseded_by)
        if held.opening is not None or held.server is None or not self._is_alone():
            return
        above = self._announcements.look()
        if above <= held.era:
            told = self._move_history(held.era)
            above = told.era
            if above <= held.era and told.unknown:
                raise Overtaken(f"{told.unknown} tickets have decisions on the log that the tables do not know")
        if above > held.era:
            by = memory.note_superseded(self._db, above, self._clock())
            if by is not None:  # else a desk of this database has just marked its own era
                raise Superseded(by)

    def _move_history(self, era: int) -> history.Told:
        """Read on from where it was read to, a bounded number of records, and move there if all is as the tables say."""
        ends = self._stretches.ends(*history.TOPICS)
        waiting = history.greatest_waiting(self._db)
        known = history.places(self._db, list(ends), self._topic_ids)
        moved: dict[Partition, history.ReadTo] = {}
        records = 0
        with closing(self._stretches.read(history.starts(known), ends, RECORDS_AT_ONCE)) as batches:
            for batch in batches:
                told = history.look(self._db, batch, known)
                if told.unknown or told.era > era:
                    return told
                moved |= {partition: known[partition] for partition in batch}
                records += size_of(batch)
                if records >= RECORDS_AT_ONCE:
                    break
        with self._db.transaction():
            if moved and history.may_move(self._db, waiting):
                history.move(self._db, moved, self._topic_ids)
            recalled.forget_when_empty(self._db)
        return history.Told(era, 0)

    def _is_alone(self) -> bool:
        if not self._alone:
            self._alone = only_one.try_lock(self._db, _ONE_WATCHES)
        return self._alone


@contextmanager
def watching(address: str, around: Surroundings, stop: Flag) -> Iterator[Flag]:
    """Look meanwhile; hand out the flag that halts the desk, and raise at the end what was found."""
    watch = Watch(address, around, stop)
    thread = Thread(target=watch.keep_looking, name="desk watch", daemon=True)
    thread.start()
    try:
        yield watch.halt
    finally:
        watch.leave()
        thread.join(_STOP_LIMIT_S)
    if watch.failure is not None:
        raise watch.failure
