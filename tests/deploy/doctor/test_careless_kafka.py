"""Hazards that only a Kafka set up by somebody else can show: careless settings, transactions on our topics, a damaged segment."""

from collections.abc import Iterator

import pytest

from deploy.doctor import brokers, records
from deploy.doctor.finding import HARD, WARNING
from deploy.parts import kafka
from events.settings import Settings
from tests.deploy.doctor.conftest import own_parts
from tests.deploy.doctor.harm import looked, new_topic, write
from tests.waiting import until

pytestmark = pytest.mark.parts

CARELESS = {"auto.create.topics.enable": "true", "broker.session.timeout.ms": "9000"}


@pytest.fixture(scope="module")
def careless() -> Iterator[Settings]:
    nowhere = "postgresql://postgres@127.0.0.1:1/none"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka, "FROZEN", {**kafka.FROZEN, **CARELESS})
        with own_parts(database_url=nowhere, vault_url=nowhere) as settings:
            yield settings


def test_broker_that_makes_topics_by_itself_or_misses_a_dead_one_late_is_named(careless: Settings) -> None:
    found = looked(brokers.settings, careless)

    assert [(finding.code, finding.severity) for finding in found] == [("auto-create", HARD), ("slow-failover", WARNING)]
    assert "auto.create.topics.enable=false" in found[0].remedy
    assert "9000 ms" in found[1].what


def test_transactional_writer_is_named_and_so_are_the_holes_it_left(careless: Settings) -> None:
    topic = new_topic(careless, partitions=1)
    write(careless, topic, {b"before": b""})
    write(careless, topic, {b"inside": b""}, transaction="stranger")
    write(careless, topic, {b"after": b""})

    (hole,) = until(lambda: looked(records.holes, careless, topics=[topic]))  # the marker may come a moment later
    (allowed,) = looked(brokers.transactions, careless, topics=[topic])

    assert (hole.code, hole.severity) == ("holes", HARD)
    assert hole.what in {f"{topic.name}/0 has no record at offset {place}" for place in (2, 3)}
    assert "transactional writers" in hole.remedy
    assert (allowed.code, allowed.severity) == ("transactions-allowed", WARNING)
    assert "ACLs" in allowed.remedy


def test_flipped_byte_in_a_segment_is_named(careless: Settings) -> None:
    topic = new_topic(careless, partitions=1)
    write(careless, topic, {b"key": b"the value of a record"})
    segment = careless.folder / "kafka" / f"{topic.name}-0" / f"{0:020}.log"
    with segment.open("r+b") as stream:
        at = stream.read().index(b"the value")
        stream.seek(at)
        stream.write(b"T")

    (finding,) = looked(records.damage, careless, topics=[topic])

    assert (finding.code, finding.severity) == ("log-damaged", HARD)
    assert f"{topic.name}/0" in finding.what
    assert "restore its folder" in finding.remedy
