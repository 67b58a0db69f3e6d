"""The desk at work: one batch of facts and commands becomes decisions and outcomes in one transaction with its positions.

Nobody is told of a decision here: the relay publishes what this leaves in the outbox. Before it decides anything, and while it works, the
desk makes sure that its tables are the ones it left (`eras`, `watch`).
"""

import time
from collections.abc import Callable, Sequence
from threading import Event as Flag
from typing import Any

import structlog
from psycopg import Connection
from psycopg.errors import UniqueViolation

from consumers import outbox
from consumers.desk import memory, recalled, store
from consumers.desk.envelopes import Envelopes
from consumers.desk.eras import SOURCE, Surroundings, look_before_deciding
from consumers.desk.memory import Memory, Superseded
from consumers.desk.recall import EraClaimed
from consumers.desk.settling import Settling
from consumers.desk.watch import Overtaken, watching
from consumers.kafka import make_consumer, topic_ids
from consumers.loop import Follower, keep_following
from events import reference
from events.crash_points import reached
from events.envelope import COMMANDS, FACTS
from events.identity import Identity
from events.places import Place
from events.reference import Reference
from events.settings import Settings
from events.vault.keys import VaultUnavailable
from events.vault.opening import open_vault
from events.wire.codec import load_codec
from projectors import database
from projectors.record import Record

__all__ = ["GROUP", "SOURCE", "Desk", "run"]

GROUP = "desk"
_VAULT_WAIT_S = 1.0

log = structlog.get_logger()


def now_us() -> int:
    """Return the desk's clock, microseconds since 1970 in UTC."""
    return time.time_ns() // 1000


class Desk:
    """Follows contacts and commands like a read model does; its rows are the desk's memory and the outbox."""

    name, version = "desk", 1
    topics = (FACTS, COMMANDS)
    ddl, views = store.DDL, ""
    wants_all = True
    try_again_after = (UniqueViolation,)  # two desks met the same idempotency key at once: the later one comes back and finds the first

    def __init__(self, identity: Identity, registers: Reference, clock: Callable[[], int] = now_us) -> None:
        self._identity, self._reference, self._clock = identity, registers, clock
        self._codec = load_codec()

    def apply(self, db: Connection[Any], records: Sequence[Record]) -> None:
        """Settle every record: an outcome for each, and the decisions it leads to, inside the open transaction of `db`."""
        held = memory.hold(db)
        batch = Settling(db, records, self._reference, self._envelopes(held), recalling=held.recalling)
        reached("desk.locked")
        for record in records:
            batch.settle(record)
        reached("desk.decided")
        batch.save(lambda event: self._codec.encode(event, SOURCE).value)
        reached("desk.before_commit")

    def park(self, db: Connection[Any], records: Sequence[Record], rule: str) -> None:
        """Give `records`, which wait for repair, the outcome of that; one that the log knows as settled keeps what it has.

        Of `rule` only what names the failure goes on the log: what follows a colon may speak of a ticket.
        """
        held = memory.hold(db)
        envelopes = self._envelopes(held)
        places = {Place(r.topic, r.partition, r.offset) for r in records}
        known = recalled.find(db, places, ()).outcomes if held.recalling else {}
        waiting = [r for r in records if Place(r.topic, r.partition, r.offset) not in known]
        frames = [(r.partition, self._codec.encode(envelopes.parked(r, rule.partition(":")[0]), SOURCE).value) for r in waiting]
        outbox.add(db, [outbox.Settled(partition, [], frame) for partition, frame in frames])

    def _envelopes(self, held: Memory) -> Envelopes:
        return Envelopes(self._identity, self._reference.version, self._clock(), held.era)


def run(settings: Settings, stop: Flag) -> None:
    """Be a desk until `stop` is set; several share the partitions. Raises Superseded and EraClaimed, which call for a person."""
    registers = reference.load(settings.reference)
    identity = _identity(settings, stop)
    if identity is None:
        return
    desk = Desk(identity, registers)
    around = Surroundings(settings.kafka_access, identity, load_codec(), now_us)
    while not stop.is_set():
        try:
            with watching(settings.database, around, stop) as halt:
                keep_following(lambda: _follower(settings, desk, around, registers, halt), halt)
        except Overtaken as overtaken:
            log.warning("looking again", because=str(overtaken))
        except (Superseded, EraClaimed) as over:
            log.error("stopping", because=type(over).__name__, detail=str(over))
            raise


def _follower(settings: Settings, desk: Desk, around: Surroundings, registers: Reference, halt: Flag) -> Follower:
    """Return a follower that may decide: on a fresh connection, after a look at its tables."""
    ids = topic_ids(settings.kafka_access, desk.topics)
    db = database.connect(settings.database, GROUP)
    try:
        database.prepare(db, (desk,))
        look_before_deciding(db, around, halt)
    except BaseException:
        db.close()
        raise
    return Follower(make_consumer(settings.kafka_access, GROUP), db, (desk,), load_codec(), ids, registers.parking)


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
