"""What happens, told to all streams at once: one look at the read model every tenth of a second while anybody follows anything.

A stream of one ticket tells by version, one of a filter by places of the log; neither tells anything twice but what its reader asks for
again. A change is put into words once for all who hear of it. Its card says what waits for repair as of the look that found it.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from psycopg import AsyncConnection, Error

from api.gathering import TooManyWaiting
from api.problems import Problem
from api.queries.cards import card_of
from api.queries.metrics import STREAMS_OPEN
from api.queries.reading import Reading, find_waiting, waiting_of
from api.queries.records import history_entry
from api.queries.streams.answer import BROKEN, DROPPED, MOST_BUFFERED, STOPPING, Buffer, told
from events.envelope import TICKETS
from projectors.parked import Waiting
from projectors.reads.ticket_changes import Change, News, Offsets, Waits, list_repaired, look
from projectors.ticket_status import TicketFilter, matches
from projectors.ticket_versions import TICKET_VERSIONS
from projectors.tokens import Token

MOST_STREAMS = 2_000
LOOK_S = 0.1
LOOK_AGAIN_S = 1.0
MOST_CHANGES = 200  # of a partition in one look

log = structlog.get_logger()

Parked = Mapping[bytes, Waiting]  # by key of a record


class OneTicket:
    """A reader of one ticket's decisions."""

    def __init__(self, number: str) -> None:
        self.number, self.buffer = number, Buffer()
        self.version = 0  # the last one told
        self._early: list[tuple[Change, Parked]] | None = []  # before it is known where to begin

    def hear(self, change: Change, parked: Parked) -> None:
        """Tell a decision, unless it was told."""
        if self._early is not None:
            if len(self._early) >= MOST_BUFFERED:
                self.buffer.end(DROPPED)
            else:
                self._early.append((change, parked))
        elif change.after.ticket.version > self.version:
            self.version = change.after.ticket.version
            self.buffer.put(decision_told(change, parked))

    def begin(self, version: int) -> None:
        """Everything up to `version` is told: tell what came meanwhile, and from now on what comes."""
        early, self._early, self.version = self._early or [], None, version
        for change, parked in early:
            self.hear(change, parked)


class OneFilter:
    """A reader of all changes of tickets that match a filter before or after."""

    def __init__(self, wanted: TicketFilter) -> None:
        self.wanted, self.buffer = wanted, Buffer()
        self.seen: dict[int, int] = {}
        self.live = False  # else it reads for itself what came before


class Live:
    """Follows the read model for all streams."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._tickets: dict[str, set[OneTicket]] = {}
        self._filters: dict[TicketFilter, set[OneFilter]] = {}
        self._count = 0
        self._beginning = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self._stopping = False
        self.seen: dict[int, int] = {}
        self.waiting: dict[bytes, Waits] = {}

    async def join(self, stream: OneTicket | OneFilter) -> None:
        """Let a stream hear from now on; raise Problem too-many-requests, or whatever a read may raise. Ended by `leave`."""
        if self._count >= MOST_STREAMS or self._stopping:
            raise Problem.of("too-many-requests", headers={"Retry-After": "1"})
        self._count += 1
        STREAMS_OPEN.set(self._count)
        self._group(stream).add(stream)
        try:
            async with self._beginning:
                if self._following is None or self._following.done():
                    news = await self._reading.ask(lambda db: look(db, None, MOST_CHANGES))
                    self.seen, self.waiting = news.seen, news.waiting
                    self._following = asyncio.create_task(self._follow())
        except BaseException:
            self.leave(stream)
            raise

    def leave(self, stream: OneTicket | OneFilter) -> None:
        """Let a stream hear no more; may be said twice."""
        group = self._group(stream)
        if stream in group:
            group.discard(stream)
            self._count -= 1
            STREAMS_OPEN.set(self._count)
        if not group:
            self._tickets.pop(stream.number, None) if isinstance(stream, OneTicket) else self._filters.pop(stream.wanted, None)

    def _group(self, stream: OneTicket | OneFilter) -> set[Any]:
        if isinstance(stream, OneTicket):
            return self._tickets.setdefault(stream.number, set())
        return self._filters.setdefault(stream.wanted, set())

    def end_all(self) -> None:
        """The application stops: every stream ends, and no new one begins."""
        self._stopping = True
        self._end(STOPPING)

    def _end(self, why: str) -> None:
        groups: list[set[OneTicket] | set[OneFilter]] = [*self._tickets.values(), *self._filters.values()]
        for group in groups:
            for stream in group:
                stream.buffer.end(why)

    async def close(self) -> None:
        """End all streams and look no more."""
        self.end_all()
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following

    async def _follow(self) -> None:
        """Look again and again while anybody follows."""
        try:
            while self._count:
                await asyncio.sleep(await self._look_or_wait())
        finally:
            self._end(BROKEN)  # only if it ended otherwise: then nobody hears anything any more

    async def _look_or_wait(self) -> float:
        """Look once; return for how many seconds not to look again."""
        try:
            return 0.0 if await self._look() else LOOK_S
        except (Error, TooManyWaiting) as failure:
            log.warning("streams wait", because=type(failure).__name__)
            return LOOK_AGAIN_S

    async def _look(self) -> bool:
        async def question(db: AsyncConnection[Any]) -> tuple[News, list[Change], Parked]:
            news = await look(db, self.seen, MOST_CHANGES)
            repaired = _repaired(self.waiting, news.waiting)
            late = await list_repaired(db, repaired, self.seen) if repaired else []
            return news, late, await find_parked_of(db, (*late, *news.changes))

        news, late, parked = await self._reading.ask(question)
        before, self.seen, self.waiting = self.seen, news.seen, news.waiting
        self._tell_filters(late, before, parked, late=True)
        self._tell_filters(news.changes, before, parked, late=False)
        for change in (*late, *news.changes):
            for stream in self._tickets.get(change.after.ticket.number, ()):
                stream.hear(change, parked)
        return news.more

    def _tell_filters(self, changes: Sequence[Change], before: Offsets, parked: Parked, *, late: bool) -> None:
        """Tell changes in their order, each with the token of everything up to it; those that come late move no place."""
        seen = dict(before)
        for change in changes if self._filters else ():
            partition, offset = change.after.partition, change.after.offset
            if not late:
                seen[partition] = offset
            id_ = ""
            for wanted, streams in self._filters.items():
                if not concerns(wanted, change):
                    continue
                hearing = [s for s in streams if late or (s.live and offset > s.seen.get(partition, -1))]
                if hearing:
                    id_ = id_ or token_of(seen, self.waiting)
                    event = change_told(wanted, change, id_, parked)
                    for stream in hearing:
                        stream.buffer.put(event)


def concerns(wanted: TicketFilter, change: Change) -> bool:
    """Tell whether the ticket matches after the change, or did before."""
    return matches(wanted, change.after.ticket) or (change.before is not None and matches(wanted, change.before))


def _repaired(before: dict[bytes, Waits], after: dict[bytes, Waits]) -> dict[str, int]:
    """Return the tickets of which something waits no more, with the first offset that did."""
    return {
        key.decode("utf-8", "replace"): was.first_offset
        for key, was in before.items()
        if key not in after or after[key].first_offset > was.first_offset
    }


def token_of(seen: Offsets, waiting: dict[bytes, Waits]) -> str:
    """Return the token of everything up to `seen`; what waits for repair is not included, nor what lies after it in its partition."""
    parts = dict(seen)
    for waits in waiting.values():
        parts[waits.partition] = min(parts.get(waits.partition, -1), waits.first_offset - 1)
    return Token({(TICKETS, partition): offset for partition, offset in parts.items() if offset >= 0}).encode()


async def find_parked_of(db: AsyncConnection[Any], changes: Sequence[Change]) -> Parked:
    """Return what waits for repair of the tickets of `changes`: one question for all of them."""
    return await find_waiting(db, TICKET_VERSIONS, (change.after.ticket for change in changes))


def decision_told(change: Change, parked: Parked) -> bytes:
    """Return a decision and the card after it as an event; its id includes the ticket's life up to there."""
    version = change.after
    id_ = Token({(TICKETS, version.partition): version.offset}).encode()
    entry = None if change.record is None else history_entry(change.record)
    return told("decision", id_, {"decision": entry, "card": card_of(version.ticket, id_, waiting_of(version.ticket, parked))})


def change_told(wanted: TicketFilter, change: Change, id_: str, parked: Parked) -> bytes:
    """Return a change as an event of a list: the card after it, and whether the filter let the ticket through before and lets it now."""
    before = change.before is not None and matches(wanted, change.before)
    card = card_of(change.after.ticket, id_, waiting_of(change.after.ticket, parked))
    return told("change", id_, {"matched": before, "matches": matches(wanted, change.after.ticket), "card": card})


async def changes_until_live(live: Live, stream: OneFilter, ask: Reading) -> AsyncGenerator[bytes]:
    """Yield what came before the stream is live, page by page as its reader takes it; afterwards the stream is live."""

    async def question(db: AsyncConnection[Any]) -> tuple[News, Parked]:
        news = await look(db, stream.seen, MOST_CHANGES)
        return news, await find_parked_of(db, [change for change in news.changes if concerns(stream.wanted, change)])

    while not stream.live and stream.buffer.ended is None:
        if all(stream.seen.get(partition, -1) >= offset for partition, offset in live.seen.items()):
            stream.live = True
            return
        news, parked = await ask.ask(question)
        seen = dict(stream.seen)
        for change in news.changes:
            seen[change.after.partition] = change.after.offset
            if concerns(stream.wanted, change):
                yield change_told(stream.wanted, change, token_of(seen, news.waiting), parked)
        stream.seen = news.seen
        if not news.changes:
            await asyncio.sleep(LOOK_S)
