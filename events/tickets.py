"""Decisions about tickets, in the order of a ticket's life (R122-R128).

Only the desk makes them and only the relay publishes them. Sealed values are copies of what the cause brought.
"""

from dataclasses import dataclass
from enum import StrEnum

from events.envelope import Decision


class Status(StrEnum):
    """Where a ticket stands after a decision, in the words the citizen hears."""

    REGISTERED = "registered"
    IN_PROCESSING = "in_processing"
    AWAITING_CLARIFICATION = "awaiting_clarification"
    APPROVED = "approved"
    REFUSED = "refused"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRegistered(Decision):
    """A contact became a ticket and was given its number (R122, R315)."""

    contact_id: bytes
    ordinal: int  # which of the contact's tickets (R43)
    opened_at: int  # the moment of connection for calls, of receipt otherwise (R334)
    opened_offset_min: int
    channel: str
    kind: str  # consultation, request, complaint, failure
    topic: str
    language: str
    line: str
    has_name: bool
    has_phone: bool
    has_text: bool
    name: bytes | None
    phone: bytes | None
    email: bytes | None
    text: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketDetailsAdded(Decision):
    """A later note completed what was known; empty fields change nothing."""

    kind: str
    topic: str
    language: str
    has_name: bool
    has_phone: bool
    has_text: bool
    name: bytes | None
    phone: bytes | None
    email: bytes | None
    text: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketTaken(Decision):
    """A specialist, the actor, works on it (R123)."""

    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClarificationAsked(Decision):
    """The citizen is asked for what is missing (R124, G28)."""

    question_code: str  # which data is missing, when the desk asks by itself; empty for an operator's own words
    question: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClarificationReceived(Decision):
    """The citizen answered; the ticket goes on where it stood."""

    contact_id: bytes
    text: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketApproved(Decision):
    """The request was granted; what the citizen does next is said (R125)."""

    next_steps: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRefused(Decision):
    """The hotline declined the request, with a reason and a way to contest it (R126, R127)."""

    reason_code: str
    appeal_route: str
    explanation: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketClosed(Decision):
    """Nothing remains to be done (R128, G9, G10)."""

    resolution_code: str
    merged_into: str | None  # number of the ticket that goes on instead
    explanation: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketReopened(Decision):
    """A closed ticket goes on; its cycle is one higher (G9)."""

    reason_code: str
    explanation: bytes | None
