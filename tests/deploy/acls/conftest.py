"""One guarded Kafka for all these tests, once its topics, its clients and their rules are made."""

from collections.abc import Iterator

import pytest

from deploy.acls.authorizer import Authorizer
from deploy.acls.clients import read_clients
from deploy.acls.rules import differences, rules_of
from deploy.topics import apply_topics
from events.wire import schemas
from tests.deploy.acls import tries
from tests.deploy.acls.guarded import TOPICS, GuardedKafka, guarded_kafka


@pytest.fixture(scope="package")
def kafka() -> Iterator[GuardedKafka]:
    """Topics with a record each, the clients of the file with a password each, and the rules made for them. Leave the rules as they are."""
    with guarded_kafka() as guarded:
        apply_topics(guarded.root)
        clients = read_clients()
        guarded.know([client.name for client in clients])
        authorizer = Authorizer(guarded.root)
        authorizer.apply(differences(rules_of(clients, schemas.topics()), authorizer.rules(), clients))
        assert set(tries.to_write(guarded.root, TOPICS).values()) == {tries.YES}
        yield guarded
