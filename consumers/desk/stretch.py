"""Reading stretches of the log outside of any group: from stored offsets up to ends that the caller names.

The same records in the same form as the loop brings them, holes noticed. Knows no table and decides nothing; each wait is bounded.
"""

from collections.abc import Callable, Generator, Mapping
from time import monotonic

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from consumers.batches import Batch, Reader
from consumers.kafka import make_consumer
from events.envelope import REFERENCE
from events.outcomes import EraOpened
from events.places import Partition
from events.wire.codec import Codec
from events.wire.kafka import Kafka
from events.wire.log_ends import LogEnds
from projectors.positions import FIRST_ERA, Position

BATCH_RECORDS = 5_000
_POLL_S = 0.5
_SILENCE_LIMIT_S = 30.0  # records that we know are there must come within this
_US = "history"

Ends = Mapping[Partition, int]
Unreachable = KafkaException  # Kafka does not answer, or refuses (`away.name_of` tells which): come back later


def _nothing() -> None:
    """Nobody waits for us."""


class Stretches:
    """Reads one Kafka; keeps its connections between readings. For one thread."""

    def __init__(self, kafka: Kafka, codec: Codec, meanwhile: Callable[[], object] = _nothing) -> None:
        """`meanwhile` is called every half second while Kafka is waited for; what it raises ends the reading."""
        self._codec, self.meanwhile = codec, meanwhile
        self._ends = LogEnds(kafka)
        self._consumer = make_consumer(kafka, _US)

    def ends(self, *topics: str) -> dict[Partition, int]:
        """Return for each partition of `topics` the offset that its next record will get. Raises Unreachable."""
        self.meanwhile()
        return self._ends.latest(topics)

    def read(self, starts: Ends, ends: Ends, most_records: int | None = None) -> Generator[Batch, None, None]:
        """Yield all records from `starts` (0 where none is named) up to `ends`, in batches.

        Raises Unreachable when nothing comes for 30 s, UnknownSchema, and what a person must look at: Hole, PastTheLog.
        """
        at_once = most_records or BATCH_RECORDS
        left = {place: end for place, end in ends.items() if starts.get(place, 0) < end}
        if not left:
            return
        reader = Reader(self._codec)
        self._consumer.assign([TopicPartition(*place, self._begin(reader, place, starts)) for place in left])
        try:
            heard_s = monotonic()
            while left:
                self.meanwhile()
                first = self._consumer.poll(_POLL_S)
                messages = [first, *self._consumer.consume(at_once - 1, timeout=0)] if first is not None else []
                batch = reader.read([message for message in messages if _is_wanted(message, ends)])
                if batch:
                    yield batch
                    heard_s = monotonic()
                if reader.waits_for:
                    raise reader.waits_for
                if monotonic() - heard_s > _SILENCE_LIMIT_S:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
                left = {place: end for place, end in left.items() if (reader.awaited(place) or 0) < end}
        finally:
            self._consumer.unassign()

    def close(self) -> None:
        """Let the connections go."""
        self._consumer.close()

    @staticmethod
    def _begin(reader: Reader, place: Partition, starts: Ends) -> int:
        return reader.begin(place, {_US: Position(0, starts.get(place, 0), FIRST_ERA)})


class Announcements:
    """The eras that hotline.reference tells of: read from its beginning, then on from there."""

    def __init__(self, stretches: Stretches) -> None:
        self._stretches = stretches
        self._next: dict[Partition, int] = {}
        self.highest = FIRST_ERA

    def look(self) -> int:
        """Return the highest era that was ever announced. Raises Unreachable."""
        ends = self._stretches.ends(REFERENCE)
        for batch in self._stretches.read(self._next, ends):
            said = [record.event for records in batch.values() for record in records]
            self.highest = max([self.highest, *(event.era for event in said if isinstance(event, EraOpened))])
        self._next = ends
        return self.highest


def _is_wanted(message: Message, ends: Ends) -> bool:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if message.error() is not None or topic is None or partition is None or offset is None:
        return True  # the reader names what it is
    return offset < ends.get((topic, partition), 0)
