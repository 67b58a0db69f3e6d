"""Fixtures of the consumers' tests: a Kafka on which eras may be opened, since marks concern everybody on a topic."""

from collections.abc import Iterator

import pytest

from events.settings import Settings
from tests.consumers.recovering import Office, own_parts


@pytest.fixture(scope="session")
def own_kafka() -> Iterator[Settings]:
    """Settings of a Kafka and a Postgres for the tests of eras alone."""
    with own_parts() as settings:
        yield settings


@pytest.fixture
def office(own_kafka: Settings) -> Office:
    """An office that is open, in an era of its own: built from what the tests before left on the log."""
    office = Office(own_kafka)
    office.wake()
    office.settle()
    return office
