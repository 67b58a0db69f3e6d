"""How far the read models are behind the log: looked at now and then, shown as figures and used by /readyz.

Kafka is asked only here and only where its log ends; without it the application goes on, and the lag is unknown.
"""

import asyncio
from collections.abc import Iterable, Mapping
from threading import Event as Flag
from threading import Thread

import structlog
from confluent_kafka import KafkaException
from psycopg import Error

from api.gathering import TooManyWaiting
from api.queries.metrics import LAG_UNKNOWN, READ_MODEL_LAG
from api.queries.reading import Reading
from events.places import Partition
from events.wire.log_ends import LogEnds
from projectors.model import ReadModel
from projectors.reaching import Progress

GREATEST_LAG_RECORDS = 100_000
_LOOK_EVERY_S = 5.0
_LOOK_AGAIN_S = 0.5

log = structlog.get_logger()


class LogEndsWatch:
    """Asks Kafka in a thread of its own where partitions end, since its client blocks; nobody ever waits for that thread."""

    def __init__(self, kafka: str, topics: Iterable[str]) -> None:
        self._kafka, self._topics = kafka, tuple(topics)
        self._stop = Flag()
        self.latest: Mapping[Partition, int] | None = None  # None: Kafka does not answer

    def start(self) -> None:
        """Begin to ask."""
        Thread(target=self._keep_asking, name="log ends", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def _keep_asking(self) -> None:
        ends = LogEnds(self._kafka)
        while not self._stop.is_set():
            try:
                self.latest = ends.latest(self._topics)
            except KafkaException:
                self.latest = None
            self._stop.wait(_LOOK_EVERY_S)


def lag_of(model: ReadModel, progress: Progress, ends: Mapping[Partition, int]) -> int:
    """Return how many records of the log `model` has not applied."""
    return sum(max(0, end - progress.next_offset(model.name, place)) for place, end in ends.items() if place[0] in model.topics)


class LagWatch:
    """Keeps the figures of lag fresh."""

    def __init__(self, reading: Reading, kafka: str, models: Iterable[ReadModel]) -> None:
        self._reading, self._models = reading, tuple(models)
        self.ends = LogEndsWatch(kafka, sorted({topic for model in self._models for topic in model.topics}))
        self._lags: Mapping[str, int] = {}

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
        ends = self.ends.latest
        if ends is None:
            return {}
        try:
            progress = await self._reading.progress()
        except (Error, TooManyWaiting) as failure:
            log.warning("lag unknown", because=type(failure).__name__)
            return {}
        return {model.name: lag_of(model, progress, ends) for model in self._models}

    async def check(self) -> str | None:
        """Say which read models are too far behind, for /readyz; an unknown lag keeps nobody from reading."""
        behind = [f"{model} is {records} records behind" for model, records in self._lags.items() if records > GREATEST_LAG_RECORDS]
        return "; ".join(behind) or None
