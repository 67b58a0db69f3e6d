"""A record that its handler fails on waits, later ones of its ticket behind it, and all others flow; on a real Postgres."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from time import monotonic
from typing import Any

import psycopg
import pytest
from confluent_kafka import TopicPartition
from psycopg import Connection
from psycopg.errors import UndefinedTable, UniqueViolation

from consumers.loop import Follower
from consumers.parking import TooManyParked, TryAgain
from events.envelope import TICKETS, Decision, Event
from events.reference import Parking
from events.wire.codec import load_codec
from events.wire.schemas import FIRST_ID
from projectors import database as doors
from projectors import parked
from projectors.model import Handlers, TicketRows
from projectors.parked import ParkedKey, ParkedRecord, Request
from projectors.record import Record
from projectors.ticket_status import HANDLERS, ROWS, TICKET_STATUS, TicketStatus
from tests.consumers.fake_kafka import FakeConsumer, FakeMessage, messages_of
from tests.given import rows_of
from tests.made import closed, registered, taken

pytestmark = pytest.mark.parts

LIMITS = Parking(in_a_row=5, percent=5, of_last=200)
POISONED = "RU-2025-000666"


class Poison(Exception):
    """What a handler fails with that meets a case nobody thought of."""


def _failing_on(number: str) -> Handlers:
    def wrap(handler: Any) -> Any:
        def handle(row: Any, event: Decision) -> Any:
            if event.number == number:
                raise Poison("a name, a phone: +7 900 000-00-00")
            return handler(row, event)

        return handle

    return {kind: wrap(handler) for kind, handler in HANDLERS.items()}


@dataclass
class StatusWithAFault:
    """Ticket status whose handlers fail on one ticket as long as nobody has mended them."""

    fails_on: str | None = POISONED
    name: str = TICKET_STATUS.name
    version: int = 1
    topics: tuple[str, ...] = (TICKETS,)
    ddl: str = TICKET_STATUS.ddl
    views: str = TICKET_STATUS.views
    wants_all: bool = False
    said: list[tuple[int, str]] = field(default_factory=list)
    try_again_after: tuple[type[Exception], ...] = ()

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        rows = ROWS if self.fails_on is None else TicketRows(ROWS.table, TicketStatus, _failing_on(self.fails_on))
        rows.fold_into(db, [r.event for r in records if isinstance(r.event, Decision)])

    def park(self, db: Connection[Any], records: Sequence[Record], rule: str) -> None:
        self.said += [(r.offset, rule) for r in records]


class Following:
    """A follower that owns one partition and is given what lies there."""

    def __init__(self, address: str, *models: Any, limits: Parking = LIMITS) -> None:
        self.db = doors.connect(address, "test")
        doors.prepare(self.db, models)
        self.kafka = FakeConsumer([])
        self.follower = Follower(self.kafka, self.db, models, load_codec(), {TICKETS: "born-once"}, limits)  # type: ignore[arg-type]
        self.follower._on_assign(self.kafka, [TopicPartition(TICKETS, 0)])  # type: ignore[arg-type]

    def give(self, messages: Sequence[FakeMessage]) -> None:
        self.kafka.messages += messages
        self.follower.step()

    def give_poison(self) -> None:
        """One record that the faulty model fails on."""
        self.give(messages_of([registered(POISONED)]))

    def redrive(self, key: str) -> str | None:
        wanted = Request("ticket_status_v1", TICKETS, 0, key.encode())
        parked.request(self.db, [wanted], 1)
        self.follower._redrive()
        return parked.find_answers(self.db, [wanted])[wanted]

    def waiting(self) -> list[ParkedKey]:
        return parked.list_keys(self.db)


Begin = Callable[..., Following]


@pytest.fixture
def begin(database: str) -> Iterator[Begin]:
    """Begins followers on the test's database; their sessions end with the test."""
    begun: list[Following] = []

    def begin(*models: Any) -> Following:
        begun.append(Following(database, *models))
        return begun[-1]

    yield begin
    for following in begun:
        following.db.close()


@pytest.fixture
def faulty(begin: Begin) -> tuple[Following, StatusWithAFault]:
    model = StatusWithAFault()
    return begin(model), model


def _lives(numbers: Sequence[str]) -> list[Event]:
    """Three decisions of each ticket; all first ones come before all second ones."""
    return [*(registered(n) for n in numbers), *(taken(2, n) for n in numbers), *(closed(3, n) for n in numbers)]


def _versions(address: str) -> Mapping[str, int]:
    with psycopg.connect(address) as db:
        return dict(db.execute("SELECT number, version FROM ticket_status").fetchall())


def test_one_ticket_waits_in_order_and_all_others_flow(database: str, faulty: tuple[Following, StatusWithAFault]) -> None:
    following, model = faulty

    following.give(messages_of(_lives(["RU-2025-000001", POISONED, "RU-2025-000002"])))
    following.give(messages_of([replace(taken(4, POISONED))], start=9))

    assert _versions(database) == {"RU-2025-000001": 3, "RU-2025-000002": 3}
    (waits,) = following.waiting()
    assert (waits.consumer, waits.key, waits.first_offset, waits.records, waits.reason) == (
        "ticket_status_v1",
        POISONED.encode(),
        1,
        4,
        "Poison",
    )
    assert model.said == [(1, "Poison"), (4, "behind"), (7, "behind"), (9, "behind")]


def test_redrive_fails_as_before_until_it_is_mended_and_then_gives_the_row_of_a_clean_run(
    database: str, begin: Begin, faulty: tuple[Following, StatusWithAFault]
) -> None:
    following, model = faulty
    log = messages_of(_lives(["RU-2025-000001", POISONED]))
    following.give(log)

    before = following.redrive(POISONED)
    model.fails_on = None
    after = following.redrive(POISONED)

    assert (before, after, following.waiting()) == ("Poison", "done", [])
    with_a_detour = rows_of(database, "ticket_status", "number")
    following.db.execute("DELETE FROM ticket_status; DELETE FROM position")
    begin(model).give(log)
    assert rows_of(database, "ticket_status", "number") == with_a_detour


def test_what_comes_after_a_redrive_flows_again(database: str, faulty: tuple[Following, StatusWithAFault]) -> None:
    following, model = faulty
    following.give_poison()
    model.fails_on = None
    following.redrive(POISONED)

    following.give(messages_of([taken(2, POISONED)], start=1))

    assert _versions(database) == {POISONED: 2}
    assert following.waiting() == []


def test_a_heir_keeps_the_ticket_waiting(database: str, begin: Begin, faulty: tuple[Following, StatusWithAFault]) -> None:
    following, model = faulty
    log = messages_of([registered(POISONED), taken(2, POISONED)])
    following.give(log[:1])
    model.fails_on = None

    heir = begin(model)
    heir.give(log)

    assert _versions(database) == {}
    assert [(w.records, w.reason) for w in heir.waiting()] == [(2, "Poison")]


def test_two_decisions_for_one_version_are_parked_as_a_fork_and_never_taken_for_a_repeat(database: str, begin: Begin) -> None:
    following = begin(TICKET_STATUS)
    first, other = taken(2), taken(2)

    following.give(messages_of([registered(), first, first, other, closed(3)]))

    (waits,) = following.waiting()
    assert (waits.first_offset, waits.records, waits.reason) == (3, 2, "Fork: RU-2025-001234 version 2")
    assert _versions(database) == {"RU-2025-001234": 2}


def test_garbage_under_a_tickets_number_stops_nobody_and_a_decision_that_nobody_can_read_shows_as_a_hole(
    database: str, begin: Begin
) -> None:
    following = begin(TICKET_STATUS)
    strangers, ours = FakeMessage(2, b"garbage", named=b"RU-2025-000001"), FakeMessage(3, b"broken", named=b"RU-2025-000002")
    first = messages_of([registered("RU-2025-000001"), registered("RU-2025-000002")])

    following.give([*first, strangers, ours, *messages_of([taken(2, "RU-2025-000001"), closed(3, "RU-2025-000002")], start=4)])

    assert _versions(database) == {"RU-2025-000001": 2, "RU-2025-000002": 1}
    (waits,) = following.waiting()
    assert (waits.key, waits.reason) == (b"RU-2025-000002", "VersionHole: RU-2025-000002: version 3 after 1")


def test_too_many_in_a_row_stop_the_consumer_and_park_nothing(begin: Begin) -> None:
    following = begin(TICKET_STATUS)
    holes = [taken(7, f"RU-2025-{n:06d}") for n in range(6)]

    with pytest.raises(TooManyParked, match="6 records in a row"):
        following.give(messages_of(holes))

    assert following.waiting() == []


def test_too_great_a_share_stops_the_consumer_and_parks_nothing(begin: Begin) -> None:
    following = begin(TICKET_STATUS)
    every_other = [e for n in range(11) for e in (registered(f"RU-2025-{n:06d}"), taken(7, f"RU-2025-9{n:05d}"))]

    with pytest.raises(TooManyParked, match="11 of the last 200"):
        following.give(messages_of(every_other))

    assert following.waiting() == []


def test_a_restart_does_not_forget_what_was_parked_lately(begin: Begin) -> None:
    holes = [[registered(f"RU-2025-{n:06d}"), taken(7, f"RU-2025-9{n:05d}")] for n in range(11)]
    log = messages_of([event for pair in holes for event in pair])
    begin(TICKET_STATUS).give(log[:18])

    heir = begin(TICKET_STATUS)

    with pytest.raises(TooManyParked, match="11 of the last 200"):
        heir.give(log[17:])


def test_a_row_that_is_there_already_parks_a_record_of_a_read_model_and_makes_a_desk_come_back(begin: Begin) -> None:
    class TwiceThere(StatusWithAFault):
        def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
            raise UniqueViolation("duplicate key value")

    reading, deciding = TwiceThere(), TwiceThere(name="deciding", try_again_after=(UniqueViolation,))

    begin(reading).give(messages_of([registered(POISONED)]))
    with pytest.raises(TryAgain, match="UniqueViolation"):
        begin(deciding).give(messages_of([registered(POISONED)]))

    assert [(w.consumer, w.reason) for w in begin(reading).waiting()] == [("ticket_status_v1", "UniqueViolation 23505")]


def test_a_redrive_is_answered_also_when_a_schema_is_not_known_yet(begin: Begin) -> None:
    following = begin(TICKET_STATUS)
    newer = b"\0" + (FIRST_ID + 5_000).to_bytes(4, "big")
    parked.add(following.db, [ParkedRecord("ticket_status_v1", TICKETS, 0, 3, POISONED.encode(), 1, False, newer, "Poison", 1)])

    assert following.redrive(POISONED) == "UnknownSchema"
    assert len(following.waiting()) == 1


def test_a_strangers_word_in_the_place_of_a_number_is_in_no_reason(begin: Begin) -> None:
    following = begin(TICKET_STATUS)
    words = "Ivanova Anna, +7 900 000-00-00"

    following.give(messages_of([taken(7, words)]))

    assert [w.reason for w in following.waiting()] == ["VersionHole"]


def test_a_table_that_is_missing_is_no_fault_of_the_records(begin: Begin) -> None:
    following = begin(TICKET_STATUS)
    following.db.execute("DROP TABLE ticket_status_v1 CASCADE")

    with pytest.raises(UndefinedTable):
        following.give(messages_of([registered()]))

    assert following.waiting() == []


def test_a_request_for_a_partition_of_somebody_else_is_left_to_him(database: str, faulty: tuple[Following, StatusWithAFault]) -> None:
    following, _ = faulty
    elsewhere = Request("ticket_status_v1", TICKETS, 5, POISONED.encode())
    parked.request(following.db, [elsewhere], 1)

    following.follower._redrive()

    assert parked.find_answers(following.db, [elsewhere]) == {elsewhere: None}


def test_one_poisoned_ticket_among_ten_thousand_holds_nobody_up(database: str, begin: Begin) -> None:
    """The others' lag is the time that the poisoned batch takes: it stays under 5 s."""
    model = StatusWithAFault(fails_on="RU-2025-007777")
    following = begin(model)
    log = messages_of(_lives([f"RU-2025-{n:06d}" for n in range(10_000)]))
    waits_s = [monotonic()]

    for start in range(0, len(log), 2_000):
        following.give(log[start : start + 2_000])
        waits_s.append(monotonic())

    versions = _versions(database)
    assert len(versions) == 9_999
    assert set(versions.values()) == {3}
    assert max(later - earlier for earlier, later in pairwise(waits_s)) < 5
    model.fails_on = None
    assert following.redrive("RU-2025-007777") == "done"
    assert _versions(database)["RU-2025-007777"] == 3
