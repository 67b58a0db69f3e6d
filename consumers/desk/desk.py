"""The desk at work: one batch of facts and commands becomes decisions and outcomes in one transaction with its positions.

Nobody is told of a decision here: the relay publishes what this leaves in the outbox. The rules are in `life` and `opening`; this file
brings them what they need and gives what they allow an envelope.
"""

import time
from collections.abc import Callable, Sequence
from threading import Event as Flag
from typing import Any

from psycopg import Connection

from consumers import outbox
from consumers.desk import life, numbers, store
from consumers.desk.contact import Contact, new_contact
from consumers.desk.envelopes import Envelopes, Ruling
from consumers.desk.life import Change, Refusal, Ticket
from consumers.desk.numbers import Counters, Series
from consumers.desk.opening import Known, decide_fact
from consumers.desk.store import Cause
from consumers.kafka import make_consumer, topic_ids
from consumers.loop import Follower, keep_following
from events import reference
from events.envelope import COMMANDS, FACTS, Command, Decision, Event, Fact
from events.identity import Identity
from events.notes import ContactNoted
from events.reference import Reference
from events.settings import Settings
from events.tickets import TicketRegistered
from events.vault.keys import VaultUnavailable
from events.vault.opening import open_vault
from events.wire.codec import load_codec
from projectors import database
from projectors.record import Record

GROUP = "desk"
SOURCE = "/hotline/desk"
_VAULT_WAIT_S = 1.0


def now_us() -> int:
    """Return the desk's clock, microseconds since 1970 in UTC."""
    return time.time_ns() // 1000


class Desk:
    """Follows contacts and commands like a read model does; its rows are the desk's memory and the outbox."""

    name, version = "desk", 1
    topics = (FACTS, COMMANDS)
    ddl, views = store.DDL, ""
    wants_all = True

    def __init__(self, identity: Identity, registers: Reference, clock: Callable[[], int] = now_us) -> None:
        self._identity, self._reference, self._clock = identity, registers, clock
        self._codec = load_codec()

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        """Settle every record: an outcome for each, and the decisions it leads to, inside the open transaction of `db`."""
        batch = _Batch(db, records, self._reference, Envelopes(self._identity, self._reference.version, self._clock()))
        for record in records:
            batch.settle(record)
        batch.save(lambda event: self._codec.encode(event, SOURCE).value)


class _Batch:
    """What the desk knows while it settles one batch."""

    def __init__(self, db: Connection[Any], records: Sequence[Record], registers: Reference, envelopes: Envelopes) -> None:
        self._db, self._reference, self._envelopes = db, registers, envelopes
        events = [r.event for r in records if r.event is not None]
        facts = [e for e in events if isinstance(e, Fact)]
        self._contacts = store.lock_contacts(db, {f.contact_id for f in facts})
        self._tickets = store.lock_tickets(db, _numbers_named(events, self._contacts.values()))
        self._counters = Counters(db)
        self._counters.lock(self._series_likely(facts))
        self._causes = store.find_causes(db, {e.event_id for e in events})
        self._changed_contacts: dict[bytes, Contact] = {}
        self._changed_tickets: dict[str, Ticket] = {}
        self._new_causes: list[Cause] = []
        self._settled: list[tuple[int, list[Event]]] = []

    def settle(self, record: Record) -> None:
        """Decide what one record means and keep its events; a repeat gets the outcome of a duplicate."""
        event = record.event
        if not isinstance(event, Fact | Command):
            reason = record.unreadable or f"{type(event).__name__} is neither a fact nor a command"
            self._keep(record, self._envelopes.unreadable(record, reason))
            return
        first = self._causes.get(event.event_id)
        if first is not None:
            self._keep(record, [self._envelopes.outcome(record, event, _repeated(first, event))])
            return
        cause = Cause(event.event_id, record.partition, record.offset, event.body_digest if isinstance(event, Command) else None)
        self._causes[event.event_id] = cause
        self._new_causes.append(cause)
        ruling = self._ruling_on_command(event) if isinstance(event, Command) else self._ruling_on_fact(event)
        decisions = self._decisions(event, ruling.changes)
        self._keep(record, [*decisions, self._envelopes.outcome(record, event, ruling)])

    def save(self, frame: Callable[[Event], bytes]) -> None:
        """Store everything the batch changed."""
        self._counters.save()
        settled = [outbox.Settled(partition, [frame(e) for e in events[:-1]], frame(events[-1])) for partition, events in self._settled]
        store.save(self._db, self._changed_contacts, self._changed_tickets, self._new_causes, settled)

    def _ruling_on_command(self, command: Command) -> Ruling:
        ticket = self._tickets.get(command.target)
        answer = life.decide(ticket, command)
        if isinstance(answer, Refusal):
            return Ruling("refused", answer.rule, answer.detail, ticket_version=ticket.version if ticket else None)
        return Ruling("decided", changes=(answer,))

    def _ruling_on_fact(self, fact: Fact) -> Ruling:
        before = self._contacts.get(fact.contact_id) or new_contact(fact.contact_id, fact.channel)
        verdict = decide_fact(before, fact, Known(self._tickets, self._reference))
        self._contacts[fact.contact_id] = verdict.contact
        if verdict.contact != before:
            self._changed_contacts[fact.contact_id] = verdict.contact
        return Ruling(verdict.result, verdict.rule, changes=verdict.changes)

    def _decisions(self, cause: Fact | Command, changes: Sequence[Change]) -> list[Decision]:
        made: list[Decision] = []
        opened = ""
        for ordinal, change in enumerate(changes, start=1):
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


def _numbers_named(events: Sequence[Event], contacts: Any) -> set[str]:
    named = {e.target for e in events if isinstance(e, Command)}
    named |= {e.belongs_to for e in events if isinstance(e, ContactNoted) and e.belongs_to}
    return named | {number for contact in contacts for number in contact.numbers}


def _repeated(first: Cause, event: Fact | Command) -> Ruling:
    """A repeat has no second effect; an idempotency key that comes with another body is refused."""
    if isinstance(event, Command) and event.body_digest != first.digest:
        return Ruling("refused", "idempotency_key_reused", "this key came before with another body")
    return Ruling("duplicate", first=first)


def run(settings: Settings, stop: Flag) -> None:
    """Be a desk until `stop` is set; several share the partitions."""
    registers = reference.load(settings.reference)
    identity = _identity(settings, stop)
    if identity is None:
        return
    desk = Desk(identity, registers)

    def make() -> Follower:
        ids = topic_ids(settings.kafka_address, desk.topics)
        db = database.connect(settings.database, GROUP)
        database.prepare(db, (desk,))
        return Follower(make_consumer(settings.kafka_address, GROUP), db, (desk,), load_codec(), ids, registers.parking)

    keep_following(make, stop)


def _identity(settings: Settings, stop: Flag) -> Identity | None:
    """Fetch the hash key from the vault; wait for it as long as it takes, for without it no id can be made."""
    while not stop.is_set():
        try:
            vault = open_vault(settings)
            vault.prepare()
            return vault.identity()
        except VaultUnavailable:
            stop.wait(_VAULT_WAIT_S)
    return None
