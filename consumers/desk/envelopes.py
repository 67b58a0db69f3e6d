"""Envelopes: what the desk writes around a change, an outcome and a dead letter. Pure; the clock is an argument."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from consumers.desk.life import Change, Ticket, cycle_after
from consumers.desk.store import Cause
from events.dead_letters import RecordUnreadable
from events.envelope import Command, Decision, Event, Fact
from events.identity import ID_BYTES, Identity
from events.outcomes import CauseSettled, DecisionPlace
from projectors.positions import FIRST_ERA
from projectors.record import Record

_NO_ID = bytes(ID_BYTES)
_MICROSECONDS_PER_MILLISECOND = 1000


class Ruling(NamedTuple):
    """What became of a cause: its result, the rule behind it, and the changes it leads to."""

    result: str
    rule: str = ""
    detail: str = ""
    changes: tuple[Change, ...] = ()
    first: Cause | None = None  # of a duplicate
    ticket_version: int | None = None  # of a refused command
    decisions: tuple[DecisionPlace, ...] = ()  # when some are on the log already: all, those that are not as `outbox.TO_COME`


@dataclass(frozen=True, slots=True)
class Envelopes:
    """Makes the events of one batch; `now` is the desk's clock, microseconds since 1970 in UTC."""

    identity: Identity
    reference_version: int
    now: int
    era: int = FIRST_ERA

    def decision(self, cause: Fact | Command, change: Change, number: str, ticket: Ticket | None, ordinal: int, count: int) -> Decision:
        """Return the decision that `change` becomes; its clock never goes back within a ticket."""
        return change.decision(
            event_id=self._event_id("decision", cause.event_id, ordinal, self.era),
            occurred_at=cause.occurred_at,
            occurred_offset_min=cause.occurred_offset_min,
            received_at=cause.received_at,
            recorded_at=max(self.now, ticket.recorded_at if ticket else 0),
            number=number,
            version=ticket.version + 1 if ticket else 1,
            cycle=cycle_after(ticket, change.decision),
            era=self.era,
            cause_id=cause.event_id,
            cause_ordinal=ordinal,
            cause_count=count,
            actor=cause.actor if isinstance(cause, Command) or cause.actor.startswith("operator:") else "process:desk",
            reference_version=self.reference_version,
            **change.body,
        )

    def outcome(self, record: Record, cause: Fact | Command, ruling: Ruling) -> CauseSettled:
        """Return the outcome of a readable cause, still without the places of its decisions, or with those that are on the log already."""
        key = cause.contact_id.hex() if isinstance(cause, Fact) else cause.target
        return self._outcome(record, key, cause.event_id, (cause.occurred_at, cause.occurred_offset_min, cause.received_at), ruling)

    def unreadable(self, record: Record, reason: str) -> list[Event]:
        """Return the dead letter and the outcome of bytes that nobody can read; the bytes stay where they are."""
        letter = RecordUnreadable(
            event_id=self._event_id("dead letter", _NO_ID, _written(record.topic, record.partition, record.offset)),
            occurred_at=record.appended_at,
            occurred_offset_min=0,
            received_at=record.appended_at,
            recorded_at=self.now,
            consumer="desk",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason,
        )
        times = (record.appended_at, 0, record.appended_at)
        return [letter, self._outcome(record, "", _NO_ID, times, Ruling("unreadable", "unreadable", reason))]

    def parked(self, record: Record, rule: str) -> CauseSettled:
        """Return the outcome of a cause that waits for repair."""
        if isinstance(record.event, Fact | Command):
            return self.outcome(record, record.event, Ruling("parked", rule))
        return self._outcome(record, "", _NO_ID, (record.appended_at, 0, record.appended_at), Ruling("parked", rule))

    def decision_anew(self, decision: Decision) -> Decision:
        """Return a decision of an earlier era that nobody has published, as this era says it."""
        event_id = self._event_id("decision", decision.cause_id, decision.cause_ordinal, self.era)
        return replace(decision, event_id=event_id, era=self.era)

    def outcome_anew(self, outcome: CauseSettled, decisions: tuple[DecisionPlace, ...]) -> CauseSettled:
        """Return an outcome of an earlier era that nobody has published, as this era says it."""
        place = _written(outcome.cause_topic, outcome.cause_partition, outcome.cause_offset)
        event_id = self._event_id("outcome", outcome.cause_id, place, self.era, outcome.result)
        return replace(outcome, event_id=event_id, era=self.era, decisions=decisions)

    def _outcome(self, record: Record, key: str, cause_id: bytes, times: tuple[int, int, int], ruling: Ruling) -> CauseSettled:
        return CauseSettled(
            event_id=self._event_id("outcome", cause_id, _written(record.topic, record.partition, record.offset), self.era, ruling.result),
            occurred_at=times[0],
            occurred_offset_min=times[1],
            received_at=times[2],
            recorded_at=self.now,
            era=self.era,
            cause_topic=record.topic,
            cause_partition=record.partition,
            cause_offset=record.offset,
            cause_key=key,
            cause_id=cause_id,
            result=ruling.result,
            rule=ruling.rule,
            detail=ruling.detail,
            first_partition=ruling.first.partition if ruling.first else None,
            first_offset=ruling.first.offset if ruling.first else None,
            ticket_version=ruling.ticket_version,
            decisions=ruling.decisions,
        )

    def _event_id(self, kind: str, cause_id: bytes, *parts: str | int) -> bytes:
        """The time of an id is the one in its cause's id: whoever repeats the work gets the same id again."""
        time_us = int.from_bytes(cause_id[:6], "big") * _MICROSECONDS_PER_MILLISECOND
        return self.identity.event_id(kind, cause_id, *parts, time_us=time_us)


def _written(topic: str, partition: int, offset: int) -> str:
    return f"{topic}/{partition}/{offset}"
