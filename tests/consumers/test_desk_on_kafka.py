"""The desk and the relay on a real Kafka and a real Postgres: facts in, decisions and outcomes out, once each."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from events.envelope import COMMANDS, FACTS, OUTCOMES, TICKETS, Decision
from events.outcomes import CauseSettled
from events.places import Place
from events.settings import Settings
from events.tickets import TicketRegistered
from tests.consumers.facts import call_answered, call_ended, call_started, command, request
from tests.consumers.on_parts import ends_of, following, publish, read_all, relaying, the_desk
from tests.waiting import until

pytestmark = pytest.mark.parts


@pytest.fixture(scope="module")
def desk_database(stack: Settings) -> Iterator[str]:
    """One memory for all tests of this module: a desk that forgot would decide the same facts once more."""
    with psycopg.connect(stack.database, autocommit=True) as db:
        db.execute("CREATE DATABASE desk_on_kafka")
        yield stack.database.replace("/hotline?", "/desk_on_kafka?")
        db.execute("DROP DATABASE desk_on_kafka WITH (FORCE)")


def _decide(settings: Settings, address: str) -> None:
    """Let a desk settle every cause there is."""
    with following(settings, address, the_desk()) as desk, psycopg.connect(address, autocommit=True) as db:
        ends = sum(past for topic in (FACTS, COMMANDS) for _, past in ends_of(settings, topic).values())
        read = "SELECT coalesce(sum(next_offset), 0) FROM position WHERE consumer = 'desk_v1'"
        until(lambda: desk.step() >= 0 and db.execute(read).fetchone() == (ends,))


def _settle(settings: Settings, address: str) -> None:
    """Let a desk settle every cause there is and a relay publish what came of them."""
    _decide(settings, address)
    with relaying(settings, address) as relay:
        until(lambda: relay.step() == 0)


def _outcomes(settings: Settings, places: list[Place]) -> dict[Place, CauseSettled]:
    found = {}
    for _, event in read_all(settings, OUTCOMES):
        if isinstance(event, CauseSettled):
            found[Place(event.cause_topic, event.cause_partition, event.cause_offset)] = event
    return {place: found[place] for place in places}


def _life_of(settings: Settings, number: str) -> list[Decision]:
    return [event for _, event in read_all(settings, TICKETS) if isinstance(event, Decision) and event.number == number]


def test_a_call_becomes_a_ticket_and_every_fact_has_its_outcome(stack: Settings, desk_database: str) -> None:
    places = publish(stack, [call_started("kafka-1"), call_answered("kafka-1"), call_ended("kafka-1")])

    _settle(stack, desk_database)

    outcomes = _outcomes(stack, places)
    assert [outcomes[place].result for place in places] == ["no_change", "no_change", "decided"]
    (decided,) = outcomes[places[2]].decisions
    (registered,) = _life_of(stack, decided.number)
    assert isinstance(registered, TicketRegistered)
    assert registered.version == 1
    assert (Place(TICKETS, decided.partition, decided.offset), registered) in read_all(stack, TICKETS)


def test_a_fact_that_comes_twice_has_one_effect_and_two_outcomes(stack: Settings, desk_database: str) -> None:
    fact = request("kafka-twice")
    first, second = publish(stack, [fact, fact])

    _settle(stack, desk_database)

    outcomes = _outcomes(stack, [first, second])
    assert [outcomes[p].result for p in (first, second)] == ["decided", "duplicate"]
    assert (outcomes[second].first_partition, outcomes[second].first_offset) == (first.partition, first.offset)


def test_a_key_used_again_answers_as_before_and_with_another_body_is_refused(stack: Settings, desk_database: str) -> None:
    (place,) = publish(stack, [request("kafka-command")])
    _settle(stack, desk_database)
    number = _outcomes(stack, [place])[place].decisions[0].number
    take = command("take", number, expected_version=1)

    places = publish(stack, [take, take, replace(take, body_digest=b"other body......"), command("close", number, expected_version=1)])
    _settle(stack, desk_database)

    outcomes = _outcomes(stack, places)
    assert [(outcomes[p].result, outcomes[p].rule) for p in places] == [
        ("decided", ""),
        ("duplicate", ""),
        ("refused", "idempotency_key_reused"),
        ("refused", "stale_version"),
    ]
    assert outcomes[places[3]].ticket_version == 2
    assert [d.version for d in _life_of(stack, number)] == [1, 2]


def test_a_relay_that_died_before_deleting_repeats_without_harm(stack: Settings, desk_database: str) -> None:
    (place,) = publish(stack, [request("kafka-repeat")])
    _decide(stack, desk_database)
    with psycopg.connect(desk_database) as db:
        waiting = db.execute("SELECT cause_partition, records, outcome FROM outbox ORDER BY seq").fetchall()

    for _ in range(2):
        with psycopg.connect(desk_database) as db:
            db.execute("DELETE FROM outbox")
            db.cursor().executemany("INSERT INTO outbox (cause_partition, records, outcome) VALUES (%s, %s, %s)", waiting)
        with relaying(stack, desk_database) as relay:
            until(lambda: relay.step() == 0)

    number = _outcomes(stack, [place])[place].decisions[0].number
    own = [d for d in _life_of(stack, number) if d.cause_id == read_event_id(stack, place)]
    assert len(own) == 2
    assert own[0] == own[1]


def read_event_id(settings: Settings, place: Place) -> bytes:
    return next(event.event_id for found, event in read_all(settings, place.topic) if found == place)
