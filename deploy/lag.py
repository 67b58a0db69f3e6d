"""How far each consumer is behind: positions in the database against the ends of the log. Reads only."""

import time
from dataclasses import dataclass

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

from consumers.kafka import GROUPS
from deploy.problems import PartAway
from events.places import Partition
from events.settings import Settings
from events.wire.log_ends import LogEnds
from projectors.database import CONNECT_TIMEOUT_S

_AGE_LIMIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Lag:
    """A consumer on a topic: records not yet read, and the age in seconds of the oldest of them (none if unknown or none waits)."""

    consumer: str
    topic: str
    records: int
    seconds: float | None


def lags(positions: dict[tuple[str, Partition], int], ends: dict[Partition, int], ages_s: dict[tuple[Partition, int], float]) -> list[Lag]:
    """Sum up by consumer and topic: positions are the next offset to read, ends the next to be written, ages by place and offset."""
    summed: dict[tuple[str, str], tuple[int, list[float]]] = {}
    for (consumer, place), next_offset in sorted(positions.items()):
        behind = max(0, ends.get(place, next_offset) - next_offset)
        records, ages = summed.get((consumer, place[0]), (0, []))
        age = ages_s.get((place, next_offset)) if behind else None
        summed[consumer, place[0]] = (records + behind, ages if age is None else [*ages, age])
    return [Lag(consumer, topic, records, max(ages, default=None)) for (consumer, topic), (records, ages) in summed.items()]


def read_lags(settings: Settings) -> list[Lag]:
    """The lags now. Raises PartAway if the database or Kafka does not answer; nothing if no consumer has started yet."""
    positions = _positions(settings)
    places = sorted({place for _, place in positions})
    if not places:
        return []
    try:
        ends = LogEnds(settings.kafka_access).latest({topic for topic, _ in places})
        waiting = {
            (place, offset) for (_, place), offset in positions.items() if offset < ends.get(place, 0)
        }  # a partition that is gone has no end
        return lags(positions, ends, _ages_s(settings, waiting))
    except KafkaException:
        raise PartAway(f"Kafka at {settings.kafka_address} does not answer") from None


def _positions(settings: Settings) -> dict[tuple[str, Partition], int]:
    try:
        with psycopg.connect(settings.database, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            there = connection.execute("SELECT to_regclass('position')").fetchone()
            if there is None or there[0] is None:
                return {}
            rows = connection.execute("SELECT consumer, topic, partition, next_offset FROM position").fetchall()
    except psycopg.OperationalError:
        raise PartAway("the database does not answer") from None
    return {(consumer, (topic, partition)): next_offset for consumer, topic, partition, next_offset in rows}


def _ages_s(settings: Settings, waiting: set[tuple[Partition, int]]) -> dict[tuple[Partition, int], float]:
    """Ages of the records at these places, of as many as can be read within 2 s; one offset of each place."""
    oldest = {place: min(offset for other, offset in waiting if other == place) for place, _ in waiting}
    if not oldest:
        return {}
    consumer = Consumer({**settings.kafka_access.client(), "group.id": f"{GROUPS}status", "enable.auto.commit": False, "log_level": 0})
    found: dict[tuple[Partition, int], float] = {}
    until = time.monotonic() + _AGE_LIMIT_S
    try:
        consumer.assign([TopicPartition(*place, offset) for place, offset in oldest.items()])
        while len(found) < len(oldest) and time.monotonic() < until:
            record = consumer.poll(0.1)
            if record is None or record.error() is not None:
                continue
            topic, partition, offset = record.topic(), record.partition(), record.offset()
            if topic is None or partition is None or offset is None:
                continue
            if offset == oldest.get((topic, partition)):
                found[(topic, partition), offset] = max(0.0, round(time.time() - record.timestamp()[1] / 1000, 1))
                consumer.incremental_unassign([TopicPartition(topic, partition)])
    finally:
        consumer.close()
    return found
