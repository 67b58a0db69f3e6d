"""Cards and pages as of a moment: they equal what a replay of the log that stops there makes, and say whether that is final."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from random import Random
from typing import Any

import psycopg
import pytest

from api.queries.application import make_application
from api.queries.finality import MOST_OBSERVATIONS, Finality
from api.queries.lag import Seen
from events import tickets
from events.envelope import COMMANDS, FACTS, TICKETS, Event
from events.outcomes import DecisionPlace
from events.places import Place
from events.reference import load
from events.wire.kafka import Kafka
from projectors.outcomes import Reach
from projectors.reaching import Progress
from projectors.registry import projections
from projectors.ticket_versions import TICKET_VERSIONS
from tests import oracle
from tests.api.queries.conftest import served
from tests.api.tokens import bearer, gate
from tests.given import Log
from tests.made import CONTACT, MORNING, NUMBER, closed, made, registered, settled, taken
from tests.projectors.test_oracle import LATER, told

CARD = f"/v1/tickets/{NUMBER}"
SECOND = 1_000_000
TICKETS_TOLD, CARDS_ASKED, PAGES_ASKED = 60, 100, 10
ALIKE = (
    *("number", "status", "version", "channel", "kind", "topic", "language", "queue", "cycle", "next_step"),
    *("refusal_reason", "appeal_route", "resolution_code"),
)
Ask = Callable[..., Any]
Follow = Callable[..., None]


def at(moment_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment_us)).isoformat(timespec="microseconds")


def test_card_stands_where_it_stood_at_the_moment_that_is_asked_for(follow: Follow, ask: Ask) -> None:
    follow(registered(recorded_at=MORNING), taken(2, recorded_at=MORNING + SECOND), closed(3, recorded_at=MORNING + 2 * SECOND))

    seen = [ask(CARD, as_of=at(MORNING + after)) for after in (-1, 0, SECOND - 1, SECOND, 2 * SECOND, 10**12)]

    assert [answer.status_code for answer in seen] == [404, 200, 200, 200, 200, 200]
    assert [answer.json().get("version") for answer in seen] == [None, 1, 1, 2, 3, 3]
    assert [answer.json().get("status") for answer in seen[1:5]] == ["registered", "registered", "in_processing", "closed"]
    assert seen[1].json()["as_of"] == "2025-03-14T06:26:53.120000Z"


def test_the_last_of_several_decisions_of_one_moment_counts(follow: Follow, ask: Ask) -> None:
    follow(registered(recorded_at=MORNING), taken(2, recorded_at=MORNING), closed(3, recorded_at=MORNING))

    assert ask(CARD, as_of=at(MORNING)).json()["version"] == 3


def test_a_moment_that_can_not_be_understood_is_named(follow: Follow, ask: Ask) -> None:
    follow(registered())

    for address in (CARD, "/v1/tickets"):
        for moment in ("yesterday", "2025-03-14T06:27:00"):
            assert (ask(address, as_of=moment).status_code, ask(address, as_of=moment).json()["field"]) == (400, "as_of")
    assert ask("/v1/tickets/RU-2025-999999", as_of=at(MORNING)).json()["type"] == "unknown-ticket"


def test_cursor_of_another_moment_fits_no_page(follow: Follow, ask: Ask) -> None:
    follow(*(registered(f"RU-2025-{n:06}") for n in range(3)))
    cursor = ask("/v1/tickets", limit=2, as_of=at(MORNING + SECOND)).json()["next"]

    assert ask("/v1/tickets", limit=2, as_of=at(MORNING + SECOND), cursor=cursor).status_code == 200
    assert ask("/v1/tickets", limit=2, as_of=at(MORNING + 2 * SECOND), cursor=cursor).json()["type"] == "bad-cursor"


def random_life(random: Random, number: str) -> list[Event]:
    """Decisions whose times never go back; some are of one moment, and a ticket may be told of long after it was opened."""
    now = MORNING + random.randrange(3_600) * SECOND
    said: dict[str, Any] = {"channel": random.choice(["phone", "chat"]), "kind": random.choice(["request", "complaint"])}
    life: list[Event] = [registered(number, recorded_at=now, opened_at=now - random.randrange(600) * SECOND, **said)]
    for version in range(2, random.choice([3, 5, 12, 40])):
        now += random.choice([0, 1, SECOND, 300 * SECOND])
        kind = random.choice(LATER)
        more: dict[str, Any] = {"number": number, "version": version, "recorded_at": now}
        if kind is tickets.TicketTaken:
            more["queue"] = random.choice(["", "accounts", "portal"])
        if kind is tickets.TicketDetailsAdded:
            more["topic"] = random.choice(["", "passport.lost"])
        if kind is tickets.TicketRefused:
            more["reason_code"] = f"reason.{version}"
        life.append(made(kind, **more))
    return life


def random_log(random: Random) -> Log:
    """The lives of many tickets through each other, on three partitions, with repeats."""
    log, seen = Log(partitions=3), []
    lives = [random_life(random, f"RU-2025-{n:06}") for n in range(TICKETS_TOLD)]
    while lives := [life for life in lives if life]:
        seen.append(random.choice(lives).pop(0))
        log.append(seen[-1])
        if random.random() < 0.2:
            log.append(random.choice(seen))
    return log


class Replayed:
    """The log as a stranger reads it, stopped at a moment: a plain fold of each ticket's decisions up to there."""

    def __init__(self, log: Log) -> None:
        self.lives = oracle.lives_of(map(told, log.records))
        self.times: list[int] = sorted(r.fields["recorded_at"] for life in self.lives.values() for r in life)

    def ticket(self, number: str, moment: int) -> dict[str, Any] | None:
        until = list(takewhile(lambda r: r.fields["recorded_at"] <= moment, self.lives[number]))
        return oracle.status_of(until) if until else None

    def page(self, moment: int, **wanted: str) -> list[dict[str, Any]]:
        rows = [row for number in self.lives if (row := self.ticket(number, moment)) is not None]
        alike = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
        return sorted(alike, key=lambda row: (row["opened_at"], row["number"]), reverse=True)

    def moment(self, random: Random) -> int:
        """Some moment of the day, now and then exactly that of a decision."""
        known = random.choice(self.times)
        return known + random.choice([0, 0, -1, 1, random.randrange(-300, 300) * SECOND])


@pytest.fixture
def replayed(database: str, round_seed: int) -> Replayed:
    """A log that the read models of the test's database have followed."""
    log = random_log(Random(round_seed))
    log.deliver(database, projections(load()), batch=200)
    return Replayed(log)


def alike(card: dict[str, Any]) -> dict[str, Any]:
    return {name: card[name] for name in ALIKE}


def test_card_as_of_a_moment_equals_a_replay_that_stops_there(replayed: Replayed, ask: Ask, round_seed: int) -> None:
    random, found = Random(round_seed), 0

    for _ in range(CARDS_ASKED):
        number, moment = random.choice(list(replayed.lives)), replayed.moment(random)
        answer, wanted = ask(f"/v1/tickets/{number}", as_of=at(moment)), replayed.ticket(number, moment)
        assert (answer.status_code == 200) == (wanted is not None), (number, moment)
        if wanted is not None:
            assert alike(answer.json()) == alike(wanted), (number, moment)
            found += 1

    assert found > CARDS_ASKED / 4


def test_pages_as_of_a_moment_equal_a_replay_that_stops_there(replayed: Replayed, ask: Ask, round_seed: int) -> None:
    random, found = Random(round_seed), 0
    offered: dict[str, list[str]] = {
        "status": list(tickets.Status),
        "queue": ["accounts", "portal"],
        "channel": ["phone", "chat"],
        "kind": ["request", "complaint"],
    }

    for _ in range(PAGES_ASKED):
        wanted = {name: str(random.choice(offered[name])) for name in random.sample(list(offered), random.randrange(3))}
        moment = replayed.moment(random)
        rows = list(all_pages(ask, as_of=at(moment), limit=7, **wanted))
        assert [alike(row) for row in rows] == [alike(row) for row in replayed.page(moment, **wanted)], (wanted, moment)
        found += len(rows)

    assert found > PAGES_ASKED


def all_pages(ask: Ask, **asked: Any) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = ask("/v1/tickets", **asked, **({"cursor": cursor} if cursor else {})).json()
        assert page["as_of"]
        yield from page["rows"]
        cursor = page["next"]
        if cursor is None:
            return


def progress(decided: Sequence[int], tickets_next: int, settled_offset: int = 4) -> Progress:
    reach = Reach(settled_offset, settled_offset, tuple(decided))
    return Progress({"ticket_versions": {(TICKETS, 0): tickets_next}}, {(FACTS, 0): reach})


def test_a_moment_is_final_once_all_that_was_said_before_it_is_settled_and_applied() -> None:
    finality = Finality(TICKET_VERSIONS, margin_us=5 * SECOND)
    finality.observe(100 * SECOND, {(FACTS, 0): 5, (COMMANDS, 0): 0, (TICKETS, 0): 2})
    known = []

    for seen in (progress([6], 7, settled_offset=3), progress([6], 6), progress([9], 7)):
        finality.look(seen)
        known.append((finality.covers(95 * SECOND), finality.covers(95 * SECOND + 1)))

    assert known == [(False, False), (False, False), (True, False)]


def test_of_many_observations_the_newest_that_is_reached_counts_and_few_are_kept() -> None:
    finality = Finality(TICKET_VERSIONS, margin_us=0)
    for second in range(1, 10 * MOST_OBSERVATIONS):
        finality.observe(second * SECOND, {(FACTS, 0): second})

    finality.look(progress([], 0, settled_offset=0))

    assert len(finality._observed) <= MOST_OBSERVATIONS
    assert (finality.covers(SECOND), finality.covers(2 * SECOND)) == (True, False)


def test_answers_say_whether_they_are_final_and_a_parked_ticket_is_not(database: str, follow: Follow) -> None:
    follow(registered(recorded_at=MORNING), settled(Place(FACTS, 0, 0), DecisionPlace(number=NUMBER, version=1, partition=0, offset=0)))
    app = make_application(database, Kafka("127.0.0.1:1"), gate(), load())
    with served(database, app=app) as client:

        def final(address: str) -> tuple[bool, str]:
            answer = client.get(address, params={"as_of": at(MORNING + SECOND)}, headers=bearer("auditor"))
            return answer.json()["final"], answer.headers.get("etag", "")

        def waits(address: str) -> object:
            answer = client.get(address, params={"as_of": at(MORNING + SECOND)}, headers=bearer("auditor")).json()
            return answer.get("rows", [answer])[0]["parked"]

        unknown = final(CARD)
        app.application.state.lag.ends.seen = Seen(MORNING + 10 * SECOND, {(FACTS, 0): 1, (TICKETS, 0): 1})
        known, page = final(CARD), final("/v1/tickets")
        park(database, "desk_v1", CONTACT.hex())
        assert (final(CARD), final("/v1/tickets"), waits(CARD)) == (known, page, None)  # what the desk decides later is recorded later
        park(database, "ticket_versions_v1", NUMBER)

        assert (unknown[0], known[0], page[0]) == (False, True, True)
        assert unknown[1] != known[1]
        assert (final(CARD)[0], final("/v1/tickets")[0]) == (False, False)
        said = {"since": "1970-01-01T00:00:00.000001Z", "by": ["ticket_versions"]}
        assert (waits(CARD), waits("/v1/tickets")) == (said, said)


def park(database: str, consumer: str, key: str) -> None:
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(
            """INSERT INTO parked (consumer, topic, partition, "offset", key, appended_at, void, raw, reason, parked_at)
            VALUES (%s, 'hotline.tickets', 0, 9, %s, 1, false, '', 'Fork', 1)""",
            [consumer, key.encode()],
        )
