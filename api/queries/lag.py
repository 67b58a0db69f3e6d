"""How far the read models are behind the log: looked at now and then, shown as figures and used by /readyz.

Kafka is asked only here and only where its log ends; without it the application goes on, and the lag is unknown.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from threading import Event as Flag
from threading import Thread
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple

import structlog
from confluent_kafka import KafkaException
from psycopg import AsyncConnection, Error

from api.gathering import TooManyWaiting
from api.queries.finality import Finality
from api.queries.metrics import LAG_UNKNOWN, READ_MODEL_LAG
from api.queries.reading import Reading
from events.envelope import TICKETS
from events.places import Partition
from events.wire.kafka import Kafka
from events.wire.log_ends import LogEnds
from projectors.model import ReadModel
from projectors.reaching import CAUSES, Progress, read_progress

GREATEST_LAG_RECORDS = 100_000
_LOOK_EVERY_S = 5.0
KNOWN_S = 4 * _LOOK_EVERY_S  # a look may take as long as Kafka is silent; what is older says nothing of now
_LOOK_AGAIN_S = 0.5
_FINAL_WAIT_S, _LOOK_FINAL_S = 1.0, 0.02

log = structlog.get_logger()


class Seen(NamedTuple):
    """Where the log ended, at a moment or later."""

    at_us: int  # by our clock, microseconds since 1970 in UTC, before Kafka was asked
    ends: Mapping[Partition, int]
    begins: Mapping[Partition, int] = MappingProxyType({})  # of the tickets: the first offset that the log still holds


class LogEndsWatch:
    """Asks Kafka in a thread of its own where partitions end, since its client blocks; nobody ever waits for that thread."""

    def __init__(self, kafka: Kafka, topics: Iterable[str]) -> None:
        self._kafka, self._topics = kafka, tuple(topics)
        self._stop = Flag()
        self._seen: tuple[float, Seen] | None = None  # with when it came, by the clock that never goes back

    @property
    def seen(self) -> Seen | None:
        """The newest observation; None while Kafka does not answer, or since it was looked at too long ago."""
        held = self._seen
        return held[1] if held is not None and monotonic() - held[0] <= KNOWN_S else None

    @seen.setter
    def seen(self, seen: Seen | None) -> None:
        self._seen = None if seen is None else (monotonic(), seen)

    def start(self) -> None:
        """Begin to ask."""
        Thread(target=self._keep_asking, name="log ends", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def _keep_asking(self) -> None:
        ends: LogEnds | None = None
        while not self._stop.is_set():
            now_us = time.time_ns() // 1000
            try:
                ends = ends or LogEnds(self._kafka)
                self.seen = Seen(now_us, ends.latest(self._topics), ends.earliest((TICKETS,)))
            except KafkaException:
                self.seen = None
            except Exception as failure:  # whatever it was: a thread that ended would leave an old answer standing for ever
                log.error("log ends unknown", because=type(failure).__name__, exc_info=True)
                self.seen, ends = None, None
            self._stop.wait(_LOOK_EVERY_S)


def lag_of(model: ReadModel, progress: Progress, ends: Mapping[Partition, int]) -> int:
    """Return how many records of the log `model` has not applied."""
    return sum(max(0, end - progress.next_offset(model.name, place)) for place, end in ends.items() if place[0] in model.topics)


class LagWatch:
    """Keeps the figures of lag fresh, and knows up to which moment answers are final."""

    def __init__(self, reading: Reading, kafka: Kafka, models: Iterable[ReadModel], finality: Finality) -> None:
        self._reading, self._models = reading, tuple(models)
        self.ends = LogEndsWatch(kafka, sorted({topic for model in self._models for topic in model.topics}))
        self._lags: Mapping[str, int] = {}
        self._finality = finality

    async def keep_looking(self) -> None:
        """Look again and again until cancelled: often while the lag is unknown, else every few seconds."""
        while True:
            self._lags = await self._look()
            LAG_UNKNOWN.set(0 if self._lags else 1)
            for model, records in self._lags.items():
                READ_MODEL_LAG.labels(model).set(records)
            await asyncio.sleep(_LOOK_EVERY_S if self._lags else _LOOK_AGAIN_S)

    async def _look(self) -> dict[str, int]:
        """Return the lag of each read model; none while Kafka or Postgres does not answer."""
        seen = self._observe()
        if seen is None:
            return {}
        try:
            progress = await self._reading.progress()
        except (Error, TooManyWaiting) as failure:
            log.warning("lag unknown", because=type(failure).__name__)
            return {}
        self._finality.look(progress)
        return {model.name: lag_of(model, progress, seen.ends) for model in self._models}

    def _observe(self) -> Seen | None:
        seen = self.ends.seen
        if seen is not None:
            self._finality.observe(seen.at_us, seen.ends)
        return seen

    async def is_final(self, moment_us: int) -> bool:
        """Tell whether rows read after this call are all that will ever be known of a moment; raise what a read may raise."""
        self._observe()
        if not self._finality.covers(moment_us):
            self._finality.look(await self._reading.progress())
        return self._finality.covers(moment_us)

    async def check(self) -> str | None:
        """Say which read models are too far behind, for /readyz; an unknown lag keeps nobody from reading."""
        behind = [f"{model} is {records} records behind" for model, records in self._lags.items() if records > GREATEST_LAG_RECORDS]
        return "; ".join(behind) or None


async def is_final_now(db: AsyncConnection[Any], kafka: Kafka, finality: Finality, moment_us: int) -> bool:
    """Tell, for whoever asks once, whether a moment is final; waits a little until what the log holds now is settled and applied."""
    now_us = time.time_ns() // 1000
    try:
        ends = await asyncio.to_thread(LogEnds(kafka).latest, (*CAUSES, TICKETS))
    except KafkaException:
        return False
    finality.observe(now_us, ends)
    until_s = time.monotonic() + _FINAL_WAIT_S
    while not finality.covers(moment_us) and time.monotonic() < until_s:
        finality.look(await read_progress(db))
        await asyncio.sleep(_LOOK_FINAL_S)
    return finality.covers(moment_us)
