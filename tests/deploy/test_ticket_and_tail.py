"""`hotline ticket` and `hotline tail`."""

import json

import psycopg
import pytest
from confluent_kafka import Producer, TopicPartition

from consumers.kafka import make_consumer
from deploy.hotline import exit_code
from events.calls import CallStarted
from events.envelope import FACTS, TICKETS
from events.reference import load
from events.settings import Settings
from events.wire.codec import load_codec
from events.wire.publisher import Publisher
from projectors import parked
from projectors.parked import ParkedRecord
from projectors.registry import projections
from tests.given import given
from tests.made import CONTACT, MORNING, NUMBER, made, registered, taken

CANARY = b"Kanareikin +7 999 000-00-00"


@pytest.fixture
def settings_of_stack(stack: Settings, database: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Let commands find the session's Kafka and the test's own database."""
    monkeypatch.setenv("HOTLINE_KAFKA", stack.kafka_address)
    monkeypatch.setenv("HOTLINE_DATABASE_URL", database)
    return stack


def test_ticket_shows_card_and_timeline(settings_of_stack: Settings, database: str, capsys: pytest.CaptureFixture[str]) -> None:
    given(registered(has_name=True, name=CANARY), taken(2)).deliver(database, projections(load()))

    codes = exit_code(["ticket", NUMBER, "--json"]), exit_code(["ticket", NUMBER])

    told, *lines = capsys.readouterr().out.split("\n", 1)
    card = json.loads(told)
    assert codes == (0, 0)
    assert (card["status"], card["people"]["name"], [d["version"] for d in card["history"]]) == ("in_processing", "•••", [1, 2])
    assert "TicketTaken" in lines[0]
    assert "Kanareikin" not in told + lines[0]


def test_ticket_says_that_records_about_it_wait_for_repair(
    settings_of_stack: Settings, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given(registered(), taken(2)).deliver(database, projections(load()))
    waiting = ParkedRecord("ticket_status_v1", TICKETS, 0, 7, NUMBER.encode(), MORNING, False, b"", "Poison", MORNING)
    with psycopg.connect(database) as db:
        parked.add(db, [waiting, waiting._replace(consumer="desk_v1", topic=FACTS, key=CONTACT.hex().encode())])

    codes = exit_code(["ticket", NUMBER, "--json"]), exit_code(["ticket", NUMBER])

    told, *lines = capsys.readouterr().out.splitlines()
    assert codes == (0, 0)
    assert json.loads(told)["parked"] == {"since": "2025-03-14T06:26:53.120000Z", "by": ["desk", "ticket_status"]}
    assert [line for line in lines if line.startswith("parked ")] == [
        "parked            since 2025-03-14T06:26:53.120000Z, by desk, ticket_status"
    ]


def test_ticket_as_of_a_moment_shows_card_and_timeline_up_to_there(
    settings_of_stack: Settings, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given(registered(recorded_at=MORNING), taken(2, recorded_at=MORNING + 1)).deliver(database, projections(load()))

    codes = [exit_code(["ticket", NUMBER, "--as-of", moment, "--json"]) for moment in ("2025-03-14T06:26:53.12Z", "2025-03-14T06:26:53Z")]
    wrong = exit_code(["ticket", NUMBER, "--as-of", "yesterday"])

    then, before = map(json.loads, capsys.readouterr().out.splitlines())
    assert (codes, wrong) == ([0, 1], 2)
    assert (then["version"], [d["version"] for d in then["history"]], before["problem"]) == (1, [1], "unknown-ticket")
    assert then["as_of"] == "2025-03-14T06:26:53.120000Z"
    assert then["final"] in (True, False)


def test_unknown_ticket_is_said_and_the_exit_code_is_1(settings_of_stack: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["ticket", "RU-2025-999999", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["problem"] == "unknown-ticket"


def test_database_away_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1")

    assert exit_code(["ticket", NUMBER]) == 3


def test_tail_decodes_and_masks(settings_of_stack: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    publisher = Publisher(settings_of_stack.kafka_access, load_codec(), "test")
    place = publisher.submit(made(CallStarted, contact_id=b"t" * 16, has_phone=True, phone=CANARY)).result(10)
    publisher.close(5)

    count = records_in(settings_of_stack, place.topic)
    assert exit_code(["tail", "contacts", "--from-beginning", "--json", "--count", str(count)]) == 0

    seen = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (mine,) = [one for one in seen if (one["partition"], one["offset"]) == place[1:]]
    assert (mine["topic"], mine["type"], mine["event"]["phone"], mine["event"]["has_phone"]) == (place.topic, "CallStarted", "•••", True)
    assert "Kanareikin" not in json.dumps(seen)


def test_tail_lets_no_control_character_out(settings_of_stack: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    producer = Producer({"bootstrap.servers": settings_of_stack.kafka_address})
    producer.produce("hotline.commands", key="\x1b[2Jkey\r\n\x9b\u202e".encode(), value=b"no event")
    assert producer.flush(10) == 0
    count = str(records_in(settings_of_stack, "hotline.commands"))

    for more in ((), ("--json",)):
        assert exit_code(["tail", "commands", "--from-beginning", "--count", count, *more]) == 0
        out = capsys.readouterr().out
        assert "key" in out
        assert out.count("\n") == int(count)
        assert [one for one in out if not one.isprintable() and one != "\n"] == []


def records_in(settings: Settings, topic: str) -> int:
    """How many records lie in a topic now."""
    consumer = make_consumer(settings.kafka_access, "count")
    try:
        partitions = consumer.list_topics(topic, timeout=5).topics[topic].partitions
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5) for partition in partitions]
    finally:
        consumer.close()
    return sum(end - first for first, end in ends)


def test_tail_of_a_topic_that_is_not_there_is_wrong_usage(settings_of_stack: Settings) -> None:
    assert exit_code(["tail", "nonsense", "--count", "1"]) == 2
