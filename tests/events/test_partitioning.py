"""A record's partition: the hash is the one that Kafka's own producer has."""

from events.wire.partitioning import murmur2


def test_hash_is_kafka_s_own() -> None:
    """The figures of Kafka's own tests."""
    expected = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}

    assert {key: murmur2(key) for key in expected} == {key: value % 2**32 for key, value in expected.items()}
