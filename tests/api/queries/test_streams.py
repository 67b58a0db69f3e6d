"""Live streams: told at once, resumed without loss, filtered, bounded, and harmless to each other."""

import socket
from collections.abc import Iterator
from random import Random

import httpx
import psycopg
import pytest

from api.queries.lag import Seen
from api.queries.streams import live
from api.queries.streams.answer import MOST_BUFFERED
from events.envelope import FACTS, TICKETS
from events.outcomes import DecisionPlace
from events.places import Place
from events.reference import load
from events.wire.kafka import Kafka
from projectors import parked
from projectors.parked import ParkedRecord
from projectors.tokens import Token
from tests.api.queries.conftest import Happening, served
from tests.api.queries.reader import Told, reading, refused
from tests.api.tokens import bearer, gate
from tests.made import CONTACT, MORNING, NUMBER, closed, registered, settled, taken
from tests.waiting import until

STREAM = f"/v1/tickets/{NUMBER}/stream"
LIST = "/v1/tickets/stream"
OTHER = "RU-2025-000007"


def versions(told: list[Told]) -> list[int]:
    return [one.said["card"]["version"] if "card" in one.said else one.said["version"] for one in told]


def test_stream_of_a_ticket_begins_with_its_card_and_tells_each_decision(world: Happening, client: httpx.Client) -> None:
    world.happens(registered(has_name=True, name=b"sealed"), taken(2))

    with reading(client, STREAM) as reader:
        card = reader.wait(1)[0]
        world.happens(closed(3), registered(OTHER))
        decision = reader.wait(2)[1]

    assert (card.event, card.said["version"], card.said["people"]["name"]) == ("card", 2, "•••")
    assert (decision.event, decision.said["card"]["status"], decision.said["decision"]["version"]) == ("decision", "closed", 3)
    assert decision.said["decision"]["type"].endswith("TicketClosed")
    assert decision.said["decision"]["event"]["resolution_code"] == "answered"
    assert len(reader.events) == 2


def test_stream_goes_on_after_the_last_event_without_loss_or_repeat(world: Happening, client: httpx.Client) -> None:
    world.happens(registered(), taken(2))
    with reading(client, STREAM) as reader:
        first = reader.wait(1)
    world.happens(*(taken(version) for version in range(3, 8)))

    with reading(client, STREAM, last=first[0].id) as reader:
        missed = reader.wait(5)
        world.happens(closed(8))
        told = reader.wait(6)
    with reading(client, STREAM, last=missed[2].id) as reader:
        again = reader.wait(3)

    assert versions(told) == [3, 4, 5, 6, 7, 8]
    assert versions(again) == [6, 7, 8]


def test_token_of_an_answer_may_stand_for_the_last_event(world: Happening, client: httpx.Client) -> None:
    world.happens(registered(), taken(2))
    position = client.get(f"/v1/tickets/{NUMBER}", headers=bearer("operator")).headers["position"]
    world.happens(closed(3))

    with reading(client, STREAM, **{"from": position}) as reader:
        assert versions(reader.wait(1)) == [3]
    with reading(client, LIST, **{"from": position}) as reader:
        assert versions(reader.wait(1)) == [3]


def test_list_tells_what_matches_before_or_after(world: Happening, client: httpx.Client) -> None:
    world.happens(registered(OTHER))

    with reading(client, LIST, status="in_processing") as reader:
        begin = reader.wait(1)[0]
        world.happens(registered(), taken(2), taken(2, OTHER, queue="portal"), closed(3))
        told = reader.wait(4)[1:]

    assert (begin.event, Token.parse(begin.id)) == ("position", Token.parse(begin.said["position"]))
    assert {(t.said["card"]["number"], t.said["card"]["version"], t.said["matched"], t.said["matches"]) for t in told} == {
        (NUMBER, 2, False, True),
        (NUMBER, 3, True, False),
        (OTHER, 2, False, True),
    }


def test_list_that_was_cut_goes_on_without_loss_whatever_the_moment(world: Happening, client: httpx.Client) -> None:
    random = Random(424242)
    numbers = [f"RU-2025-{n:06}" for n in range(20)]
    world.happens(*map(registered, numbers))
    known: dict[str, int] = {}
    last: str | None = None
    version = 1

    for _ in range(8):
        with reading(client, LIST, last=last) as reader:
            if last is None:
                last = reader.wait(1)[0].id
            version += 1
            world.happens(*(taken(version, number) for number in numbers))
            for one in reader.wait(random.randrange(1, 15)):
                last = one.id
                if one.event == "change":
                    number, at = one.said["card"]["number"], one.said["card"]["version"]
                    assert at <= known.get(number, 1) + 1, "a version was passed by"
                    known[number] = max(at, known.get(number, 1))
    with reading(client, LIST, last=last) as reader:
        until(
            lambda: (
                {**known, **{t.said["card"]["number"]: t.said["card"]["version"] for t in reader.events}} == dict.fromkeys(numbers, version)
            )
        )


def test_stream_of_a_fact_not_yet_decided_tells_what_it_leads_to(world: Happening, client: httpx.Client) -> None:
    given = Token.of([Place(FACTS, 0, 0)]).encode()
    world.happens(registered(OTHER))

    with reading(client, LIST, **{"from": given}) as reader:
        until(lambda: reader.status)
        world.happens(registered())
        lies = world.log.records[-1]
        decided = DecisionPlace(number=NUMBER, version=1, partition=lies.partition, offset=lies.offset)
        world.happens(settled(Place(FACTS, 0, 0), decided))
        early = reader.wait(1)
    with reading(client, LIST, **{"from": given}) as reader:
        late = reader.wait(1)

    assert [one.said["card"]["number"] for one in (*early, *late)] == [NUMBER, NUMBER]


def test_decision_that_waited_for_repair_is_told_when_it_gets_through_and_no_id_has_passed_it(
    world: Happening, client: httpx.Client, database: str
) -> None:
    world.happens(registered(), registered(OTHER), taken(2))
    with psycopg.connect(database, autocommit=True) as db:
        row = db.execute("DELETE FROM ticket_version_v1 WHERE number = %s AND version = 2 RETURNING *", [NUMBER]).fetchone()
        assert row is not None
        partition, offset = row[-2:]
        db.execute(
            """INSERT INTO parked (consumer, topic, partition, "offset", key, appended_at, void, raw, reason, parked_at)
            VALUES ('ticket_versions_v1', %s, %s, %s, %s, 1, false, '', 'Fork', 1)""",
            [TICKETS, partition, offset, NUMBER.encode()],
        )

        with reading(client, LIST) as reader, reading(client, STREAM) as of_ticket:
            begun = reader.wait(1)[0].id
            of_ticket.wait(1)
            with db.transaction():
                db.execute("DELETE FROM parked")
                places = ", ".join(["%s"] * len(row))
                db.execute(f"INSERT INTO ticket_version_v1 VALUES ({places})", row)
            told, decided = reader.wait(2)[1], of_ticket.wait(2)[1]
        with reading(client, LIST, last=begun) as reader:
            again = reader.wait(1)

    assert versions([told, decided, *again]) == [2, 2, 2]
    assert Token.parse(begun)[TICKETS, partition] == offset - 1


def test_every_card_in_a_stream_says_that_records_about_its_ticket_wait_for_repair(
    world: Happening, client: httpx.Client, database: str
) -> None:
    world.happens(registered(), registered(OTHER, contact_id=b"x" * 16))
    start = client.get(f"/v1/tickets/{NUMBER}", headers=bearer("operator")).headers["position"]
    waiting = ParkedRecord("desk_v1", FACTS, 0, 9, CONTACT.hex().encode(), MORNING, False, b"", "Poison", MORNING)
    with psycopg.connect(database) as db:
        parked.add(db, [waiting])
    said = {"since": "2025-03-14T06:26:53.120000Z", "by": ["desk"]}

    with reading(client, STREAM) as of_ticket, reading(client, LIST) as of_list:
        begun = of_ticket.wait(1)[0].said
        of_list.wait(1)
        world.happens(taken(2), taken(2, OTHER))
        live = [of_ticket.wait(2)[1].said["card"], *(one.said["card"] for one in of_list.wait(3)[1:])]
    with reading(client, STREAM, last=start) as of_ticket, reading(client, LIST, last=start) as of_list:
        late = [of_ticket.wait(1)[0].said["card"], *(one.said["card"] for one in of_list.wait(2))]

    assert begun["parked"] == said
    for cards in (live, late):
        assert sorted((card["number"], card["parked"] is not None) for card in cards) == sorted([(NUMBER, True)] * 2 + [(OTHER, False)])
        assert [card["parked"] for card in cards if card["parked"]] == [said, said]


def test_silence_is_told_by_comments(world: Happening, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.queries.streams.answer.KEEP_ALIVE_S", 0.05)
    world.happens(registered())

    with reading(client, STREAM) as reader:
        until(lambda: reader.comments > 2)

    assert len(reader.events) == 1


def test_streams_are_for_whom_tickets_are(world: Happening, client: httpx.Client) -> None:
    world.happens(registered())

    for address in (STREAM, LIST):
        assert client.get(address).status_code == 401
        assert refused(client, address, role="adapter")["type"] == "forbidden"
        assert refused(client, address, last="h1.zzzz")["type"] == "bad-token"
        ahead = Token.of([Place(TICKETS, 0, 999)]).encode()
        assert refused(client, address, last=ahead, wait_ms=50)["type"] == "not-reached"
    assert refused(client, "/v1/tickets/RU-2025-999999/stream")["type"] == "unknown-ticket"
    assert refused(client, LIST, status="open")["type"] == "broken-rule"


def test_no_more_streams_than_the_bound(world: Happening, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_STREAMS", 2)
    world.happens(registered())

    with reading(client, STREAM) as first, reading(client, LIST) as second:
        first.wait(1), second.wait(1)
        assert refused(client, LIST)["type"] == "too-many-requests"
        first.leave()
        until(lambda: client.get(LIST, headers={**bearer("operator"), "Last-Event-ID": "h1.zzzz"}).status_code == 400)
        until(lambda: "hotline_streams_open 1.0" in client.get("/metrics").text)

    with reading(client, LIST) as third:
        third.wait(1)


@pytest.fixture
def silent_line(client: httpx.Client, world: Happening) -> Iterator[socket.socket]:
    """Return the line of a reader of the list who asked and never reads."""
    world.happens(registered())
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    line.connect((client.base_url.host, client.base_url.port))
    head = "".join(f"{name}: {value}\r\n" for name, value in bearer("operator").items())
    line.sendall(f"GET {LIST} HTTP/1.1\r\nHost: test\r\n{head}\r\n".encode())
    yield line
    line.close()


def test_reader_who_does_not_read_is_dropped_and_the_others_hear_everything(
    world: Happening, client: httpx.Client, silent_line: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.queries.streams.answer.LONGEST_SEND_S", 0.5)
    until(lambda: "hotline_streams_open 1.0" in client.get("/metrics").text)
    most, before = 40 * MOST_BUFFERED, ended(client, "dropped")

    with reading(client, LIST) as reader:
        reader.wait(1)
        told = 1
        while ended(client, "dropped") == before:
            assert told < most, "the reader is not dropped"
            world.happens(*(taken(version) for version in range(told + 1, told + 101)))
            told += 100
            reader.wait(told, limit_s=30)

        assert versions(reader.events[1:]) == list(range(2, told + 1))
    until(lambda: "hotline_streams_open 0.0" in client.get("/metrics").text)


def ended(client: httpx.Client, why: str) -> str:
    """How many streams ended so, as the metrics say it."""
    lines = client.get("/metrics").text.splitlines()
    return next((line for line in lines if line.startswith(f'hotline_streams_ended_total{{why="{why}"}}')), "")


def test_streams_end_when_the_application_stops(database: str) -> None:
    Happening(database).happens(registered())

    with served(database) as client:
        readers = [reading(client, address) for address in (STREAM, LIST)]
        first, second = (context.__enter__() for context in readers)
        first.wait(1), second.wait(1)

    until(lambda: first.ended and second.ended, 5)


def test_what_neither_log_nor_table_holds_any_more_is_gone(database: str) -> None:
    from api.queries.application import make_application

    world = Happening(database, partitions=1)
    world.happens(registered(), *(taken(version) for version in range(2, 6)))
    app = make_application(database, Kafka("127.0.0.1:1"), gate(), load())
    early, later = (Token.of([Place(TICKETS, 0, offset)]).encode() for offset in (0, 3))

    with served(database, app=app) as client:
        app.application.state.lag.ends.seen = Seen(1, {}, {(TICKETS, 0): 3})
        with reading(client, LIST, last=early) as reader:
            assert versions(reader.wait(4)) == [2, 3, 4, 5]
        with psycopg.connect(database, autocommit=True) as db:
            db.execute("DELETE FROM ticket_version_v1 WHERE version < 4")

        for address in (LIST, STREAM):
            gone = refused(client, address, last=early)
            assert (gone["status"], gone["type"], gone["lost"]) == (410, "gone", [{"topic": TICKETS, "partition": 0, "from": 1, "to": 2}])
            with reading(client, address, last=later) as reader:
                assert versions(reader.wait(1)) == [5]
