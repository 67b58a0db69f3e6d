"""The loop: only what is owned, new and without a hole is applied, whatever a batch brings."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from psycopg import Connection

from consumers.batches import Hole, LogRewritten, PastTheLog, judge
from consumers.kafka import CONSUMER_SETTINGS
from consumers.loop import COME_BACK, Follower
from events import reference
from events.envelope import TICKETS
from events.outcomes import EraOpened
from events.tickets import TicketTaken
from events.wire.codec import UnknownSchema, load_codec
from events.wire.publisher import PRODUCER_SETTINGS
from events.wire.schemas import FIRST_ID
from projectors.positions import Position, witness_of
from projectors.record import Record
from tests.consumers.facts import CALL_AT, call_started
from tests.consumers.fake_kafka import FakeConsumer, FakeMessage, bytes_of

TAKEN = TicketTaken(
    event_id=b"e" * 16,
    occurred_at=CALL_AT,
    occurred_offset_min=180,
    received_at=CALL_AT,
    recorded_at=CALL_AT,
    number="RU-2025-001234",
    version=2,
    cycle=1,
    era=1,
    cause_id=b"c" * 16,
    cause_ordinal=1,
    cause_count=1,
    actor="operator:17",
    reference_version=1,
    queue="accounts",
)
MARK = EraOpened(event_id=b"m" * 16, occurred_at=CALL_AT, occurred_offset_min=0, received_at=CALL_AT, recorded_at=CALL_AT, era=2)


@dataclass
class Kept:
    """A read model that remembers what it was given."""

    name: str = "kept"
    version: int = 1
    topics: tuple[str, ...] = (TICKETS,)
    ddl: str = ""
    views: str = ""
    wants_all: bool = False
    seen: list[Record] = field(default_factory=list)

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        self.seen += records


class FakeDatabase:
    """Counts nothing and forbids nothing: the fence has tests of its own."""

    class _Cursor:
        def __init__(self, rowcount: int) -> None:
            self.rowcount = rowcount

    def transaction(self) -> "FakeDatabase":
        return self

    def execute(self, _: object, moves: Sequence[Sequence[object]]) -> "_Cursor":
        return self._Cursor(len(moves[0]))

    def __enter__(self) -> "FakeDatabase":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to undo."""


def _step(messages: Sequence[FakeMessage], model: Kept, held: Position, partitions: Sequence[int] = (0,)) -> Follower:
    consumer, database, limits = FakeConsumer(messages), FakeDatabase(), reference.load().parking
    follower = Follower(consumer, database, (model,), load_codec(), {TICKETS: "id"}, limits)  # type: ignore[arg-type]
    for number in partitions:
        follower._owned[TICKETS, number] = {"kept_v1": held}
        follower._reader.begin((TICKETS, number), follower._owned[TICKETS, number])
    follower.step()
    return follower


def test_what_was_applied_before_and_what_belongs_to_others_is_left_out() -> None:
    model = Kept()

    follower = _step(
        [FakeMessage(at, bytes_of(TAKEN), number=n) for at, n in ((3, 0), (4, 0), (4, 0), (9, 1), (5, 0))], model, Position(1, 4, 1)
    )

    assert [record.offset for record in model.seen] == [4, 5]
    assert follower._owned[TICKETS, 0]["kept_v1"][:3] == (1, 6, 1)


def test_a_missing_offset_stops_the_process() -> None:
    with pytest.raises(Hole, match="expected 4, got 5"):
        _step([FakeMessage(5, bytes_of(TAKEN))], Kept(), Position(1, 4, 1))


def test_a_position_outside_the_log_stops_the_process() -> None:
    outside = KafkaError(KafkaError._AUTO_OFFSET_RESET)

    with pytest.raises(PastTheLog, match="begins at 7; 4 to 6 are lost"):
        _step([FakeMessage(4, b"", outside)], Kept(), Position(1, 4, 1))
    with pytest.raises(PastTheLog, match="ends at 9; 9 to 11, which were read, are lost"):
        _step([FakeMessage(12, b"", outside)], Kept(), Position(1, 12, 1))


def test_a_position_at_the_very_beginning_of_the_log_goes_on_without_the_record_before_it() -> None:
    witness = witness_of(3, b"RU-2025-001234", bytes_of(TAKEN))

    follower = _step([FakeMessage(6, b"", KafkaError(KafkaError._AUTO_OFFSET_RESET))], Kept(), Position(1, 7, 1, witness))

    assert follower._consumer.sought == 7  # type: ignore[attr-defined]
    assert follower._reader.read([FakeMessage(7, bytes_of(TAKEN))])[TICKETS, 0][0].offset == 7  # type: ignore[list-item]


def test_the_record_before_the_position_must_be_the_one_that_was_read() -> None:
    model, witness = Kept(), witness_of(3, b"RU-2025-001234", bytes_of(TAKEN))
    went_on = [FakeMessage(3, bytes_of(TAKEN)), FakeMessage(4, bytes_of(TAKEN))]

    follower = _step(went_on, model, Position(1, 4, 1, witness))

    assert [record.offset for record in model.seen] == [4]
    assert follower._owned[TICKETS, 0]["kept_v1"] == Position(1, 5, 1, witness)
    for other in (witness._replace(leader_epoch=2), witness_of(3, b"RU-2025-001234", b"other")):
        with pytest.raises(LogRewritten, match="stands at 3"):
            _step(went_on, Kept(), Position(1, 4, 1, other))
    with pytest.raises(Hole, match="offset 3, which kept_v1 has read, is gone"):
        _step(went_on[1:], Kept(), Position(1, 4, 1, witness))


@pytest.mark.parametrize("failure", [UnknownSchema(7), KafkaException(KafkaError(KafkaError._TRANSPORT))])
def test_what_time_can_heal_is_come_back_to(failure: Exception) -> None:
    assert isinstance(failure, COME_BACK)


def test_a_newer_producer_s_schema_is_waited_for_and_nothing_is_skipped() -> None:
    model = Kept()
    newer = b"\0" + (FIRST_ID + 5_000).to_bytes(4, "big")
    messages = [
        FakeMessage(4, bytes_of(TAKEN)),
        FakeMessage(5, newer),
        FakeMessage(6, bytes_of(TAKEN)),
        FakeMessage(4, bytes_of(TAKEN), number=1),
    ]

    with pytest.raises(UnknownSchema):
        _step(messages, model, Position(1, 4, 1), partitions=(0, 1))

    assert [(r.partition, r.offset) for r in model.seen] == [(0, 4), (1, 4)]


def test_bytes_nobody_can_read_go_to_those_who_want_all_and_are_passed_by_the_others() -> None:
    auditor, clerk = Kept(wants_all=True), Kept()
    for model in (auditor, clerk):
        follower = _step([FakeMessage(4, b"garbage", named=b"a stranger's"), FakeMessage(5, bytes_of(TAKEN))], model, Position(1, 4, 1))
        assert follower._owned[TICKETS, 0]["kept_v1"].next_offset == 6

    assert next((r.offset, r.event is None, r.raw) for r in auditor.seen) == (4, True, b"garbage")
    assert [r.offset for r in clerk.seen] == [5]


def test_a_fact_among_the_decisions_is_nobody_s_row() -> None:
    auditor, clerk = Kept(wants_all=True), Kept()
    stray = load_codec().encode(call_started(), "/tests").value
    for model in (auditor, clerk):
        _step([FakeMessage(4, stray, named=b"a stranger's"), FakeMessage(5, bytes_of(TAKEN))], model, Position(1, 4, 1))

    assert [(r.offset, r.unreadable) for r in auditor.seen] == [(4, "a CallStarted has no place on this topic"), (5, "")]
    assert [r.offset for r in clerk.seen] == [5]


def test_after_the_mark_of_an_era_what_an_older_desk_says_is_void() -> None:
    auditor, clerk = Kept(wants_all=True), Kept()
    new = bytes_of(replace(TAKEN, era=2))
    for model in (auditor, clerk):
        follower = _step(
            [FakeMessage(at, said) for at, said in enumerate((bytes_of(TAKEN), bytes_of(MARK), bytes_of(TAKEN), new))],
            model,
            Position(1, 0, 1),
        )
        assert follower._owned[TICKETS, 0]["kept_v1"].era == 2

    assert [(r.offset, r.void) for r in auditor.seen] == [(0, False), (1, False), (2, True), (3, False)]
    assert [r.offset for r in clerk.seen] == [0, 1, 3]


def test_only_decisions_and_outcomes_can_be_void() -> None:
    unreadable = Record(TICKETS, 0, 0, b"", 0, b"", None)

    era, judged = judge([unreadable, unreadable._replace(event=MARK), unreadable._replace(event=TAKEN)], 9)

    assert (era, [record.void for record in judged]) == (9, [False, False, True])


def test_the_clients_settings_are_the_safe_ones_and_not_the_library_s() -> None:
    assert PRODUCER_SETTINGS == {
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "linger.ms": 5,
        "compression.type": "zstd",
        "message.max.bytes": 4_194_304,
        "queue.buffering.max.messages": 100_000,
        "reconnect.backoff.max.ms": 500,
        "topic.metadata.refresh.interval.ms": 5_000,
        "log_level": 2,
    }
    assert CONSUMER_SETTINGS == {
        "group.protocol": "consumer",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "check.crcs": True,
        "isolation.level": "read_committed",
        "fetch.queue.backoff.ms": 5,
        "fetch.wait.max.ms": 100,
        "queued.max.messages.kbytes": 32_768,
        "reconnect.backoff.max.ms": 500,
        "topic.metadata.refresh.interval.ms": 5_000,
        "log_level": 2,
    }
