"""The facts about tickets as rows, one for each ticket, once the read models have come as far as the export shall go.

Asks `projectors.reads.ticket_facts`; decides nothing about tickets. While a decision waits for repair nothing is exported: the facts about
its ticket would not be those of the log.
"""

import asyncio
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any

from psycopg import AsyncConnection

from consumers.export.columns import FLAG, MOMENT, NUMBER, TEXT, Column
from consumers.export.exporting import Piece, Plan
from consumers.export.topic import pasts_of, require_reached
from events.envelope import TICKETS
from events.settings import Settings
from events.wire.log_ends import LogEnds
from projectors import database
from projectors.reaching import read_included
from projectors.reads import ticket_facts
from projectors.reads.ticket_facts import MODELS, TicketFacts
from projectors.tokens import Token

TICKET_FACTS = "ticket_facts"
REACH_LIMIT_S = 60.0
_LOOK_EVERY_S = 0.1
_KINDS: Mapping[Any, str] = {int: NUMBER, bool: FLAG}


class NotReached(Exception):
    """The read models have not come so far in time: are projectors running?"""


class Waits(Exception):
    """Decisions before the end wait for repair; nothing is exported until they are through."""


class FactsSource:
    """The tickets of one database."""

    def __init__(self, settings: Settings, reach_limit_s: float = REACH_LIMIT_S) -> None:
        """Raise psycopg.OperationalError when the database does not answer."""
        self._settings, self._reach_limit_s = settings, reach_limit_s
        self._db = database.connect(settings.database, "export")

    def close(self) -> None:
        """Let the database go."""
        self._db.close()

    @property
    def columns(self) -> tuple[Column, ...]:
        """One for each field of TicketFacts."""
        return tuple(Column(name, _kind(name, hint), (ticket_facts.DOCS[name],)) for name, hint in TicketFacts.__annotations__.items())

    def must_stay(self) -> dict[str, Any]:
        """Nothing but the columns."""
        return {}

    def fix_end(self, since: Token | None, until: Token | None) -> dict[str, Any]:
        """Fix the end, and wait until the read models are there.

        Raises NotReached, Waits; where Kafka must tell the end, KafkaException, and Ahead for a beginning that is behind it.
        """
        if until is None:
            until = self._now()
            require_reached("--from", TICKETS, pasts_of(TICKETS, since or {}), pasts_of(TICKETS, until))
        self._require_reached(until)
        return {"until": until.encode(), "rows": ticket_facts.count_facts(self._db, since, until)}

    def _now(self) -> Token:
        ends = LogEnds(self._settings.kafka_access).latest([TICKETS])
        return Token({partition: end - 1 for partition, end in ends.items() if end > 0})

    def _require_reached(self, until: Token) -> None:
        reached = asyncio.run(_reached(self._settings.database, ticket_facts.of_tickets(until), self._reach_limit_s))
        if not reached:
            raise NotReached(f"{' and '.join(model.name for model in MODELS)} did not come so far within {self._reach_limit_s:.0f} s")
        if waiting := ticket_facts.count_waiting(self._db, until):
            raise Waits(f"decisions about {waiting} tickets wait for repair: hotline parked, hotline redrive")

    def names(self, plan: Plan) -> Iterator[str]:
        """Yield one for each file's number."""
        return map(_name, range(-(-plan["rows"] // plan["rows_per_file"])))

    def pieces(self, plan: Plan, made: Mapping[str, Mapping[str, Any]]) -> Iterator[Piece]:
        """Yield the pieces that are not made, tickets in the order in which they were opened. Raises NotReached, Waits."""
        since, until = plan["from"] and Token.parse(plan["from"]), Token.parse(plan["until"])
        self._require_reached(until)
        after, most, number = ticket_facts.BEFORE_ALL, plan["rows_per_file"], 0
        while True:
            name = _name(number)
            line = made.get(name)
            if line is None:
                rows = ticket_facts.list_facts(self._db, since, until, after, most)
                if not rows:
                    return
                line = {"first_ticket": rows[0].number, "last_ticket": rows[-1].number, "last_opened_at": rows[-1].opened_at}
                yield Piece(name, {**line, "rows": len(rows)}, rows)
            after, number = (line["last_opened_at"], line["last_ticket"]), number + 1


def _name(number: int) -> str:
    return f"{TICKET_FACTS}-{number:06}"


def _kind(name: str, hint: Any) -> str:
    plain = next((one for one in (int, bool) if hint in (one, one | None)), None)
    return MOMENT if plain is int and name.endswith("_at") else _KINDS.get(plain, TEXT)


async def _reached(address: str, until: Token, limit_s: float) -> bool:
    """Wait until all models have reached `until`; return whether they have."""
    end_s = monotonic() + limit_s
    async with await AsyncConnection.connect(address, autocommit=True, application_name="export", **database.LINE) as db:
        while True:
            included = await read_included(db, MODELS)
            if all(included.get(partition, -1) >= offset for partition, offset in until.items()):
                return True
            if monotonic() > end_s:
                return False
            await asyncio.sleep(_LOOK_EVERY_S)
