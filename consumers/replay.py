"""The log read again: any range of a topic, from places that the asker names to an end that is fixed before the first record.

Reads and decodes, applies nothing and moves no position. Whether a record is void is told by the marks of eras before it, which
hotline.reference names. What the log holds no longer is an error that names it; nothing is passed by unseen.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from time import monotonic
from typing import NamedTuple

from confluent_kafka import OFFSET_END, KafkaError, KafkaException, Message, TopicPartition

from consumers.batches import judge
from consumers.kafka import make_consumer
from events.outcomes import EraOpened
from events.wire.codec import Undecodable, UnknownSchema, load_codec
from events.wire.elections import after_elections
from events.wire.kafka import Kafka
from projectors.positions import FIRST_ERA
from projectors.record import Record
from projectors.tokens import Token

REFERENCE = "hotline.reference"
_ANSWER_S = 5.0
_POLL_S = 0.5
_SILENCE_S = 15.0  # a record that is there comes within this
_BATCH_RECORDS = 500

#: Where a range begins or ends: a moment in microseconds, what a token includes, or an offset for each partition that is read.
Point = int | Token | Mapping[int, int]


class NoTopic(Exception):
    """There is no such topic."""


class Lost(NamedTuple):
    """Records that the log held once, the last one included."""

    topic: str
    partition: int
    first: int
    last: int


class Gone(Exception):
    """The log no longer reaches what was asked for."""

    def __init__(self, lost: list[Lost]) -> None:
        super().__init__(", ".join(f"{one.topic}/{one.partition}: {one.first} to {one.last}" for one in lost))
        self.lost = lost


class Ahead(Exception):
    """What was asked for lies after the end of the log: another log gave that place."""


class Span(NamedTuple):
    """Records of one partition: from `first` on, `past` not included; None: without end."""

    first: int
    past: int | None


class LogReader:
    """Reads one topic; bounded in memory, since it holds no more than a consumer fetches ahead."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        """Raise NoTopic, or KafkaException when Kafka does not answer."""
        self._kafka, self.topic = kafka, topic
        self._consumer = make_consumer(kafka, "replay")
        known = self._consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic]
        if known.error is not None:
            self.close()
            raise NoTopic(topic)
        self.partitions = sorted(known.partitions)

    def close(self) -> None:
        """Let Kafka go."""
        self._consumer.close()

    def held(self) -> dict[int, tuple[int, int]]:
        """Return for each partition the first offset that the log holds, and the one its next record will get."""
        return {p: after_elections(partial(self._bounds, p)) for p in self.partitions}

    def _bounds(self, partition: int) -> tuple[int, int]:
        return self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=_ANSWER_S)

    def spans(self, since: Point | None, until: Point | None, only: Collection[int] | None = None) -> dict[int, Span]:
        """Return what to read of each partition, or of `only` those; an end that is not named is the log's as of now.

        Since a token means after it, until a token with what it includes. Raise Gone or Ahead.
        """
        held = {p: bounds for p, bounds in self.held().items() if only is None or p in only}
        for named in (since, until):
            if isinstance(named, Mapping) and not isinstance(named, Token):
                held = {p: bounds for p, bounds in held.items() if p in named}
        firsts = {p: first for p, (first, _) in held.items()} if since is None else self._offsets(since, held)
        pasts = {p: end for p, (_, end) in held.items()} if until is None else self._offsets(until, held)
        lost = [Lost(self.topic, p, min(firsts[p], first), first - 1) for p, (first, _) in held.items() if firsts[p] < first]
        if isinstance(since, int):
            lost = self._lost_before(since, firsts, held)
        if lost:
            raise Gone(lost)
        ahead = [f"{self.topic}/{p} ends at {end}, before {firsts[p]}" for p, (_, end) in held.items() if firsts[p] > end]
        if ahead:
            raise Ahead(", ".join(ahead))
        return {p: Span(firsts[p], min(pasts[p], end)) for p, (_, end) in held.items()}

    def _offsets(self, point: Point, held: Mapping[int, tuple[int, int]]) -> dict[int, int]:
        if isinstance(point, int):
            at_ms = -(-point // 1000)
            places = [TopicPartition(self.topic, p, at_ms) for p in held]
            found = after_elections(lambda: self._consumer.offsets_for_times(places, timeout=_ANSWER_S))
            return {one.partition: one.offset if one.offset != OFFSET_END else held[one.partition][1] for one in found}
        if isinstance(point, Token):
            return {p: point.get((self.topic, p), -1) + 1 for p in held}
        return {p: point[p] for p in held}

    def _lost_before(self, since: int, firsts: Mapping[int, int], held: Mapping[int, tuple[int, int]]) -> list[Lost]:
        """Of a log that was cut at its beginning nobody knows whether what it lost was later than a moment before its first record."""
        cut = [p for p, (first, end) in held.items() if 0 < first == firsts[p] and first < end]
        begin = {r.partition: r.appended_at for r in self._read({p: Span(firsts[p], firsts[p] + 1) for p in cut})}
        return [Lost(self.topic, p, 0, firsts[p] - 1) for p in cut if begin[p] > since]

    def read(self, spans: Mapping[int, Span]) -> Iterator[Record]:
        """Yield the records of `spans`, each partition's in its order, decoded, and void where an era has ended before them."""
        eras = self._eras_before({p: span.first for p, span in spans.items()})
        for record in self._read(spans):
            eras[record.partition], (judged,) = judge([record], eras.get(record.partition, FIRST_ERA))
            yield judged

    def _eras_before(self, firsts: Mapping[int, int]) -> dict[int, int]:
        """Return which era it was at each place, as hotline.reference tells."""
        eras: dict[int, int] = {}
        if not any(firsts.values()) or self.topic == REFERENCE:
            return eras
        try:
            reference = LogReader(self._kafka, REFERENCE)
        except NoTopic:
            return eras
        try:
            announced = [r.event for r in reference._read(reference.spans(None, None)) if isinstance(r.event, EraOpened)]
        finally:
            reference.close()
        for era in announced:
            for mark in era.marks:
                if mark.topic == self.topic and mark.offset < firsts.get(mark.partition, 0):
                    eras[mark.partition] = max(era.era, eras.get(mark.partition, FIRST_ERA))
        return eras

    def _read(self, spans: Mapping[int, Span]) -> Iterator[Record]:
        left = {p: span for p, span in spans.items() if span.past is None or span.first < span.past}
        self._consumer.assign([TopicPartition(self.topic, p, span.first) for p, span in left.items()])
        heard_s = monotonic()
        while left:
            for message in self._come():
                heard_s = monotonic()
                record = self._record(message, left)
                span = left.get(record.partition)
                if span is None:
                    continue
                if span.past is None or record.offset < span.past:
                    yield record
                if span.past is not None and record.offset + 1 >= span.past:
                    self._end(record.partition, left)
            if all(span.past is not None for span in left.values()) and monotonic() - heard_s > _SILENCE_S:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def _come(self) -> list[Message]:
        """Wait for one message, then take what is already here: to ask for many at once waits its whole time where there are fewer."""
        first = self._consumer.poll(_POLL_S)
        return [] if first is None else [first, *self._consumer.consume(_BATCH_RECORDS - 1, timeout=0)]

    def _end(self, partition: int, left: dict[int, Span]) -> None:
        """A partition is read: what was fetched ahead of its end is let go."""
        del left[partition]
        self._consumer.incremental_unassign([TopicPartition(self.topic, partition)])

    def _record(self, message: Message, left: Mapping[int, Span]) -> Record:
        partition, offset = message.partition(), message.offset()
        assert partition is not None, "a record has a partition"
        error = message.error()
        if error is not None and error.code() == KafkaError._AUTO_OFFSET_RESET:
            first, _ = after_elections(partial(self._bounds, partition))
            raise Gone([Lost(self.topic, partition, left[partition].first, first - 1)])
        if error is not None:
            raise KafkaException(error)
        assert offset is not None, "a record has an offset"
        raw = message.value() or b""
        place = (self.topic, partition, offset, message.key() or b"", message.timestamp()[1] * 1000, raw)
        try:
            return Record(*place, load_codec().decode(raw))
        except (Undecodable, UnknownSchema) as unreadable:
            return Record(*place, None, str(unreadable))
