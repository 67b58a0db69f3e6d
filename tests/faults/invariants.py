"""The invariants I1-I5 and I9-I12 as one checker, over what callers were told, what the log holds and what the read models hold.

It shares no rule with the product: records are decoded by a stranger, read models are compared with the naive oracle. It needs a quiet
moment (nobody behind, outbox empty) for what compares tables with the log.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg

from events.identity import Identity
from tests import oracle
from tests.faults.history import COMMAND, FACT, OK, REFUSED, Heard, History, by_own_key
from tests.oracle import FACT_FOLDERS, Told, by_cause

CAUSES = ("hotline.contacts", "hotline.commands")
TICKETS, OUTCOMES = "hotline.tickets", "hotline.outcomes"
MEMORY_MAY_BE_TIMES = 2.0  # S12, I10: of what it was before
MOST_LINES = 20  # for each invariant


class Finding(NamedTuple):
    """One thing that must not be."""

    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


class Evidence(NamedTuple):
    """What is judged. `records` as `tests.consumed` reads them; `identity` turns own keys into what stands on the log."""

    records: Sequence[Told]
    dsn: str
    history: History
    identity: Identity | None = None


def check(evidence: Evidence) -> list[Finding]:
    """Return everything that is wrong, at most MOST_LINES for each invariant; I5 stands in `tests.faults.rebuilt`."""
    found: list[Finding] = []
    for name, look in CHECKS.items():
        lines = list(look(evidence))
        found += [Finding(name, line) for line in lines[:MOST_LINES]]
        if len(lines) > MOST_LINES:
            found.append(Finding(name, f"and {len(lines) - MOST_LINES} more"))
    return found


def valid(records: Iterable[Told]) -> list[Told]:
    """Return the records that count: after the mark of an era in a partition, decisions and outcomes of lower eras are void."""
    eras: dict[tuple[str, int], int] = defaultdict(int)
    kept = []
    for r in sorted(records, key=lambda r: (r.topic, r.partition, r.offset)):
        place = (r.topic, r.partition)
        if r.short == "EraOpened":
            eras[place] = max(eras[place], r.fields["era"])
        elif (r.folder == "tickets" or r.short == "CauseSettled") and r.fields["era"] < eras[place]:
            continue
        kept.append(r)
    return kept


def lost(evidence: Evidence) -> Iterator[str]:
    """I1: accepted and not on its topic at the place that was told, not in the audit log; decided and not in the read models."""
    at = {(r.topic, r.partition, r.offset): r for r in evidence.records}
    ids = {r.fields["event_id"].hex() for r in evidence.records if r.topic in CAUSES and r.name}
    keys = {r.fields["idempotency_key"] for r in evidence.records if r.topic == "hotline.commands" and r.name}
    with psycopg.connect(evidence.dsn) as db:
        audited = {row[0].hex() for row in db.execute("SELECT event_id FROM audit_log WHERE topic = ANY(%s)", [list(CAUSES)]) if row[0]}
        audited_at = set(db.execute('SELECT topic, partition, "offset" FROM audit_log').fetchall())
    for heard in (h for h in evidence.history.heard if h.outcome == OK):
        where = f"{heard.kind} {heard.own_key}"
        for event_id in heard.event_ids:
            yield from (f"{where}: accepted and not {there}" for there, known in _homes(ids, audited) if event_id not in known)
        for place in heard.places:
            said = at.get(place)
            if said is None or place not in audited_at:
                yield f"{where}: accepted at {place}, where nothing is, or not in the audit log"
            elif heard.event_ids and said.fields["event_id"].hex() not in heard.event_ids:
                yield f"{where}: accepted at {place}, where something else lies"
        if heard.kind == COMMAND and evidence.identity and _key_on_log(evidence.identity, heard.own_key) not in keys:
            yield f"{where}: accepted and not on its topic"
    yield from _unwritten(evidence)


def _homes(on_topic: set[str], audited: set[str]) -> tuple[tuple[str, set[str]], ...]:
    return ("on its topic", on_topic), ("in the audit log", audited)


def _key_on_log(identity: Identity, own_key: str) -> str:
    return identity.digest("idempotency-key", own_key).hex()


def _unwritten(evidence: Evidence) -> Iterator[str]:
    """Tickets that an outcome names and a read model does not hold at that version or a later one."""
    named: dict[str, int] = defaultdict(int)
    for outcome in (o for group in by_cause(valid(evidence.records)).values() for o in group):
        for d in outcome["decisions"]:
            named[d["number"]] = max(named[d["number"]], d["version"])
    with psycopg.connect(evidence.dsn) as db:
        status: dict[str, int] = dict(db.execute("SELECT number, version FROM ticket_status").fetchall())
        kept: dict[str, int] = dict(db.execute("SELECT number, version FROM retention_ticket").fetchall())
        lives: dict[str, int] = dict(db.execute("SELECT number, count(*) FROM ticket_versions GROUP BY number").fetchall())
    for number, version in named.items():
        for model, held in (("ticket status", status), ("retention", kept), ("ticket versions", lives)):
            if held.get(number, 0) < version:
                yield f"{number}: not in {model} at version {version}"


def twice(evidence: Evidence) -> Iterator[str]:
    """I2: an event with two effects or none, a version with two decisions, a read model that differs from the naive fold of the log."""
    records = valid(evidence.records)
    effects: Counter[bytes] = Counter()
    for cause, outcomes in _causes(records):
        if cause.name and outcomes:
            last = outcomes[-1]
            effects[cause.fields["event_id"]] += last["result"] != "duplicate" and last["rule"] != "idempotency_key_reused"
    yield from (f"{event_id.hex()}: {count} effects" for event_id, count in effects.items() if count != 1)
    yield from forks(records)
    try:
        yield from oracle.differences(evidence.dsn, evidence.records)
    except AssertionError as broken:  # the oracle cannot even tell what should be there
        yield str(broken)


def forks(records: Iterable[Told]) -> Iterator[str]:
    """One version of a ticket with two decisions, among records that count."""
    claims: dict[tuple[str, int], set[bytes]] = defaultdict(set)
    for r in records:
        if r.folder == "tickets":
            claims[r.fields["number"], r.fields["version"]].add(r.fields["event_id"])
    yield from (f"{number} version {version}: {len(ids)} decisions" for (number, version), ids in claims.items() if len(ids) > 1)


def disordered(evidence: Evidence) -> Iterator[str]:
    """I3: a reader of the log meets a version that is not the next one (repeats of what he has seen apart), or a key in two partitions."""
    seen: dict[str, int] = defaultdict(int)
    homes: dict[tuple[str, bytes], set[int]] = defaultdict(set)
    for r in valid(evidence.records):
        if r.folder == "tickets":
            number, version = r.fields["number"], r.fields["version"]
            if version > seen[number] + 1:
                yield f"{number}: version {version} after {seen[number]} at {r.topic}/{r.partition}/{r.offset}"
            seen[number] = max(seen[number], version)
            homes[r.topic, r.key].add(r.partition)
    yield from (f"{key!r} lies in partitions {sorted(where)} of {topic}" for (topic, key), where in homes.items() if len(where) > 1)


def ghosts(evidence: Evidence) -> Iterator[str]:
    """I4: what was refused each time it was asked and lies on the log all the same; decisions without a cause."""
    contacts = {r.fields["contact_id"] for r in evidence.records if r.folder in FACT_FOLDERS}
    keys = {r.fields["idempotency_key"] for r in evidence.records if r.folder == "commands"}
    if evidence.identity is not None:
        for kind, own_key, heard in by_own_key(evidence.history.heard):
            if all(h.outcome == REFUSED for h in heard) and _is_there(evidence.identity, kind, own_key, heard[0], contacts, keys):
                yield f"{kind} {own_key}: refused with {sorted({h.status for h in heard})} and on the log"
    causes = {r.fields["event_id"] for r in evidence.records if r.topic in CAUSES and r.name}
    for r in valid(evidence.records):
        if r.folder == "tickets" and r.fields["cause_id"] not in causes:
            yield f"{r.fields['number']} version {r.fields['version']}: no cause on the log"


def _is_there(identity: Identity, kind: str, own_key: str, heard: Heard, contacts: set[bytes], keys: set[str]) -> bool:
    if kind == FACT:
        return identity.contact_id(heard.channel, own_key) in contacts
    return _key_on_log(identity, own_key) in keys


def late(evidence: Evidence) -> Iterator[str]:
    """I9: recoveries that took longer than their bound."""
    for r in evidence.history.recoveries:
        if r.took_s > r.bound_s:
            yield f"after {r.kind} at {r.at_s:.0f} s: {r.took_s:.1f} s, allowed {r.bound_s:.0f}"


def unbounded(evidence: Evidence) -> Iterator[str]:
    """I10: memory that did not come back to what it was, consumers that stayed behind."""
    samples = {held.when: held for held in evidence.history.held}
    if "before" not in samples or "after" not in samples:
        return
    for name, before in samples["before"].resident_bytes.items():
        after = samples["after"].resident_bytes.get(name, 0)
        if after > MEMORY_MAY_BE_TIMES * before:
            yield f"{name}: {after >> 20} MB resident, {before >> 20} MB before"
    yield from (f"{consumer}: {count} records behind" for consumer, count in samples["after"].behind.items() if count)


def numbers(evidence: Evidence) -> Iterator[str]:
    """I11: a number given twice or changed, or another one than a reader was told."""
    registered: dict[str, set[tuple[bytes, int]]] = defaultdict(set)
    of_contact: dict[tuple[bytes, int], set[str]] = defaultdict(set)
    for r in valid(evidence.records):
        if r.short == "TicketRegistered":
            held = (r.fields["contact_id"], r.fields["ordinal"])
            registered[r.fields["number"]].add(held)
            of_contact[held].add(r.fields["number"])
    yield from (f"{number}: given to {len(held)} contacts or ordinals" for number, held in registered.items() if len(held) > 1)
    yield from (f"a contact's ticket {held[1]} has the numbers {sorted(own)}" for held, own in of_contact.items() if len(own) > 1)
    if evidence.identity is not None:
        for told in evidence.history.numbered:
            owners = {contact for contact, _ in registered.get(told.number, ())}
            if owners != {evidence.identity.contact_id("cabinet", told.own_key)}:
                yield f"{told.number}: a reader was told it for {told.own_key}, the log says otherwise"


def outcomes(evidence: Evidence) -> Iterator[str]:
    """I12: causes without exactly one outcome, outcomes that name what is not there, decisions no outcome names, answers that changed."""
    records = valid(evidence.records)
    decisions = {(r.partition, r.offset): (r.fields["number"], r.fields["version"]) for r in records if r.folder == "tickets"}
    named: set[tuple[str, int]] = set()
    for cause, own in _causes(records):
        place = (cause.topic, cause.partition, cause.offset)
        if len(own) != 1:
            yield f"{cause.name} at {place}: {len(own)} outcomes"
            continue
        for d in own[0]["decisions"]:
            named.add((d["number"], d["version"]))
            if decisions.get((d["partition"], d["offset"])) != (d["number"], d["version"]):
                yield f"{cause.name} at {place}: its outcome names {d['number']} version {d['version']}, which is not there"
    yield from (f"{number} version {version}: no outcome names it" for number, version in {*decisions.values()} - named)
    yield from _changed_answers(evidence.history.heard, decisions)


def _changed_answers(heard: Iterable[Heard], decisions: Mapping[tuple[int, int], tuple[str, int]]) -> Iterator[str]:
    """Decisions that the caller of a command was told of and that are not there, or that a repeat was not told again."""
    for kind, own_key, answers in by_own_key(heard):
        told = {h.decisions for h in answers if h.decisions}
        if len(told) > 1:
            yield f"{kind} {own_key}: {len(told)} different answers to one key"
        for number, version, partition, offset in {decision for answer in told for decision in answer}:
            if decisions.get((partition, offset)) != (number, version):
                yield f"{kind} {own_key}: was told of {number} version {version}, which is not there"


def _causes(records: Sequence[Told]) -> Iterator[tuple[Told, list[dict[str, Any]]]]:
    """Yield each cause with the outcomes that count: of the highest era, repeats dropped, "parked" only while nothing else is."""
    found = by_cause(records)
    for cause in (r for r in records if r.topic in CAUSES):
        group = found.get((cause.topic, cause.partition, cause.offset), [])
        era = max((o["era"] for o in group), default=0)
        own = {o["event_id"]: o for o in reversed(group) if o["era"] == era}
        real = [o for o in own.values() if o["result"] != "parked"]
        yield cause, (real or list(own.values()))[::-1]


#: The order in which they are reported.
CHECKS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "I1 lost": lost,
    "I2 doubled": twice,
    "I3 reordered": disordered,
    "I4 ghost": ghosts,
    "I9 late": late,
    "I10 unbounded": unbounded,
    "I11 number": numbers,
    "I12 outcome": outcomes,
}


def tallies(records: Sequence[Told]) -> Counter[str]:
    """Return how often the rare branches were taken, as the log shows it."""
    counted: Counter[str] = Counter()
    for topic in (*CAUSES, TICKETS, OUTCOMES):
        ids = [r.fields["event_id"] for r in records if r.topic == topic and r.name]
        counted[f"repeats on {topic}"] = len(ids) - len(set(ids))
    last = [group[-1] for group in by_cause(valid(records)).values()]
    counted |= Counter(f"outcome {outcome['result']}" for outcome in last)
    counted["void"] = len(records) - len(valid(records))
    counted["unreadable"] = sum(r.name is None for r in records)
    counted["records"] = len(records)
    return counted
