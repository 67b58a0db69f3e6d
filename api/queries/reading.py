"""The door to Postgres for reading: a bounded pool of read-only connections, and the questions that many requests share.

Every answer tells the position it reflects: it is read before the rows, so the rows hold at least that much. No question waits without a
bound: a server that is frozen keeps its connections open, so the bound is kept on this side of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import Response
from psycopg import AsyncConnection, DataError, OperationalError
from psycopg.errors import QueryCanceled, UndefinedTable
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from api.gathering import Gatherer, TooManyWaiting
from api.problems import Problem
from api.queries.metrics import CARDS_IN_FETCH
from projectors.database import LINE, hang_up
from projectors.model import ReadModel
from projectors.parked import Waiting, find_parked
from projectors.reaching import Progress, read_included, read_progress
from projectors.ticket_status import TICKET_STATUS, TicketStatus, find_tickets
from projectors.tokens import Token

_LEAST_CONNECTIONS, _MOST_CONNECTIONS = 2, 8
_MOST_REQUESTS_WAITING = 1_000
CONNECTION_WAIT_S = 2.0
ANSWER_S = 6.0  # longer than the server lets a statement run, so that a server that speaks ends it first
_SESSION = "-c plan_cache_mode=force_custom_plan -c statement_timeout=5s -c default_transaction_read_only=on -c timezone=UTC"

_OVERLOADED = (PoolTimeout, TooManyRequests, QueryCanceled)

T = TypeVar("T")
Question = Callable[[AsyncConnection[Any]], Awaitable[T]]


class Found(NamedTuple):
    """One row for a card, and the text of the token of all that the model included then."""

    row: TicketStatus
    position: str
    parked: Waiting | None = None


def keys_of(row: TicketStatus) -> tuple[bytes, bytes]:
    """Return the keys under which records of a ticket may wait: its own, and that of the contact it came of."""
    return row.number.encode(), row.contact_id.hex().encode()


def waiting_of(row: TicketStatus, parked: Mapping[bytes, Waiting]) -> Waiting | None:
    """Return what waits of one ticket, under either of its keys."""
    found = [parked[key] for key in keys_of(row) if key in parked]
    return Waiting(min(w.since for w in found), tuple(sorted({by for w in found for by in w.by}))) if found else None


async def find_waiting(db: AsyncConnection[Any], model: ReadModel, rows: Iterable[TicketStatus]) -> Mapping[bytes, Waiting]:
    """Return what waits for repair, by key, of those tickets as `model` shows them: for itself or for the desk. Costs one question."""
    keys = {key for row in rows for key in keys_of(row)}
    return await find_parked(db, (model.name,), sorted(keys)) if keys else {}


class Reading:
    """What routes ask the read models through."""

    def __init__(self, address: str) -> None:
        self._pool = AsyncConnectionPool(
            address,
            min_size=_LEAST_CONNECTIONS,
            max_size=_MOST_CONNECTIONS,
            max_waiting=_MOST_REQUESTS_WAITING,
            timeout=CONNECTION_WAIT_S,
            reconnect_timeout=5,
            kwargs={
                "autocommit": True,
                "options": _SESSION,
                "application_name": "api",
                "prepare_threshold": 2,
                **LINE,
            },
            open=False,
        )
        self.cards: Gatherer[str, Found] = Gatherer(self._find_cards)
        self._progress: Gatherer[str, Progress] = Gatherer(self._find_progress)

    async def open(self) -> None:
        """Begin to connect; does not wait for Postgres."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close all connections, within 5 s."""
        await self._pool.close(timeout=5)

    async def ask(self, question: Question[T]) -> T:
        """Return the answer to `question` within ANSWER_S + CONNECTION_WAIT_S; raise psycopg.OperationalError without one.

        A connection that broke since it was last used is replaced, once. What took too long or found no room is not tried again: that
        would feed the very load it suffers from.
        """
        until_s = asyncio.get_running_loop().time() + ANSWER_S
        try:
            return await self._ask(question, until_s)
        except _OVERLOADED:
            raise
        except OperationalError:
            if asyncio.get_running_loop().time() >= until_s:
                raise
            await self._pool.drain()  # the others are as old; unlike a check, this asks nothing of a server that may be silent
        return await self._ask(question, until_s)

    async def _ask(self, question: Question[T], until_s: float) -> T:
        async with self._pool.connection() as db:
            hanging_up = asyncio.get_running_loop().call_at(until_s, hang_up, db)
            try:
                return await question(db)
            finally:
                hanging_up.cancel()

    async def ask_with_position(self, models: Sequence[ReadModel], question: Question[T]) -> tuple[Token, T]:
        """Return what all `models` that `question` reads had included, and its answer."""

        async def both(db: AsyncConnection[Any]) -> tuple[Token, T]:
            return await read_included(db, models), await question(db)

        return await self.ask(both)

    async def progress(self) -> Progress:
        """Return how far all read models have come; many who wait share one look."""
        progress = await self._progress.find("all")
        assert progress is not None, "its fetch answers every key"
        return progress

    async def _find_cards(self, numbers: Sequence[str]) -> dict[str, Found]:
        CARDS_IN_FETCH.observe(len(numbers))

        async def rows_and_parked(db: AsyncConnection[Any]) -> tuple[dict[str, TicketStatus], Mapping[bytes, Waiting]]:
            rows = await find_tickets(db, numbers)
            return rows, await find_waiting(db, TICKET_STATUS, rows.values())

        token, (rows, parked) = await self.ask_with_position((TICKET_STATUS,), rows_and_parked)
        position = token.encode()
        return {number: Found(row, position, waiting_of(row, parked)) for number, row in rows.items()}

    async def _find_progress(self, keys: Sequence[str]) -> dict[str, Progress]:
        progress = await self.ask(read_progress)
        return dict.fromkeys(keys, progress)


def reading_of(request: Request) -> Reading:
    """Return what the application's routes read through."""
    reading: Reading = request.app.state.reading
    return reading


#: What the database's door may raise, and the problem that says it: never 500, and nothing of the database's own text.
_PROBLEMS: Mapping[type[Exception], str] = {
    OperationalError: "part-down",
    TooManyRequests: "too-many-requests",
    TooManyWaiting: "too-many-requests",
    UndefinedTable: "not-ready",  # a read model was not built yet
    DataError: "bad-filter",  # a value that no record can hold
}
FAILURES = tuple(_PROBLEMS)


def problem_of(failure: Exception) -> Problem:
    """Return the problem that one of FAILURES means to a caller."""
    type_ = next(_PROBLEMS[kind] for kind in type(failure).__mro__ if kind in _PROBLEMS)
    return Problem.of(type_, headers={} if type_ == "bad-filter" else {"Retry-After": "1"})


def install(app: FastAPI) -> None:
    """Let `app` answer failures of the database as problems."""
    for kind in FAILURES:
        app.add_exception_handler(kind, _answer)


async def _answer(_: Request, failure: Exception) -> Response:
    return problem_of(failure).answer()
