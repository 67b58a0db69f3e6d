"""The audit finds what a read model holds and the log does not say, and nothing else, on a real Kafka and a real Postgres."""

from collections.abc import Iterator
from threading import Event as Flag
from threading import Thread
from typing import Any

import pytest

from consumers.drift import looking
from consumers.drift.slices import Slice
from consumers.drift.watch import next_slice
from events import tickets
from events.settings import Settings
from projectors.ticket_status import HANDLERS
from tests.consumers.drift.audited import LAST_ERA, REFERENCE, Audited, a_life, audited, new_number
from tests.consumers.on_parts import publish
from tests.made import registered, taken

pytestmark = pytest.mark.parts


@pytest.fixture(scope="module")
def site(stack: Settings) -> Iterator[Audited]:
    with audited(stack) as here:
        yield here


def test_what_the_log_says_is_found_right(site: Audited) -> None:
    site.publish(a_life(new_number()))

    assert site.found() == set()


#: One column of each kind, harmed: the model, its table, the column that differs, what is written there, and of which row.
HARM = [
    ("ticket_status", "ticket_status_v1", "status", "'approved'", "true"),
    ("ticket_status", "ticket_status_v1", "version", "version + 1", "true"),
    ("ticket_status", "ticket_status_v1", "version", "1", "true"),
    ("ticket_status", "ticket_status_v1", "last_event_id", "'\\x00'", "true"),
    ("ticket_status", "ticket_status_v1", "queue", "NULL", "true"),
    ("ticket_status", "ticket_status_v1", "opened_at", "opened_at - 1", "true"),
    ("ticket_status", "ticket_status_v1", "has_name", "NOT has_name", "true"),
    ("ticket_status", "ticket_status_v1", "legal_class", "''", "true"),
    ("ticket_versions", "ticket_version_v1", "status", "'closed'", "version = 3"),
    ("ticket_versions", "ticket_version_v1", "offset", '"offset" + 1000000', "version = 2"),
    ("retention", "retention_ticket_v1", "keep_until", "keep_until - 86400000000", "true"),
    ("retention", "retention_ticket_v1", "closed_at", "NULL", "true"),
    ("contacts", "contact_ticket_v1", "contact_id", "'\\x01'", "ordinal = 1"),
]


def test_row_corrupted_by_sql_is_found_by_ticket_and_column_and_repaired(site: Audited) -> None:
    numbers = [new_number() for _ in HARM]
    site.publish([event for number in numbers for event in a_life(number)])
    for number, (_, table, column, value, which) in zip(numbers, HARM, strict=True):
        assert site.change(f'UPDATE {table} SET "{column}" = {value} WHERE number = %s AND {which}', number) == 1

    found = site.found(*numbers)
    for number, (model, *_) in zip(numbers, HARM, strict=True):
        site.repaired(number, [model])

    assert found == {(model, number, "differs", (column,)) for number, (model, _, column, _, _) in zip(numbers, HARM, strict=True)}
    assert site.found(*numbers) == set()


ONE_ROW_EACH = {"ticket_status": "ticket_status_v1", "retention": "retention_ticket_v1"}
ROWS_OF = {**ONE_ROW_EACH, "ticket_versions": "ticket_version_v1", "contacts": "contact_ticket_v1"}


def test_row_that_was_deleted_is_found_and_repaired(site: Audited) -> None:
    gone, partly = new_number(), new_number()
    site.publish(a_life(gone) + a_life(partly))
    for table in ROWS_OF.values():
        site.change(f"DELETE FROM {table} WHERE number = %s", gone)
    site.change("DELETE FROM ticket_version_v1 WHERE number = %s AND version = 2", partly)

    found = site.found(gone, partly)
    site.repaired(gone)
    site.repaired(partly)

    assert found == {(model, gone, "missing", ()) for model in ROWS_OF} | {("ticket_versions", partly, "missing", ())}
    assert site.found(gone, partly) == set()


def test_row_that_no_record_explains_is_found_and_taken_away(site: Audited) -> None:
    real, invented = new_number(), new_number()
    site.publish(a_life(real))
    copies = {"ticket_versions": '"offset" = "offset" + 1000000', "contacts": "event_id = event_id || 'x'::bytea"}
    for model, table in ROWS_OF.items():
        site.change(f"CREATE TEMP TABLE copy AS SELECT * FROM {table} WHERE number = %s", real)
        site.change(f"UPDATE copy SET {copies.get(model, 'version = 1')}")
        site.change("UPDATE copy SET number = %s", invented)
        site.change(f"INSERT INTO {table} SELECT * FROM copy")
        site.change("DROP TABLE copy")

    found = site.found(invented)
    site.repaired(invented)

    assert found == {(model, invented, "unexplained", ()) for model in ROWS_OF}
    assert site.found(real, invented) == set()


def test_damaged_missing_and_invented_rows_of_the_audit_log_are_found_and_repaired(site: Audited) -> None:
    number, name = new_number(), "audit_log_v1"
    site.publish(a_life(number))
    site.change(f"UPDATE {name} SET body = body || '\\x00' WHERE subject = %s AND version = 1", number)
    site.change(f"UPDATE {name} SET event_id = '\\x00', actor = 'nobody', void = true WHERE subject = %s AND version = 2", number)
    site.change(f"UPDATE {name} SET subject = 'else' WHERE subject = %s AND version = 3", number)
    site.change(f"DELETE FROM {name} WHERE subject = %s AND version = 4", number)
    site.change(
        f"""
        INSERT INTO {name} SELECT topic, partition, 1000000000, event_id, type, subject, actor, version, cause_id, occurred_at, recorded_at,
            appended_at, void, body FROM {name} WHERE subject = %s AND version = 5
        """,
        number,
    )

    found = site.found(number)
    site.repaired(number, ["audit_log"])

    assert {model for model, *_ in found} == {"audit_log"}
    assert sorted((what, columns) for _, _, what, columns in found) == [
        ("differs", ("actor", "event_id", "void")),
        ("differs", ("body",)),
        ("differs", ("subject",)),
        ("missing", ()),
        ("unexplained", ()),
    ]
    assert site.found(number) == set()


def test_ticket_that_waits_parked_is_no_finding_and_is_repaired_as_far_as_it_came(site: Audited) -> None:
    number = new_number()
    life = a_life(number)
    site.publish([life[0], *life[2:]])  # version 2 is nowhere: the later ones wait

    fine = site.found(number)
    site.change("UPDATE ticket_status_v1 SET status = 'closed' WHERE number = %s", number)
    harmed = site.found(number)
    repaired = site.repaired(number, ["ticket_status"])

    assert fine == set()
    assert harmed == {("ticket_status", number, "differs", ("status",))}
    assert [one.records for one in repaired] == [1]
    assert site.found(number) == set()


def test_live_traffic_is_never_taken_for_drift_while_one_corrupted_row_is_found(site: Audited) -> None:
    harmed, stop = new_number(), Flag()
    site.publish(a_life(harmed))
    site.change("UPDATE ticket_status_v1 SET topic = 'else' WHERE number = %s", harmed)

    def traffic() -> None:
        while not stop.is_set():
            publish(site.settings, [event for _ in range(20) for event in a_life(new_number())])

    def following() -> None:
        while not stop.is_set():
            site.follower.step()

    threads = [Thread(target=traffic), Thread(target=following)]
    for thread in threads:
        thread.start()
    try:
        rounds = [site.found() for _ in range(3)]
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)

    assert rounds == [{("ticket_status", harmed, "differs", ("topic",))}] * 3
    site.repaired(harmed)


def test_ticket_that_is_new_since_its_partition_was_read_is_not_taken_for_an_invented_one(
    site: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, numbers_in = new_number(), looking.numbers_in

    def after_a_new_ticket(*asked: Any) -> Iterator[list[str]]:
        monkeypatch.setattr(looking, "numbers_in", numbers_in)
        site.publish(a_life(number))
        return numbers_in(*asked)

    monkeypatch.setattr(looking, "numbers_in", after_a_new_ticket)

    assert site.found() == set()
    assert site.found(number) == set()
    assert site.db.execute("SELECT version FROM ticket_status WHERE number = %s", [number]).fetchone() == (5,)


def test_repair_and_the_live_projector_do_not_harm_each_other(site: Audited) -> None:
    number, stop = new_number(), Flag()
    site.publish([registered(number, era=LAST_ERA)])
    lives = [taken(version, number, queue=f"queue {version}", era=LAST_ERA) for version in range(2, 40)]

    def traffic() -> None:
        for event in lives:
            publish(site.settings, [event])
            if stop.is_set():
                return

    def following() -> None:
        while not stop.is_set():
            site.follower.step()

    threads = [Thread(target=traffic), Thread(target=following)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            site.change("UPDATE ticket_status_v1 SET queue = 'else', version = 1 WHERE number = %s", number)
            site.repaired(number)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    site.follow()

    assert site.found(number) == set()


def test_passes_of_three_slices_in_a_row_compare_every_ticket_once(site: Audited) -> None:
    site.publish([event for _ in range(30) for event in a_life(new_number())])
    terms, tickets_met, last = REFERENCE.drift.model_copy(update={"slices": 3}), [], None
    there = site.tickets()

    for _ in range(3):
        wanted = next_slice(last, terms)
        met = site.make_pass(wanted, ["ticket_status"]).found.tickets
        tickets_met.append(met)
        last = wanted, met

    assert (sum(tickets_met), min(tickets_met) > 0) == (there, True)


def test_fault_in_a_rule_is_found_at_every_ticket_it_touched(site: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    number = new_number()
    with monkeypatch.context() as broken:
        broken.setitem(HANDLERS, tickets.TicketTaken, lambda row, _: row._replace(queue="wrong"))
        site.publish([registered(number, era=LAST_ERA), taken(2, number, era=LAST_ERA)])
        found = site.found(number)

    site.repaired(number)

    assert {(model, what) for model, _, what, _ in found} == {("ticket_status", "differs"), ("ticket_versions", "differs")}
    assert all("queue" in columns for *_, columns in found)
    assert site.found(number) == set()


def test_one_model_and_one_ticket_can_be_asked_for_alone(site: Audited) -> None:
    number = new_number()
    site.publish(a_life(number))
    for table in ONE_ROW_EACH.values():
        site.change(f"DELETE FROM {table} WHERE number = %s", number)

    alone = site.make_pass(Slice(only=number.encode()))

    assert site.found(number, models=["retention"]) == {("retention", number, "missing", ())}
    assert {f.model for f in alone.found.findings} == set(ONE_ROW_EACH)
    site.repaired(number)
