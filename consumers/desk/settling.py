"""One batch of facts and commands settled inside one transaction: what the rules allow gets an envelope, and every cause an outcome.

The rules are in `life` and `opening`; this file brings them what they need. A cause that the log knows as settled is folded instead of
decided: its numbers and decisions come from the log, and nothing is said again. One that is half on the log is completed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg import Connection

from consumers import outbox
from consumers.desk import life, numbers, recalled, store
from consumers.desk.contact import Contact, new_contact, with_ticket
from consumers.desk.envelopes import Envelopes, Ruling
from consumers.desk.life import Change, Refusal, Ticket
from consumers.desk.numbers import Counters, Series
from consumers.desk.opening import Known, decide_fact
from consumers.desk.recalled import Answered, Made, Recalled
from consumers.desk.store import Cause
from consumers.outbox import TO_COME
from events.envelope import Command, Decision, Event, Fact
from events.notes import ContactNoted
from events.outcomes import DecisionPlace
from events.places import Place
from events.reference import Reference
from events.tickets import TicketRegistered
from events.wire.publisher import MAX_MESSAGE_BYTES
from projectors.record import Record

#: What a decision copies from its cause may fill a record, less the room for its envelope, its key and its headers.
LARGEST_BODY_BYTES = MAX_MESSAGE_BYTES - 16_384
TOO_LARGE = "too_large"
_NONE: Mapping[int, Made] = {}


class Settling:
    """What the desk knows while it settles one batch."""

    def __init__(
        self, db: Connection[Any], records: Sequence[Record], registers: Reference, envelopes: Envelopes, *, recalling: bool = False
    ) -> None:
        """With `recalling` some of the causes may be settled on the log already."""
        self._db, self._reference, self._envelopes = db, registers, envelopes
        events = [r.event for r in records if r.event is not None]
        facts = [e for e in events if isinstance(e, Fact)]
        self._recalled = _recall(db, records) if recalling else recalled.NOTHING
        self._contacts = store.lock_contacts(db, {f.contact_id for f in facts})
        self._tickets = store.lock_tickets(db, _numbers_named(events, self._contacts.values()) | self._recalled.numbers)
        self._counters = Counters(db)
        self._counters.lock(self._series_likely(facts))
        self._causes = store.find_causes(db, {e.event_id for e in events})
        self._changed_contacts: dict[bytes, Contact] = {}
        self._changed_tickets: dict[str, Ticket] = {}
        self._new_causes: list[Cause] = []
        self._settled: list[tuple[int, list[Event]]] = []
        self._folded: list[Place] = []

    def settle(self, record: Record) -> None:
        """Decide what one record means and keep its events; a repeat gets the outcome of a duplicate; what is settled is folded."""
        known = self._recalled.outcomes.get(place := _place(record))
        if known is not None:
            self._folded.append(place)
        event = record.event
        if not isinstance(event, Fact | Command):
            reason = record.unreadable or f"{type(event).__name__} is neither a fact nor a command"
            if known is None:
                self._keep(record, self._envelopes.unreadable(record, reason))
            return
        first = self._causes.get(event.event_id)
        if first is not None:
            if known is None:
                self._keep(record, [self._envelopes.outcome(record, event, _repeated(first, event))])
            return
        if known is not None and known.is_of_a_repeat:
            return  # its first one comes by in another partition
        cause = Cause(event.event_id, record.partition, record.offset, event.body_digest if isinstance(event, Command) else None)
        self._causes[event.event_id] = cause
        self._new_causes.append(cause)
        made = self._recalled.decisions.get(event.event_id, _NONE)
        if known is not None or made:
            self._go_on(record, event, known, made)
        else:
            self._decide(record, event)

    def save(self, frame: Callable[[Event], bytes]) -> None:
        """Store everything the batch changed."""
        self._counters.save()
        settled = [outbox.Settled(partition, [frame(e) for e in events[:-1]], frame(events[-1])) for partition, events in self._settled]
        store.save(self._db, self._changed_contacts, self._changed_tickets, self._new_causes, settled)
        if self._recalled is not recalled.NOTHING:
            recalled.take_out(self._db, self._folded, [cause.event_id for cause in self._new_causes])

    def _decide(self, record: Record, event: Fact | Command) -> None:
        ruling = self._ruling_on_command(event) if isinstance(event, Command) else self._ruling_on_fact(event)
        decisions = self._decisions(event, ruling.changes)
        self._keep(record, [*decisions, self._envelopes.outcome(record, event, ruling)])

    def _go_on(self, record: Record, event: Fact | Command, known: Answered | None, made: Mapping[int, Made]) -> None:
        """Fold a cause that was settled under other rules and another clock; without an outcome complete what is missing."""
        changes = self._fold_fact(event, known, made) if isinstance(event, Fact) else ()
        if known is not None:
            return
        complete = len(changes) == next(iter(made.values())).cause_count
        missing = self._decisions(event, changes, made) if complete else []
        there = {ordinal: one.place for ordinal, one in made.items()} | {d.cause_ordinal: TO_COME for d in missing}
        places: tuple[DecisionPlace, ...] = tuple(there[ordinal] for ordinal in sorted(there))
        self._keep(record, [*missing, self._envelopes.outcome(record, event, Ruling("decided", decisions=places))])

    def _fold_fact(self, fact: Fact, known: Answered | None, made: Mapping[int, Made]) -> tuple[Change, ...]:
        """Let the contact become what it was after `fact`; return what the rules of today would change."""
        before = self._contacts.get(fact.contact_id) or new_contact(fact.contact_id, fact.channel)
        verdict = decide_fact(before, fact, Known(self._tickets, self._reference))
        after = before if known is not None and known.result == "refused" else verdict.contact
        for one in made.values():
            if one.opens:
                after = with_ticket(after, one.number)
        self._change_contact(before, after)
        return verdict.changes

    def _ruling_on_command(self, command: Command) -> Ruling:
        ticket = self._tickets.get(command.target)
        answer = life.decide(ticket, command)
        version = ticket.version if ticket else None
        if isinstance(answer, Refusal):
            return Ruling("refused", answer.rule, answer.detail, ticket_version=version)
        return _too_large(version) if _size_bytes(answer) > LARGEST_BODY_BYTES else Ruling("decided", changes=(answer,))

    def _ruling_on_fact(self, fact: Fact) -> Ruling:
        before = self._contacts.get(fact.contact_id) or new_contact(fact.contact_id, fact.channel)
        verdict = decide_fact(before, fact, Known(self._tickets, self._reference))
        if any(_size_bytes(change) > LARGEST_BODY_BYTES for change in verdict.changes):
            return _too_large(None)
        self._change_contact(before, verdict.contact)
        return Ruling(verdict.result, verdict.rule, changes=verdict.changes)

    def _change_contact(self, before: Contact, after: Contact) -> None:
        self._contacts[after.contact_id] = after
        if after != before:
            self._changed_contacts[after.contact_id] = after

    def _decisions(self, cause: Fact | Command, changes: Sequence[Change], there: Mapping[int, Made] = _NONE) -> list[Decision]:
        """Make decisions of `changes`, without those that are on the log already."""
        made: list[Decision] = []
        opened = ""
        for ordinal, change in enumerate(changes, start=1):
            if ordinal in there:
                opened = there[ordinal].number if there[ordinal].opens else opened
                continue
            if change.decision is TicketRegistered and isinstance(cause, Fact):
                opened = self._open(cause, change)
            number = change.number or opened
            ticket = self._tickets.get(number)
            decision = self._envelopes.decision(cause, change, number, ticket, ordinal, len(changes))
            self._tickets[number] = self._changed_tickets[number] = life.evolve(ticket, decision)
            made.append(decision)
        return made

    def _open(self, cause: Fact, change: Change) -> str:
        """Allot the number and bind it to the contact."""
        prefix = self._reference.prefix_of(change.body["kind"])
        series = numbers.series_of(prefix, change.body["opened_at"], self._reference.service_zone)
        number = numbers.written(series, self._counters.next(series), self._reference.numbers.digits)
        contact = self._contacts[cause.contact_id]
        contact = contact._replace(numbers=[*contact.numbers, number])
        self._contacts[cause.contact_id] = self._changed_contacts[cause.contact_id] = contact
        return number

    def _series_likely(self, facts: Sequence[Fact]) -> set[Series]:
        prefixes = {self._reference.numbers.default_prefix, *self._reference.numbers.prefix_of_kind.values()}
        times = {f.received_at for f in facts} | {f.occurred_at for f in facts}
        times |= {c.connected_at for c in self._contacts.values() if c.connected_at is not None}
        return {numbers.series_of(prefix, at, self._reference.service_zone) for prefix in prefixes for at in times}

    def _keep(self, record: Record, events: Sequence[Event]) -> None:
        self._settled.append((record.partition, list(events)))


def _recall(db: Connection[Any], records: Sequence[Record]) -> Recalled:
    return recalled.find(db, {_place(r) for r in records}, {r.event.event_id for r in records if r.event is not None})


def _place(record: Record) -> Place:
    return Place(record.topic, record.partition, record.offset)


def _numbers_named(events: Sequence[Event], contacts: Any) -> set[str]:
    named = {e.target for e in events if isinstance(e, Command)}
    named |= {e.belongs_to for e in events if isinstance(e, ContactNoted) and e.belongs_to}
    return named | {number for contact in contacts for number in contact.numbers}


def _size_bytes(change: Change) -> int:
    """Return how much a decision copies from its cause: sealed values and words."""
    return sum(
        len(value if isinstance(value, bytes) else value.encode()) for value in change.body.values() if isinstance(value, bytes | str)
    )


def _too_large(version: int | None) -> Ruling:
    return Ruling("refused", TOO_LARGE, f"a decision would be larger than {LARGEST_BODY_BYTES} bytes", ticket_version=version)


def _repeated(first: Cause, event: Fact | Command) -> Ruling:
    """A repeat has no second effect; an idempotency key that comes with another body is refused."""
    if isinstance(event, Command) and event.body_digest != first.digest:
        return Ruling("refused", "idempotency_key_reused", "this key came before with another body")
    return Ruling("duplicate", first=first)
