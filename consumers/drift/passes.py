"""One pass as both the process and the command make it: audited, timed, said in the log and kept in the ledger."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event as Flag
from typing import Any, NamedTuple

import structlog
from psycopg import Connection

from consumers import only_one
from consumers.drift import ledger
from consumers.drift.audit import Task, audit
from consumers.drift.ledger import Pass
from consumers.drift.log import Log, Pace
from consumers.drift.looking import looking
from consumers.drift.oracle import Terms
from events.reference import Reference
from events.settings import Settings
from events.wire.codec import load_codec
from projectors import database

MOST_LINES = 20  # in the log for the findings of one pass; all of them stand in the table

log = structlog.get_logger()


class Parts(NamedTuple):
    """What a pass works with: the log, a connection that looks and one that writes the ledger."""

    log: Log
    look: Connection[Any]
    ledger: Connection[Any]


@contextmanager
def opened(settings: Settings, stop: Flag, records_per_s: int | None) -> Iterator[Parts]:
    """The parts of a pass, its tables made; psycopg.OperationalError when Postgres does not answer. Kafka is asked later."""
    with database.connect(settings.database, "drift") as own, looking(settings.database) as look:
        ledger.prepare(own)
        kafka = Log(settings.kafka_access, load_codec(), Pace(records_per_s, stop, partial(only_one.stay, own)))
        try:
            yield Parts(kafka, look, own)
        finally:
            kafka.close()


def terms_of(reference: Reference) -> Terms:
    """Return the terms under which the oracle tells how long a ticket is kept."""
    return Terms(reference.floor_years["ticket"], reference.service_zone)


def make_pass(parts: Parts, task: Task, by: str) -> Pass:
    """Make one pass and keep it. Raises what `audit.audit` raises; then nothing is kept."""
    began_at, read_before = _now_us(), parts.log.pace.records
    found = audit(parts.log, parts.look, task)
    done = Pass(began_at, _now_us(), by, task.wanted, task.models, parts.log.pace.records - read_before, found)
    repaired = ledger.keep(parts.ledger, done)
    for finding in found.findings[:MOST_LINES]:
        told = {"model": finding.model, "key": finding.key, "what": finding.what, "columns": finding.columns}
        log.error("drift found", **told)
    passed_s = max(1, done.ended_at - done.began_at) / 1_000_000
    log.info(
        "drift pass",
        start=task.wanted.start,
        width=task.wanted.width,
        read=done.read,
        records=found.records,
        tickets=found.tickets,
        findings=len(found.findings),
        repaired=repaired,
        seconds=round(passed_s, 1),
        records_per_s=round(done.read / passed_s),
    )
    return done


def _now_us() -> int:
    return time.time_ns() // 1000
