"""Kafka down, Postgres down, under a running stack: never a false yes, and whatever got a yes arrives afterwards."""

from collections.abc import Iterator
from time import monotonic

import pytest

from events.settings import Settings
from tests.consumed import told
from tests.journeys.door import Answer, Door, request
from tests.journeys.stacks import held_down, wait_settled, whole_stack
from tests.oracle import Told, by_cause, differences
from tests.waiting import until

ACCEPTED, OK, DOWN, UNKNOWN = 202, 200, 503, 504
KAFKA_BACK_S, POSTGRES_BACK_S = 30.0, 20.0  # I9

pytestmark = [pytest.mark.journey, pytest.mark.parts]


@pytest.fixture(scope="module")
def stack_up() -> Iterator[Settings]:
    with whole_stack() as settings:
        yield settings


@pytest.fixture
def door(stack_up: Settings) -> Door:
    return Door(stack_up)


def _ticket(door: Door, own_id: str) -> str:
    (number,) = door.tickets_of(door.give("cabinet", request(own_id)))
    return number


def _effects(records: list[Told], event_id: str) -> list[str]:
    """Return what became of an event, record by record, but for those that were dropped as repeats."""
    places = [(r.topic, r.partition, r.offset) for r in records if r.fields["event_id"].hex() == event_id]
    results = [by_cause(records)[place][0]["result"] for place in places]
    return [result for result in results if result != "duplicate"]


def _settled_log(settings: Settings) -> list[Told]:
    wait_settled(settings)
    records = told(settings.kafka_address)
    assert differences(settings.database, records) == []
    return records


def test_with_kafka_down_nobody_hears_yes_and_readers_read_on(stack_up: Settings, door: Door) -> None:
    number = _ticket(door, "kafka-before")

    with held_down(stack_up, "kafka"):
        fact = door.give("cabinet", request("kafka-down"))
        command = door.order("kafka-down", command="take", ticket=number, queue="technical")
        card = door.read(f"/v1/tickets/{number}")
    since_s = monotonic()
    accepted = until(lambda: _taken(door, "kafka-down"), KAFKA_BACK_S)[0]
    own = door.tickets_of(accepted)
    answer = until(lambda: _decided(door, "kafka-down", number), KAFKA_BACK_S)[0]

    assert fact.status in (DOWN, UNKNOWN)
    assert command.status in (DOWN, UNKNOWN)
    assert (card.status, card.document["status"]) == (OK, "registered")
    assert monotonic() - since_s < KAFKA_BACK_S
    assert len(own) == 1
    assert answer.document["version"] == 2
    assert _effects(_settled_log(stack_up), accepted.document["accepted"][0]["event_id"]) == ["decided"]


def _taken(door: Door, own_id: str) -> list[Answer]:
    answer = door.give("cabinet", request(own_id))
    return [answer] if answer.status == ACCEPTED else []


def _decided(door: Door, key: str, number: str) -> list[Answer]:
    answer = door.order(key, command="take", ticket=number, queue="technical")
    return [answer] if answer.status == OK else []


def test_with_postgres_down_facts_and_commands_are_taken_and_reads_say_so(stack_up: Settings, door: Door) -> None:
    number = _ticket(door, "postgres-before")

    with held_down(stack_up, "postgres"):
        facts = [door.give("cabinet", request(f"postgres-down-{n}")) for n in range(5)]
        command = door.order("postgres-down", wait_ms=300, command="take", ticket=number, queue="technical")
        reads = [door.read(address) for address in (f"/v1/tickets/{number}", "/v1/tickets", f"/v1/tickets/{number}/history")]
        alive = door.read("/livez")
    since_s = monotonic()
    numbers = {number for fact in facts for number in door.tickets_of(fact)}
    card = until(lambda: _card(door, number, "in_processing"), POSTGRES_BACK_S)[0]

    assert {fact.status for fact in facts} == {ACCEPTED}
    assert (command.status, "version" in command.document) == (ACCEPTED, False)
    assert {read.status for read in reads} == {DOWN}
    assert alive.status == OK
    assert monotonic() - since_s < POSTGRES_BACK_S
    assert len(numbers) == len(facts)
    assert card.document["version"] == 2
    records = _settled_log(stack_up)
    assert [_effects(records, fact.document["accepted"][0]["event_id"]) for fact in facts] == [["decided"]] * len(facts)


def _card(door: Door, number: str, status: str) -> list[Answer]:
    answer = door.read(f"/v1/tickets/{number}")
    return [answer] if answer.status == OK and answer.document["status"] == status else []
