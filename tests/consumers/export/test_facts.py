"""One row for each ticket, as of a place of the log, against a naive fold of the same records."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from consumers.export.exporting import Asked, Done, Progress, export
from consumers.export.facts import FactsSource, NotReached, Waits
from consumers.export.folder import MANIFEST, NotOurs
from events import tickets
from events.envelope import TICKETS, Decision
from events.settings import Settings
from projectors import database as databases
from projectors import parked
from projectors.parked import ParkedRecord
from projectors.reads import ticket_facts
from projectors.reads.ticket_facts import BEFORE_ALL, MODELS, TicketFacts
from projectors.tokens import Token
from tests.bench.lives import Lives
from tests.consumers.export import strangers
from tests.given import Log, given
from tests.made import MORNING, NUMBER, closed, made, registered, taken
from tests.oracle import Told, lives_of, status_of

pytestmark = pytest.mark.parts
DECIDED = ("TicketApproved", "TicketRefused")
SAME = {
    *("number", "version", "ordinal", "channel", "kind", "topic", "language", "legal_class", "queue", "status", "cycle"),
    *("opened_at", "opened_offset_min", "changed_at", "refusal_reason", "appeal_route", "resolution_code", "merged_into"),
    *("has_name", "has_phone", "has_text"),
}


def end_of(log: Log) -> Token:
    return Token.of((r.topic, r.partition, r.offset) for r in log.records)  # type: ignore[misc]  # a place is those three


def naive(log: Log, until: Token) -> dict[str, dict[str, Any]]:
    """Return the facts about each ticket by a fold over plain dictionaries."""
    told = [strangers.told(r.topic, r.partition, r.offset, r.appended_at, r.raw) for r in log.records]
    included = [r for r in told if r.offset <= until.get((r.topic, r.partition), -1)]
    return {number: naive_facts(life) for number, life in lives_of(included).items()}


def naive_facts(life: list[Told]) -> dict[str, Any]:
    row = status_of(life)
    times = [(r.short, r.fields["recorded_at"], r.fields["cycle"]) for r in life]
    decided = [at for name, at, cycle in times if name in DECIDED and cycle == row["cycle"]]
    return {name: row[name] for name in SAME} | {
        "contact_id": row["contact_id"].hex(),
        "registered_at": times[0][1],
        "first_taken_at": next((at for name, at, _ in times if name == "TicketTaken"), None),
        "decided_at": decided[-1] if decided else None,
        "closed_at": times[max(n for n, one in enumerate(times) if one[0] == "TicketClosed")][1] if row["status"] == "closed" else None,
        "clarifications": sum(name == "ClarificationAsked" for name, _, _ in times),
        "reopenings": sum(name == "TicketReopened" for name, _, _ in times),
        "log_partition": life[-1].partition,
        "log_offset": life[-1].offset,
    }


def facts_of(dsn: str, until: Token, since: Token | None = None, most: int = 7) -> list[TicketFacts]:
    """Return all pages together."""
    found: list[TicketFacts] = []
    with databases.connect(dsn, "test") as db:
        while page := ticket_facts.list_facts(db, since, until, (found[-1].opened_at, found[-1].number) if found else BEFORE_ALL, most):
            found += page
        assert ticket_facts.count_facts(db, since, until) == len(found)
    return found


def by_number(rows: Iterable[TicketFacts]) -> dict[str, dict[str, Any]]:
    return {row.number: row._asdict() for row in rows}


def lives(decisions: int, partitions: int = 3) -> Log:
    return given(*Lives().decisions(decisions), partitions=partitions)


def exported(stack: Settings, dsn: str, folder: Path, until: Token, form: str = "csv", **asked: Any) -> Done:
    source = FactsSource(stack.model_copy(update={"database_url": SecretStr(dsn)}), reach_limit_s=0.3)
    try:
        return export(source, Asked("ticket_facts", form, until=until, **{"rows_per_file": 40, **asked}), folder, Progress())
    finally:
        source.close()


def test_facts_of_believable_lives_equal_a_naive_fold_of_the_log(database: str) -> None:
    number, again = "RU-2031-000001", {"number": "RU-2031-000001", "cycle": 2}
    reopened = made(tickets.TicketReopened, version=4, reason_code="new_question", recorded_at=MORNING + 9, **again)
    asked = made(tickets.ClarificationAsked, version=5, **again)
    log = given(*Lives().decisions(600), registered(number), taken(2, number), closed(3, number), reopened, asked, partitions=3)
    log.deliver(database, MODELS, batch=100)

    found = facts_of(database, end_of(log))

    assert by_number(found) == naive(log, end_of(log))
    assert {row.status for row in found} >= {"closed", "refused", "registered", "in_processing"}
    assert max(row.reopenings for row in found) == max(row.clarifications for row in found) == 1
    places = [(row.opened_at, row.number) for row in found]
    assert places == sorted(places)


def test_facts_as_of_any_place_of_the_log_are_those_of_what_it_includes(database: str) -> None:
    log = lives(300)
    log.deliver(database, MODELS, batch=100)

    for included in (0, 1, 150, 299):
        early = Token.of((r.topic, r.partition, r.offset) for r in log.records[:included])  # type: ignore[misc]
        assert by_number(facts_of(database, early)) == naive(log, early)


def test_with_a_beginning_only_tickets_that_changed_after_it_are_told_as_they_stand_at_the_end(database: str) -> None:
    log = lives(300)
    log.deliver(database, MODELS, batch=100)
    since = Token.of((r.topic, r.partition, r.offset) for r in log.records[:250])  # type: ignore[misc]
    until = Token.of((r.topic, r.partition, r.offset) for r in log.records[:300])  # type: ignore[misc]

    found = by_number(facts_of(database, until, since))

    changed = {r.event.number for r in log.records[250:300] if isinstance(r.event, Decision)}
    assert 0 < len(changed) < len(naive(log, until))
    assert found == {number: row for number, row in naive(log, until).items() if number in changed}


def test_ticket_reopened_without_ever_being_taken_was_never_taken(database: str) -> None:
    refused = made(tickets.TicketRefused, version=2, reason_code="documents.incomplete", appeal_route="court", recorded_at=MORNING + 5)
    reopened = made(tickets.TicketReopened, version=4, cycle=2, reason_code="new_question")
    asked = made(tickets.ClarificationAsked, version=5, cycle=2)
    log = given(registered(), refused, closed(3), reopened, asked, made(tickets.ClarificationReceived, version=6, cycle=2))
    log.deliver(database, MODELS)

    (row,) = facts_of(database, end_of(log))

    assert (row.status, row.first_taken_at, row.decided_at, row.closed_at) == ("in_processing", None, None, None)
    assert (row.version, row.cycle, row.reopenings, row.clarifications, row.refusal_reason) == (6, 2, 1, 1, None)


def test_every_column_says_what_it_means_and_none_holds_anything_sealed() -> None:
    assert ticket_facts.DOCS.keys() == TicketFacts.__annotations__.keys()
    assert bytes not in TicketFacts.__annotations__.values()


@pytest.mark.parametrize("form", ["csv", "parquet", "avro"])
def test_exported_facts_are_those_rows_in_files_of_a_range_of_tickets(stack: Settings, database: str, tmp_path: Path, form: str) -> None:
    log = lives(300)
    log.deliver(database, MODELS, batch=100)
    wanted = [row._asdict() for row in facts_of(database, end_of(log))]

    done = exported(stack, database, tmp_path, end_of(log), form)

    read = {"csv": strangers.read_csv, "parquet": strangers.read_parquet, "avro": strangers.read_avro}[form](tmp_path)
    moments = [name for name in wanted[0] if name.endswith("_at")]
    assert read == ([strangers.in_words(row, moments) for row in wanted] if form == "csv" else wanted)
    assert done.rows == len(wanted)
    assert [(line["first_ticket"], line["last_ticket"]) for line in done.files] == [
        (part[0]["number"], part[-1]["number"]) for part in (wanted[at : at + 40] for at in range(0, len(wanted), 40))
    ]


def test_what_is_decided_meanwhile_changes_no_byte_and_a_removed_file_is_made_as_it_was(
    stack: Settings, database: str, tmp_path: Path
) -> None:
    log, later = lives(300), given(*(replace(one, number=NUMBER) for one in (registered(), taken(2))), partitions=3)
    log.deliver(database, MODELS, batch=100)
    done = exported(stack, database, tmp_path, end_of(log))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for record in later.records:
        log.append(record.event or registered())
    log.deliver(database, MODELS, batch=100)
    (tmp_path / done.files[1]["name"]).unlink()

    again = exported(stack, database, tmp_path, Token.parse(done.plan["until"]))

    assert again.resumed_at == done.rows - 40
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_end_that_includes_nothing_has_no_facts(stack: Settings, database: str, tmp_path: Path) -> None:
    given(registered()).deliver(database, MODELS)

    assert exported(stack, database, tmp_path, Token({})).rows == 0


def test_read_models_that_have_not_come_so_far_are_waited_for_and_then_said_so(stack: Settings, database: str, tmp_path: Path) -> None:
    log = given(registered())
    log.deliver(database, MODELS)

    with pytest.raises(NotReached, match="ticket_versions and audit_log did not come so far"):
        exported(stack, database, tmp_path, Token({(TICKETS, 0): 99}))

    assert list(tmp_path.iterdir()) == []


def test_file_whose_line_is_lost_is_made_again_and_one_more_is_refused(stack: Settings, database: str, tmp_path: Path) -> None:
    log = lives(300)
    log.deliver(database, MODELS, batch=100)
    done = exported(stack, database, tmp_path, end_of(log))
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / MANIFEST).write_text(json.dumps({"plan": done.plan, "complete": False, "files": done.files[:-1]}), "utf-8")

    exported(stack, database, tmp_path, end_of(log))
    again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / f"ticket_facts-{len(done.files):06}.csv").write_bytes(b"theirs")
    with pytest.raises(NotOurs, match=f"ticket_facts-{len(done.files):06}"):
        exported(stack, database, tmp_path, end_of(log))

    assert again == whole


def test_nothing_is_exported_while_a_decision_before_the_end_waits_for_repair(stack: Settings, database: str, tmp_path: Path) -> None:
    log = given(registered(), taken(2))
    log.deliver(database, MODELS)
    waits = ParkedRecord("ticket_versions_v1", TICKETS, 0, 2, NUMBER.encode(), MORNING, False, b"", "VersionHole", MORNING)
    with databases.connect(database, "test") as db:
        parked.add(db, [waits])

    with pytest.raises(Waits, match="decisions about 1 tickets wait for repair"):
        exported(stack, database, tmp_path / "whole", end_of(log))
    before_it = exported(stack, database, tmp_path / "before", Token({(TICKETS, 0): 1}))
    with psycopg.connect(database) as other:
        other.execute("DELETE FROM parked")
    repaired = exported(stack, database, tmp_path / "whole", end_of(log))

    assert (before_it.rows, repaired.rows) == (1, 1)
