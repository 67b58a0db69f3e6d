"""A day played through a running stack, and what a naive count says about it afterwards: from the log alone, by no code of the product."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from threading import Event as Flag
from time import monotonic

import psycopg

from api.access import issue
from deploy.simulator.day import day
from deploy.simulator.ledger import Ledger
from deploy.simulator.player import Addresses, play
from deploy.simulator.script import Canaries
from events.settings import Settings
from events.vault.opening import open_vault
from tests.consumed import told
from tests.journeys.opened import key_on_log
from tests.journeys.stacks import wait_settled
from tests.oracle import FACT_FOLDERS, Told, by_cause

CANARIES = Canaries(
    name="Канареев Зябликослав Щеглович",
    phone="+7 900 000-73-19",
    email="kanareev.zyablikoslav@pochta.example",
    address="Зазеркальск, ул. Попугаечная, 17, 4",
    text="перламутровый ларец кукувякина",
)
_TOKEN_TTL_S = 3_600


@dataclass(frozen=True)
class Played:
    """A day that is over: what the player was told and what the log holds."""

    settings: Settings
    ledger: Ledger = field(repr=False)
    told: Sequence[Told] = field(repr=False)


def play_day(settings: Settings, seed: int, contacts: int, contacts_per_s: float, stop: Flag | None = None) -> Ledger:
    """Play a day with canaries to its end, or until `stop` is set; the adapters repeat until they are answered for good."""

    @cache
    def token_for(who: str) -> str:
        return issue(settings, "adapter" if who == "adapter" else "operator", who, _TOKEN_TTL_S)

    ledger = Ledger(day(seed, contacts, CANARIES))
    ledger.started_s = monotonic()
    play(ledger.day, Addresses(settings.intake_port, settings.api_port), token_for, contacts_per_s, stop or Flag(), ledger)
    return ledger


def after(settings: Settings, ledger: Ledger) -> Played:
    """Return the day once everything has settled."""
    wait_settled(settings)
    return Played(settings, ledger, told(settings.kafka_address))


def findings(played: Played) -> list[str]:
    """Return a line for everything accepted that is lost, doubled, or without the outcome that counts (I1, I2, I3, I11, I12)."""
    return [*played.ledger.troubles, *_lost(played), *_unsettled(played.told), *_unwritten(played), *_tickets(played)]


def _lost(played: Played) -> Iterator[str]:
    """Accepted events and answered orders that are not on their topic, or not in the audit log."""
    on_topic = {r.fields["event_id"] for r in played.told if r.topic == "hotline.contacts"}
    keys = {r.fields["idempotency_key"] for r in played.told if r.topic == "hotline.commands"}
    identity = open_vault(played.settings).identity()
    with psycopg.connect(played.settings.database) as db:
        in_audit = {row[0] for row in db.execute("SELECT event_id FROM audit_log WHERE topic = 'hotline.contacts'")}
    for accepted in played.ledger.accepted:
        where = f"{accepted.message.contact} {accepted.type}"
        if accepted.event_id not in on_topic:
            yield f"{where}: accepted and not on its topic"
        if accepted.event_id not in in_audit:
            yield f"{where}: accepted and not in the audit log"
    for answered in played.ledger.answered:
        if key_on_log(identity, answered.order.key) not in keys:
            yield f"{answered.number} {answered.order.name}: answered {answered.status} and not on its topic"


def _unsettled(records: Sequence[Told]) -> Iterator[str]:
    """Causes without exactly one outcome after repeats are dropped, events with two effects, outcomes that name what does not exist."""
    outcomes = by_cause(records)
    decisions = {(r.partition, r.offset): (r.fields["number"], r.fields["version"]) for r in records if r.topic == "hotline.tickets"}
    effects: Counter[bytes] = Counter()
    for cause in (r for r in records if r.topic in ("hotline.contacts", "hotline.commands")):
        place = (cause.topic, cause.partition, cause.offset)
        own = {o["event_id"]: o for o in outcomes.get(place, [])}
        if len(own) != 1:
            yield f"{cause.name} at {place}: {len(own)} outcomes"
            continue
        (outcome,) = own.values()
        effects[cause.fields["event_id"]] += outcome["result"] != "duplicate" and outcome["rule"] != "idempotency_key_reused"
        for d in outcome["decisions"]:
            if decisions.get((d["partition"], d["offset"])) != (d["number"], d["version"]):
                yield f"{cause.name} at {place}: its outcome names {d['number']} version {d['version']}, which is not there"
    yield from (f"{event_id.hex()}: {count} effects" for event_id, count in effects.items() if count != 1)


def _unwritten(played: Played) -> Iterator[str]:
    """Tickets that an outcome names and a read model does not hold at that version or a later one."""
    named: dict[str, int] = defaultdict(int)
    for outcome in (o for group in by_cause(played.told).values() for o in group):
        for d in outcome["decisions"]:
            named[d["number"]] = max(named[d["number"]], d["version"])
    with psycopg.connect(played.settings.database) as db:
        status: dict[str, int] = dict(db.execute("SELECT number, version FROM ticket_status").fetchall())
        kept: dict[str, int] = dict(db.execute("SELECT number, version FROM retention_ticket").fetchall())
    for number, version in named.items():
        for model, held in (("ticket status", status), ("retention", kept)):
            if held.get(number, 0) < version:
                yield f"{number}: not in {model} at version {version}"


def _tickets(played: Played) -> Iterator[str]:
    """Numbers given twice, versions with holes or two decisions, contacts with more or fewer tickets than the script says."""
    lives: dict[str, dict[int, set[bytes]]] = defaultdict(lambda: defaultdict(set))
    opened: dict[bytes, set[str]] = defaultdict(set)
    for r in played.told:
        if r.folder == "tickets":
            lives[r.fields["number"]][r.fields["version"]].add(r.fields["event_id"])
        if r.short == "TicketRegistered":
            opened[r.fields["contact_id"]].add(r.fields["number"])
    for number, versions in lives.items():
        if sorted(versions) != list(range(1, len(versions) + 1)):
            yield f"{number}: versions {sorted(versions)}"
        yield from (f"{number} version {v}: {len(ids)} decisions" for v, ids in versions.items() if len(ids) > 1)
    for name, known in played.ledger.contacts().items():
        wanted, found = played.ledger.day.contacts[name].tickets, len(opened[known.contact_id])
        if wanted != found:
            yield f"{name}: {found} tickets instead of {wanted}"


def repeats_on(records: Sequence[Told], topic: str) -> int:
    """Return how many records of a topic repeat the id of an earlier one."""
    ids = [r.fields["event_id"] for r in records if r.topic == topic]
    return len(ids) - len(set(ids))


def facts_of(records: Sequence[Told]) -> list[Told]:
    """Return the records of facts."""
    return [r for r in records if r.folder in FACT_FOLDERS]
