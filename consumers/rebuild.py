"""The plain rebuild: a read model made once more from offset 0, beside the live one, in a schema of its own.

The same loop and the same rules as the projector, in a group of its own, up to offsets that the caller names: so two tables can be compared
at the same place of the log. It switches nothing and knows no reader.
"""

import secrets
from collections.abc import Mapping
from time import monotonic

import structlog
from confluent_kafka import Consumer, Message
from psycopg import Connection, sql

from consumers.kafka import CONSUMER_SETTINGS, topic_ids
from consumers.loop import COME_BACK, Follower
from events import reference
from events.places import Partition
from events.settings import Settings
from events.wire.codec import load_codec
from projectors import database
from projectors.model import ReadModel, consumer_of
from projectors.positions import list_positions

REBUILD_LIMIT_S = 600.0
_NO_MESSAGE_S = 0.0

log = structlog.get_logger()


class NotRebuilt(Exception):
    """The limit passed before the named offsets were reached; the rebuild goes on from there when it is called again."""


def rebuild(
    settings: Settings, model: ReadModel, schema: str, until: Mapping[Partition, int], *, limit_s: float = REBUILD_LIMIT_S
) -> Mapping[Partition, int]:
    """Build `model` in `schema`, made if missing, up to `until` (partition → the offset that stays unread); return where it stands.

    What a former, interrupted call built is kept and gone on from. A partition that `until` does not name is not read. Raises NotRebuilt
    after `limit_s`, and whatever stops a projector for good (Hole, PastTheLog, Fork …).
    """
    if not schema.isidentifier():
        raise ValueError("a schema's name is one plain word")
    end = monotonic() + limit_s
    while True:
        with database.connect(settings.database, f"rebuild {consumer_of(model)}", schema) as db:
            db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
            database.prepare(db, [model])
            try:
                return _follow(settings, db, model, until, end)
            except COME_BACK as failure:
                if monotonic() > end:
                    raise
                log.warning("coming back", because=type(failure).__name__)


def _follow(
    settings: Settings, db: Connection[object], model: ReadModel, until: Mapping[Partition, int], end: float
) -> Mapping[Partition, int]:
    consumer, limits = _UpTo(settings.kafka_address, until), reference.load(settings.reference).parking
    try:
        follower = Follower(consumer, db, [model], load_codec(), topic_ids(settings.kafka_address, model.topics), limits)
        while left := _left(reached := _reached(db, model), until):
            if monotonic() > end:
                raise NotRebuilt(f"{consumer_of(model)}: {left} records are not read yet")
            follower.step()
        return reached
    finally:
        consumer.close()


def _reached(db: Connection[object], model: ReadModel) -> Mapping[Partition, int]:
    return list_positions(db, [consumer_of(model)])[consumer_of(model)]


def _left(reached: Mapping[Partition, int], until: Mapping[Partition, int]) -> int:
    return sum(max(0, past - reached.get(partition, 0)) for partition, past in until.items())


class _UpTo(Consumer):
    """A consumer alone in its group that hands out nothing from the named offsets on."""

    def __init__(self, kafka: str, until: Mapping[Partition, int]) -> None:
        super().__init__({**CONSUMER_SETTINGS, "bootstrap.servers": kafka, "group.id": f"rebuild-{secrets.token_hex(8)}"})
        self._until = until

    def poll(self, timeout: float = _NO_MESSAGE_S) -> Message | None:
        """Return the next message of those wanted, or none within `timeout` seconds."""
        message = super().poll(timeout)
        return message if message is not None and self._wants(message) else None

    def consume(self, num_messages: int = 1, timeout: float = _NO_MESSAGE_S) -> list[Message]:
        """Return up to `num_messages` of those wanted."""
        return [message for message in super().consume(num_messages, timeout) if self._wants(message)]

    def _wants(self, message: Message) -> bool:
        if message.error() is not None:
            return True
        topic, number, offset = message.topic(), message.partition(), message.offset()
        return topic is not None and number is not None and offset is not None and offset < self._until.get((topic, number), 0)
