"""What opens a ticket, and what a later fact of the same contact means for it (G37, R43, R122, R315, R334).

Pure: one small function per kind of fact, from the contact as it was and the fact to a verdict. The table `RULES` is the table of contents.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from consumers.desk.contact import Contact, connected, is_over, with_details
from consumers.desk.life import Change, Ticket, is_allowed
from events import calls, chats, letters, tickets
from events.cabinet import CabinetRequestFiled
from events.complaints import ComplaintFiled
from events.envelope import Fact
from events.notes import ContactNoted
from events.reference import Reference

MERGED = "merged"
NUISANCE = "nuisance"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a fact leads to: the contact as it is now, changes of tickets in their order, and the result and rule of its outcome."""

    contact: Contact
    changes: tuple[Change, ...] = ()
    result: str = "no_change"
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What a rule may look at besides the contact and the fact."""

    tickets: Mapping[str, Ticket]  # those of the contact and those the fact names
    reference: Reference


Rule = Callable[[Contact, Any, Known], Verdict]


def decide_fact(contact: Contact, fact: Fact, known: Known) -> Verdict:
    """Say what `fact` means for the tickets of `contact`."""
    return RULES.get(type(fact), _nothing)(contact, fact, known)


def _nothing(contact: Contact, _fact: Fact, _known: Known) -> Verdict:
    return Verdict(contact)


def _call_started(contact: Contact, fact: calls.CallStarted, known: Known) -> Verdict:
    told = connected(with_details(contact, fact), fact.occurred_at, fact.occurred_offset_min)
    return _open_call_when_over(_with_leg(told, fact.leg), fact, known)


def _call_answered(contact: Contact, fact: calls.CallAnswered, known: Known) -> Verdict:
    first = fact.occurred_at if contact.answered_at is None else min(contact.answered_at, fact.occurred_at)
    return _open_call_when_over(_with_leg(contact._replace(answered_at=first), fact.leg), fact, known)


def _call_ended(contact: Contact, fact: calls.CallEnded, known: Known) -> Verdict:
    told = contact if fact.connected_at is None else connected(contact, fact.connected_at, fact.occurred_offset_min)
    over = told._replace(legs_ended=sorted({*told.legs_ended, fact.leg}))
    if over.answered_at is None and fact.ending != "completed" and is_over(over) and not over.numbers:
        return Verdict(over, (), "no_ticket", fact.ending)
    return _open_call_when_over(over, fact, known)


def _with_leg(contact: Contact, leg: int) -> Contact:
    return contact._replace(legs=sorted({*contact.legs, leg}))


def _open_call_when_over(contact: Contact, fact: Fact, known: Known) -> Verdict:
    """A call becomes a ticket once it is known as answered and as ended, in either order, unless a note has settled it before."""
    if contact.answered_at is None or not is_over(contact) or contact.numbers:
        return Verdict(contact)
    if reason := _why_no_ticket(contact):
        return Verdict(contact, (), "no_ticket", reason)
    return _open(contact, fact, known)


def _noted(contact: Contact, fact: ContactNoted, known: Known) -> Verdict:
    count = len(contact.numbers)
    ordinal = max(count, 1) if fact.ordinal is None else fact.ordinal
    if not 1 <= ordinal <= count + 1:
        return Verdict(contact, (), "refused", "ordinal_out_of_order")
    if ordinal == count + 1:
        return _noted_before_ticket(contact, fact, known)
    number = contact.numbers[ordinal - 1]
    if fact.disposition == "belongs_to":
        return _merge(contact, number, fact.belongs_to or "", known)
    if fact.disposition == NUISANCE:
        return _close(contact, known.tickets[number], NUISANCE, None)
    return Verdict(contact, (_details(number, fact),), "decided")


def _noted_before_ticket(contact: Contact, fact: ContactNoted, known: Known) -> Verdict:
    told = with_details(contact, fact)
    if fact.disposition == "registered":
        return _open(told._replace(nuisance=False, belongs_to=None), fact, known)
    if fact.disposition == "belongs_to":
        if fact.belongs_to not in known.tickets:
            return Verdict(contact, (), "refused", "unknown_ticket")
        return _open_call_when_over(told._replace(belongs_to=fact.belongs_to), fact, known)
    return _open_call_when_over(told._replace(nuisance=fact.disposition == NUISANCE), fact, known)


def _merge(contact: Contact, number: str, into: str, known: Known) -> Verdict:
    if into not in known.tickets:
        return Verdict(contact, (), "refused", "unknown_ticket")
    if into == number:
        return Verdict(contact, (), "refused", "merged_into_itself")
    if not is_allowed(known.tickets[into], tickets.TicketClosed):  # else two tickets could close into each other
        return Verdict(contact, (), "refused", "merged_into_a_closed_ticket")
    return _close(contact, known.tickets[number], MERGED, into)


def _close(contact: Contact, ticket: Ticket, resolution_code: str, into: str | None) -> Verdict:
    if not is_allowed(ticket, tickets.TicketClosed):
        return Verdict(contact, (), "refused", "not_in_this_status")
    body = {"resolution_code": resolution_code, "merged_into": into, "explanation": None}
    return Verdict(contact, (Change(tickets.TicketClosed, ticket.number, body),), "decided")


def _chat_opened(contact: Contact, fact: chats.ChatOpened, _known: Known) -> Verdict:
    return Verdict(with_details(contact, fact))


def _chat_message(contact: Contact, fact: chats.ChatMessagePosted, known: Known) -> Verdict:
    """The citizen's first message opens a ticket, one that names the next ordinal another; one that was waited for is a decision."""
    count = len(contact.numbers)
    ordinal = max(count, 1) if fact.ordinal is None else fact.ordinal
    if fact.actor != "citizen":
        return Verdict(contact)
    if not 1 <= ordinal <= count + 1:
        return Verdict(contact, (), "refused", "ordinal_out_of_order")
    if ordinal == count + 1:
        reason = _why_no_ticket(contact)
        return Verdict(contact, (), "no_ticket", reason) if reason else _open(with_details(contact, fact), fact, known)
    return _clarified(contact, known.tickets[contact.numbers[ordinal - 1]], fact.text)


def _chat_file(contact: Contact, fact: chats.ChatFileOffered, known: Known) -> Verdict:
    ordinal = fact.ordinal or len(contact.numbers)
    if fact.actor != "citizen" or not 1 <= ordinal <= len(contact.numbers):
        return Verdict(contact)
    return _clarified(contact, known.tickets[contact.numbers[ordinal - 1]], None)


def _clarified(contact: Contact, ticket: Ticket, text: bytes | None) -> Verdict:
    if not is_allowed(ticket, tickets.ClarificationReceived):
        return Verdict(contact)
    change = Change(tickets.ClarificationReceived, ticket.number, {"contact_id": contact.contact_id, "text": text})
    return Verdict(contact, (change,), "decided")


def _chat_closed(contact: Contact, _fact: chats.ChatClosed, _known: Known) -> Verdict:
    return Verdict(contact) if contact.numbers else Verdict(contact, (), "no_ticket", _why_no_ticket(contact) or "no_message")


def _letter(contact: Contact, fact: letters.LetterReceived, known: Known) -> Verdict:
    """Every letter with a sender opens a ticket unless a machine wrote it; what is missing is asked for, never dropped (G28)."""
    if fact.auto_submitted:
        return Verdict(contact, (), "no_ticket", "auto_submitted")
    if not fact.has_sender:
        return Verdict(contact, (), "no_ticket", "no_sender")
    if contact.numbers:
        return _already_registered(contact)
    opened = _open(with_details(contact, fact)._replace(email=fact.sender), fact, known)
    missing = [word for word, there in (("name", fact.has_name), ("phone", fact.has_phone), ("text", fact.has_text)) if not there]
    if not missing:
        return opened
    ask = Change(tickets.ClarificationAsked, None, {"question_code": "missing." + ".".join(missing), "question": None})
    return Verdict(opened.contact, (*opened.changes, ask), "decided")


def _form(contact: Contact, fact: CabinetRequestFiled, known: Known) -> Verdict:
    return _already_registered(contact) if contact.numbers else _open(with_details(contact, fact), fact, known)


def _complaint(contact: Contact, fact: ComplaintFiled, known: Known) -> Verdict:
    """By form or on paper it opens a ticket; by phone it says what the call's ticket is about (R301-R303)."""
    told = with_details(contact, fact)._replace(kind="complaint")
    if fact.filed_by != "phone":
        return _already_registered(contact) if contact.numbers else _open(told, fact, known)
    told = told._replace(channel="phone")  # the contact is the call, whoever speaks of it first
    if contact.numbers:
        return Verdict(contact, (_details(contact.numbers[-1], fact, kind="complaint"),), "decided")
    return _open_call_when_over(told, fact, known)


def _already_registered(contact: Contact) -> Verdict:
    """A letter or a form is one contact with one ticket; the same own id with another content is the adapter's mistake."""
    return Verdict(contact, (), "refused", "already_registered")


def _why_no_ticket(contact: Contact) -> str:
    if contact.belongs_to:
        return "belongs_to"
    return NUISANCE if contact.nuisance else ""


def _open(contact: Contact, fact: Fact, known: Known) -> Verdict:
    """Open the contact's next ticket; its time is that of the connection for calls, of receipt otherwise (R334)."""
    line = known.reference.line.get(contact.line)
    opened_at, offset_min = _opening_time(contact, fact)
    body = {
        "contact_id": contact.contact_id,
        "ordinal": len(contact.numbers) + 1,
        "opened_at": opened_at,
        "opened_offset_min": offset_min,
        "channel": contact.channel,
        "kind": contact.kind or known.reference.kind_of(contact.channel, contact.line),
        "topic": contact.topic,
        "language": contact.language or (line.language if line else ""),
        "line": contact.line,
        "has_name": contact.name is not None,
        "has_phone": contact.phone is not None,
        "has_text": contact.text is not None,
        **{name: getattr(contact, name) for name in ("name", "phone", "email", "text")},
    }
    # What came before belongs to this ticket; the contact's next one starts with the person alone.
    rest = contact._replace(kind="", topic="", text=None)
    return Verdict(rest, (Change(tickets.TicketRegistered, None, body),), "decided")


def _opening_time(contact: Contact, fact: Fact) -> tuple[int, int]:
    if contact.channel != "phone":
        return fact.received_at, fact.occurred_offset_min
    if contact.connected_at is not None:
        return contact.connected_at, contact.connected_offset_min
    return contact.answered_at or fact.received_at, fact.occurred_offset_min


def _details(number: str, fact: ContactNoted | ComplaintFiled, kind: str = "") -> Change:
    body = {
        "kind": kind or getattr(fact, "kind", ""),
        "topic": getattr(fact, "topic", ""),
        **{name: getattr(fact, name) for name in ("language", "has_name", "has_phone", "has_text", "name", "phone", "email", "text")},
    }
    return Change(tickets.TicketDetailsAdded, number, body)


RULES: Mapping[type[Fact], Rule] = {
    calls.CallStarted: _call_started,
    calls.CallAnswered: _call_answered,
    calls.CallEnded: _call_ended,
    ContactNoted: _noted,
    chats.ChatOpened: _chat_opened,
    chats.ChatMessagePosted: _chat_message,
    chats.ChatFileOffered: _chat_file,
    chats.ChatClosed: _chat_closed,
    letters.LetterReceived: _letter,
    CabinetRequestFiled: _form,
    ComplaintFiled: _complaint,
}
