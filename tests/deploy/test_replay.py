"""`hotline replay`: any range of a topic by place, time, token, ticket and type, and the truth about what the log holds no longer."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from consumers import replay
from deploy.hotline import exit_code
from events.envelope import TICKETS, Event
from events.outcomes import EraOpened, MarkPlace
from events.places import Place
from events.settings import Settings
from events.wire.codec import load_codec
from projectors.record import Record
from projectors.tokens import Token
from tests.consumers.on_parts import publish
from tests.made import made, registered, taken
from tests.waiting import until

ANSWER_S = 15.0
CANARY = b"Kanareikin +7 999 000-00-00"
Replay = Callable[..., tuple[int, list[dict[str, Any]]]]


@dataclass
class Topic:
    """A topic of a test's own."""

    kafka: str
    name: str

    def put(self, *events: Event, partition: int = 0) -> list[Place]:
        """Append events to a partition; return their places."""
        landed: list[Place] = []
        producer = Producer({"bootstrap.servers": self.kafka, "acks": "all"})
        for event in events:
            record = load_codec().encode(event, "test")
            producer.produce(
                self.name,
                key=record.key,
                value=record.value,
                partition=partition,
                on_delivery=lambda _, m: landed.append(Place(self.name, partition, m.offset() or 0)),
            )
            assert producer.flush(ANSWER_S) == 0
        return landed

    def cut(self, partition: int, before: int) -> None:
        """Let the log forget what lies before an offset, as retention does."""
        admin = AdminClient({"bootstrap.servers": self.kafka})
        (done,) = admin.delete_records([TopicPartition(self.name, partition, before)]).values()
        done.result(ANSWER_S)


@contextmanager
def own_topic(kafka: str) -> Iterator[Topic]:
    name = f"test.replay-{secrets.token_hex(4)}"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, 3, 1, config={"message.timestamp.type": "LogAppendTime"})])[name].result(ANSWER_S)
    yield Topic(kafka, name)
    admin.delete_topics([name])[name].result(ANSWER_S)


@pytest.fixture
def topic(stack: Settings) -> Iterator[Topic]:
    """Return an empty topic."""
    with own_topic(stack.kafka_address) as topic:
        yield topic


@pytest.fixture
def replayed(stack: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Replay:
    """Return a function that replays: its exit code, and what it told."""
    monkeypatch.setenv("HOTLINE_KAFKA", stack.kafka_address)

    def run(topic: str, *words: str) -> tuple[int, list[dict[str, Any]]]:
        code = exit_code(["replay", topic, "--json", *words])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def places(told: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return sorted((one["partition"], one["offset"]) for one in told)


def test_whole_topic_is_told_decoded_and_masked_to_the_end_it_has_now(topic: Topic, replayed: Replay) -> None:
    topic.put(registered(name=CANARY, has_name=True), taken(2))
    topic.put(taken(7, "RU-2025-000007"), partition=2)

    code, told = replayed(topic.name)

    assert (code, places(told)) == (0, [(0, 0), (0, 1), (2, 0)])
    assert {one["type"] for one in told} == {"TicketRegistered", "TicketTaken"}
    first = next(one for one in told if one["version"] == 1)
    assert (first["event"]["name"], first["event"]["phone"], first["void"]) == ("•••", None, False)
    assert "Kanareikin" not in json.dumps(told)


def test_range_by_places_reads_only_the_partitions_it_names(topic: Topic, replayed: Replay) -> None:
    topic.put(*(taken(version) for version in range(5)))
    topic.put(*(taken(version) for version in range(5)), partition=1)

    assert places(replayed(topic.name, "--from", "0:1", "--to", "0:3")[1]) == [(0, 1), (0, 2)]
    assert places(replayed(topic.name, "--from", "0:4,1:3")[1]) == [(0, 4), (1, 3), (1, 4)]
    assert places(replayed(topic.name, "--to", "1:1")[1]) == [(1, 0)]
    assert replayed(topic.name, "--from", "0:5") == (0, [])


def test_range_between_two_tokens_is_what_the_later_one_includes_and_the_earlier_does_not(topic: Topic, replayed: Replay) -> None:
    landed = topic.put(*(taken(version) for version in range(5)))
    other = topic.put(taken(1), partition=1)
    early, late = Token.of(landed[:2]).encode(), Token.of([*landed[:4], *other]).encode()

    assert places(replayed(topic.name, "--from", early, "--to", late)[1]) == [(0, 2), (0, 3), (1, 0)]


def test_range_by_time_begins_and_ends_by_the_brokers_clock(topic: Topic, replayed: Replay) -> None:
    topic.put(taken(1))
    (_, told) = replayed(topic.name)
    after_ms = int(datetime.fromisoformat(told[0]["appended_at"]).timestamp() * 1000) + 1
    until(lambda: int(datetime.now(UTC).timestamp() * 1000) > after_ms)
    topic.put(taken(2))
    moment = datetime.fromtimestamp(after_ms / 1000, UTC).isoformat()

    assert places(replayed(topic.name, "--from", moment)[1]) == [(0, 1)]
    assert places(replayed(topic.name, "--to", moment)[1]) == [(0, 0)]
    assert replayed(topic.name, "--from", "2099-01-01T00:00:00+03:00") == (0, [])


def test_one_ticket_is_found_without_reading_other_partitions(stack: Settings, replayed: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    number = f"RU-2031-{secrets.randbelow(10**8):09}"
    landed = publish(stack, [registered(number), taken(2, number), taken(3, number)])
    read: set[int | None] = set()
    real = replay.LogReader._record

    def noted(reader: replay.LogReader, message: Message, left: Mapping[int, replay.Span]) -> Record:
        read.add(message.partition())
        return real(reader, message, left)

    monkeypatch.setattr(replay.LogReader, "_record", noted)

    code, told = replayed("tickets", "--ticket", number)
    of_type = replayed("tickets", "--ticket", number, "--type", "TicketRegistered")[1]

    assert (code, places(told)) == (0, sorted(place[1:] for place in landed))
    assert read == {landed[0].partition}
    assert [one["version"] for one in of_type] == [1]


def test_what_a_desk_of_an_ended_era_said_is_told_as_void_wherever_one_begins(
    topic: Topic, replayed: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic.put(taken(1), made(EraOpened, era=2), taken(2, era=1), taken(2, era=2))
    with own_topic(topic.kafka) as reference:
        reference.put(made(EraOpened, era=2, marks=(MarkPlace(topic=topic.name, partition=0, offset=1),)))
        monkeypatch.setattr(replay, "REFERENCE", reference.name)

        from_the_beginning, from_after_the_mark = replayed(topic.name)[1], replayed(topic.name, "--from", "0:2")[1]

    assert [one["void"] for one in from_the_beginning] == [False, False, True, False]
    assert [one["void"] for one in from_after_the_mark] == [True, False]


def test_a_beginning_that_the_log_no_longer_reaches_is_gone_and_named(topic: Topic, replayed: Replay) -> None:
    landed = topic.put(*(taken(version) for version in range(6)))
    topic.cut(0, 3)
    token = Token.of(landed[:1]).encode()

    for begin, first in (("0:1", 1), (token, 1), ("2020-01-01T00:00:00Z", 0)):
        code, (problem,) = replayed(topic.name, "--from", begin)
        assert (code, problem["problem"], problem["status"]) == (1, "gone", 410)
        assert problem["lost"] == [{"topic": topic.name, "partition": 0, "from": first, "to": 2}]
    assert places(replayed(topic.name)[1]) == places(replayed(topic.name, "--from", "0:3")[1]) == [(0, 3), (0, 4), (0, 5)]


def test_a_beginning_after_the_end_belongs_to_another_log(topic: Topic, replayed: Replay) -> None:
    topic.put(taken(1))

    code, (problem,) = replayed(topic.name, "--from", "0:7")

    assert (code, problem["problem"]) == (1, "not-reached")


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("tickets", "--from", "yesterday"),
        ("tickets", "--from", "2025-03-14T00:00:00"),
        ("tickets", "--to", "h1.zzzz"),
        ("tickets", "--type", "CallStarted"),
        ("contacts", "--ticket", "RU-2025-000001"),
    ],
    ids=" ".join,
)
def test_what_can_not_be_meant_is_wrong_usage(replayed: Replay, words: tuple[str, ...]) -> None:
    assert replayed(*words) == (2, [])


def test_kafka_away_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_KAFKA", "127.0.0.1:1")

    assert exit_code(["replay", TICKETS]) == 3
