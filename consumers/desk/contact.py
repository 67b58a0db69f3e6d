"""What the desk must remember of a contact: enough to open its tickets, whatever order its facts come in."""

from typing import NamedTuple

from events.envelope import Fact


class Contact(NamedTuple):
    """One call, chat, letter, form or complaint. Times are microseconds since 1970 in UTC; sealed values are copies."""

    contact_id: bytes
    channel: str
    connected_at: int | None  # by the fact of the connection itself (R334)
    connected_offset_min: int
    answered_at: int | None
    ended: bool
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


def new_contact(contact_id: bytes, channel: str) -> Contact:
    """Return a contact nobody has said anything about."""
    return Contact(
        contact_id=contact_id,
        channel=channel,
        connected_at=None,
        connected_offset_min=0,
        answered_at=None,
        ended=False,
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


_DETAILS = ("line", "kind", "topic", "language", "name", "phone", "email", "text")


def with_details(contact: Contact, fact: Fact) -> Contact:
    """Return `contact` completed by what `fact` says; an empty field changes nothing."""
    said = {name: value for name in _DETAILS if (value := getattr(fact, name, None))}
    return contact._replace(**said)
