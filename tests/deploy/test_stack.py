"""The parts that tests run on are real, shaped as the promises need, and leave nothing behind."""

import psycopg
import pytest

from deploy.topics import Cluster, desired_topics
from events.settings import Settings

pytestmark = pytest.mark.parts


def test_each_test_has_a_database_of_its_own(database: str) -> None:
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT current_database(), pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = current_database()"
        ).fetchone()

    assert row is not None
    assert row[0].startswith("t_")
    assert row[1:] == ("UTF8", "C.UTF-8")


def test_wanted_topics_are_there_and_applying_again_changes_nothing(stack: Settings) -> None:
    from deploy.topics import apply_topics

    wanted = desired_topics()

    assert apply_topics(stack.kafka_access) == []
    there = Cluster(stack.kafka_access).topics()
    assert [(topic.name, there[topic.name].partitions, there[topic.name].copies) for topic in wanted] == [
        (topic.name, topic.partitions, topic.copies) for topic in wanted
    ]
