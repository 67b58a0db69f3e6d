"""Each hazard of topics, brokers and records, injected on a real broker: it is named, with its remedy."""

import time

import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions

from deploy.doctor import brokers, machine, records, tables, topics
from deploy.doctor.context import Context
from deploy.doctor.examination import Check
from deploy.doctor.finding import HARD, WARNING
from deploy.topics import Topic, desired_topics
from events.envelope import FACTS
from events.settings import Settings
from events.wire.schemas import FIRST_ID
from tests.deploy.doctor.harm import ANSWER_S, admin_of, broker_with, looked, made_anew, new_topic, topic_with, write
from tests.waiting import until

pytestmark = pytest.mark.parts

TEXTS = {f"key-{n}".encode(): b"\0\0\0\0\0text" for n in range(20)}


@pytest.mark.parametrize(
    ("setting", "value", "code", "severity"),
    [
        ("cleanup.policy", "compact", "compaction", HARD),
        ("cleanup.policy", "compact,delete", "compaction", HARD),
        ("retention.ms", "604800000", "finite-retention", HARD),
        ("retention.bytes", "1073741824", "finite-retention", HARD),
        ("message.timestamp.type", "CreateTime", "create-time", HARD),
        ("unclean.leader.election.enable", "true", "unclean-election", HARD),
        ("max.message.bytes", "1048588", "topic-setting", WARNING),
    ],
)
def test_topic_with_a_harmful_setting_is_named(own: Settings, setting: str, value: str, code: str, severity: str) -> None:
    with topic_with(own, FACTS, setting, value):
        (finding,) = looked(topics.settings, own)

    assert (finding.code, finding.severity) == (code, severity)
    assert f"{FACTS} has {setting} {value}" in finding.what
    assert finding.remedy == "`hotline topics apply`"


def test_fewer_copies_than_the_profile_of_three_brokers_are_named(own: Settings) -> None:
    wanted = desired_topics(brokers=3)

    kept, written = looked(topics.copies, own, topics=wanted), looked(topics.settings, own, topics=wanted)

    assert {finding.code for finding in (*kept, *written)} == {"copies-below-profile"}
    assert f"{FACTS} is kept by 1 broker, not 3" in {finding.what for finding in kept}
    assert "kafka-reassign-partitions" in kept[0].remedy
    assert any("min.insync.replicas 1, not 2" in finding.what for finding in written)


def test_partition_whose_records_do_not_come_in_time_is_not_passed_off_as_sound(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = new_topic(own, partitions=1)
    write(own, topic, TEXTS)
    monkeypatch.setattr("deploy.doctor.kafka.SAMPLE_LIMIT_S", 0.0)

    (finding,) = looked(records.unread, own, topics=[topic])

    assert (finding.code, finding.severity) == ("not-looked-at", WARNING)
    assert finding.what == f"newest records of {topic.name}/0 were not read in time"


def test_added_partition_is_named(own: Settings) -> None:
    topic = new_topic(own, partitions=1)
    admin_of(own).create_partitions([NewPartitions(topic.name, 2)])[topic.name].result(ANSWER_S)

    (finding,) = until(lambda: looked(topics.partitions, own, topics=[topic]))

    assert (finding.code, finding.severity) == ("partitions-changed", HARD)
    assert f"{topic.name} has 2 partitions, not 1" in finding.what
    assert "stop all writers" in finding.remedy


def test_topic_that_is_not_there_is_named(own: Settings) -> None:
    (finding,) = looked(topics.missing, own, topics=[Topic("doctor.absent", 1)])

    assert (finding.code, finding.what, finding.remedy) == ("topic-missing", "there is no topic doctor.absent", "`hotline topics apply`")


@pytest.mark.parametrize(
    ("setting", "value", "code", "remedy"),
    [
        ("unclean.leader.election.enable", "true", "unclean-election", "unclean.leader.election.enable=false"),
        ("message.max.bytes", "1048588", "small-records", "message.max.bytes=4194304"),
    ],
)
def test_broker_with_a_harmful_setting_is_named(own: Settings, setting: str, value: str, code: str, remedy: str) -> None:
    with broker_with(own, setting, value):
        (finding,) = looked(brokers.settings, own)

    assert finding.code == code
    assert "broker 1" in finding.what
    assert remedy in finding.remedy


def test_records_that_a_client_with_another_hash_wrote_are_strays(own: Settings) -> None:
    topic = new_topic(own)
    write(own, topic, TEXTS)
    assert looked(records.strays, own, topics=[topic]) == []
    write(own, topic, TEXTS, partitioner="consistent_random")  # librdkafka's own choice: CRC32

    (finding,) = looked(records.strays, own, topics=[topic])

    assert (finding.code, finding.severity) == ("strays", HARD)
    assert f"of the newest records of {topic.name}" in finding.what
    assert "murmur2_random" in finding.remedy


def test_record_of_an_unknown_schema_is_named(own: Settings) -> None:
    topic, unknown = new_topic(own), FIRST_ID + 9_000
    write(own, topic, {b"known": b"\0" + FIRST_ID.to_bytes(4, "big"), b"unknown": b"\0" + unknown.to_bytes(4, "big")})

    (finding,) = looked(records.unknown_schemas, own, topics=[topic])

    assert (finding.code, finding.severity) == ("schema-unknown", HARD)
    assert f"1 of the newest records of {topic.name} name schema {unknown}" in finding.what
    assert "deploy the release" in finding.remedy


def _cut(own: Settings) -> Topic:
    topic = new_topic(own, partitions=1)
    write(own, topic, TEXTS)
    place = TopicPartition(topic.name, 0, 5)
    admin_of(own).delete_records([place])[place].result(ANSWER_S)
    return topic


def test_endless_topic_that_lost_its_beginning_is_named(own: Settings) -> None:
    topic = _cut(own)

    (finding,) = until(lambda: looked(topics.beginnings, own, topics=[topic]))

    assert (finding.code, finding.severity) == ("log-cut", HARD)
    assert "0 before 5" in finding.what
    assert "restore the log" in finding.remedy


def _stand(db: psycopg.Connection, topic: Topic, topic_id: str, next_offset: int) -> None:
    db.execute(
        "INSERT INTO position (consumer, topic, partition, topic_id, owner_epoch, next_offset, era) VALUES ('doctor', %s, 0, %s, 1, %s, 1)",
        [topic.name, topic_id, next_offset],
    )


def _id(own: Settings, topic: Topic) -> str:
    return Context(own, topics=[topic]).found[topic.name].topic_id


@pytest.mark.parametrize(
    ("next_offset", "code", "said"),
    [(2, "position-below-log", "the log begins at 5: 3 records are gone"), (99, "position-beyond-log", "the log ends at 20")],
)
def test_position_outside_the_log_is_named(own: Settings, db: psycopg.Connection, next_offset: int, code: str, said: str) -> None:
    topic = _cut(own)
    _stand(db, topic, _id(own, topic), next_offset)

    (finding,) = until(lambda: looked(tables.positions, own, topics=[topic]))

    assert (finding.code, finding.severity) == (code, HARD)
    assert f"doctor goes on at {topic.name}/0 offset {next_offset}, {said}" in finding.what
    assert "restore the log" in finding.remedy
    assert "rebuild" not in finding.remedy  # from a log without its beginning nothing is built


def test_topic_that_was_deleted_and_made_anew_is_named(own: Settings, db: psycopg.Connection) -> None:
    topic = new_topic(own, partitions=1)
    before = _id(own, topic)
    _stand(db, topic, before, 0)
    assert looked(tables.positions, own, topics=[topic]) == []
    made_anew(own, topic)

    (finding,) = looked(tables.positions, own, topics=[topic])

    assert (finding.code, finding.severity) == ("topic-recreated", HARD)
    assert before in finding.what
    assert "begin with new databases" in finding.remedy


@pytest.mark.parametrize("check", [machine.broker_clock, machine.database_clock])
def test_clock_that_is_an_hour_ahead_of_ours_is_named(own: Settings, check: Check) -> None:
    topic = new_topic(own, partitions=1)
    write(own, topic, TEXTS)
    assert looked(check, own, topics=[topic]) == []

    (finding,) = looked(check, own, topics=[topic], now_s=lambda: time.time() - 3_600)

    assert (finding.code, finding.severity) == ("clock-skew", WARNING)
    assert "NTP" in finding.remedy
