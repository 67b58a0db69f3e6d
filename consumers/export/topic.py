"""A topic of the log as rows: every record of it between two places, repeats, void and unreadable ones too.

Each partition's files begin at multiples of their number of rows, so the files of a later export lie beside those of an earlier one. Moves
no position and opens nothing that is sealed.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from consumers.batches import Hole
from consumers.export.columns import Column, FlatTable, Row, types_on
from consumers.export.exporting import Piece, Plan
from consumers.kafka import topic_ids
from consumers.replay import Ahead, LogReader, NoTopic, Span
from events.places import Partition
from events.wire.kafka import Kafka
from projectors.tokens import Token


class TopicSource:
    """One topic of one Kafka."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        """Raise NoTopic for one that is not ours or not there, KafkaException when Kafka does not answer."""
        kinds = types_on(topic)
        if not kinds:
            raise NoTopic(topic)
        self._table = FlatTable(kinds)
        self._topic = topic
        self._reader = LogReader(kafka, topic)
        self._topic_id = topic_ids(kafka, [topic])[topic]

    def close(self) -> None:
        """Let Kafka go."""
        self._reader.close()

    @property
    def columns(self) -> tuple[Column, ...]:
        """Where a record lies, then what events say."""
        return self._table.columns

    def must_stay(self) -> dict[str, Any]:
        """The topic's id, which a topic made anew does not have, and the schemas that this program knows."""
        return {"topic_id": self._topic_id, "schema_ids": list(self._table.schema_ids)}

    def fix_end(self, since: Token | None, until: Token | None) -> dict[str, Any]:
        """Fix the end, and from where to where each partition is read. Raises Gone, or Ahead for a place that the log has not reached."""
        self._require_reached("--from", pasts_of(self._topic, since or {}))
        if until is None:
            until = Token({(self._topic, p): end - 1 for p, (_, end) in self._reader.held().items() if end > 0})
        spans = {str(p): [first, max(first, past or 0)] for p, (first, past) in self._reader.spans(since, until).items()}
        self._require_reached("--until", pasts_of(self._topic, until))
        return {"until": until.encode(), "rows": sum(past - first for first, past in spans.values()), "spans": spans}

    def _require_reached(self, option: str, pasts: Mapping[int, int]) -> None:
        require_reached(option, self._topic, pasts, {p: end for p, (_, end) in self._reader.held().items()})

    def names(self, plan: Plan) -> Iterator[str]:
        """Yield one for each part of each partition."""
        for p, span in plan["spans"].items():
            yield from (self._name(int(p), part) for part in cut(Span(*span), plan["rows_per_file"]))

    def pieces(self, plan: Plan, made: Mapping[str, Mapping[str, Any]]) -> Iterator[Piece]:
        """Yield the pieces that are not made; raise Gone, Ahead, Hole, and UnknownSchema where a newer program has written."""
        spans = {int(p): Span(*span) for p, span in plan["spans"].items()}
        self._require_reached("--until", {p: span.past or 0 for p, span in spans.items()})
        for partition, span in spans.items():
            left = [part for part in cut(span, plan["rows_per_file"]) if self._name(partition, part) not in made]
            for run in _runs(left):
                rows = self._rows(partition, Span(run[0].first, run[-1].past))
                for part in run:
                    count = (part.past or 0) - part.first
                    place = {"partition": partition, "first_offset": part.first, "last_offset": part.first + count - 1, "rows": count}
                    yield Piece(self._name(partition, part), place, islice(rows, count))

    def _name(self, partition: int, part: Span) -> str:
        return f"{self._topic}-{partition:02}-{part.first:012}-{(part.past or 0) - 1:012}"

    def _rows(self, partition: int, span: Span) -> Iterator[Row]:
        """Yield the rows of a span; insist that no offset is missing."""
        awaited, row_of = span.first, self._table.row_of
        self._reader.spans({partition: span.first}, {partition: span.past or 0})  # raises Gone when the log was cut meanwhile
        for record in self._reader.read({partition: span}):
            if record.offset != awaited:
                break
            yield row_of(record)
            awaited += 1
        if awaited != span.past:
            raise Hole(f"{self._topic}/{partition}: offset {awaited} is missing")


def pasts_of(topic: str, token: Mapping[Partition, int]) -> dict[int, int]:
    """Return for each partition of a topic that a token names the first offset it does not include."""
    return {partition: offset + 1 for (named, partition), offset in token.items() if named == topic}


def require_reached(option: str, topic: str, pasts: Mapping[int, int], ends: Mapping[int, int]) -> None:
    """Raise Ahead for a partition that ends before it has come to where the option says; one that is not there ends at 0."""
    if short := [f"{topic}/{p} ends at {ends.get(p, 0)}, before {past} ({option})" for p, past in pasts.items() if ends.get(p, 0) < past]:
        raise Ahead(", ".join(short))


def cut(span: Span, rows: int) -> list[Span]:
    """Return `span` in parts that end at multiples of `rows`."""
    first, past = span.first, span.past or 0
    ends = [*range((first // rows + 1) * rows, past, rows), past]
    return [Span(one, end) for one, end in zip([first, *ends], ends, strict=False) if one < end]


def _runs(parts: Sequence[Span]) -> list[list[Span]]:
    """Return parts that follow each other together, so that they are read in one go."""
    runs: list[list[Span]] = []
    for part in parts:
        if runs and runs[-1][-1].past == part.first:
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs
