"""S07, S17, S19, S25, S26: a log that is damaged, cut, strewn, shorter than our positions, of another life, or ahead of us."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from psycopg import Connection

from consumers.batches import LogDamaged, LogRewritten, PartitionsAdded, PastTheLog
from consumers.kafka import topic_ids
from consumers.loop import CALL_A_PERSON, COME_BACK, Follower
from deploy.doctor import records
from deploy.doctor.context import Context
from deploy.doctor.examination import examine
from events.envelope import COMMANDS, DEAD_LETTERS, FACTS, OUTCOMES, REFERENCE, TICKETS, Event
from events.outcomes import CauseSettled
from events.places import Place
from events.settings import Settings
from events.wire.codec import UnknownSchema, load_codec
from events.wire.publisher import Publisher
from events.wire.schemas import FIRST_ID
from projectors.positions import TopicReplaced
from projectors.record import Record
from tests.consumers.facts import command, request
from tests.consumers.on_parts import ends_of, following, publish, read_all, relaying, the_desk
from tests.faults.throwaway import Throwaway, throwaway
from tests.made import registered, settled, taken
from tests.waiting import until

ANSWER_S = 10.0
RECORDS = 5

pytestmark = [pytest.mark.faults, pytest.mark.parts]


@dataclass
class Kept:
    """Follows one topic, has positions and no rows: it remembers what it was given."""

    topic: str
    version: int = 1
    ddl: str = ""
    views: str = ""
    wants_all: bool = True
    seen: list[Record] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"kept_{self.topic.partition('.')[2]}"

    @property
    def topics(self) -> tuple[str, ...]:
        return (self.topic,)

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        self.seen += records


@pytest.fixture(scope="module")
def own() -> Iterator[Throwaway]:
    with throwaway() as own:
        yield own


@pytest.fixture(scope="module")
def parts(own: Throwaway, strayed: dict[Place, CauseSettled]) -> Throwaway:
    """Servers to harm, in any order: what needs them whole is done."""
    return own


def _one_by_one(settings: Settings, events: Sequence[Event]) -> list[Place]:
    """Publish each in a batch of its own, so that a damaged one leaves the others whole."""
    return [place for event in events for place in publish(settings, [event])]


def _read(follower: Follower, model: Kept, count: int) -> None:
    until(lambda: follower.step() >= 0 and len(model.seen) >= count)


def _stops_with(settings: Settings, model: Kept, error: type[Exception], saying: str) -> None:
    """Follow until the error comes that a person must see; what it says names the place."""
    assert error in CALL_A_PERSON
    with following(settings, settings.database, model) as follower, pytest.raises(error, match=saying):
        until(lambda: follower.step() < 0)


def _position(settings: Settings, model: Kept, partition: int) -> int:
    query = "SELECT next_offset FROM position WHERE consumer = %s AND partition = %s"
    with psycopg.connect(settings.database) as db:
        row = db.execute(query, [f"{model.name}_v1", partition]).fetchone()
    return int(row[0]) if row else 0


@pytest.fixture(scope="module")
def strayed(own: Throwaway) -> dict[Place, CauseSettled]:
    """One fact put where its key says and again where another partitioner would; what a desk says of both. Before anything is harmed."""
    settings, fact = own.settings, request("strayed")
    encoded = load_codec().encode(fact, "/tests")
    publisher = Publisher(settings.kafka_access, load_codec(), "/tests")
    at_home = publisher.submit_encoded(encoded).result(ANSWER_S)
    astray = publisher.submit_encoded(encoded, (at_home.partition + 1) % 12).result(ANSWER_S)
    publisher.close()
    with following(settings, settings.database, the_desk()) as desk, relaying(settings, settings.database) as relay:
        until(lambda: desk.step() >= 0 and relay.step() >= 0 and {at_home, astray} <= _settled(settings).keys())
    return {place: outcome for place, outcome in _settled(settings).items() if place in (at_home, astray)}


def _settled(settings: Settings) -> dict[Place, CauseSettled]:
    outcomes = [event for _, event in read_all(settings, OUTCOMES) if isinstance(event, CauseSettled)]
    return {Place(o.cause_topic, o.cause_partition, o.cause_offset): o for o in outcomes}


def test_s17_a_record_that_another_partitioner_put_astray_is_decided_once_and_named_by_the_doctor(
    parts: Throwaway, strayed: dict[Place, CauseSettled]
) -> None:
    found = [finding for finding in examine(Context(parts.settings), (records.strays,)).findings if FACTS in finding.what]

    assert sorted(outcome.result for outcome in strayed.values()) == ["decided", "duplicate"]
    assert [finding.code for finding in found] == ["strays"]
    assert found[0].remedy


class Damaged(NamedTuple):
    """A log with a bit turned over in one partition, and another partition cut after it was read."""

    settings: Settings
    turned_over: int
    cut: int
    reader: Kept  # who had read what was cut


@pytest.fixture(scope="module")
def damaged(parts: Throwaway, strayed: dict[Place, CauseSettled]) -> Damaged:
    settings, reader = parts.settings, Kept(TICKETS)
    turned_over = _one_by_one(settings, [request("turned-over")] * RECORDS)[0].partition
    cut = _one_by_one(settings, [registered(), *(taken(version) for version in range(2, RECORDS + 1))])[0].partition
    with following(settings, settings.database, reader) as follower:
        _read(follower, reader, RECORDS)
    parts.stop()
    _change(parts.segment(FACTS, turned_over), lambda segment, fourth: segment[: fourth + 100] + b"!" + segment[fourth + 101 :])
    _change(parts.segment(TICKETS, cut), lambda segment, fourth: segment[:fourth])
    parts.start()
    until(lambda: _end(settings, TICKETS, cut) == 3)
    return Damaged(settings, turned_over, cut, reader)


def _change(path: Path, change: Callable[[bytes, int], bytes]) -> None:
    """Write a segment anew; `change` is told where the batch of its fourth record begins."""
    segment = path.read_bytes()
    path.write_bytes(change(segment, _start_of(segment, 3)))


def test_s07_bytes_that_turned_over_in_a_segment_are_noticed_and_named(damaged: Damaged) -> None:
    model = Kept(FACTS)

    _stops_with(damaged.settings, model, LogDamaged, rf"{FACTS}/{damaged.turned_over}: .*offset 3 .*failed CRC32C")

    assert [r.offset for r in model.seen if r.partition == damaged.turned_over and r.offset >= 3] == []
    assert _position(damaged.settings, model, damaged.turned_over) <= 3


def test_s07_a_segment_that_was_cut_is_noticed_and_so_is_what_is_written_over_it(damaged: Damaged) -> None:
    settings, place = damaged.settings, f"{TICKETS}/{damaged.cut}"

    _stops_with(settings, damaged.reader, PastTheLog, rf"{place}: the log ends at 3; 3 to 4, which were read, are lost")
    _one_by_one(settings, [taken(4), taken(5), taken(6)])

    _stops_with(settings, damaged.reader, LogRewritten, rf"{place}: another record .* stands at 4")


def _start_of(segment: bytes, offset: int) -> int:
    """Return where the batch with that first offset begins: each begins with its offset (8 bytes) and how much follows (4 bytes)."""
    at = 0
    while int.from_bytes(segment[at : at + 8], "big") != offset:
        at += 12 + int.from_bytes(segment[at + 8 : at + 12], "big")
    return at


def _end(settings: Settings, topic: str, partition: int) -> int:
    try:
        return ends_of(settings, topic)[partition][1]
    except KafkaException:
        return -1  # it has no leader yet


def test_s19_a_schema_from_the_future_is_waited_for_and_other_partitions_flow(parts: Throwaway, strayed: dict[Place, CauseSettled]) -> None:
    """It lies where it does only once the stray is settled: whoever decodes the whole topic meets it."""
    settings, model = parts.settings, Kept(OUTCOMES)
    others = [settled(Place(FACTS, n, 0)) for n in (3, 4)]
    waits = (publish(settings, others)[0].partition + 1) % 12
    before = ends_of(settings, OUTCOMES)[waits][1]
    newer = b"\0" + (FIRST_ID + 5_000).to_bytes(4, "big") + b"what nobody here can read"
    producer = Producer({"bootstrap.servers": settings.kafka_address, "log_level": 0})
    producer.produce(OUTCOMES, key=b"new", value=newer, partition=waits)
    assert producer.flush(ANSWER_S) == 0

    def others_flow() -> bool:
        with following(settings, settings.database, model) as follower, pytest.raises(UnknownSchema):
            until(lambda: follower.step() < 0)
        return all(any(r.event == other for r in model.seen) for other in others)

    until(others_flow)
    assert UnknownSchema in COME_BACK
    assert others_flow()
    assert _position(settings, model, waits) == before


def test_s25_a_position_before_the_log_s_beginning_stops_the_reader_and_names_what_is_lost(parts: Throwaway) -> None:
    settings, model = parts.settings, Kept(COMMANDS)
    places = _one_by_one(settings, [command("take", "RU-2025-000025") for _ in range(RECORDS)])
    partition = places[0].partition
    with following(settings, settings.database, model) as follower:
        _read(follower, model, RECORDS)
    more = _one_by_one(settings, [command("take", "RU-2025-000025") for _ in range(RECORDS)])

    upto = TopicPartition(COMMANDS, partition, more[2].offset)
    admin = _admin(settings)
    admin.delete_records([upto])[upto].result(ANSWER_S)

    _stops_with(settings, model, PastTheLog, rf"{COMMANDS}/{partition}: the log begins at 7; 5 to 6 are lost")


def test_s26_a_topic_that_was_deleted_and_made_anew_stops_the_reader(parts: Throwaway) -> None:
    settings, model = parts.settings, Kept(DEAD_LETTERS)
    with following(settings, settings.database, model) as follower:
        until(lambda: follower.step() >= 0 and len(follower._owned) == 12)

    admin = _admin(settings)
    admin.delete_topics([DEAD_LETTERS])[DEAD_LETTERS].result(ANSWER_S)
    until(lambda: _made_anew(admin))
    until(lambda: _is_known(settings))

    _stops_with(settings, model, TopicReplaced, rf"{DEAD_LETTERS}: the position of {model.name}_v1 belongs to topic .*, the broker has ")


def _made_anew(admin: AdminClient) -> bool:
    """Make it again; for a moment the broker still knows the old one."""
    try:
        admin.create_topics([NewTopic(DEAD_LETTERS, 12, 1)])[DEAD_LETTERS].result(ANSWER_S)
    except KafkaException:
        return False
    return True


def _is_known(settings: Settings) -> bool:
    try:
        return bool(topic_ids(settings.kafka_access, [DEAD_LETTERS]))
    except KafkaException:
        return False


def test_s26_partitions_that_were_added_stop_the_reader(parts: Throwaway) -> None:
    settings, model = parts.settings, Kept(REFERENCE)

    admin = _admin(settings)
    admin.create_partitions([NewPartitions(REFERENCE, 2)])[REFERENCE].result(ANSWER_S)

    _stops_with(settings, model, PartitionsAdded, rf"{REFERENCE}/1: the topic was born with 1 partitions")


def _admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.kafka_address, "log_level": 0})
