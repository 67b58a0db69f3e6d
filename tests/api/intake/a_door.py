"""An intake without servers: everything of ours is real, but Kafka, the vault and the read models are stand-ins that a test controls."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import orjson

from api.intake.app import make_application
from api.intake.parts import Parts
from api.intake.rooms import Room
from api.intake.watch import OutcomeWatch
from api.problems import MEDIA_TYPE
from events.envelope import Event
from events.identity import Identity
from events.places import Place
from events.reference import load
from events.vault.files import FileStore
from events.vault.keys import PartyKey
from events.vault.pool import PoolEmpty
from events.vault.ring import KeyRing, NotYet
from events.vault.sealing import Sealer
from events.wire.codec import load_codec
from projectors.audit_log import AuditRow
from projectors.outcomes import OutcomeRow
from tests.api.tokens import bearer, gate

NOW_US = 1_741_933_613_120_000
T = TypeVar("T")
CANARY = "Канарейкина Глафира"


class Log:
    """Stands in for Kafka: takes every event in order after the real codec has encoded it; `answers_with` makes it fail."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.traces: list[str | None] = []
        self.answers_with: list[Exception | None] = []

    def submit(self, event: Event, traceparent: str | None = None) -> "Future[Place]":
        record = load_codec().encode(event, "test", traceparent)
        answer: Future[Place] = Future()
        failure = self.answers_with.pop(0) if self.answers_with else None
        if failure:
            answer.set_exception(failure)
        else:
            self.events.append(event)
            self.traces.append(traceparent)
            answer.set_result(Place(record.topic, 0, len(self.events) - 1))
        return answer


class Ring:
    """Stands in for the vault: as many keys as a test gives it."""

    def __init__(self) -> None:
        self.opened, self.keys = True, 10_000
        self.sealer = Sealer(self, parties_remembered=1)

    def take(self) -> PartyKey:
        if not self.keys:
            raise PoolEmpty("none left")
        self.keys -= 1
        return PartyKey(secrets.token_bytes(16), bytes(32))

    def identity(self) -> Identity:
        if not self.opened:
            raise NotYet("not opened")
        return Identity(bytes(32))

    def keys_left(self) -> int:
        return self.keys


class Outcomes:
    """Stands in for the read models: the outcomes by the offset of their cause."""

    def __init__(self) -> None:
        self.known: dict[int, OutcomeRow] = {}
        self.history: list[AuditRow] = []

    async def wait_for(self, place: Place, _timeout_s: float) -> OutcomeRow | None:
        return self.known.get(place.offset)

    async def unseen(self, _number: str, above_version: int, _up_to_version: int, _timeout_s: float) -> list[AuditRow]:
        return [row for row in self.history if (row.version or 0) > above_version]

    async def close(self) -> None:
        pass


class Door:
    """The intake application over stand-ins, and a client of it."""

    def __init__(self, folder: Path, most_fact_requests: int = 10) -> None:
        self.log, self.ring, self.outcomes, self.files = Log(), Ring(), Outcomes(), FileStore(folder)
        self.parts = Parts(
            reference=load(),
            ring=cast(KeyRing, self.ring),
            files=self.files,
            publisher=self.log,
            watch=cast(OutcomeWatch, self.outcomes),
            clock_us=lambda: NOW_US,
            facts_room=Room(most_fact_requests),
        )
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(make_application(self.parts, gate(), {}), raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://intake")

    def __enter__(self) -> "Door":
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.client.aclose())
        self.parts.threads.shutdown()
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` returns, run on the loop of this client."""
        return self._runner.run(work)

    def send(self, path: str, content: bytes | str | AsyncIterator[bytes], headers: dict[str, str]) -> httpx.Response:
        """Post a body."""
        return self.run(self.client.post(path, content=content, headers=headers))

    def contacts(
        self, channel: str, body: bytes | str | AsyncIterator[bytes], kind: str = "application/json", role: str = "adapter", **more: str
    ) -> httpx.Response:
        """Send facts of a channel."""
        return self.send(f"/v1/contacts/{channel}", body, bearer(role, "op-17") | {"Content-Type": kind} | more)

    def command(self, document: object, key: str | None = "k-1", role: str = "operator", query: str = "") -> httpx.Response:
        """Send a command."""
        headers = bearer(role, "op-17") | {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key is not None else {})
        return self.send(f"/v1/commands{query}", orjson.dumps(document), headers)


def problem(answer: httpx.Response) -> dict[str, Any]:
    """Return the problem that an answer is; it must be one, and say nothing of what was sent."""
    assert answer.headers["content-type"] == MEDIA_TYPE, answer.text
    assert not any(word in answer.text for word in CANARY.split())
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status_code
    return document


def numbered(rows: Iterable[tuple[int, str]]) -> list[AuditRow]:
    """Return decisions of a ticket by version and type, as the audit log keeps them."""
    return [_row(version, type_) for version, type_ in rows]


def _row(version: int, type_: str) -> AuditRow:
    return AuditRow(
        topic="hotline.tickets",
        partition=3,
        offset=40 + version,
        event_id=bytes(16),
        type=type_,
        subject="RU-2025-000001",
        actor="operator:op-18",
        version=version,
        cause_id=bytes(16),
        occurred_at=NOW_US,
        recorded_at=NOW_US,
        appended_at=NOW_US,
        void=False,
        body=b"",
    )
