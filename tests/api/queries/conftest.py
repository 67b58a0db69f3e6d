"""The query application, served as in production, over a database of the test's own; Kafka is away unless a test says otherwise."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread
from typing import Any

import httpx
import pytest

from api.queries.application import make_application
from api.queries.cards import CardsFirst
from api.serving import serve
from deploy.parts.ports import answers, pick_free
from events.envelope import Event
from events.reference import load
from events.wire.kafka import Kafka
from projectors.model import ReadModel
from projectors.registry import PROJECTIONS, projections
from tests.api.tokens import bearer, gate
from tests.given import Log, given
from tests.waiting import until

NO_KAFKA = Kafka("127.0.0.1:1")


@contextmanager
def served(database: str, kafka: Kafka = NO_KAFKA, app: CardsFirst | None = None) -> Iterator[httpx.Client]:
    """Serve the application in a thread; give a client of it."""
    stop, port = Flag(), pick_free(1)
    app = app or make_application(database, kafka, gate(), load())
    thread = Thread(target=serve, args=(app, "127.0.0.1", port, stop, app.application.state.live.end_all))
    thread.start()
    try:
        until(lambda: answers(port))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
            yield client
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def client(database: str) -> Iterator[httpx.Client]:
    """Return a client of the application."""
    with served(database) as client:
        yield client


@pytest.fixture
def ask(client: httpx.Client) -> Callable[..., Any]:
    """Return a function that gets an address as a role, an operator by default."""

    def get(address: str, role: str = "operator", headers: dict[str, str] | None = None, **params: Any) -> Any:
        return client.get(address, params=params or None, headers={**bearer(role), **(headers or {})})

    return get


@pytest.fixture
def follow(database: str) -> Callable[..., None]:
    """Return a function that lets all read models follow some events, each delivered twice."""

    def deliver(*events: Event, partitions: int = 1) -> None:
        given(*events, partitions=partitions).deliver(database, projections(load()), batch=100)

    return deliver


class Happening:
    """A log that goes on, and read models that follow it."""

    def __init__(self, database: str, partitions: int = 3) -> None:
        self.log, self._database = Log(partitions), database
        self.happens()

    def happens(self, *events: Event, models: Sequence[ReadModel] = PROJECTIONS) -> None:
        """Append events, and let `models` follow."""
        for event in events:
            self.log.append(event)
        self.log.deliver(self._database, models, batch=50)


@pytest.fixture
def world(database: str) -> Happening:
    """Return a world in which nothing has happened."""
    return Happening(database)
