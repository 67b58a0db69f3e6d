"""How soon a contact has its ticket number: from the start of its HTTP request until the number stands in ticket status.

Through the real processes: intake, desk, relay, projectors. Requests start at fixed moments whether or not earlier ones are answered. A
session of the bench's own looks for the rows at most every 4 ms; the wait until it looks is part of the figure.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Event as Flag
from threading import Lock, Thread
from time import perf_counter
from typing import Any

import orjson
import uvloop
from psycopg import Connection

from api.access import issue
from events.settings import Settings
from projectors import database
from projectors.registry import PROJECTIONS
from tests.bench.figures import Figure, percentiles_ms
from tests.bench.line import Line, lines, post
from tests.bench.pace import pause
from tests.bench.stack import own_stack, processes
from tests.waiting import until

RATE_PER_S = 50
SECONDS = 20
WARM_UP_S = 3
CONNECTIONS = 64
_LOOK_EVERY_S = 0.004
_LIMIT_S = 30.0
_GOAL_MS = 250
_TAKEN = 202
_TEXT = "Не могу войти в личный кабинет после смены номера телефона, код подтверждения не приходит."


def run() -> list[Figure]:
    """Measure with all processes running."""
    with own_stack() as settings, processes(settings, "relay", "desk", "projectors", "intake"):
        token = issue(settings, "adapter", "bench", 3600)
        requests = [_request(place, token) for place in range(RATE_PER_S * (WARM_UP_S + SECONDS))]
        with database.connect(settings.database, "bench") as db:
            database.prepare(db, PROJECTIONS)
            with _Watch(db) as watch:
                warm = RATE_PER_S * WARM_UP_S
                for part in (requests[:warm], requests[warm:]):  # the first records of a producer and of a group take a second
                    began, contacts, answered_s = uvloop.run(_send(settings, part, watch))
                    watch.wait_seen(contacts)
    waits = percentiles_ms([watch.seen[contact] - at for at, contact in zip(began, contacts, strict=True)])
    told = {"contacts/s": RATE_PER_S, **waits, "202 after p50": percentiles_ms(answered_s)["p50"]}
    return [Figure(bench="contact", what="request to ticket number", value=waits["p99"], unit="ms p99", at_most=_GOAL_MS, details=told)]


def _request(place: int, token: str) -> bytes:
    """Return the request with which a contact becomes due for a ticket: a form, a whole call, or a chat's first message."""
    now = datetime.now(UTC).isoformat()
    call = {"call": f"bench-{place}", "occurred_at": now}
    form = {"id": f"bench-{place}", "occurred_at": now, "cabinet_id": f"c{place}", "category": "technical", "topic": "account.locked"}
    known = {"language": "ru", "name": "Иванова Анна", "phone": "+79161234567", "text": _TEXT}
    channel, document = (
        ("cabinet", {**form, **known}),
        (
            "phone",
            [
                {**call, "event": "started", "line": "federal", "phone": "+79161234567"},
                {**call, "event": "answered", "queue": "accounts", "operator": "17"},
                {**call, "event": "ended", "ending": "completed", "wait_s": 5, "talk_s": 60},
            ],
        ),
        ("chat", {"event": "message", "chat": f"bench-{place}", "id": "1", "occurred_at": now, "from": "citizen", "text": _TEXT}),
    )[place % 3]
    return post(f"/v1/contacts/{channel}", token, orjson.dumps(document))


async def _send(settings: Settings, requests: Sequence[bytes], watch: "_Watch") -> tuple[list[float], list[bytes], list[float]]:
    """Send all at the bench's rate; return when each was due, the contact it made, and how long its 202 took."""
    began, contacts, answered_s = [0.0] * len(requests), [b""] * len(requests), [0.0] * len(requests)

    async def send(place: int, line: Line, free: "asyncio.Queue[Line]") -> None:
        answer = await line.ask(requests[place])
        answered_s[place] = perf_counter() - began[place]
        assert answer.status == _TAKEN, answer
        contacts[place] = bytes.fromhex(orjson.loads(answer.body)["accepted"][0]["contact_id"])
        watch.wait_for(contacts[place])
        free.put_nowait(line)

    async with (
        lines(settings.intake_port, CONNECTIONS) as connected,
        asyncio.timeout(WARM_UP_S + SECONDS + _LIMIT_S),
        asyncio.TaskGroup() as all_,
    ):
        free: asyncio.Queue[Line] = asyncio.Queue()
        for line in connected:
            free.put_nowait(line)
        start = perf_counter()
        for place in range(len(requests)):
            began[place] = start + place / RATE_PER_S
            await asyncio.sleep(began[place] - perf_counter())
            all_.create_task(send(place, await free.get(), free))
    return began, contacts, answered_s


class _Watch:
    """Looks for tickets of the contacts it waits for, and remembers when each was first seen."""

    def __init__(self, db: Connection[Any]) -> None:
        self.seen: dict[bytes, float] = {}
        self._db, self._waiting, self._lock = db, set[bytes](), Lock()
        self._stop = Flag()
        self._thread = Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_LIMIT_S)

    def wait_for(self, contact: bytes) -> None:
        """Look for `contact` from now on."""
        with self._lock:
            self._waiting.add(contact)

    def wait_seen(self, contacts: Sequence[bytes]) -> None:
        """Return when all `contacts` have their tickets."""
        until(lambda: self.seen.keys() >= set(contacts), _LIMIT_S)

    def _look(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                wanted = list(self._waiting)
            rows = (
                self._db.execute("SELECT contact_id FROM ticket_status WHERE contact_id = ANY(%s)", [wanted]).fetchall() if wanted else []
            )
            now = perf_counter()
            found = {bytes(contact) for (contact,) in rows}
            with self._lock:
                self._waiting -= found
            self.seen |= dict.fromkeys(found, now)
            pause(_LOOK_EVERY_S)
