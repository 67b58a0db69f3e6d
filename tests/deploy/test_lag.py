"""How far consumers are behind: positions against the ends of the log."""

import psycopg
import pytest
from confluent_kafka import Producer
from pydantic import SecretStr

from deploy.lag import Lag, lags, read_lags
from events.settings import Settings


def test_records_are_summed_over_partitions_and_the_oldest_counts() -> None:
    first, second = ("hotline.tickets", 0), ("hotline.tickets", 1)
    positions = {("audit_log", first): 3, ("audit_log", second): 10, ("ticket_status", first): 5}

    found = lags(positions, {first: 5, second: 11}, {(first, 3): 2.5, (second, 10): 0.5})

    assert found == [Lag("audit_log", "hotline.tickets", 3, 2.5), Lag("ticket_status", "hotline.tickets", 0, None)]


def test_position_beyond_a_lost_log_is_not_a_negative_lag() -> None:
    place = ("hotline.tickets", 0)

    assert lags({("audit_log", place): 9}, {place: 2}, {}) == [Lag("audit_log", "hotline.tickets", 0, None)]


@pytest.mark.parts
def test_lag_of_a_real_log_in_records_and_seconds(stack: Settings, database: str) -> None:
    topic, partition = "hotline.dead-letters", 7
    settings = stack.model_copy(update={"database_url": SecretStr(database)})
    assert read_lags(settings) == []
    offsets: list[int] = []
    producer = Producer({"bootstrap.servers": stack.kafka_address, "enable.idempotence": True})
    for _ in range(3):
        producer.produce(topic, b"x", b"k", partition=partition, on_delivery=lambda _error, record: offsets.append(record.offset() or 0))
    assert producer.flush(10) == 0
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE position (consumer text, topic text, partition integer, next_offset bigint)")
        connection.execute("INSERT INTO position VALUES ('audit_log', %s, %s, %s)", (topic, partition, min(offsets) + 1))
        connection.execute("INSERT INTO position VALUES ('audit_log', %s, 99, 5)", [topic])  # a partition that is gone

    (lag,) = read_lags(settings)

    assert (lag.consumer, lag.topic, lag.records) == ("audit_log", topic, 2)
    assert lag.seconds is not None
    assert lag.seconds < 60
