"""Newer versions of a read model to rebuild, compare and switch to: one that is right, one that errs, one with a column more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg import Connection

from events.envelope import TICKETS, Decision
from events.tickets import TicketTaken
from projectors.builds.comparing import Expected
from projectors.model import TicketRows
from projectors.record import Record
from projectors.ticket_status import HANDLERS, TABLE, TICKET_STATUS, TicketStatus

LOST = "archive"  # a queue of this test alone: others lay tickets on the same topic


def _lose_queue(row: TicketStatus, event: TicketTaken) -> TicketStatus:
    changed: TicketStatus = HANDLERS[TicketTaken](row, event)
    return changed._replace(queue=None) if event.queue == LOST else changed


@dataclass(frozen=True)
class NewerStatus:
    """Version 2 of `ticket_status`, in tables of its own names."""

    name: str = "ticket_status"
    version: int = 2
    topics: tuple[str, ...] = (TICKETS,)
    ddl: str = TICKET_STATUS.ddl.replace("_v1", "_v2")
    views: str = TICKET_STATUS.views.replace("_v1", "_v2")
    wants_all: bool = False
    faulty: bool = False
    expected_differences: Mapping[str, Expected] = field(default_factory=dict)

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        handlers: dict[Any, Callable[[Any, Any], Any]] = dict(HANDLERS)
        if self.faulty:
            handlers[TicketTaken] = _lose_queue
        table = replace(TABLE, name="ticket_status_v2")
        TicketRows(table, TicketStatus, handlers).fold_into(db, [r.event for r in records if isinstance(r.event, Decision)])


WIDER = NewerStatus(views=TICKET_STATUS.views.replace("_v1", "_v2").replace(" FROM", ", queue IS NOT NULL AS has_queue FROM"))
