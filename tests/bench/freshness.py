"""How soon a published decision stands in ticket status, at a steady rate, the projector a process of its own as in production.

A row is visible when the position of its partition is past its record: both move in one transaction. What looks at the positions is one
more session, at most every 4 ms; the wait until it looks is part of the figure.
"""

import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from operator import itemgetter
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from time import perf_counter
from typing import Any, NamedTuple

from psycopg import Connection

from deploy.spawn import Command
from events.envelope import Decision
from events.places import Partition, Place
from events.settings import Settings
from events.wire.codec import load_codec
from events.wire.publisher import Publisher
from projectors import database
from projectors.model import ReadModel, consumer_of
from projectors.positions import list_positions
from projectors.ticket_status import TICKET_STATUS
from tests.bench.figures import Figure, percentiles_ms
from tests.bench.lives import Lives
from tests.bench.pace import evenly, pause
from tests.bench.stack import child, own_stack, processes
from tests.waiting import until

SECONDS = 12
WARM_UP_S = 2
_TICKS_PER_S = 1_000  # so often something is published; at higher rates several at once
_LOOK_EVERY_S = 0.004
_LIMIT_S = 30.0


class _Way(NamedTuple):
    """What is run, and at which rate."""

    what: str
    rate_per_s: int
    at_most_ms: float
    running: Callable[[Settings], AbstractContextManager[object]]


def _both(settings: Settings) -> AbstractContextManager[object]:
    command = Command((sys.executable, "-m", "tests.bench.projector", "bench"), Path.cwd(), settings.environment())
    return child(command, settings.folder / "logs" / "projector.log")


_WAYS = (
    _Way("publish to row, its projector alone, 1,000/s", 1_000, 50, lambda settings: processes(settings, "projector ticket_status")),
    _Way("publish to row, all read models in one process, 1,000/s", 1_000, 50, lambda settings: processes(settings, "projectors")),
    _Way("publish to row, audit log and ticket status, 8,000/s", 8_000, 30, _both),
)


def run() -> list[Figure]:
    """Measure the projector of ticket status alone, all projectors as one process, and two read models at a high rate."""
    return [_measure(way) for way in _WAYS]


def _measure(way: _Way) -> Figure:
    decisions = Lives().decisions(way.rate_per_s * (WARM_UP_S + SECONDS))
    with own_stack() as settings, way.running(settings), database.connect(settings.database, "bench") as db:
        until(lambda: _exists(db, TICKET_STATUS), _LIMIT_S)
        with _publisher(settings) as publisher, _Watch(db) as watch:
            warm = way.rate_per_s * WARM_UP_S
            for part in (decisions[:warm], decisions[warm:]):  # the first records of a producer and of a group take a second
                submitted = _publish(publisher, part, way.rate_per_s)
                watch.wait_past([place for _, place in submitted])
        rows = db.execute("SELECT count(*), sum(version) FROM ticket_status").fetchone()
    tickets = len({decision.number for decision in decisions})
    assert rows == (tickets, len(decisions)), f"{rows} instead of {tickets} rows with {len(decisions)} versions"
    waits = percentiles_ms([watch.seen_at(place) - at for at, place in submitted])
    rate = (len(submitted) - 1) / (submitted[-1][0] - submitted[0][0])
    details = {**waits, "events/s": rate}
    return Figure(bench="freshness", what=way.what, value=waits["p99"], unit="ms p99", at_most=way.at_most_ms, details=details)


def _exists(db: Connection[Any], model: ReadModel) -> bool:
    found = db.execute("SELECT count(*) FROM information_schema.tables WHERE table_name = 'position'").fetchone()
    return bool(found and found[0]) and len(list_positions(db, [consumer_of(model)])[consumer_of(model)]) > 0


@contextmanager
def _publisher(settings: Settings) -> Iterator[Publisher]:
    publisher = Publisher(settings.kafka_access, load_codec(), "/bench")
    try:
        yield publisher
    finally:
        publisher.close()


def _publish(publisher: Publisher, decisions: Sequence[Decision], rate_per_s: int) -> list[tuple[float, Place]]:
    """Publish `decisions` at that rate; return when each was submitted, and the place it got."""
    answers: list[tuple[float, Future[Place]]] = []
    at_once = rate_per_s // _TICKS_PER_S
    for tick, _ in enumerate(evenly(_TICKS_PER_S, len(decisions) / rate_per_s)):
        for decision in decisions[tick * at_once : (tick + 1) * at_once]:
            answers.append((perf_counter(), publisher.submit(decision)))
    assert len(answers) == len(decisions), "every tick publishes its share"
    return [(at, answer.result(_LIMIT_S)) for at, answer in answers]


class _Watch:
    """Looks at the positions again and again, and remembers when each was first seen where."""

    def __init__(self, db: Connection[Any]) -> None:
        self._db, self._consumer = db, consumer_of(TICKET_STATUS)
        self._steps: dict[Partition, list[tuple[int, float]]] = {}
        self._stop = Flag()
        self._thread = Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_LIMIT_S)

    def wait_past(self, places: Sequence[Place]) -> None:
        """Return when the positions are past all of `places`."""
        ends: dict[Partition, int] = {}
        for place in places:
            ends[place[:2]] = max(ends.get(place[:2], 0), place.offset + 1)
        until(lambda: all(self._steps.get(partition, [(0, 0.0)])[-1][0] >= end for partition, end in ends.items()), _LIMIT_S)

    def seen_at(self, place: Place) -> float:
        """Return the moment (perf_counter) at which the row of the record at `place` was seen to be there."""
        steps = self._steps[place[:2]]
        return steps[bisect_right(steps, place.offset, key=itemgetter(0))][1]

    def _look(self) -> None:
        while not self._stop.is_set():
            reached = list_positions(self._db, [self._consumer])[self._consumer]
            now = perf_counter()
            for partition, next_offset in reached.items():
                steps = self._steps.setdefault(partition, [(0, now)])
                if next_offset > steps[-1][0]:
                    steps.append((next_offset, now))
            pause(_LOOK_EVERY_S)
