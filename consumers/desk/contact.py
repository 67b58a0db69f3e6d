"""What the desk must remember of a contact: enough to open its tickets, whatever order its facts come in."""

from typing import NamedTuple

from events.envelope import Fact


class Contact(NamedTuple):
    """One call, chat, letter, form or complaint. Times are microseconds since 1970 in UTC; sealed values are copies."""

    contact_id: bytes
    channel: str
    connected_at: int | None  # the first connection to the line (R334)
    connected_offset_min: int
    answered_at: int | None
    legs: list[int]  # of a call: those that were started or answered
    legs_ended: list[int]
    nuisance: bool
    belongs_to: str | None
    line: str
    kind: str
    topic: str
    language: str
    name: bytes | None
    phone: bytes | None
    email: bytes | None
    text: bytes | None
    numbers: list[str]  # of its tickets, by ordinal: the first is ordinal 1 (R43)


def is_over(contact: Contact) -> bool:
    """Say whether a call has ended: at least one leg has, and none that is known goes on."""
    return bool(contact.legs_ended) and set(contact.legs) <= set(contact.legs_ended)


def connected(contact: Contact, at: int, offset_min: int) -> Contact:
    """Return `contact` with the earliest moment of connection that is known; a later leg of the same call moves nothing."""
    if contact.connected_at is not None and contact.connected_at <= at:
        return contact
    return contact._replace(connected_at=at, connected_offset_min=offset_min)


def new_contact(contact_id: bytes, channel: str) -> Contact:
    """Return a contact nobody has said anything about."""
    return Contact(
        contact_id=contact_id,
        channel=channel,
        connected_at=None,
        connected_offset_min=0,
        answered_at=None,
        legs=[],
        legs_ended=[],
        nuisance=False,
        belongs_to=None,
        line="",
        kind="",
        topic="",
        language="",
        name=None,
        phone=None,
        email=None,
        text=None,
        numbers=[],
    )


def with_ticket(contact: Contact, number: str) -> Contact:
    """Return `contact` with one more ticket: what came before belongs to it; the contact's next one starts with the person alone."""
    return contact._replace(kind="", topic="", text=None, numbers=[*contact.numbers, number])


_DETAILS = ("line", "kind", "topic", "language", "name", "phone", "email", "text")


def with_details(contact: Contact, fact: Fact) -> Contact:
    """Return `contact` completed by what `fact` says; an empty field changes nothing."""
    said = {name: value for name in _DETAILS if (value := getattr(fact, name, None))}
    return contact._replace(**said)
