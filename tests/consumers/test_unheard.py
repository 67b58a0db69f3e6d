"""A client of Kafka that hears nothing, as after some restarts of a broker, is noticed and let go; one with nothing to read is not."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from psycopg import Connection

from consumers import loop
from consumers.batches import Unheard
from consumers.loop import Follower
from events.envelope import FACTS
from events.settings import Settings
from projectors.record import Record
from tests.consumers.facts import call_started
from tests.consumers.on_parts import following, publish
from tests.waiting import until

pytestmark = pytest.mark.parts
ALL_S = 60.0


@dataclass
class Counted:
    """A read model that remembers which records came."""

    name: str = "counted"
    version: int = 1
    topics: tuple[str, ...] = (FACTS,)
    ddl: str = ""
    views: str = ""
    wants_all: bool = True
    seen: list[Record] = field(default_factory=list)

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        self.seen += records


@pytest.fixture
def follower(stack: Settings, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Follower]:
    monkeypatch.setattr(loop, "SILENCE_S", 0.2)
    with following(stack, database, Counted()) as follower:
        until(lambda: follower.step() >= 0 and len(follower._owned) == 12, ALL_S)
        yield follower


def seen_all(follower: Follower, contacts: Sequence[str], model: Counted) -> bool:
    follower.step()
    return set(contacts) <= {record.key.decode() for record in model.seen}


def test_a_member_that_hears_nothing_of_what_is_there_leaves_the_group(stack: Settings, follower: Follower) -> None:
    model = follower._shares["counted_v1"].model
    assert isinstance(model, Counted)
    facts = [call_started(secrets.token_hex(4)) for _ in range(5)]
    publish(stack, facts)
    until(lambda: seen_all(follower, [fact.contact_id.hex() for fact in facts], model), ALL_S)

    follower._consumer.pause([TopicPartition(*place) for place in follower._owned])
    publish(stack, [call_started(secrets.token_hex(4)) for _ in range(5)])

    with pytest.raises(Unheard, match=r"partitions, the first .*hotline\.contacts"):
        until(lambda: follower.step() > 0, ALL_S)
    assert Unheard in loop.COME_BACK


def test_a_member_without_a_share_leaves_when_what_its_group_should_read_is_not_read(stack: Settings, follower: Follower) -> None:
    publish(stack, [call_started(secrets.token_hex(4))])
    until(lambda: follower.step() >= 0 and not follower._find_unread(), ALL_S)

    follower._consumer.unsubscribe()
    follower._owned.clear()
    publish(stack, [call_started(secrets.token_hex(4))])

    with pytest.raises(Unheard):
        until(lambda: follower.step() > 0, ALL_S)


def test_a_member_that_has_read_everything_stays(follower: Follower) -> None:
    until(lambda: follower.step() >= 0 and not follower._find_unread(), ALL_S)

    for _ in range(3):
        follower.step()

    assert len(follower._owned) == 12
