"""Everything that happened."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg

from events.calls import CallEnded, CallStarted
from events.commands import TakeTicket
from events.envelope import FACTS, OUTCOMES
from events.outcomes import EraOpened
from events.places import Place
from projectors.audit_log import AUDIT_LOG, AuditRow
from projectors.reads.audit_log import AuditFilter, list_history, list_records
from tests.given import given, rows_of
from tests.made import CONTACT, MORNING, NUMBER, made, registered, settled, taken

T = TypeVar("T")
ORDER = 'topic, partition, "offset"'


def asked(dsn: str, question: Callable[[psycopg.AsyncConnection[Any]], Awaitable[T]]) -> T:
    async def ask() -> T:
        async with await psycopg.AsyncConnection.connect(dsn) as db:
            return await question(db)

    return asyncio.run(ask())


def page(dsn: str, limit: int = 100, after: Any = None, **wanted: Any) -> list[AuditRow]:
    return asked(dsn, lambda db: list_records(db, AuditFilter(**wanted), after, limit))


def test_every_record_has_a_row_with_its_bytes_repeats_too(database: str) -> None:
    log = given(made(CallStarted), made(TakeTicket, name="take", actor="operator:17"), registered())

    log.deliver(database, [AUDIT_LOG], batch=2)

    rows = rows_of(database, "audit_log", ORDER)
    assert [(r["topic"], r["offset"], r["body"]) for r in rows] == sorted((r.topic, r.offset, r.raw) for r in log.records)


def test_row_names_type_subject_actor_version_and_times(database: str) -> None:
    given(registered(), taken(2)).deliver(database, [AUDIT_LOG])

    row = rows_of(database, "audit_log", ORDER)[1]

    assert (row["type"], row["subject"], row["actor"]) == ("hotline.tickets.TicketTaken", NUMBER, "operator:17")
    assert (row["version"], row["cause_id"], row["recorded_at"] - row["occurred_at"]) == (2, b"f" * 16, 1_000_000)


def test_fact_was_recorded_when_it_was_received(database: str) -> None:
    given(made(CallStarted, received_at=MORNING + 77)).deliver(database, [AUDIT_LOG])

    assert rows_of(database, "audit_log", ORDER)[0]["recorded_at"] == MORNING + 77


def test_unreadable_record_is_kept_with_its_bytes_and_without_a_type(database: str) -> None:
    log = given(made(CallStarted))
    log.append_raw(FACTS, 0, b"key\0\xff", b"no avro")

    log.deliver(database, [AUDIT_LOG])

    row = rows_of(database, "audit_log", ORDER)[-1]
    assert (row["type"], row["event_id"], row["subject"], row["body"]) == (None, None, "key��", b"no avro")


def test_key_longer_than_an_index_takes_is_cut(database: str) -> None:
    log = given()
    log.append_raw(FACTS, 0, b"k" * 100_000, b"")

    log.deliver(database, [AUDIT_LOG])

    assert rows_of(database, "audit_log", ORDER)[0]["subject"] == "k" * 400


def test_void_record_stays_and_is_marked_and_is_no_history(database: str) -> None:
    log = given(registered(), made(EraOpened, era=2))
    log.records[0] = log.records[0]._replace(void=True)

    log.deliver(database, [AUDIT_LOG])

    assert [r["void"] for r in rows_of(database, "audit_log", ORDER) if r["version"]] == [True, False]
    assert [r.offset for r in asked(database, lambda db: list_history(db, NUMBER, 0, 10))] == [1]


def test_reads_show_the_first_of_an_event_id(database: str) -> None:
    given(registered(), taken(2), partitions=3).deliver(database, [AUDIT_LOG])

    assert [(r.version, r.offset) for r in page(database, subjects=(NUMBER,))] == [(1, 0), (2, 1)]


def test_marks_of_an_era_are_shown_once_for_each_partition(database: str) -> None:
    log = given()
    mark = made(EraOpened, era=2)
    for partition in (0, 1, 0, 1):
        log.append(mark, topic=OUTCOMES, partition=partition)
    log.deliver(database, [AUDIT_LOG])

    assert [(r.partition, r.offset) for r in page(database, type="hotline.outcomes.EraOpened")] == [(0, 0), (1, 0)]


def test_filters_narrow_by_actor_type_and_time(database: str) -> None:
    given(made(CallStarted), registered(), taken(2)).deliver(database, [AUDIT_LOG])
    first, second, third = page(database)

    assert page(database, actor="operator:17") == [third]
    assert page(database, actor="citizen", type="hotline.tickets.TicketRegistered") == [second]
    assert page(database, from_at=second.appended_at, to_at=third.appended_at) == [second]
    assert page(database, topic=FACTS) == [first]


def test_pages_follow_one_another_without_loss(database: str) -> None:
    facts = [made(CallEnded, contact_id=CONTACT, leg=leg) for leg in range(7)]
    given(*facts, settled(Place(FACTS, 0, 0)), partitions=4).deliver(database, [AUDIT_LOG])
    seen: list[AuditRow] = []

    while found := page(database, 3, (seen[-1].appended_at, *seen[-1][:3]) if seen else None):
        seen += found

    assert len({r.event_id for r in seen}) == len(seen) == 8
