"""Topics as code: the comparison of what is wanted with what is there."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka.admin import BrokerMetadata, ClusterMetadata, PartitionMetadata, TopicMetadata

from deploy.commands.kafka import topics
from deploy.hotline import exit_code
from deploy.problems import PartAway, Unwilling
from deploy.topics import Change, Cluster, Topic, apply_topics, checked, desired_topics, differences, known_brokers, oddities, planned
from events.settings import Settings
from events.wire import schemas
from events.wire.descriptions import describe
from events.wire.kafka import Kafka

TICKETS = Topic("hotline.tickets", 12, {"retention.ms": "-1", "cleanup.policy": "delete"})


def test_missing_topic_is_created_with_its_settings() -> None:
    found = differences([TICKETS], {})

    assert [(change.kind, change.settings) for change in found] == [("create", TICKETS.settings)]


def test_nothing_is_done_when_all_is_as_wanted() -> None:
    there = replace(TICKETS, settings={**TICKETS.settings, "segment.bytes": "1073741824"})

    assert differences([TICKETS], {TICKETS.name: there, "of.others": Topic("of.others", 1)}) == []


def test_only_settings_that_differ_are_altered() -> None:
    there = replace(TICKETS, settings={"retention.ms": "604800000", "cleanup.policy": "delete"})

    assert differences([TICKETS], {TICKETS.name: there}) == [
        Change("alter", TICKETS, "alter hotline.tickets: retention.ms 604800000 -> -1", {"retention.ms": "-1"})
    ]


def test_other_number_of_partitions_is_refused_and_then_nothing_is_changed() -> None:
    found = differences([TICKETS, Topic("hotline.new", 12)], {TICKETS.name: replace(TICKETS, partitions=6)})

    assert [change.kind for change in found] == ["refuse", "create"]
    with pytest.raises(Unwilling, match="6 partitions there, 12 wanted"):
        Cluster(Kafka("127.0.0.1:1")).apply(found)


def test_a_topic_of_our_name_that_nobody_wants_and_one_with_too_few_copies_are_odd() -> None:
    wanted = replace(TICKETS, copies=3)
    there = {TICKETS.name: replace(TICKETS, copies=2), "hotline.ticket": Topic("hotline.ticket", 1), "of.others": Topic("of.others", 1)}

    found = oddities([wanted, Topic("hotline.missing", 12, copies=3)], there)

    assert [(change.kind, change.text) for change in found] == [
        ("stranger", "stranger hotline.ticket: schemas/topics.toml does not know it"),
        ("copies", "copies hotline.tickets: kept 2 times, 3 wanted"),
    ]
    assert oddities([wanted], {TICKETS.name: wanted}) == []


def test_strimzi_gets_a_resource_for_each_topic_that_says_the_same() -> None:
    shown = CliRunner().invoke(topics.COMMAND, ["strimzi", "--cluster", "federal", "--brokers", "3"], standalone_mode=False)

    resources = [json.loads(part) for part in shown.output.split("\n---\n")]
    assert {(one["apiVersion"], one["kind"], one["metadata"]["labels"]["strimzi.io/cluster"]) for one in resources} == {
        ("kafka.strimzi.io/v1", "KafkaTopic", "federal")
    }
    told = [(one["metadata"]["name"], one["spec"]) for one in resources]
    assert [Topic(name, spec["partitions"], spec["config"], spec["replicas"]) for name, spec in told] == desired_topics(brokers=3)


@pytest.mark.parts
@pytest.mark.parametrize("words", [["topics", "strimzi"], ["topics", "plan"], ["catalogue"], ["acls", "plan"], ["schemas", "check"]])
@pytest.mark.parametrize("text", ["[", "x = 1", '["a"]', 'guarantees = []\n[topics."hotline.tickets"]\npartitions = "x"\n'])
def test_a_broken_file_of_topics_is_one_line_from_every_command(
    words: list[str], text: str, stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "topics.toml").write_text(text, "utf-8")
    read = schemas._topics_file
    monkeypatch.setattr(schemas, "_topics_file", lambda _folder: read(tmp_path))
    monkeypatch.setenv("HOTLINE_KAFKA", stack.kafka_address)
    schemas.topics.cache_clear()
    describe.cache_clear()

    code = exit_code(words)

    told = capsys.readouterr()
    assert code == 1
    assert re.fullmatch("(hotline: )?topics.toml: [^\n]+\n", told.err + told.out)


@pytest.mark.parametrize(("brokers", "written"), [(1, "1"), (3, "2"), (5, "2")])
def test_as_many_copies_must_be_written_as_the_cluster_can_lose_one_of(brokers: int, written: str) -> None:
    (topic,) = [topic for topic in desired_topics(brokers=brokers) if topic.name == "hotline.contacts"]

    assert topic.partitions == 12
    assert topic.settings == {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": "4194304",
        "min.insync.replicas": written,
        "retention.bytes": "-1",
        "unclean.leader.election.enable": "false",
    }


@pytest.mark.parametrize(("brokers", "copies"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_as_many_brokers_keep_a_topic_as_there_are_up_to_three(brokers: int, copies: int) -> None:
    assert {topic.copies for topic in desired_topics(brokers=brokers)} == {copies}


def test_broker_that_is_away_still_counts_by_the_copies_it_should_keep() -> None:
    """Else whoever applies topics while one is down would let records count with a single copy."""
    cluster, topic, partition = ClusterMetadata(), TopicMetadata(), PartitionMetadata()
    partition.replicas = [1, 2, 3]
    topic.partitions = {0: partition}
    cluster.brokers, cluster.topics = {1: BrokerMetadata(), 2: BrokerMetadata()}, {"hotline.contacts": topic}

    assert known_brokers(cluster) == {1, 2, 3}


def test_kafka_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.topics._LIMIT_S", 0.3)

    with pytest.raises(PartAway, match=r"Kafka at 127\.0\.0\.1:1 does not answer"):
        apply_topics(Kafka("127.0.0.1:1"))


@pytest.mark.parts
def test_changed_setting_is_put_right_on_a_real_broker(stack: Settings) -> None:
    cluster = Cluster(stack.kafka_access)
    name = "hotline.contacts"
    (wanted,) = [topic for topic in desired_topics() if topic.name == name]
    cluster.apply([Change("alter", wanted, "", {"retention.ms": "604800000"})])

    changed = apply_topics(stack.kafka_access)

    assert [(change.kind, change.topic.name, change.settings) for change in changed] == [("alter", name, {"retention.ms": "-1"})]
    assert apply_topics(stack.kafka_access) == []
    assert planned(stack.kafka_access) == [change for change in checked(stack.kafka_access) if change.kind != "stranger"] == []
