"""Waiting for what the desk decides: one question to the read model `outcomes` for all who wait, every few milliseconds while anybody does.

A database that is away ends every wait at once with "not known": what was published stays published.
"""

import asyncio
from typing import Any

import psycopg
import structlog

from events.places import Place
from projectors.audit_log import AuditRow
from projectors.outcomes import OutcomeRow, find_outcomes
from projectors.reads.audit_log import list_history

LOOK_EVERY_S = 0.01
CONNECT_TIMEOUT_S = 2
STATEMENT_TIMEOUT_MS = 2_000
UNSEEN_SHOWN = 100

_log = structlog.get_logger(__name__)


class OutcomeWatch:
    """Looks for outcomes on one connection of its own; belongs to one event loop. Who waits is bounded by the room they come from."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._waiting: dict[Place, list[asyncio.Future[OutcomeRow | None]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._db: psycopg.AsyncConnection[Any] | None = None
        self._connecting = asyncio.Lock()

    async def wait_for(self, place: Place, timeout_s: float) -> OutcomeRow | None:
        """Return the outcome of the cause at `place`; None when it is not known in time or the database is away."""
        answer: asyncio.Future[OutcomeRow | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(place, []).append(answer)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            return None
        finally:
            self._forget(place, answer)

    async def unseen(self, number: str, above_version: int, up_to_version: int, timeout_s: float) -> list[AuditRow]:
        """Return a ticket's decisions above a version, when the audit log has them all or the time is over; the first UNSEEN_SHOWN."""
        rows: list[AuditRow] = []
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    rows = await list_history(await self._connected(), number, above_version, UNSEEN_SHOWN)
                    if rows and (rows[-1].version or 0) >= min(up_to_version, above_version + UNSEEN_SHOWN):
                        break
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            pass  # what is there by now is shown
        except psycopg.Error as error:
            await self._lose(error)
        return rows

    async def close(self) -> None:
        """End all waits and the connection."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking], timeout=1.0)
        self._settle_all()
        if self._db is not None:
            await self._db.close()

    async def _look(self) -> None:
        try:
            while self._waiting:
                found = await find_outcomes(await self._connected(), list(self._waiting))
                for place, outcome in found.items():
                    for answer in self._waiting.pop(place, ()):
                        if not answer.done():
                            answer.set_result(outcome)
                await asyncio.sleep(LOOK_EVERY_S)
        except psycopg.Error as error:
            await self._lose(error)
            self._settle_all()

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        async with self._connecting:
            if self._db is None or self._db.closed:
                self._db = await psycopg.AsyncConnection.connect(
                    self._database,
                    autocommit=True,
                    application_name="intake",
                    connect_timeout=CONNECT_TIMEOUT_S,
                    tcp_user_timeout=STATEMENT_TIMEOUT_MS,
                    options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
                )
            return self._db

    async def _lose(self, error: psycopg.Error) -> None:
        """Let the connection go; the next who waits makes a new one."""
        _log.warning("outcomes not readable", reason=type(error).__name__, sqlstate=error.sqlstate)
        if self._db is not None:
            await self._db.close()
            self._db = None

    def _settle_all(self) -> None:
        for answers in self._waiting.values():
            for answer in answers:
                if not answer.done():
                    answer.set_result(None)
        self._waiting.clear()

    def _forget(self, place: Place, answer: "asyncio.Future[OutcomeRow | None]") -> None:
        answers = self._waiting.get(place, [])
        if answer in answers:
            answers.remove(answer)
        if not answers:
            self._waiting.pop(place, None)
