"""`noted`: what an operator writes down during a call or a chat (R5, R6, R43).

Both channels share the format; `call` or `chat` names the contact. `id` is the note's own. `ticket` goes with `belongs_to` alone.
Without `ordinal` a note speaks of the ticket opened last.
"""

from typing import Literal

from events.channels.channel import Intake, Rejected
from events.channels.people import Sealing, told_phone
from events.channels.words import Code, Email, Format, Language, Name, OperatorId, Ordinal, OwnId, Phone, TicketNumber, Told, canonical
from events.notes import ContactNoted


class Noted(Format):
    """What a note says, whatever the channel."""

    event: Literal["noted"]
    id: OwnId
    occurred_at: Told
    operator: OperatorId
    disposition: Literal["registered", "completed", "belongs_to", "nuisance"]
    ordinal: Ordinal | None = None
    ticket: TicketNumber | None = None
    kind: Literal["", "consultation", "request", "complaint", "failure"] = ""
    topic: Code = ""
    language: Language = ""
    name: Name = ""
    phone: Phone = ""
    email: Email = ""
    text: str = ""


def note_fact(note: Noted, channel: str, contact_id: bytes, document: object, intake: Intake) -> ContactNoted:
    """Return the fact that a note is."""
    if note.disposition == "belongs_to" and note.ticket is None:
        raise Rejected("ticket", "missing", "belongs_to names the ticket")
    if note.disposition != "belongs_to" and note.ticket is not None:
        raise Rejected("ticket", "not_here", "only belongs_to names a ticket")
    event_id = intake.identity.event_id(channel, note.id, canonical(document), time_us=note.occurred_at.us)
    sealing = Sealing(intake, contact_id, event_id)
    name, phone = sealing.words("name", note.name), sealing.words("phone", told_phone(note.phone))
    text = sealing.words("text", note.text)
    return ContactNoted(
        event_id=event_id,
        occurred_at=note.occurred_at.us,
        occurred_offset_min=note.occurred_at.offset_min,
        received_at=intake.received_at_us,
        contact_id=contact_id,
        channel=channel,
        actor=f"operator:{note.operator}",
        disposition=note.disposition,
        ordinal=note.ordinal,
        belongs_to=note.ticket,
        kind=note.kind,
        topic=note.topic,
        language=note.language,
        has_name=name is not None,
        has_phone=phone is not None,
        has_text=text is not None,
        name=name,
        phone=phone,
        email=sealing.words("email", note.email),
        text=text,
    )
