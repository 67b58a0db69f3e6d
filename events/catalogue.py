"""The table of contents of the log: every event type, its topics, its schema file and what its key is.

Adding an event type is one class, one `.avsc`, one example and one line here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from events import cabinet, calls, chats, commands, complaints, dead_letters, letters, notes, outcomes, tickets
from events.envelope import COMMANDS, DEAD_LETTERS, FACTS, OUTCOMES, REFERENCE, TICKETS, Event

KeyOf = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class EventType:
    """One kind of event: its class, its schema's folder (`schemas/FOLDER/snake_name.vN.avsc`), where it is published, under which key."""

    event: type[Event]
    folder: str
    topics: tuple[str, ...]
    key_of: KeyOf

    @property
    def record_name(self) -> str:
        """Full name of its schema's record: what the log, the audit log and the intake's answers call it."""
        return f"hotline.{self.folder}.{self.event.__name__}"


def _contact_key(event: Any) -> str:
    return str(event.contact_id.hex())


def _dead_letter_key(event: dead_letters.RecordUnreadable) -> str:
    return f"{event.topic}/{event.partition}/{event.offset}"


def _era_key(_: Any) -> str:
    return "era"


_cause: KeyOf = attrgetter("cause_key")
_target: KeyOf = attrgetter("target")
_number: KeyOf = attrgetter("number")

EVENT_TYPES: tuple[EventType, ...] = (
    EventType(calls.CallStarted, "calls", (FACTS,), _contact_key),
    EventType(calls.CallAnswered, "calls", (FACTS,), _contact_key),
    EventType(calls.CallTransferred, "calls", (FACTS,), _contact_key),
    EventType(calls.CallEnded, "calls", (FACTS,), _contact_key),
    EventType(calls.RecordingStored, "calls", (FACTS,), _contact_key),
    EventType(notes.ContactNoted, "notes", (FACTS,), _contact_key),
    EventType(chats.ChatOpened, "chats", (FACTS,), _contact_key),
    EventType(chats.ChatMessagePosted, "chats", (FACTS,), _contact_key),
    EventType(chats.ChatFileOffered, "chats", (FACTS,), _contact_key),
    EventType(chats.ChatClosed, "chats", (FACTS,), _contact_key),
    EventType(letters.LetterReceived, "letters", (FACTS,), _contact_key),
    EventType(cabinet.CabinetRequestFiled, "cabinet", (FACTS,), _contact_key),
    EventType(complaints.ComplaintFiled, "complaints", (FACTS,), _contact_key),
    EventType(commands.TakeTicket, "commands", (COMMANDS,), _target),
    EventType(commands.AskClarification, "commands", (COMMANDS,), _target),
    EventType(commands.ApproveTicket, "commands", (COMMANDS,), _target),
    EventType(commands.RefuseTicket, "commands", (COMMANDS,), _target),
    EventType(commands.CloseTicket, "commands", (COMMANDS,), _target),
    EventType(commands.ReopenTicket, "commands", (COMMANDS,), _target),
    EventType(tickets.TicketRegistered, "tickets", (TICKETS,), _number),
    EventType(tickets.TicketDetailsAdded, "tickets", (TICKETS,), _number),
    EventType(tickets.TicketTaken, "tickets", (TICKETS,), _number),
    EventType(tickets.ClarificationAsked, "tickets", (TICKETS,), _number),
    EventType(tickets.ClarificationReceived, "tickets", (TICKETS,), _number),
    EventType(tickets.TicketApproved, "tickets", (TICKETS,), _number),
    EventType(tickets.TicketRefused, "tickets", (TICKETS,), _number),
    EventType(tickets.TicketClosed, "tickets", (TICKETS,), _number),
    EventType(tickets.TicketReopened, "tickets", (TICKETS,), _number),
    EventType(outcomes.CauseSettled, "outcomes", (OUTCOMES,), _cause),
    EventType(outcomes.EraOpened, "outcomes", (OUTCOMES, TICKETS, REFERENCE), _era_key),
    EventType(dead_letters.RecordUnreadable, "dead_letters", (DEAD_LETTERS,), _dead_letter_key),
)

#: What may stand on each topic; anything else there is a stranger's and belongs to no row.
TYPES_ON: Mapping[str, frozenset[type[Event]]] = {
    topic: frozenset(kind.event for kind in EVENT_TYPES if topic in kind.topics)
    for topic in {t for kind in EVENT_TYPES for t in kind.topics}
}
