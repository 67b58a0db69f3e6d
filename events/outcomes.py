"""What became of each fact and each command, and the marks of eras."""

from dataclasses import dataclass

from events.envelope import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPlace:
    """Where one decision of a cause lies."""

    number: str
    version: int
    partition: int  # of hotline.tickets
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseSettled(Event):
    """The outcome of one fact or command, named by its place.

    It may repeat: what counts is the highest era, then the last result, then the first offset.
    """

    recorded_at: int
    era: int
    cause_topic: str
    cause_partition: int
    cause_offset: int
    cause_key: str  # contact or ticket number; empty when the cause is unreadable
    cause_id: bytes  # sixteen zero bytes when the cause is unreadable
    result: str  # decided, no_change, refused, duplicate, no_ticket, unreadable, parked
    rule: str  # the rule that refused, or the reason for no ticket; empty otherwise
    detail: str  # for people: what the rule found, never personal
    first_partition: int | None  # of a duplicate: where the first one lies, on the same topic
    first_offset: int | None
    ticket_version: int | None  # of a refused command: the version the ticket had
    decisions: tuple[DecisionPlace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkPlace:
    """Where one mark of an era lies."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EraOpened(Event):
    """From here on in this partition, records of lower eras are void; on hotline.reference: the era begins, and there lie its marks."""

    recorded_at: int
    era: int
    marks: tuple[MarkPlace, ...] = ()
