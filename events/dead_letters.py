"""Coordinates and reason of records that nobody can read; the bytes stay at their offset."""

from dataclasses import dataclass

from events.envelope import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordUnreadable(Event):
    """A consumer met bytes that no schema explains."""

    recorded_at: int
    consumer: str
    topic: str
    partition: int
    offset: int
    reason: str
