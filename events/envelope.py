"""What every event says first: the four envelopes, in the order of the schemas' fields.

Times are microseconds since 1970 in UTC, beside the offset that the source's clock showed (R340). Ids are 16 bytes. Nothing here knows how
an event is encoded, sent or stored. A field of type `bytes` that a schema tags as personal holds a sealed value; `None` means that nobody
gave one.
"""

from dataclasses import dataclass

FACTS, COMMANDS, TICKETS, OUTCOMES = "hotline.contacts", "hotline.commands", "hotline.tickets", "hotline.outcomes"
DEAD_LETTERS, REFERENCE = "hotline.dead-letters", "hotline.reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened."""

    event_id: bytes  # 48 bits of the source's time, 80 bits of keyed hash; the same on every repeat
    occurred_at: int  # by the source's clock
    occurred_offset_min: int  # what the source's clock showed, minutes from UTC
    received_at: int  # by the adapter's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact(Event):
    """Something that happened in a channel; its key is the contact."""

    contact_id: bytes
    channel: str  # phone, chat, email, cabinet, complaint
    actor: str  # citizen, operator:ID or process:NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Event):
    """What somebody asks of a ticket; its key is the target.

    The caller's idempotency key may hold anything, a phone number too: here stands a keyed digest of it (`events.identity`), in hex.
    """

    recorded_at: int  # by the intake's clock
    target: str  # ticket number
    name: str  # the word used on the wire: take, refuse …
    actor: str
    idempotency_key: str  # keyed digest of the caller's, 32 hex digits
    expected_version: int | None  # None: whatever the version is
    body_digest: bytes  # keyed hash over the caller's body: the same key with another body is refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Event):
    """What the desk decided about a ticket; its key is the number."""

    recorded_at: int  # by the desk's clock, never back within a ticket
    number: str  # RU-2025-001234
    version: int  # 1, 2, 3 … without a hole
    cycle: int  # 1, and one more for each reopening
    era: int  # lower ones are void after a mark
    cause_id: bytes  # event_id of the fact or command behind it
    cause_ordinal: int  # 1 … cause_count: which of the cause's decisions this is
    cause_count: int
    actor: str  # operator:ID, citizen or process:NAME
    reference_version: int  # of the registers it was made under


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A sealed file that an event speaks of; the digest is over the ciphertext, so it also names the file."""

    digest: bytes  # SHA-256, 32 bytes
    size_bytes: int  # of the clear content
    media_type: str
    name: bytes | None  # sealed
