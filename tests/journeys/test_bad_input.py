"""What should not come and comes all the same: garbage on the topics, repeats, letters that are huge or say nothing."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from confluent_kafka import Message, Producer

from events.settings import Settings
from events.wire.publisher import PRODUCER_SETTINGS
from tests.consumed import messages
from tests.journeys.door import Door, request
from tests.journeys.stacks import wait_settled, whole_stack
from tests.stranger import decode, record_name

PARTITIONS = 12
ANSWER_S = 10.0
SECRET = "Канареев Зяблик".encode()
ACCEPTED, REFUSED, STALE = 202, 422, 409

pytestmark = [pytest.mark.journey, pytest.mark.parts]


@pytest.fixture(scope="module")
def stack_up() -> Iterator[Settings]:
    with whole_stack() as settings:
        yield settings


@pytest.fixture
def door(stack_up: Settings) -> Door:
    return Door(stack_up)


def _garbage(readable: bytes) -> dict[str, bytes | None]:
    """Bytes that no schema explains, by what is wrong with them; `readable` is a record as it should be."""
    return {
        "nothing at all": None,
        "empty": b"",
        "text": b'{"name": "' + SECRET + b'"}',
        "another magic byte": b"\x01" + readable[1:],
        "cut short": readable[:40],
        "longer than it says": readable + SECRET,
        "a head alone": readable[:5],
        "noise": b"\xff" + secrets.token_bytes(300_000),
        "a decision of another topic's kind": readable[:5] + SECRET,
    }


def _put(settings: Settings, topic: str, values: list[bytes | None], key: bytes) -> set[tuple[str, int, int]]:
    """Put each of the values on every partition of a topic, past the product; return the places."""
    places: set[tuple[str, int, int]] = set()

    def note(error: object, message: Message) -> None:
        assert error is None, error
        places.add((message.topic() or "", message.partition() or 0, message.offset() or 0))

    producer = Producer({**PRODUCER_SETTINGS, "bootstrap.servers": settings.kafka_address})
    for partition in range(PARTITIONS):
        for value in values:
            producer.produce(topic, key=key, value=value, partition=partition, on_delivery=note)
    assert producer.flush(ANSWER_S) == 0
    return places


def _a_record(settings: Settings, topic: str) -> bytes:
    return next(m.value() or b"" for m in messages(settings.kafka_address) if m.topic() == topic and len(m.value() or b"") > 100)


def _kept(settings: Settings, topic: str) -> dict[tuple[str, int, int], tuple[str | None, bytes]]:
    """Return type and bytes of a topic's records as the audit log holds them."""
    with psycopg.connect(settings.database) as db:
        rows = db.execute('SELECT topic, partition, "offset", type, body FROM audit_log WHERE topic = %s', [topic]).fetchall()
    return {(topic, partition, offset): (kind, bytes(body)) for topic, partition, offset, kind, body in rows}


def _outcomes(settings: Settings) -> dict[tuple[str, int, int], str]:
    with psycopg.connect(settings.database) as db:
        rows = db.execute("SELECT cause_topic, cause_partition, cause_offset, result FROM outcomes").fetchall()
    return {(topic, partition, offset): result for topic, partition, offset, result in rows}


def _dead_letters(settings: Settings) -> list[bytes]:
    return [m.value() or b"" for m in messages(settings.kafka_address) if m.topic() == "hotline.dead-letters"]


@pytest.mark.parametrize("topic", ["hotline.contacts", "hotline.commands"])
def test_garbage_among_causes_gets_its_outcome_and_a_dead_letter_and_the_work_goes_on(stack_up: Settings, door: Door, topic: str) -> None:
    (number,) = door.tickets_of(door.give("cabinet", request(f"before-{topic}")))
    door.order(f"before-{topic}", command="take", ticket=number, queue="technical")
    values = list(_garbage(_a_record(stack_up, topic)).values())

    places = _put(stack_up, topic, values, key=b"\xff\x00 no key of ours")
    after = [door.tickets_of(door.give("cabinet", request(f"after-{topic}-{n}"))) for n in range(PARTITIONS)]
    wait_settled(stack_up)

    assert [len(tickets) for tickets in after] == [1] * PARTITIONS
    outcomes = _outcomes(stack_up)
    assert {outcomes.get(place) for place in places} == {"unreadable"}
    letters = _dead_letters(stack_up)
    named = [(told["topic"], told["partition"], told["offset"]) for told in map(decode, letters)]
    assert set(named) >= places
    assert {record_name(letter) for letter in letters} == {"hotline.dead_letters.RecordUnreadable"}
    assert not any(SECRET in letter for letter in letters)
    kept = _kept(stack_up, topic)
    assert {kept[place][0] for place in places} == {None}
    assert {kept[place][1] for place in places} == {value or b"" for value in values}


def test_garbage_among_decisions_stays_in_the_audit_log_and_harms_no_ticket(stack_up: Settings, door: Door) -> None:
    (number,) = door.tickets_of(door.give("cabinet", request("among-decisions")))
    values = list(_garbage(_a_record(stack_up, "hotline.tickets")).values())

    places = _put(stack_up, "hotline.tickets", values, key=number.encode())
    taken = door.order("among-decisions", command="take", ticket=number, queue="technical")
    card = door.read(f"/v1/tickets/{number}", taken.document["position"])
    wait_settled(stack_up)

    assert (card.document["status"], card.document["version"]) == ("in_processing", 2)
    kept = _kept(stack_up, "hotline.tickets")
    assert {kept[place] for place in places} == {(None, value or b"") for value in values}


def test_the_same_contact_five_times_is_one_ticket(stack_up: Settings, door: Door) -> None:
    answers = [door.give("cabinet", request("five-times")) for _ in range(5)]

    numbers = {number for answer in answers for number in door.tickets_of(answer)}

    assert {answer.status for answer in answers} == {ACCEPTED}
    assert len({answer.document["accepted"][0]["event_id"] for answer in answers}) == 1
    assert len(numbers) == 1


def test_a_command_for_no_ticket_and_one_for_an_old_version_are_refused_by_name(stack_up: Settings, door: Door) -> None:
    (number,) = door.tickets_of(door.give("cabinet", request("stale")))
    door.order("stale-1", command="take", ticket=number, queue="technical", expected_version=1)

    nobody = door.order("nobody", command="take", ticket="RU-2001-999999", queue="technical")
    stale = door.order("stale-2", command="close", ticket=number, resolution_code="solved", expected_version=1)

    assert (nobody.status, nobody.document["rule"]) == (REFUSED, "unknown_ticket")
    assert (stale.status, stale.document["rule"]) == (STALE, "stale_version")
    assert [event["version"] for event in stale.document["events"]] == [2]


def test_a_letter_that_says_nothing_is_registered_and_asked_for_more(door: Door) -> None:
    answer = door.give_letter(
        b"From: <someone@example.org>\r\nMessage-ID: <nothing@example.org>\r\nDate: Fri, 14 Mar 2025 10:00:00 +0300\r\n\r\n"
    )

    (number,) = door.tickets_of(answer)

    assert door.read(f"/v1/tickets/{number}").document["status"] == "awaiting_clarification"


def test_a_letter_of_twenty_megabytes_is_taken(door: Door) -> None:
    lines = (b"x" * 76 + b"\r\n") * (20_000_000 // 78)
    head = b"From: Big <big@example.org>\r\nMessage-ID: <big@example.org>\r\nDate: Fri, 14 Mar 2025 10:00:00 +0300\r\n"

    answer = door.give_letter(head + b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + lines)

    assert answer.status == ACCEPTED
    assert len(door.tickets_of(answer)) == 1
